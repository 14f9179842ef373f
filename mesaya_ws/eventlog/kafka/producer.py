"""Appending: records in their order, acknowledged by all replicas that are in sync."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from time import monotonic
from typing import Any

import trio
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RetriableError,
    TopicAuthorizationFailedError,
)

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka.diagnosis import reason
from mesaya_ws.eventlog.kafka.driver.clients import Clients, Options, run_in_thread
from mesaya_ws.eventlog.kafka.driver.producer import NO_KEY, Keys, end, together
from mesaya_ws.eventlog.kafka.metadata import fetch_metadata
from mesaya_ws.eventlog.kafka.topic_admin import Configs, create_topic

DELIVERY_PATIENCE = 15.0
"""Seconds in which records must be acknowledged; a cluster finds a new leader for a broker that died in ten."""

CLOSE_PATIENCE = 1.0
"""Seconds that cancelled records have to be sent when the log is closed."""

REASON_PATIENCE = 2.0
"""Seconds in which it is found out what is wrong with one topic, if it is not the whole log."""

_PRODUCER: dict[str, Any] = {
    "acks": "all",
    # The idempotent producer dies of one record that the broker refuses, and of one that is not answered in time: all
    # later ones fail with it. One request at a time keeps the order, too; what may come twice is a batch that a broker
    # has written without being able to say so.
    "enable_idempotence": False,
    "max_in_flight_requests_per_connection": 1,
    "delivery_timeout_ms": round(DELIVERY_PATIENCE * 1000),
    # How long `send` waits for the partitions of a topic; it does not see meanwhile that it is cancelled.
    "max_block_ms": 200,
    # Nobody reads them.
    "metrics_enabled": False,
}


class Producer:
    """Appends to `topics`, for any number of tasks; makes those that are missing, if they are in `create`."""

    def __init__(self, options: Options, topics: Collection[str], create: Mapping[str, Configs]) -> None:
        self._options = options
        self._topics = frozenset(topics)
        self._create = create
        self._turn = trio.Lock()
        self._line = _Line(options, create)

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`. What is cancelled may have been appended."""
        started = monotonic()
        foreign = next((number for number, record in enumerate(records) if record.topic not in self._topics), None)
        line = self._line
        try:
            with trio.fail_after(DELIVERY_PATIENCE):
                async with self._turn:
                    if self._line.clients.closed:
                        await self._renew(self._line)
                    line = self._line
                    promises = await run_in_thread(partial(line.send, records[:foreign]), line.clients.free)
                for promise in promises:
                    await _kept_or_broken(promise)
            appended = [_appended(promise, record) for promise, record in zip(promises, records, strict=False)]
        except (KafkaError, trio.TooSlowError) as error:
            # It may be that the client cannot find the brokers any more: it only ever asks those that it knows.
            await self._renew(line)
            topics = {record.topic for record in records[:foreign]}
            raise LogUnavailableError(await self._why(topics, started)) from error
        if foreign is not None:
            raise RecordRejectedError(f"{records[foreign].topic} is not one of the configured topics (KAFKA_TOPICS).")
        return appended

    def close(self) -> None:
        """Close the client; nothing may be appended any more."""
        self._line.close(CLOSE_PATIENCE)

    async def _renew(self, line: "_Line") -> None:
        if line is self._line:
            self._line = _Line(self._options, self._create)
        # What others have sent with it may still be acknowledged: perhaps one partition cannot be written to.
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(line.close, CLOSE_PATIENCE)

    async def _why(self, topics: Collection[str], started: float) -> str:
        """Say why records for `topics` have not been acknowledged since `started` (of the monotonic clock)."""
        clients = Clients(self._options)
        with trio.move_on_after(REASON_PATIENCE), suppress(KafkaError):
            why = await run_in_thread(partial(_trouble_with, clients, topics), clients.free)
            if why is not None:
                return why
        return reason(self._options, started)


# What will become of a record: the client's future for it, or the reason why it was not even sent.
_Promise = Any | RecordRejectedError


