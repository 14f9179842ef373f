"""What lies further back than the window: read again from the log, for clients that come back after a long time.

A reader of history is a replica for a moment: it reads the log from its beginning by the same rules as the feed, keeps
what the channels in question published, and stops where the window begins. Those who ask meanwhile share the next
reading.
"""

import math
from collections.abc import Collection
from time import time

import trio

from mesaya_ws.core.event_log import EventLog, News, Outage, Restored
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.hub import Hub
from mesaya_ws.core.session import Session
from mesaya_ws.core.window import Window
from mesaya_ws.logs import get_logger
from mesaya_ws.settings import Settings

log = get_logger(__name__)


class Historian:
    """Reads the past for sessions that ask (`Session.asking`), one reading at a time, within REPLAY_SECONDS."""

    def __init__(self, event_log: EventLog, feed: Feed, settings: Settings) -> None:
        self._event_log = event_log
        self._feed = feed
        self._settings = settings
        self._asking: set[Session] = set()
        self._asked = trio.Event()

    def ask(self, session: Session) -> None:
        """Have the past read that `session` is asking for; it is told by `Session.recall`."""
        self._asking.add(session)
        self._asked.set()

    async def run(self) -> None:
        """Read and tell, for ever."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            asking, self._asking = self._asking, set()
            started = trio.current_time()
            past = await self._read({name for session in asking for name in session.asking})
            log.info(
                "history read", sessions=len(asking), found=past is not None, seconds=trio.current_time() - started
            )
            for session in asking:
                session.recall(past)
                await trio.lowlevel.checkpoint()

    async def _read(self, channels: Collection[str]) -> Feed | None:
        """Return a feed that has published on `channels` what lies before the window; None when it takes too long."""
        settings = self._settings
        past = Feed(Hub(), Window(math.inf, settings.replay_bytes), settings.parent_wait, only=frozenset(channels))
        with trio.move_on_after(settings.replay_seconds):
            async with trio.open_nursery() as nursery:
                deliver, news = trio.open_memory_channel[News](0)
                nursery.start_soon(self._event_log.follow, deliver.send)
                async for item in news:
                    if not isinstance(item, Outage | Restored):
                        past.hear(item, round(time() * 1000))
                    for _ in past.take(round(time() * 1000)):
                        await trio.lowlevel.checkpoint()
                    if self._feed.continues(past):
                        nursery.cancel_scope.cancel()
                        return past
        return None
