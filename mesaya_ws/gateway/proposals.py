"""What an instance proposes to the log: records that nobody waits for, now or when a time has come.

    propose ──▶ queue ──▶ appended, some at a time; as long as the log is away they wait
    call_in ──▶ timer ──▶ when it is due, what was asked for is done: it may propose

Whether a proposal counts, the log decides: so it may be made twice, too early, or by several instances.
"""

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf

import trio

from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import steady
from mesaya_ws.runtime.logs import get_logger

log = get_logger(__name__)

MAX_RECORDS = 10_000
"""Proposals that wait for the log; past that, the oldest are dropped."""

MAX_TIMERS = 100_000
"""Timers; past that, no more are set, and the log says so."""

SET_AT_ONCE = 200
"""Timers that are set in one step at the start, at some 5 µs each."""

APPENDED_AT_ONCE = 100
"""Proposals that are appended together."""

RUNG_AT_ONCE = 100
"""Timers whose time has come that are attended to before others have their turn."""

LOG_RETRY = 1.0
"""Seconds until a log that does not answer is tried again."""

OnAppended = Callable[[Appended, int, int], None]
"""Called with where the log has put a record, and when its append began and was acknowledged (ms, by `steady`)."""


class Proposals:
    """The proposals of one instance about a `subject`, a word for its log."""

    def __init__(self, event_log: EventLog, subject: str, on_appended: OnAppended = lambda *_: None) -> None:
        self._event_log = event_log
        self._alarm = Alarm(log, f"{subject} cannot be proposed", f"{subject} are proposed again")
        self._crowded = Alarm(log, f"too many timers: some {subject} are not proposed", f"{subject} have timers again")
        self._on_appended = on_appended
        self._records: deque[NewRecord] = deque(maxlen=MAX_RECORDS)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._changed = trio.Event()

    def propose(self, record: NewRecord) -> None:
        """Have a record appended."""
        self._records.append(record)
        self._changed.set()

    def call_in(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        if len(self._timers) >= MAX_TIMERS:
            self._crowded.set(timers=len(self._timers))
        else:
            heappush(self._timers, (trio.current_time() + seconds, next(self._number), action))
            self._changed.set()

    async def run(self) -> None:
        """Append what is proposed, and attend to timers, for ever."""
        while True:
            self._ring()
            if self._records:
                await self._append()
                continue
            self._changed = trio.Event()
            with trio.move_on_at(self._timers[0][0] if self._timers else inf):
                await self._changed.wait()

    def _ring(self) -> None:
        now = trio.current_time()
        for _ in range(RUNG_AT_ONCE):
            if not self._timers or self._timers[0][0] > now:
                return
            heappop(self._timers)[2]()
            if len(self._timers) <= MAX_TIMERS // 2:
                self._crowded.clear()

    async def _append(self) -> None:
        records = [self._records.popleft() for _ in range(min(APPENDED_AT_ONCE, len(self._records)))]
        began = steady()
        try:
            places: Sequence[Appended] = await self._event_log.append(records)
        except LogUnavailableError as error:
            self._alarm.set(reason=str(error))
            # Those that have come meanwhile are newer: where there is no room for all, the oldest give way.
            room = MAX_RECORDS - len(self._records)
            self._records.extendleft(reversed(records[max(0, len(records) - room) :]))
            await trio.sleep(LOG_RETRY)
        except RecordRejectedError as error:
            self._alarm.set(reason=str(error))
        else:
            self._alarm.clear()
            for place in places:
                self._on_appended(place, began, steady())
