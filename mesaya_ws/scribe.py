"""Writes large states down for the clients that asked for them, while everything else goes on."""

import trio

from mesaya_ws.core.channels import Channel
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.session import Session


class Scribe:
    """Writes for sessions that wait for it (`Session.showing`): once for all who want the same at the same time."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._asking: dict[Session, None] = {}  # in the order in which they came
        self._asked = trio.Event()

    def ask(self, session: Session) -> None:
        """Have the state written that `session` waits for; it is handed over by `Session.show`."""
        self._asking[session] = None
        self._asked.set()

    async def run(self) -> None:
        """Write and hand over, for ever."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            asking, self._asking = self._asking, {}
            wanted: dict[Channel, list[Session]] = {}
            for session in asking:
                if session.showing is not None:
                    wanted.setdefault(session.showing, []).append(session)
            for channel, sessions in wanted.items():
                await self._write(channel, sessions)

    async def _write(self, channel: Channel, sessions: list[Session]) -> None:
        snapshot = self._feed.snapshot(channel)
        for _ in snapshot.write():
            await trio.lowlevel.checkpoint()
        for session in sessions:
            session.show(snapshot)
            if session.showing is not None:
                self.ask(session)
            await trio.lowlevel.checkpoint()