class _Line:
    """A client that produces, from the first record on."""

    def __init__(self, options: Options, create: Mapping[str, Configs]) -> None:
        self.clients = Clients(options)
        self._create = create
        self._producer: Any = None
        self._admin: Any = None

    def send(self, records: Sequence[NewRecord]) -> list[_Promise]:
        """Begin to send `records`, up to the first that can be refused at once, which is the last of the answer.

        Raises `KafkaError` when the brokers do not answer. Runs in a thread.
        """
        promises: list[_Promise] = []
        if not records:
            return promises
        if self._producer is None:
            try:
                self._producer = self.clients.producer(**_PRODUCER, key_serializer=Keys())
            except BaseException:
                self.clients.close()
                raise
        with together(self._producer):
            for record in records:
                try:
                    promises.append(self._send(record))
                except RecordRejectedError as refusal:
                    return [*promises, refusal]
        return promises

    def close(self, patience: float) -> None:
        """Close it; records that are not acknowledged in `patience` seconds are given up."""
        if self._producer is not None:
            end(self._producer, patience, CLOSE_PATIENCE)
        self.clients.close()

    def _send(self, record: NewRecord) -> Any:
        key = NO_KEY if record.key is None and record.value is None else record.key
        while True:
            try:
                return self._producer.send(record.topic, record.value, key)
            except MessageSizeTooLargeError:
                size = len(record.key or b"") + len(record.value or b"")
                raise RecordRejectedError(
                    f"A record of {size} bytes for {record.topic} is too large: a little less than 1048576 are allowed."
                ) from None
            except KafkaTimeoutError:
                # Its partitions are not known yet.
                trio.from_thread.check_cancelled()
                if self._is_missing(record.topic):
                    if record.topic not in self._create:
                        raise RecordRejectedError(f"Kafka has no topic {record.topic}: create it.") from None
                    create_topic(self._admin, record.topic, self._create[record.topic])

    def _is_missing(self, topic: str) -> bool:
        try:
            self._admin = self._admin or self.clients.admin()
            survey = fetch_metadata(self._admin, [topic])
        except KafkaError:
            return False
        return bool(survey.found(Hindrance.ABSENT))


def _trouble_with(clients: Clients, topics: Collection[str]) -> str | None:
    """Say why one of `topics` cannot be written to; None when nobody knows. Raises `KafkaError`. Runs in a thread."""
    with closing(clients):
        admin = clients.admin()
        for finding in fetch_metadata(admin, topics).findings:
            if finding.kind in (Hindrance.UNKNOWN, Hindrance.REFUSED):
                return finding.reason
        for topic in admin.describe_topics(list(topics)):
            for partition in topic["partitions"]:
                there, all_of_them = len(partition["isr_nodes"]), len(partition["replica_nodes"])
                if there < all_of_them:
                    return (
                        f"Of the {all_of_them} brokers of partition {partition['partition_index']} of {topic['name']}, "
                        f"{there} are in sync: min.insync.replicas may ask for more; start those that are away."
                    )
    return None


async def _kept_or_broken(promise: _Promise) -> None:
    """Wait until it is known what has become of a record."""
    if isinstance(promise, RecordRejectedError) or promise.is_done:
        return
    token, done = trio.lowlevel.current_trio_token(), trio.Event()

    # Runs in the client's thread.
    def tell(_: object) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    promise.add_both(tell)
    await done.wait()


def _appended(promise: _Promise, record: NewRecord) -> Appended:
    """Return where the record is. Raises `RecordRejectedError`, or another `KafkaError` when that is not known."""
    if isinstance(promise, RecordRejectedError):
        raise promise
    error = promise.exception
    if error is None:
        at = promise.value
        return Appended(at.topic, at.partition, at.offset, at.timestamp)
    if isinstance(error, TopicAuthorizationFailedError):
        raise RecordRejectedError(f"Kafka does not let us write to {record.topic}: allow WRITE of it to our user.")
    if isinstance(error, BrokerResponseError) and not isinstance(error, RetriableError):
        raise RecordRejectedError(f"Kafka refuses a record for {record.topic}: {error.description or error}")
    raise error
