"""Who is on which channel of this process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mesaya_ws.core.interactions.presence_records import Level, level_of, nobody

if TYPE_CHECKING:
    from mesaya_ws.core.session.session import Session


class Viewers:
    """The sessions on each channel, each with the user that it counts as; None: it counts as one of its own.

    A session costs some 100 bytes for each of its channels, and some 300 where it is the only one there.
    """

    def __init__(self) -> None:
        self._channels: dict[str, dict[Session, str | None]] = {}

    def put(self, channel: str, session: Session) -> None:
        """Note that a session is on a channel, and who it is now."""
        user = None if session.identity is None else session.identity.user
        sessions = self._channels.get(channel)
        if sessions is None:
            self._channels[channel] = {session: user}
        else:
            sessions[session] = user

    def remove(self, channel: str, session: Session) -> bool:
        """Note that a session is not on a channel any more; return whether it was."""
        sessions = self._channels.get(channel)
        if sessions is None or session not in sessions:
            return False
        del sessions[session]
        if not sessions:
            del self._channels[channel]
        return True

    def holds(self, channel: str, session: Session) -> bool:
        """Return whether a session is on a channel."""
        return session in self._channels.get(channel, ())

    def are_on(self, channel: str) -> bool:
        """Return whether anybody is on a channel."""
        return channel in self._channels

    def on(self, channel: str) -> Iterable[Session]:
        """Return the sessions on a channel."""
        return list(self._channels.get(channel, ()))

    def level(self, channel: str) -> Level:
        """Return who is on a channel; it takes 0.03 ms for each thousand."""
        sessions = self._channels.get(channel)
        return nobody(channel) if sessions is None else level_of(channel, sessions.values())
