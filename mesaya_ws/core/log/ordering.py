"""The one order in which the records of many sources are taken, as Kafka Streams does it (KIP-353, KIP-695).

Among the heads of all sources the one with the smallest (timestamp, topic, partition) is next. A source that is known
to hold more, of which nothing has come yet, is waited for; a source at its end is not. So whoever reads the history of
a log takes it in the order in which those did who were there. Within a source the order never changes.

A source that is ahead of the others waits for them; so that this takes no memory without end, one that has more than a
bound of untaken items is `full`, and nothing more of it should be pushed until half of them have been taken. What is
waited for has no items, so it is never full.

A source is in one of these states, by the items that have been pushed (`lag` counts those that are still to come):

    items   lag   parent    state     counts in    the merge
    none    0               at end                 goes on without it
    none    > 0             starved   `_starved`   waits for it, and yields nothing
    some    any   known     ready     `_heads`     takes its head when that is the smallest
    some    any   missing   held      `_held`      goes on without it, until the parent comes or the wait is over

    at end ──push──▶ ready ──take the last──▶ at end, or starved if lag > 0
    starved ─push──▶ ready ──parent missing─▶ held ──parent known, or wait over──▶ ready

A record whose parent is unknown holds its own source, and no other, until the parent has come; or until all that the
others hold up to `wait` later has been taken, and the log itself has come further than that, or `wait` has passed since
the record arrived. This happens once for each parent. Two times are at work, and neither trusts a clock: how far the
log has come is what its own records say, and how long ago something arrived is measured by a clock that nobody sets.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Generic

from mesaya_ws.core.log.records import Partition, Record, Source
from mesaya_ws.core.log.source_queue import Item, SourceQueue, size_of

MAX_EXPIRED_PARENTS = 100_000
"""Parents that are remembered as not worth another wait."""

MAX_RECORDS, MAX_BYTES = 1000, 1024 * 1024
"""Untaken items of one source, and bytes of their records, after which it is full."""


class Merge(Generic[Item]):
    """The sources of a log, made one. All times are in milliseconds of a clock that never steps, but for timestamps.

    `missing` names the parent without which an item should not be taken, or None; it is asked right before, and again
    after other items have been taken. `wait` (ms) is how long the parent is waited for. `expired_parents` are the
    parents that were waited for in vain, in that order: the last `max_expired_parents`.

    An item is replaced by what `read` makes of it when its turn has come, for what is made of a record may be much
    larger. `full` are the sources of which nothing more should be pushed for now; it is always another set when it has
    changed, so any thread may look at it.
    """

    def __init__(
        self,
        missing: Callable[[Item], str | None],
        wait: int,
        read: Callable[[Item], Item],
        max_records: int,
        max_bytes: int,
        max_expired_parents: int = MAX_EXPIRED_PARENTS,
    ) -> None:
        self._max_expired_parents = max_expired_parents
        self._missing = missing
        self._wait = wait
        self._read = read
        self._max_records = max_records
        self._max_bytes = max_bytes
        self.full: frozenset[Source] = frozenset()
        self._queues: dict[Source, SourceQueue[Item]] = {}
        self._held: list[SourceQueue[Item]] = []
        # The other queues that have items, as a heap, and how many are starved; to be made anew when disarranged.
        self._heads: list[tuple[int, Partition, SourceQueue[Item]]] = []
        self._starved = 0
        self._disarranged = False
        # To find the first key of a dict takes as long as how many were deleted before it.
        self.expired_parents: dict[str, Any] = OrderedDict()

    def push(self, source: Source, items: Sequence[Item], lag: int, now: int) -> None:
        """Add the next items of a source, which came `now`; the source is known to hold `lag` more after them."""
        queue = self._queues.get(source)
        if queue is None:
            queue = self._queue(source)
        held = queue.items
        is_new_head = bool(items) and not held
        if not held and queue.lag > 0:
            self._starved -= 1
        if items:
            held.extend(items)
            queue.bytes += sum([len(record.value or b"") + len(record.key or b"") for record, _ in items])
            if is_new_head:
                queue.arrivals.clear()
            if source is not None:  # the only source of a log waits for nothing
                queue.note_arrival(now)
        queue.lag = lag
        if not held and lag > 0:
            self._starved += 1
        if not queue.is_full and (len(held) > self._max_records or queue.bytes > self._max_bytes):
            self._mark(queue, is_full=True)
        if is_new_head and not self._disarranged:
            heappush(self._heads, (held[0][0].timestamp, queue.place, queue))

    def push_marker(self, partition: Partition, item: Item, now: int) -> None:
        """Add what must be taken right after all that has been pushed of a partition, before what is still to come."""
        source = None if None in self._queues else partition
        self.push(source, [item], self._queue(source).lag, now)

    def drop(self, topic: str) -> bool:
        """Forget what was pushed of a topic that is no more, and has not been taken; return whether there was any."""
        return self._drop(topic, lambda record: record.topic == topic)

    def truncate(self, partition: Partition, offset: int) -> bool:
        """Forget what was pushed of a partition from `offset` on and not taken; return whether there was any."""
        topic, number = partition
        return self._drop(
            topic, lambda record: record.topic == topic and record.partition == number and record.offset >= offset
        )

    def _drop(self, topic: str, is_gone: Callable[[Record], bool]) -> bool:
        dropped = False
        for queue in self._queues.values():
            kept = deque(item for item in queue.items if not is_gone(item[0]))
            if len(kept) < len(queue.items):
                dropped = True
                queue.items, queue.parent = kept, None
                queue.bytes = sum(map(size_of, kept))
                self._mark(queue, is_full=False)
                if kept and queue.arrivals:
                    # What is left came first; what comes now may have the offsets of what was dropped.
                    queue.arrivals = deque([(kept[-1][0].offset, queue.arrived)])
        self._held = [queue for queue in self._held if queue.parent is not None]
        self._disarranged = True
        return dropped

    def lags(self, lags: Mapping[Source, int]) -> None:
        """Take note of how many items each source holds after those pushed; one that is not named is no more."""
        for source, queue in self._queues.items():
            queue.lag = lags.get(source, 0)
        for source, lag in lags.items():
            self._queue(source).lag = lag
        self._disarranged = True

    def _queue(self, source: Source) -> SourceQueue[Item]:
        if source not in self._queues:
            self._queues[source] = SourceQueue(source or Partition("", 0))
        return self._queues[source]

    @property
    def caught_up(self) -> bool:
        """Whether everything that is known of has been taken."""
        return not any(queue.items or queue.lag for queue in self._queues.values())

    @property
    def remaining(self) -> int:
        """How many items are known of, here or still to come, and have not been taken."""
        return sum(self.known().values())

    def known(self) -> dict[Source, int]:
        """Return how many items are known of each source, here or still to come, and have not been taken."""
        return {source: len(queue.items) + queue.lag for source, queue in self._queues.items()}

    @property
    def awaited(self) -> list[str]:
        """The parents that something waits for."""
        return [queue.parent for queue in self._held if queue.parent is not None]

    def take(self, now: int) -> Iterator[Item]:
        """Yield items in their order, as long as there is one that can be taken at the time `now`.

        An item counts as taken when it is yielded. Between two items anything may be pushed, and the iterator may be
        dropped.
        """
        # No other source could bring the parent of an item of the only one.
        while len(self._queues) == 1:
            (queue,) = self._queues.values()
            if not queue.items:
                return
            self._disarranged = True
            yield self._read(self._take(queue))
        while True:
            if self._disarranged:
                self._arrange()
            if self._starved:
                return
            if self._held:
                self._release(now)
            if not self._heads:
                return
            queue = self._heads[0][2]
            item = self._read(queue.items[0])
            parent = self._missing(item)
            if parent is not None and parent not in self.expired_parents:
                self._hold(queue, item, parent)
                continue
            self._pop(queue)
            yield item

    def wake_at(self) -> int | None:
        """Return when `take` must be called though nothing was pushed, because a wait ends; None: not at all."""
        if self._disarranged:
            self._arrange()
        if self._starved or not self._held:
            return None
        return min(map(self._end_of_wait, self._held))

    def _arrange(self) -> None:
        """Order the heads anew."""
        self._disarranged = False
        queues = self._queues.values()
        self._starved = sum(queue.starved for queue in queues)
        self._heads = [
            (queue.timestamp, queue.place, queue) for queue in queues if queue.items and queue.parent is None
        ]
        heapify(self._heads)

    def _pop(self, queue: SourceQueue[Item]) -> None:
        """Take the first of the heads off its queue."""
        self._take(queue)
        if queue.items:
            heapreplace(self._heads, (queue.items[0][0].timestamp, queue.place, queue))
        else:
            heappop(self._heads)
            self._starved += queue.lag > 0

    def _take(self, queue: SourceQueue[Item]) -> Item:
        item = queue.items.popleft()
        record = item[0]
        queue.bytes -= len(record.value or b"") + len(record.key or b"")  # a call takes as long as this
        if queue.is_full and len(queue.items) <= self._max_records // 2 and queue.bytes <= self._max_bytes // 2:
            self._mark(queue, is_full=False)
        return item

    def _mark(self, queue: SourceQueue[Item], *, is_full: bool) -> None:
        queue.is_full = is_full
        self.full = frozenset(source for source, queue in self._queues.items() if queue.is_full)

    def _hold(self, queue: SourceQueue[Item], head: Item, parent: str) -> None:
        """Hold the queue of the first head back, which has been read and has to wait for a parent."""
        heappop(self._heads)
        queue.items[0] = head
        queue.parent = parent
        self._held.append(queue)

    def _release(self, now: int) -> None:
        """Release the first held queue whose parent has come, or has been waited for long enough."""
        for queue in sorted(self._held, key=lambda queue: (queue.timestamp, queue.place)):
            parent = self._missing(queue.items[0])
            if parent is not None and parent == queue.parent and parent not in self.expired_parents:
                if not self._is_over(queue, now):
                    continue
                self._give_up(parent)
            self._held.remove(queue)
            queue.parent = None
            heappush(self._heads, (queue.timestamp, queue.place, queue))
            # Only one: taking it may bring what the others wait for.
            return

    def _is_over(self, queue: SourceQueue[Item], now: int) -> bool:
        if self._heads:
            # Whether the log has come so much further; what it holds up to there is taken first, however long it takes.
            return self._heads[0][0] > queue.timestamp + self._wait
        return now >= self._end_of_wait(queue)

    def _end_of_wait(self, queue: SourceQueue[Item]) -> int:
        """Return until when a held queue waits at most, if nothing else comes."""
        return queue.arrived + self._wait

    def _give_up(self, parent: str) -> None:
        self.expired_parents[parent] = None
        if len(self.expired_parents) > self._max_expired_parents:
            del self.expired_parents[next(iter(self.expired_parents))]
