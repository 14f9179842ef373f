"""Which tokens have been revoked, by the records of the revocations' topic.

A record says of one user (its key) that tokens issued before some time are dead. It counts for JWT_MAX_AGE: by then
no token is in use any more that it concerned. Records may come in any order; what is revoked stays so.
"""

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.platform.fields import IDENTIFIER
from mesaya_ws.core.platform.topics import REVOCATIONS

MAX_REVOCATIONS = 100_000
"""Some 200 bytes each. What exceeds that makes more dead than was revoked, never less (see `RevokedTokens`)."""


class Revocation(NamedTuple):
    """The tokens of `user` that were issued before some time (ms since 1970) are dead."""

    user: str
    before: int


def revocation_record(revocation: Revocation) -> NewRecord:
    """Return the record that says so."""
    value = orjson.dumps({"user": revocation.user, "before": revocation.before})
    return NewRecord(REVOCATIONS, value, revocation.user.encode())


def revocation_of(record: Record) -> Revocation | None:
    """Return what a record of the topic says; None: nothing that can be understood."""
    if not isinstance(record.value, bytes):
        return None
    try:
        value = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    user, before = (value.get("user"), value.get("before")) if isinstance(value, dict) else (None, None)
    if type(user) is not str or IDENTIFIER.fullmatch(user) is None or type(before) is not int or before < 0:
        return None
    return Revocation(user, before)


class RevokedTokens:
    """The revocations that count now, at most so many; `max_age` is JWT_MAX_AGE, in seconds.

    Past that number, the oldest gives way, and from then on the tokens of all users are dead that are as old: a bound
    that is met must let nobody in.
    """

    def __init__(self, max_age: float, most: int = MAX_REVOCATIONS) -> None:
        self._max_age = round(max_age * 1000)
        self._most = most
        # By user: before what, and until when that counts; the latest ones come last.
        self._entries: dict[str, tuple[int, int]] = {}
        self._floor = (0, 0)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, revocation: Revocation, appended_at: int, now: int) -> None:
        """Take in a revocation that was appended to the log at that time; all times are in ms since 1970."""
        user, before = revocation
        known, until = self._entries.pop(user, (0, 0))
        self._entries[user] = max(before, known), max(until, max(appended_at, before) + self._max_age)
        for over in list(self._over(now)):
            del self._entries[over]
        if len(self._entries) > self._most:
            before, until = self._entries.pop(next(iter(self._entries)))
            self._floor = max(before, self._floor[0]), max(until, self._floor[1])

    def _over(self, now: int) -> Iterator[str]:
        for user, (_, until) in self._entries.items():
            if until > now:
                return
            yield user

    @property
    def floor(self) -> int:
        """The time (ms since 1970) before which the tokens of all users are dead; 0: as long as all have had room."""
        return self._floor[0]

    def before(self, user: str, now: int) -> int:
        """Return the time (ms since 1970) before which tokens of a user are dead; 0: none is."""
        entry, floor = self._entries.get(user, (0, 0)), self._floor
        return max(before if until > now else 0 for before, until in (entry, floor))

    def concerns(self, user: str) -> bool:
        """Return whether any token of a user may be dead; of nearly all users, none is."""
        return user in self._entries or self._floor[0] > 0

    def is_revoked(self, user: str, issued_at: float | None, now: int) -> bool:
        """Return whether tokens that were issued then (s since 1970; None: not said) are dead."""
        before = self.before(user, now)
        return before > 0 and (issued_at is None or issued_at * 1000 < before)
