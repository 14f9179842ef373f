"""Requests beside the stream: what the log holds, and the records of a partition from an offset on."""

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

READ_TIMEOUT = 10.0
"""Seconds in which a request must be answered."""

LEADERS_TIMEOUT = 1.0
"""Seconds in which the leaders must be known; a client that has been idle learns them late."""

RETRY_INTERVAL = 0.1
"""Seconds between two attempts meanwhile."""

READ_BYTES = 4 * 1024 * 1024
"""Bytes of records after which a read returns no more."""

_Answer = TypeVar("_Answer")


class Reader:
    """Sends one request after another, each in a thread; its clients stay open in between."""

    def __init__(self, options: Options, topics: Collection[str]) -> None:
        self._options = options
        self._topics = topics
        self._lock = trio.Lock()
        self._clients: Clients | None = None
        self._admin: KafkaAdminClient
        self._consumer: Consumer

    async def extents(self, *, skip_refused: bool) -> Mapping[Partition, OffsetRange]:
        """See `EventLog.extents`."""
        return await self._request(lambda: self._extents(skip_refused))

    async def lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        """See `EventLog.lost_ends`."""
        return await self._request(lambda: self._lost_ends(places))

    async def read(self, partition: Partition, start: int, limit: int) -> list[Record]:
        """See `EventLog.read`. Unreadable records are left out."""
        return await self._request(lambda: self._read(partition, start, limit))

    def close(self) -> None:
        """Close the clients; nothing may be requested afterwards."""
        if self._clients is not None:
            self._clients.close()
            self._clients = None

    async def _request(self, request: Callable[[], _Answer]) -> _Answer:
        started = monotonic()
        with trio.move_on_after(READ_TIMEOUT):
            async with self._lock:
                clients = self._clients or Clients(self._options)
                return await run_in_thread(lambda: self._run(clients, request), clients.interrupt)
        raise LogUnavailableError(reason(self._options, started))

    def _run(self, clients: Clients, request: Callable[[], _Answer]) -> _Answer:
        started = monotonic()
        try:
            if self._clients is None:
                self._admin, self._consumer = clients.admin(), clients.consumer()
                self._clients = clients
            return request()
        except (OffsetGoneError, LogUnavailableError):
            raise
        except BaseException as error:
            # Also when cancelled: an answer may be half read.
            self._clients = None
            clients.close()
            if isinstance(error, Exception):
                raise LogUnavailableError(reason(self._options, started)) from error
            raise

    def _metadata(self, topics: Collection[str]) -> Metadata:
        """Return the metadata of `topics`; while it is partial, it is fetched again for a while."""
        until = monotonic() + LEADERS_TIMEOUT
        while (metadata := fetch_metadata(self._admin, topics)).is_partial and monotonic() < until:
            trio.from_thread.check_cancelled()
            sleep(RETRY_INTERVAL)
        return metadata

    def _lost_ends(self, places: Mapping[Partition, PartitionPosition]) -> Set[Partition]:
        metadata = self._metadata({partition.topic for partition in places}) if places else Metadata()
        for finding in metadata.findings_of(Hindrance.UNKNOWN):
            if any(finding.topic == at.topic and finding.number in (None, at.number) for at in places):
                raise LogUnavailableError(finding.reason)
        return lost_ends(self._admin, metadata, places)

    def _extents(self, skip_refused: bool) -> Mapping[Partition, OffsetRange]:
        metadata = self._metadata(self._topics)
        refused = [] if skip_refused else metadata.findings_of(Hindrance.REFUSED)
        for finding in (*metadata.findings_of(Hindrance.UNKNOWN), *refused):
            raise LogUnavailableError(finding.reason)
        return metadata.extents

    def _read(self, partition: Partition, start: int, limit: int) -> list[Record]:
        metadata = self._metadata([partition.topic])
        for finding in metadata.findings:
            if finding.number in (None, partition.number) and finding.kind is not Hindrance.ABSENT:
                raise LogUnavailableError(finding.reason)
        extent = metadata.extents.get(partition)
        if extent is None or start < extent.begin:
            raise OffsetGoneError(f"{partition.topic} does not hold offset {start} of partition {partition.number}.")
        at = TopicPartition(*partition)
        consumer = self._consumer
        consumer.raw.assign([at])
        consumer.raw.seek(at, start)
        records: list[Record] = []
        size = 0
        while len(records) < limit and size < READ_BYTES and consumer.place(at) < metadata.readable[partition]:
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
