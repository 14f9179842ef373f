"""What lies further back than the window: read again from the log, for clients that come back after a long time.

Those who ask while the log is being read share the next reading.
"""

from collections.abc import Callable, Collection
from itertools import count
from math import inf
from weakref import WeakSet, WeakValueDictionary

import trio

from mesaya_ws.clocks import steady, time_of_day
from mesaya_ws.core.channels import Channel
from mesaya_ws.core.delivery import Delivery
from mesaya_ws.core.event_log import BEGINNING, EventLog, News, Outage, Restored, pieces
from mesaya_ws.core.feed import HEARING, Feed
from mesaya_ws.core.past import Past
from mesaya_ws.core.session import Session
from mesaya_ws.core.window import Window
from mesaya_ws.interpreter import look
from mesaya_ws.logs import get_logger
from mesaya_ws.settings import Settings

log = get_logger(__name__)


class Historian:
    """Reads the past for sessions that ask (`Session.asking`), one reading at a time, within REPLAY_SECONDS.

    What was found is kept as long as somebody is still being told of it; all together, no more than REPLAY_BYTES.
    `show` is told of those that need a state instead (`Delivery.showing`).
    """

    def __init__(self, event_log: EventLog, feed: Feed, settings: Settings, show: Callable[[Delivery], None]) -> None:
        self._event_log = event_log
        self._feed = feed
        self._settings = settings
        self._show = show
        # Weak: in a long outage many come, wait for a while, and go.
        self._asking: WeakSet[Session] = WeakSet()
        self._found: WeakValueDictionary[int, Window] = WeakValueDictionary()
        self._numbers = count()
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
            asking, self._asking = self._asking, WeakSet()
            await self._tell(asking)

    async def _tell(self, asking: WeakSet[Session]) -> None:
        """Read what is asked for, and tell it."""
        started = trio.current_time()
        past = await self._read({channel for session in asking for channel in session.asking})
        seconds = trio.current_time() - started
        log.info("history read", sessions=len(asking), found=past.has_arrived, seconds=seconds)
        self._found[next(self._numbers)] = past.feed.window
        await self._make_room()
        for session in list(asking):
            session.recall(past)
            if session.delivery.showing:
                self._show(session.delivery)
            await trio.lowlevel.checkpoint()
        for _ in past.feed.discard():
            await trio.lowlevel.checkpoint()

    async def _make_room(self) -> None:
        """Let go of what was found first. Who has not been told all of it by now is too slow, and comes back."""
        while sum(window.bytes for window in self._found.values()) > self._settings.replay_bytes:
            number, oldest = next(iter(self._found.items()))
            for _ in oldest.clear():
                await trio.lowlevel.checkpoint()
            self._found.pop(number, None)

    async def _read(self, channels: Collection[Channel]) -> Past:
        """Return the past of `channels`, which has not arrived when reading it took too long.

        An outage of the log does not count: nothing is lost by it, and the clients wait for what they missed.
        """
        settings = self._settings
        past = Past(channels, self._feed, settings.parent_wait, settings.replay_bytes)
        with trio.move_on_after(settings.replay_seconds) as patience:
            async with trio.open_nursery() as nursery:
                deliver, news = trio.open_memory_channel[News](0)
                nursery.start_soon(self._event_log.follow, deliver.send, BEGINNING, lambda: past.feed.paused)
                while not past.has_arrived:
                    with trio.move_on_after(past.feed.rests_for(steady())):
                        match await news.receive():
                            case Outage():
                                patience.deadline = inf
                            case Restored():
                                patience.deadline = trio.current_time() + settings.replay_seconds
                            case item:
                                for piece, _ in pieces(item, HEARING):
                                    past.feed.hear(piece, time_of_day(), steady())
                                    look()
                                    await trio.lowlevel.cancel_shielded_checkpoint()
                    for _ in past.feed.take(time_of_day(), steady()):
                        await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        return past
