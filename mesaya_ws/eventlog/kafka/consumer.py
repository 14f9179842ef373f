"""The consumer that reads the log, and what is changed in it.

The names of kafka-python that begin with an underscore are those of release 3.0.12, which is pinned; what each change
is for is told at its place, and `tests/eventlog` shows that it works.
"""

from collections.abc import Callable, Mapping, Set
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer import fetcher as fetching
from kafka.net.compat import KafkaNetClient

from mesaya_ws.eventlog.kafka.batches import PartitionRecords

BATCH_RECORDS = 200
"""Records that one poll hands over at most. They die before the garbage collector counts enough of them to look at the
whole heap, which would stop the event loop."""

_OPTIONS: dict[str, Any] = {
    # Every replica reads every partition, from a place that it keeps itself: no group, which would split the stream.
    "group_id": None,
    "enable_auto_commit": False,
    # What retention removed is to be told, not jumped over.
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "max_poll_records": BATCH_RECORDS,
    # Bounds what a held up follower keeps in memory; larger records come all the same.
    "fetch_max_bytes": 1024 * 1024,
    "max_partition_fetch_bytes": 256 * 1024,
    # Nobody reads them.
    "metrics_enabled": False,
}


class _Asked(fetching._FetchPartition):  # type: ignore[misc]  # kafka-python has no types
    """What a fetch asks of one partition; with the same values it is the same object, as `_asked` makes it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


# A fetch makes it anew for every partition, and compares it, field by field, with the one before, to ask only for what
# has changed. With 13 partitions that was an eighth of what a fetch costs.
_asked = lru_cache(4096)(_Asked)
fetching._FetchPartition = _asked


class Poison(NamedTuple):
    """What a consumer cannot read, up to `offset`: a damaged batch, or one in a codec that nobody knows."""

    partition: TopicPartition
    offset: int
    reason: str


class PoisonError(Exception):
    """What `poll` raises at a `poison`; the way on is to seek behind it."""

    def __init__(self, poison: Poison) -> None:
        super().__init__(poison)
        self.poison = poison


class Consumer:
    """A `KafkaConsumer`, as `raw`, and what is known of where its partitions end; it has no partitions at first."""

    def __init__(self, connect: Callable[..., KafkaNetClient], options: Mapping[str, Any]) -> None:
        self.raw = KafkaConsumer(**options, **_OPTIONS, kafka_client=connect)
        self._lock = Lock()
        # As answers have told since `hear`; as is known of all; and since the last look began.
        self._told: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._recent: dict[TopicPartition, int] = {}
        self._guard(self.raw._fetcher)

    def _guard(self, fetcher: Any) -> None:
        """Change how answers are taken.

        - Anything that is raised while records are unpacked would leave the half-read batch where it is, and every
          later poll would spin on it for ever. Now what is left of it is dropped, and poll raises `PoisonError`.
        - While records of some partitions are buffered, a fetch would ask for the idle ones only, and wait at the
          broker for `fetch_max_wait_ms` before the next may ask for the busy ones. Now nothing is fetched until all
          are taken.
        - An answer would arrive partition by partition, while another thread polls. Now a poll finds all of it or
          nothing, and the ends that it tells are known before its records are taken.
        - Records are ours from the beginning (see `batches`).
        - The end is that of what committed transactions have written, for that is how far a reader comes.
        """
        ask, send = fetcher.send_fetches, fetcher._send_fetches_async
        take, arrive = fetcher.fetched_records, fetcher._handle_fetch_response

        def holds_some() -> bool:
            return bool(fetcher._completed_fetches or fetcher._next_partition_records)

        def send_fetches() -> list[Any]:
            # To ask the client's own thread in vain costs a tenth of a millisecond.
            return [] if holds_some() else ask()

        # Runs in the client's own thread, as the arrival of answers does: they cannot overtake one another.
        async def send_fetches_async() -> list[Any]:
            return [] if holds_some() else await send()

        def fetched_records(*args: Any, **kwargs: Any) -> Any:
            try:
                with self._lock:
                    return take(*args, **kwargs)
            except Exception as error:
                rest = fetcher._next_partition_records
                if not rest:
                    raise
                fetcher._next_partition_records = None
                reason = f"{type(error).__name__}: {error}"
                # Before the place, the same batch may hold others, which have been passed by. If it is not known where
                # the batch ends, it is passed by one offset at a time.
                offset = max(rest.fetch_offset, rest.next_fetch_offset, rest.behind - 1)
                raise PoisonError(Poison(rest.topic_partition, offset, reason)) from error

        def handle_fetch_response(node: Any, places: Any, sent_at: float, response: Any) -> None:
            with self._lock:
                arrive(node, places, sent_at, response)
                for topic in response.responses:
                    for part in topic.partitions:
                        end = part.high_watermark if part.last_stable_offset < 0 else part.last_stable_offset
                        if end >= 0:
                            self._told[TopicPartition(topic.topic, part.partition_index)] = end

        fetcher.PartitionRecords = PartitionRecords
        fetcher.send_fetches = send_fetches
        fetcher._send_fetches_async = send_fetches_async
        fetcher.fetched_records = fetched_records
        fetcher._handle_fetch_response = handle_fetch_response

    def hear(self) -> Set[TopicPartition]:
        """Return the partitions of whose ends the broker has told since the last time."""
        with self._lock:
            told, self._told = self._told, {}
        self._ends |= told
        self._recent |= told
        return told.keys()

    def begin_look(self) -> None:
        """Take note that somebody begins to look where the partitions end."""
        self._recent = {}

    def end_look(self, ends: Mapping[TopicPartition, int], replaced: Set[TopicPartition]) -> None:
        """Take note of what was seen, and of what has been `replaced`; an answer that came meanwhile may know more."""
        with self._lock:
            self._told = {partition: end for partition, end in self._told.items() if partition not in replaced}
        recent = {partition: end for partition, end in self._recent.items() if partition not in replaced}
        self._ends = {partition: max(end, recent.get(partition, 0)) for partition, end in ends.items()}

    def lag(self, partition: TopicPartition, place: int | None = None) -> int:
        """Return how many records are known to lie behind `place`; that of the consumer, if none is given."""
        return max(0, self._ends[partition] - (self.place(partition) if place is None else place))

    def place(self, partition: TopicPartition) -> int:
        """Return the offset that is read next; it lies behind the marks of transactions, which are no records.

        `KafkaConsumer.position` says the same, after asking the broker whether the place is still a valid one.
        """
        offset: int = self.raw._subscription.assignment[partition].position.offset
        return offset

    def topic_id(self, topic: str) -> str:
        """Return the id of the topic that is read from at this moment."""
        return str(self.raw._client.cluster.topic_id(topic))
