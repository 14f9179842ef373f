"""The consumer that reads the log, and what is changed in it."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import suppress
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer import fetcher as fetching
from kafka.errors import KafkaConnectionError, OffsetOutOfRangeError, RetriableError, for_code
from kafka.net.compat import KafkaNetClient

from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.eventlog.kafka.driver.batches import SIZES, TAKEN_BYTES, PartitionRecords, Sizes
from mesaya_ws.eventlog.kafka.driver.unpacking import TooLargeError

BATCH_RECORDS = 200
"""Records that one poll hands over at most. They die before the garbage collector counts enough of them to look at the
whole heap, which would stop the event loop."""

TEND_INTERVAL = 0.1
"""Seconds between two times at which a consumer that waits sees to its places, and to partitions that are new."""

PAUSED_WAIT = 10
"""Milliseconds that a broker may wait for records of the others while a partition is paused. As long as it does, it
cannot be asked for more of that one, which may be resumed at any moment."""

_OPTIONS: dict[str, Any] = {
    # Every replica reads every partition, from a place that it keeps itself: no group, which would split the stream.
    "group_id": None,
    "enable_auto_commit": False,
    # What retention removed is to be told, not jumped over.
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
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


def reuse_fetch_partitions() -> None:
    """Let all fetches of this process reuse what they ask of a partition. It may be called more than once."""
    fetching._FetchPartition = _asked


class Poison(NamedTuple):
    """What a consumer cannot read, up to `offset`: a damaged batch, one in a codec that nobody knows, or too large."""

    partition: TopicPartition
    offset: int
    reason: str
    too_large: bool


class PoisonError(Exception):
    """What `poll` raises at a `poison`; the way on is to seek behind it."""

    def __init__(self, poison: Poison) -> None:
        super().__init__(poison)
        self.poison = poison


class Consumer:
    """A `KafkaConsumer`, as `raw`, and what is known of where its partitions end; it has no partitions at first.

    It has no thread of its own: connections are worked on, and answers arrive, while somebody polls, and never else.
    `failing` are the partitions of which the broker hands nothing out, with the code of its error.
    """

    def __init__(
        self, connect: Callable[..., KafkaNetClient], options: Mapping[str, Any], sizes: Sizes = SIZES
    ) -> None:
        self.raw = KafkaConsumer(**options, **_OPTIONS, kafka_client=connect)
        self._fetcher: Any = self.raw._fetcher
        self._tended_at = -inf
        # Whether there may be a broker that no answer is awaited from.
        self._may_ask = True
        self._pauses = False
        self._max_wait = self._fetcher.config["fetch_max_wait_ms"]
        self._sizes = sizes
        self._bytes = 0
        # As answers have told since `hear`; as is known of all; and since the last look began.
        self._told: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._recent: dict[TopicPartition, int] = {}
        self.failing: dict[TopicPartition, int] = {}
        self._epochs: list[tuple[TopicPartition, int, int]] = []
        self._listen()

    def _listen(self) -> None:
        """Have records that are ours from the beginning (see `batches`), and take note of what answers tell."""
        fetcher = self._fetcher
        arrive, clear = fetcher._handle_fetch_response, fetcher._clear_pending_fetch_request
        take = fetcher._append

        def handle_fetch_response(node: Any, places: Any, sent_at: float, response: Any) -> None:
            arrive(node, places, sent_at, response)
            for topic in response.responses:
                for part in topic.partitions:
                    # What committed transactions have written, for that is how far a reader comes.
                    end = part.high_watermark if part.last_stable_offset < 0 else part.last_stable_offset
                    # That a place is out of range is told by `poll`.
                    if part.error_code and for_code(part.error_code) is not OffsetOutOfRangeError:
                        self.failing[TopicPartition(topic.topic, part.partition_index)] = part.error_code
                    elif end >= 0:
                        self._told[TopicPartition(topic.topic, part.partition_index)] = end
                        if self.failing:
                            self.failing.pop(TopicPartition(topic.topic, part.partition_index), None)

        def clear_pending_fetch_request(*arguments: Any) -> None:
            clear(*arguments)
            self._may_ask = True

        def append(drained: Any, part: Any, *options: Any) -> int:
            """Take no more in one go when what has been taken of one partition is a lot."""
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
        """Wait for records, so long at most, and return up to `limit`.

        `KafkaConsumer.poll` does the same in twice the processor time. Raises `PoisonError`, and what the brokers say
        of a partition.
        """
        until = monotonic() + seconds
        while not (records := self._take(limit)):
            now = monotonic()
            if now >= until:
                return records
            if self.raw._manager.closed:
                raise KafkaConnectionError("the consumer has been closed")
            if now - self._tended_at > TEND_INTERVAL:
                self._tend()
                self._tended_at, self._may_ask = now, True
            self._ask()
            self.raw._net.poll((until - now) * 1000)
        return records

    def pause(self, wanted: Collection[Partition | None]) -> bool:
        """Ask for and return nothing more of these partitions, but of all others; return whether any of them is ours.

        What has arrived of them is kept until then.
        """
        fetcher, assigned = self._fetcher, self.raw._subscription.assignment
        # An error that is still to be raised would be forgotten, and its half-read batch be met again.
        if (wanted or self._pauses) and fetcher._next_in_line_exception_metadata is None:
            self._pauses = False
            for partition, state in assigned.items():
                if partition not in wanted:
                    if state.paused:
                        state.resume()
                        self._may_ask = True
                    continue
                state.pause()
                self._pauses = True
                # It is not asked for, so nothing would tell that an error has passed by, as a change of leaders does.
                if issubclass(for_code(self.failing.get(partition, 0)), RetriableError):
                    del self.failing[partition]
            fetcher.config["fetch_max_wait_ms"] = PAUSED_WAIT if self._pauses else self._max_wait
        return self._pauses

    def _take(self, limit: int) -> dict[TopicPartition, Sequence[Record]]:
        """Return records that have arrived.

        Anything that is raised while they are unpacked would leave the half-read batch where it is, and every later
        poll would spin on it for ever. So what is left of it is dropped.
        """
        if self._fetcher._paused_partition_records and not self._fetcher._next_partition_records:
            # The rest of a resumed partition goes on only where there is none; an empty one counts as one.
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
            # Before the place, the same batch may hold others, which have been passed by. If it is not known where the
            # batch ends, it is passed by one offset at a time.
            offset = max(rest.fetch_offset, rest.next_fetch_offset, rest.batch_end - 1)
            too_large = isinstance(error, TooLargeError)
            raise PoisonError(Poison(rest.topic_partition, offset, reason, too_large)) from error
        return records

    def _tend(self) -> None:
        """See to the places: whether they are still valid where a broker has become leader."""
        self._fetcher.reset_offsets_if_needed()
        self._fetcher.maybe_validate_positions()
        self._fetcher.validate_offsets_if_needed()

    def _ask(self) -> None:
        """Ask those brokers for more that no answer is awaited from, but only when all that they sent has been taken.

        Otherwise a fetch would ask for the idle partitions only, and wait at the broker for `fetch_max_wait_ms` before
        the next may ask for the busy ones.
        """
        fetcher = self._fetcher
        if self._may_ask and not (fetcher._completed_fetches or fetcher._next_partition_records):
            self._may_ask = False
            # It waits for nothing, so its first step is its last.
            with suppress(StopIteration):
                fetcher._send_fetches_async().send(None)

    def updated(self) -> Set[TopicPartition]:
        """Return the partitions of whose ends the broker has told since the last time."""
        told, self._told = self._told, {}
        self._ends |= told
        self._recent |= told
        return told.keys()

    def epochs(self) -> Sequence[tuple[TopicPartition, int, int]]:
        """Return the epochs of what has come since the last time: of which partition, from which offset on."""
        epochs, self._epochs = self._epochs, []
        return epochs

    def seek(self, partition: TopicPartition, offset: int, epoch: int | None) -> None:
        """Go to a place, whose `epoch` is compared with the log's when it is known.

        `KafkaConsumer.seek` takes no epoch.
        """
        self.raw._subscription.seek(partition, OffsetAndMetadata(offset, "", -1 if epoch is None else epoch))

    def begin_refresh(self) -> None:
        """Take note that somebody begins to look where the partitions end."""
        self._recent = {}

    def end_refresh(self, ends: Mapping[TopicPartition, int], replaced: Set[TopicPartition]) -> None:
        """Take note of what was seen, and of what has been `replaced`; an answer that came meanwhile may know more.

        Of partitions that are still read, but were not seen, what was known before holds.
        """
        for kept in (self._fetcher._paused_completed_fetches, self._fetcher._paused_partition_records):
            for partition in kept.keys() & replaced:
                del kept[partition]
        self._told = {partition: end for partition, end in self._told.items() if partition not in replaced}
        recent = {partition: end for partition, end in self._recent.items() if partition not in replaced}
        unseen = self.raw._subscription.assignment.keys() - ends.keys() - replaced
        before = {partition: self._ends[partition] for partition in unseen & self._ends.keys()}
        self._ends = before | {partition: max(end, recent.get(partition, 0)) for partition, end in ends.items()}

    def end(self, partition: TopicPartition) -> int | None:
        """Return up to where a partition can be read, as far as that is known; None when it is not."""
        return self._ends.get(partition)

    def lag(self, partition: TopicPartition, place: int | None = None) -> int:
        """Return how many records are known to lie behind `place`; that of the consumer, if none is given."""
        return max(0, self._ends.get(partition, 0) - (self.place(partition) if place is None else place))

    def place(self, partition: TopicPartition) -> int:
        """Return the offset that is read next; it lies behind the marks of transactions, which are no records.

        `KafkaConsumer.position` says the same, after asking the broker whether the place is still a valid one.
        """
        offset: int = self.raw._subscription.assignment[partition].position.offset
        return offset

    def topic_id(self, topic: str) -> str:
        """Return the id of the topic that is read from at this moment."""
        return str(self.raw._client.cluster.topic_id(topic))
