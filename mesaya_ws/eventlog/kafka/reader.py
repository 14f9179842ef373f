"""Questions to the log beside the stream: what it holds, and the records from one place on."""

from collections.abc import Callable, Collection, Mapping, Set
from time import monotonic, sleep
from typing import TypeVar

import trio
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import OffsetOutOfRangeError

from mesaya_ws.core.log.interface import LogUnavailableError, OffsetGoneError
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition, Record
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka.diagnosis import reason
from mesaya_ws.eventlog.kafka.driver.clients import Clients, Options, run_in_thread
from mesaya_ws.eventlog.kafka.driver.consumer import BATCH_RECORDS, Consumer, PoisonError
from mesaya_ws.eventlog.kafka.lost_ends import lost_ends
from mesaya_ws.eventlog.kafka.metadata import Metadata, fetch_metadata

READ_PATIENCE = 10.0
"""Seconds in which a question must be answered."""

LEADERS_PATIENCE = 1.0
"""Seconds in which it must be known who leads a partition; a client that has not asked for long learns it late."""

RETRY_INTERVAL = 0.1
"""Seconds between two tries meanwhile."""

READ_BYTES = 4 * 1024 * 1024
"""Bytes of records after which no more are returned at a time."""

_Answer = TypeVar("_Answer")


class Reader:
    """Asks one question after the other, each in a thread; its clients stay open between them."""

    def __init__(self, options: Options, topics: Collection[str]) -> None:
        self._options = options
        self._topics = topics
        self._turn = trio.Lock()
        self._clients: Clients | None = None
        self._admin: KafkaAdminClient
        self._consumer: Consumer

    async def extents(self, *, skip_refused: bool) -> Mapping[Partition, OffsetRange]:
        """See `EventLog.extents`."""
        return await self._ask(lambda: self._extents(skip_refused))

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """See `EventLog.lost_ends`."""
        return await self._ask(lambda: self._lost_ends(places))

    async def read(self, partition: Partition, start: int, limit: int) -> list[Record]:
        """See `EventLog.read`. Records that cannot be read are left out."""
        return await self._ask(lambda: self._read(partition, start, limit))

    def close(self) -> None:
        """Close the clients; nothing may be asked any more."""
        if self._clients is not None:
            self._clients.close()
            self._clients = None

    async def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        started = monotonic()
        with trio.move_on_after(READ_PATIENCE):
            async with self._turn:
                clients = self._clients or Clients(self._options)
                return await run_in_thread(lambda: self._answer(clients, question), clients.free)
        raise LogUnavailableError(reason(self._options, started))

    def _answer(self, clients: Clients, question: Callable[[], _Answer]) -> _Answer:
        started = monotonic()
        try:
            if self._clients is None:
                self._admin, self._consumer = clients.admin(), clients.consumer()
                self._clients = clients
            return question()
        except (OffsetGoneError, LogUnavailableError):
            raise
        except BaseException as error:
            # Also when cancelled, in the middle of an answer.
            self._clients = None
            clients.close()
            if isinstance(error, Exception):
                raise LogUnavailableError(reason(self._options, started)) from error
            raise

    def _look(self, topics: Collection[str]) -> Metadata:
        """Return what is known of `topics`; what is not, is asked for again for a while."""
        until = monotonic() + LEADERS_PATIENCE
        while (survey := fetch_metadata(self._admin, topics)).is_partial and monotonic() < until:
            trio.from_thread.check_cancelled()
            sleep(RETRY_INTERVAL)
        return survey

    def _lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        survey = self._look({partition.topic for partition in places}) if places else Metadata()
        for finding in survey.found(Hindrance.UNKNOWN):
            if any(finding.topic == at.topic and finding.number in (None, at.number) for at in places):
                raise LogUnavailableError(finding.reason)
        return lost_ends(self._admin, survey, places)

    def _extents(self, skip_refused: bool) -> Mapping[Partition, OffsetRange]:
        survey = self._look(self._topics)
        refused = [] if skip_refused else survey.found(Hindrance.REFUSED)
        for finding in (*survey.found(Hindrance.UNKNOWN), *refused):
            raise LogUnavailableError(finding.reason)
        return survey.extents

    def _read(self, partition: Partition, start: int, limit: int) -> list[Record]:
        survey = self._look([partition.topic])
        for finding in survey.findings:
            if finding.number in (None, partition.number) and finding.kind is not Hindrance.ABSENT:
                raise LogUnavailableError(finding.reason)
        extent = survey.extents.get(partition)
        if extent is None or start < extent.begin:
            raise OffsetGoneError(f"{partition.topic} does not hold offset {start} of partition {partition.number}.")
        at = TopicPartition(*partition)
        consumer = self._consumer
        consumer.raw.assign([at])
        consumer.raw.seek(at, start)
        records: list[Record] = []
        size = 0
        while len(records) < limit and size < READ_BYTES and consumer.place(at) < survey.readable[partition]:
            trio.from_thread.check_cancelled()
            try:
                polled = consumer.poll(0.2, min(BATCH_RECORDS, limit - len(records)))
            except OffsetOutOfRangeError:
                raise OffsetGoneError(f"{partition.topic} no longer holds offset {start}.") from None
            except PoisonError as error:
                consumer.raw.seek(at, error.poison.offset + 1)
                continue
            for record in polled.get(at, ()):
                records.append(record)
                size += len(record.value or b"")
        return records
