"""Records that are held back until all partitions have been processed up to a place, where a former life stood.

Whoever goes on with what was published up to a place, and reads the log from an earlier one, must not take a record of
after it before all of before it: in the former life, none was. So what comes of a partition from there on waits until
all partitions have come so far.

    partition a  ──────────────── place ▒▒▒▒ held back
    partition b  ────────▶ not there yet
"""

from collections.abc import Iterator, Mapping

from mesaya_ws.core.log.events import LogEvent, LogMetadata, PollResult, Records, TopicRecreated, Truncated
from mesaya_ws.core.log.records import Partition, Record, Source


class HoldBack:
    """Holds back what lies at or after the offsets `until`; partitions that have none there are held from the start.

    A log of one source has one order, in which the place is a place: of that, nothing is held back.
    """

    def __init__(self, until: Mapping[Partition, int]) -> None:
        self._until = dict(until)
        self._held: dict[Partition, list[Record]] = {}
        # By partition, how many records it is known to hold that have not come.
        self._lags: dict[Source, int] = {}
        self._metadata: LogMetadata | None = None
        self.is_broken = False
        """Whether the place cannot be reached: the log has lost something, or does not let us read a part of it."""

    @property
    def sources(self) -> set[Source]:
        """The sources of which something is held back: nothing more of them should be read."""
        return set(self._held)

    def passes(self, event: LogEvent) -> Iterator[LogEvent]:
        """Yield what may be known now of an event."""
        match event:
            case Records():
                yield from self._records(event)
            case PollResult(batches):
                passed = [batch for each in batches for batch in self._records(each)]
                yield PollResult(passed)
            case LogMetadata(extents, lags, at, troubles):
                self._metadata = event
                self._lags = dict(lags)
                self.is_broken = self.is_broken or bool(troubles)
                yield LogMetadata(extents, {source: self._lag_of(source) for source in lags}, at, troubles)
            case TopicRecreated() | Truncated():
                self.is_broken = True
                yield event
            case _:
                yield event

    def _records(self, batch: Records) -> Iterator[Records]:
        source, records, lag = batch
        if source is None:
            yield batch
            return
        self._lags[source] = lag
        until = self._until.get(source, 0)
        before = [record for record in records if record.offset < until]
        if after := records[len(before) :]:
            self._held.setdefault(source, []).extend(after)
        yield Records(source, before, self._lag_of(source))

    def _lag_of(self, source: Source) -> int:
        """Return how many records are known to come that are not held back."""
        if source is None:
            return self._lags.get(source, 0)
        return 0 if source in self._held else min(self._lags.get(source, 0), 1) if source in self._until else 0

    def is_over(self, next_offsets: Mapping[Partition, int], waiting: Mapping[Source, int]) -> bool:
        """Return whether all partitions have been processed up to the place, or that cannot be reached.

        That is where they stand (`next_offsets`), or where nothing of them is `waiting` to be processed, and nothing
        more is to come before what is held back: the last record before the place may be gone.
        """
        if self.is_broken:
            return True
        if None in waiting and not waiting[None]:
            return True
        return self._metadata is not None and all(
            next_offsets.get(partition, 0) >= offset or (None not in waiting and self._is_at_end(partition, waiting))
            for partition, offset in self._until.items()
        )

    def _is_at_end(self, partition: Partition, waiting: Mapping[Source, int]) -> bool:
        has_no_more = partition in self._held or not self._lags.get(partition, 0)
        return has_no_more and not waiting.get(partition, 0)

    def release(self) -> Iterator[LogEvent]:
        """Yield what was held back, and what is known of the log."""
        for source, records in self._held.items():
            yield Records(source, records, self._lags.get(source, 0))
        if self._metadata is not None:
            yield self._metadata._replace(lags={source: self._lags.get(source, 0) for source in self._metadata.lags})
        self._held = {}
