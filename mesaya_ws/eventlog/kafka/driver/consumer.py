"""The consumer that reads the log: that of kafka-python, with faster polls, bounded steps, and pauses."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaConnectionError, OffsetOutOfRangeError, RetriableError, for_code
from kafka.net.compat import KafkaNetClient

from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.eventlog.kafka.driver.batches import TAKEN_BYTES, PartitionRecords, Sizes
from mesaya_ws.eventlog.kafka.driver.ends import Ends
from mesaya_ws.eventlog.kafka.driver.unpacking import TooLargeError

BATCH_RECORDS = 200
"""Records of one poll, at most. They are freed before the garbage collector counts enough of them to examine the whole
heap, which would pause the event loop."""

MAINTENANCE_INTERVAL = 0.1
"""Seconds between two checks of positions and new partitions while a consumer waits."""

PAUSED_WAIT = 10
"""Milliseconds that a broker may wait for records while a partition is paused: until it answers, a partition that is
resumed cannot be fetched from it."""

_OPTIONS: dict[str, Any] = {
    # Each instance reads all partitions, and keeps its own offsets: a group would split the stream.
    "group_id": None,
    "enable_auto_commit": False,
    # What retention has removed must be reported, not skipped.
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    # Bounds the memory of a follower that is held up; larger records are fetched all the same.
    "fetch_max_bytes": 1024 * 1024,
    "max_partition_fetch_bytes": 256 * 1024,
    # Nobody reads them.
    "metrics_enabled": False,
}


class Poison(NamedTuple):
    """What a consumer cannot read, up to `offset`: a batch that is damaged, of an unknown codec, or too large."""

    partition: TopicPartition
    offset: int
    reason: str
    too_large: bool


class PoisonError(Exception):
    """Raised by `poll` at a `poison`; to go on, seek to the offset after it."""

    def __init__(self, poison: Poison) -> None:
        super().__init__(poison)
        self.poison = poison


def raw_consumer(connect: Callable[..., KafkaNetClient], options: Mapping[str, Any]) -> KafkaConsumer:
    """Return a new client of kafka-python, as `Consumer` needs it."""
    return KafkaConsumer(**options, **_OPTIONS, kafka_client=connect)


class Consumer:
    """A `raw_consumer`, without partitions at first; `clock` is in seconds, and never steps.

    It has no thread of its own: connections make progress only within `poll`. `failing` holds the partitions whose
    fetches the broker refuses, with the code of its error.
    """

    def __init__(self, raw: KafkaConsumer, sizes: Sizes, clock: Callable[[], float] = monotonic) -> None:
        self.raw = raw
        self._clock = clock
        self._fetcher: Any = self.raw._fetcher
        self._maintained_at = -inf
        # Whether there may be a broker without a fetch under way.
        self._may_fetch = True
        self._pauses = False
        self._max_wait = self._fetcher.config["fetch_max_wait_ms"]
        self._sizes = sizes
        self._bytes = 0
        self._ends = Ends()
        self.failing: dict[TopicPartition, int] = {}
        self._epochs: list[tuple[TopicPartition, int, int]] = []
        self._replace_parts()

    def _replace_parts(self) -> None:
        """Replace parts of the fetcher: records are ours (see `batches`), and answers to fetches are noted."""
        fetcher = self._fetcher
        arrive, clear = fetcher._handle_fetch_response, fetcher._clear_pending_fetch_request
        take = fetcher._append

        def handle_fetch_response(node: Any, places: Any, sent_at: float, response: Any) -> None:
            arrive(node, places, sent_at, response)
            for topic in response.responses:
                for part in topic.partitions:
                    # The last stable offset is how far a reader of committed transactions comes.
                    end = part.high_watermark if part.last_stable_offset < 0 else part.last_stable_offset
                    # `poll` raises it when an offset is out of range.
                    if part.error_code and for_code(part.error_code) is not OffsetOutOfRangeError:
                        self.failing[TopicPartition(topic.topic, part.partition_index)] = part.error_code
                    elif end >= 0:
                        self._ends.note(TopicPartition(topic.topic, part.partition_index), end)
                        if self.failing:
                            self.failing.pop(TopicPartition(topic.topic, part.partition_index), None)

        def clear_pending_fetch_request(*arguments: Any) -> None:
            clear(*arguments)
            self._may_fetch = True

        def append(drained: Any, part: Any, *options: Any) -> int:
            """End a poll early when it has taken many bytes."""
            taken: int = take(drained, part, *options)
            self._bytes += part.taken
            return taken if self._bytes < TAKEN_BYTES else BATCH_RECORDS

        class Records(PartitionRecords):
            sizes = self._sizes
            note_epoch = staticmethod(lambda *begun: self._epochs.append(begun))

        fetcher.PartitionRecords = Records
        fetcher._append = append
        fetcher._handle_fetch_response = handle_fetch_response
        fetcher._clear_pending_fetch_request = clear_pending_fetch_request

    def poll(self, seconds: float, limit: int = BATCH_RECORDS) -> dict[TopicPartition, Sequence[Record]]:
        """Wait for records, `seconds` at most, and return up to `limit`.

        `KafkaConsumer.poll` does the same in twice the CPU time. Raises `PoisonError`, and the brokers' errors about a
        partition.
        """
        until = self._clock() + seconds
        while not (records := self._take(limit)):
            now = self._clock()
            if now >= until:
                return records
            if self.raw._manager.closed:
                raise KafkaConnectionError("the consumer has been closed")
            if now - self._maintained_at > MAINTENANCE_INTERVAL:
                self._maintain()
                self._maintained_at, self._may_fetch = now, True
            self._send_fetches()
            self.raw._net.poll((until - now) * 1000)
        return records

    def pause(self, wanted: Collection[Partition | None]) -> bool:
        """Pause exactly these partitions; return whether any of them is assigned.

        Records that have arrived of them are kept until they are resumed.
        """
        fetcher, assigned = self._fetcher, self.raw._subscription.assignment
        # Otherwise an error that is still to be raised would be lost, and its half-read batch be read again.
        if (wanted or self._pauses) and fetcher._next_in_line_exception_metadata is None:
            self._pauses = False
            for partition, state in assigned.items():
                if partition not in wanted:
                    if state.paused:
                        state.resume()
                        self._may_fetch = True
                    continue
                state.pause()
                self._pauses = True
                # Without fetches, nothing would show that a passing error, such as a change of leaders, is over.
                if issubclass(for_code(self.failing.get(partition, 0)), RetriableError):
                    del self.failing[partition]
            fetcher.config["fetch_max_wait_ms"] = PAUSED_WAIT if self._pauses else self._max_wait
        return self._pauses

    def _take(self, limit: int) -> dict[TopicPartition, Sequence[Record]]:
        """Return records that have arrived.

        kafka-python keeps a batch whose unpacking has failed, so that each later poll fails, too. Here its rest is
        dropped, and the error raised once.
        """
        if self._fetcher._paused_partition_records and not self._fetcher._next_partition_records:
            # A resumed partition goes on only without a current batch; kafka-python takes an empty one for a batch.
            self._fetcher._next_partition_records = None
        self._bytes = 0
        try:
            records: dict[TopicPartition, Sequence[Record]]
            records, _ = self._fetcher.fetched_records(limit)
        except Exception as error:
            rest = self._fetcher._next_partition_records
            if not rest:
                raise
            self._fetcher._next_partition_records = None
            reason = f"{type(error).__name__}: {error}"
            # The batch may begin before the fetched offset. If its end is not known, skip one offset at a time.
            offset = max(rest.fetch_offset, rest.next_fetch_offset, rest.batch_end - 1)
            too_large = isinstance(error, TooLargeError)
            raise PoisonError(Poison(rest.topic_partition, offset, reason, too_large)) from error
        return records

    def _maintain(self) -> None:
        """Validate positions, as is necessary after a change of leaders."""
        self._fetcher.reset_offsets_if_needed()
        self._fetcher.maybe_validate_positions()
        self._fetcher.validate_offsets_if_needed()

    def _send_fetches(self) -> None:
        """Send fetches to brokers without one under way, but only when all records that arrived have been taken.

        Otherwise a fetch would ask for the idle partitions only, and wait at the broker for `fetch_max_wait_ms` before
        the next one could ask for the busy ones.
        """
        fetcher = self._fetcher
        if self._may_fetch and not (fetcher._completed_fetches or fetcher._next_partition_records):
            self._may_fetch = False
            # The coroutine never waits, so its first step is its last.
            with suppress(StopIteration):
                fetcher._send_fetches_async().send(None)

    def updated(self) -> Set[TopicPartition]:
        """Return the partitions whose ends the brokers have reported since the last call."""
        return self._ends.update()

    def epochs(self) -> Sequence[tuple[TopicPartition, int, int]]:
        """Return the epochs that have begun in records since the last call: partition, first offset, epoch."""
        epochs, self._epochs = self._epochs, []
        return epochs

    def seek(self, partition: TopicPartition, offset: int, epoch: int | None) -> None:
        """Go on from `offset`; its `epoch`, if known, is compared with that of the log.

        `KafkaConsumer.seek` accepts no epoch.
        """
        self.raw._subscription.seek(partition, OffsetAndMetadata(offset, "", -1 if epoch is None else epoch))

    def begin_refresh(self) -> None:
        """Note that a refresh of the metadata begins."""
        self._ends.begin_refresh()

    def end_refresh(self, ends: Mapping[TopicPartition, int], replaced: Set[TopicPartition]) -> None:
        """Take over the `ends` of a refresh; drop records of the partitions `replaced`, of re-created topics."""
        for kept in (self._fetcher._paused_completed_fetches, self._fetcher._paused_partition_records):
            for partition in kept.keys() & replaced:
                del kept[partition]
        self._ends.end_refresh(ends, replaced, self.raw._subscription.assignment.keys())

    def end(self, partition: TopicPartition) -> int | None:
        """Return the offset up to which a partition can be read; None when it is not known."""
        return self._ends.get(partition)

    def lag(self, partition: TopicPartition, place: int | None = None) -> int:
        """Return how many records are known after the offset `place`, by default the consumer's own."""
        return max(0, (self._ends.get(partition) or 0) - (self.place(partition) if place is None else place))

    def place(self, partition: TopicPartition) -> int:
        """Return the offset that is read next, after any transaction markers.

        `KafkaConsumer.position` returns the same, after asking the broker whether it is still valid.
        """
        offset: int = self.raw._subscription.assignment[partition].position.offset
        return offset

    def topic_id(self, topic: str) -> str:
        """Return the id of the topic that is read at present."""
        return str(self.raw._client.cluster.topic_id(topic))
