"""Who is signed in, and who sees a private channel: so that a change of rights finds its sessions without a search."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from attrs import define, field

S = TypeVar("S", bound=Hashable)


def _ignore(_: str) -> None:
    """Do nothing: nobody asked to be called."""


@define(eq=False)
class SessionDirectory(Generic[S]):
    """The sessions of each user, and those with a subscription, in whatever state, to each private channel.

    A user has at most so many (`most`; 0: no limit): it is the newest that is refused, for to end the oldest would make
    two tabs of one user end each other for ever. Sessions of which nobody knows who they are take no room here.
    """

    most: int = 0
    appeared: Callable[[str], None] = _ignore
    """Called with a user who has a session now, and had none before."""
    vanished: Callable[[str], None] = _ignore
    """Called with a user whose last session has ended."""
    _users: dict[str, dict[S, None]] = field(factory=dict)
    _channels: dict[str, dict[S, None]] = field(factory=dict)

    @property
    def users(self) -> int:
        """The number of users who are signed in."""
        return len(self._users)

    @property
    def channels(self) -> int:
        """The number of private channels that somebody is subscribed to."""
        return len(self._channels)

    def enter(self, user: str, session: S) -> bool:
        """Note whose session it is; return False, and note nothing, when the user has as many as there may be."""
        sessions = self._users.get(user)
        if sessions is None:
            self._users[user] = {session: None}
            self.appeared(user)
        elif self.most and len(sessions) >= self.most and session not in sessions:
            return False
        else:
            sessions[session] = None
        return True

    def leave(self, user: str, session: S) -> None:
        """Note that it is no session of that user any more, if it was one."""
        if _remove(self._users, user, session):
            self.vanished(user)

    def subscribed(self, channel: str, session: S) -> None:
        """Note a subscription to a private channel."""
        _add(self._channels, channel, session)

    def unsubscribed(self, channel: str, session: S) -> None:
        """Note the end of a subscription, if it was noted."""
        _remove(self._channels, channel, session)

    def is_subscribed(self, channel: str, session: S) -> bool:
        """Return whether a subscription to a private channel is noted."""
        return session in self._channels.get(channel, ())

    def sessions_of(self, user: str) -> list[S]:
        """Return the sessions of a user."""
        return list(self._users.get(user, ()))

    def sessions_on(self, channel: str) -> list[S]:
        """Return the sessions that are subscribed to a private channel."""
        return list(self._channels.get(channel, ()))

    def has(self, user: str, session: S) -> bool:
        """Return whether a session is one of that user."""
        return session in self._users.get(user, ())

    def has_user(self, user: str) -> bool:
        """Return whether a user is signed in."""
        return user in self._users

    def all_users(self) -> list[str]:
        """Return the users who are signed in."""
        return list(self._users)

    def all_channels(self) -> list[str]:
        """Return the private channels that somebody is subscribed to."""
        return list(self._channels)


def _add(index: dict[str, dict[S, None]], name: str, session: S) -> None:
    sessions = index.get(name)
    if sessions is None:
        index[name] = {session: None}
    else:
        sessions[session] = None


def _remove(index: dict[str, dict[S, None]], name: str, session: S) -> bool:
    """Remove a session; return whether it was the last one."""
    sessions = index.get(name)
    if sessions is None:
        return False
    sessions.pop(session, None)
    if sessions:
        return False
    del index[name]
    return True
