"""What records say of users: what they are called, and their roles."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from mesaya_ws.core.platform.emptying import DISCARDED_AT_ONCE
from mesaya_ws.core.platform.envelope import AUTH, Event
from mesaya_ws.core.platform.latest import Latest
from mesaya_ws.core.platform.overlay import over
from mesaya_ws.core.platform.provenance import At
from mesaya_ws.core.platform.rows import at_in, text_in
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.state.tracking import Tracking

REVIEW = "review"
"""The other source of names, beside `AUTH`: each review has the name of who wrote it."""

_TOPICS = {topic_of("auth"): AUTH, topic_of("reviews"): REVIEW}


class LoggedRoles(NamedTuple):
    """The roles of a user by the latest record that says them, and when that was (ms since 1970)."""

    at: int
    roles: tuple[str, ...]


class Users:
    """`names` are what users are called, by `auth` or by their reviews, whichever has the latest record.

    What changes of them is noted in the `tracking`.
    """

    def __init__(self, tracking: Tracking | None = None) -> None:
        self._tracking = tracking or Tracking()
        self.names: dict[str, str] = {}
        self._called: dict[str, Latest[str]] = {source: self._new_called(source) for source in (AUTH, REVIEW)}
        self._roles: Latest[list[str]] = Latest(self._tracking.table("roles"))

    def _new_called(self, source: str) -> Latest[str]:
        return Latest(self._tracking.table(f"called/{source}"))

    def draft(self) -> "Users":
        """Return users of whom the same is known, and more can be without changing these; until these change."""
        users = Users()
        users.names = over(self.names)
        users._called = {source: latest.draft() for source, latest in self._called.items()}
        users._roles = self._roles.draft()
        return users

    def apply(self, event: Event) -> None:
        """Apply an event of `auth`."""
        self.name(AUTH, event.id, event.data.get("name"), event.at)
        if "roles" in event.data:
            self._roles.put(event.id, event.at, list(event.data["roles"]))

    def name(self, source: str, user: str | None, name: str | None, at: At) -> None:
        """Take in what a record `at` some place of a source calls a user, if it does."""
        if user and name and name.strip() and self._called[source].put(user, at, name.strip()):
            entries = [latest.entries[user] for latest in self._called.values() if user in latest.entries]
            # Of two topics only the time can be compared; when it is the same, the one that came last is right.
            latest = max(entries, key=lambda entry: entry[0][0])
            self.names[user] = name.strip() if latest[0][0] == at[0] else latest[1]

    def roles_of(self, user: str) -> LoggedRoles | None:
        """Return the roles of a user as `auth` had them last, and when."""
        entry = self._roles.entries.get(user)
        return None if entry is None else LoggedRoles(entry[0][0], tuple(entry[1]))

    def latest(self) -> dict[str, Latest[Any]]:
        """Return all that is known, by the names of its tables."""
        return {**{f"called/{source}": latest for source, latest in self._called.items()}, "roles": self._roles}

    def load_roles(self, user: str, value: Any) -> None:
        """Take in a row of the table `roles`."""
        at, roles = value
        self._roles.put(user, at_in(at), list(map(text_in, roles)))

    def load_name(self, source: str, user: str, value: Any) -> None:
        """Take in a row of the table `called/<source>`."""
        at, name = value
        self.name(source, user, text_in(name), at_in(at))

    def replaced(self, topic: str, gone: list[dict[str, Any]]) -> Iterator[None]:
        """Forget what only `topic` has said, yielding often; what is to be emptied afterwards is added to `gone`."""
        if topic == topic_of("auth"):
            yield from self._roles.discard()
            self._roles = Latest(self._tracking.table("roles"))
        if (source := _TOPICS.get(topic)) is not None:
            yield from self._called[source].discard()
            gone.append(self._called[source].entries)
            self._called[source] = self._new_called(source)
            yield from self._recall_names()

    def _recall_names(self) -> Iterator[None]:
        """Find again what users are called, whom another source names; yield after some of them."""
        self.names.clear()
        for source, latest in self._called.items():
            for number, (user, (at, name)) in enumerate(list(latest.entries.items())):
                if number % DISCARDED_AT_ONCE == 0:
                    yield
                self.name(source, user, name, at)
