"""Appending records in order, acknowledged by all in-sync replicas."""

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
from mesaya_ws.eventlog.kafka.driver.clients import Clients, Options, run_in_thread, timings_in
from mesaya_ws.eventlog.kafka.driver.producer import NO_KEY, Keys, batched, end
from mesaya_ws.eventlog.kafka.metadata import fetch_metadata
from mesaya_ws.eventlog.kafka.topic_admin import TIMESTAMP_TYPE, Configs, create_topic, refusal

CLOSE_TIMEOUT = 1.0
"""Seconds that records under way have when the log is closed."""

REASON_TIMEOUT = 2.0
"""Seconds for the diagnosis of a single topic."""

MISSING_TIMEOUT = 2.0
"""Seconds in which brokers must say again and again that a topic does not exist: one that was created just now is not
known to all of them at once."""

_PRODUCER: dict[str, Any] = {
    "acks": "all",
    # With the idempotent producer, one record that is refused or not answered in time makes all later ones fail. One
    # request at a time keeps the order, too; only a batch whose acknowledgement is lost may be written twice.
    "enable_idempotence": False,
    "max_in_flight_requests_per_connection": 1,
    # How long `send` waits for a topic's metadata, during which it cannot be cancelled.
    "max_block_ms": 200,
    # Nobody reads them.
    "metrics_enabled": False,
}


class Producer:
    """Appends to `topics`, for any number of tasks; creates missing topics that are in `create`."""

    def __init__(self, options: Options, topics: Collection[str], create: Mapping[str, Configs]) -> None:
        self._options = options
        self._topics = frozenset(topics)
        self._create = create
        self._delivery_timeout = timings_in(options).delivery_timeout
        self._turn = trio.Lock()
        self._session = _Session(options, create)

    async def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        """See `EventLog.append`. Records whose append is cancelled may have been appended."""
        started = monotonic()
        foreign = next((number for number, record in enumerate(records) if record.topic not in self._topics), None)
        session = self._session
        try:
            with trio.fail_after(self._delivery_timeout):
                async with self._turn:
                    if self._session.clients.closed:
                        await self._renew(self._session)
                    session = self._session
                    futures = await run_in_thread(partial(session.send, records[:foreign]), session.clients.interrupt)
                for future in futures:
                    await _wait_done(future)
            appended = [_appended(future, record) for future, record in zip(futures, records, strict=False)]
        except (KafkaError, trio.TooSlowError) as error:
            # The client may have lost the brokers: it only ever asks those that it knows.
            await self._renew(session)
            topics = {record.topic for record in records[:foreign]}
            raise LogUnavailableError(await self._why(topics, started)) from error
        if foreign is not None:
            raise RecordRejectedError(f"{records[foreign].topic} is not one of the configured topics (KAFKA_TOPICS).")
        return appended

    def close(self) -> None:
        """Close the client; nothing may be appended afterwards."""
        self._session.close(CLOSE_TIMEOUT)

    async def _renew(self, session: "_Session") -> None:
        if session is self._session:
            self._session = _Session(self._options, self._create)
        # Records of other tasks may still be acknowledged: perhaps only one partition cannot be written.
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(session.close, CLOSE_TIMEOUT)

    async def _why(self, topics: Collection[str], started: float) -> str:
        """Return why records for `topics` have not been acknowledged since `started` (of the monotonic clock)."""
        clients = Clients(self._options)
        with trio.move_on_after(REASON_TIMEOUT), suppress(KafkaError):
            why = await run_in_thread(partial(_trouble_with, clients, topics), clients.interrupt)
            if why is not None:
                return why
        return reason(self._options, started)


# The client's future for a record, or why it was not sent.
_Future = Any | RecordRejectedError


class _Session:
    """A producing client, which connects with its first record."""

    def __init__(self, options: Options, create: Mapping[str, Configs]) -> None:
        self.clients = Clients(options)
        self._options = {**_PRODUCER, "delivery_timeout_ms": round(timings_in(options).delivery_timeout * 1000)}
        self._create = create
        # Topics whose append times decide, and of which it has not been seen that they have such.
        self._unchecked = {topic for topic, configs in create.items() if TIMESTAMP_TYPE in configs}
        self._producer: Any = None
        self._admin: Any = None

    def send(self, records: Sequence[NewRecord]) -> list[_Future]:
        """Begin to send `records`, up to the first that is rejected at once; its rejection is the last future.

        Raises `KafkaError` when the brokers do not answer. Runs in a thread.
        """
        futures: list[_Future] = []
        if not records:
            return futures
        if self._producer is None:
            try:
                self._producer = self.clients.producer(**_PRODUCER, key_serializer=Keys())
            except BaseException:
                self.clients.close()
                raise
        with batched(self._producer):
            for record in records:
                try:
                    futures.append(self._send(record))
                except RecordRejectedError as refusal:
                    return [*futures, refusal]
        return futures

    def close(self, timeout: float) -> None:
        """Close the client; records that are not acknowledged within `timeout` seconds are given up."""
        if self._producer is not None:
            end(self._producer, timeout, CLOSE_TIMEOUT)
        self.clients.close()

    def _send(self, record: NewRecord) -> Any:
        if record.topic in self._unchecked:
            self._check(record.topic)
        key = NO_KEY if record.key is None and record.value is None else record.key
        missing_since: float | None = None
        while True:
            try:
                return self._producer.send(record.topic, record.value, key)
            except MessageSizeTooLargeError:
                size = len(record.key or b"") + len(record.value or b"")
                raise RecordRejectedError(
                    f"A record of {size} bytes for {record.topic} is too large: a little less than 1048576 are allowed."
                ) from None
            except KafkaTimeoutError:
                # The topic's metadata is not known yet.
                trio.from_thread.check_cancelled()
                if not self._is_missing(record.topic):
                    missing_since = None
                elif record.topic in self._create:
                    create_topic(self._admin, record.topic, self._create[record.topic])
                else:
                    now = monotonic()
                    missing_since = now if missing_since is None else missing_since
                    if now - missing_since >= MISSING_TIMEOUT:
                        raise RecordRejectedError(f"Kafka has no topic {record.topic}: create it.") from None

    def _check(self, topic: str) -> None:
        self._admin = self._admin or self.clients.admin()
        if (why := refusal(self._admin, topic)) is not None:
            raise RecordRejectedError(why)
        self._unchecked.discard(topic)

    def _is_missing(self, topic: str) -> bool:
        try:
            self._admin = self._admin or self.clients.admin()
            metadata = fetch_metadata(self._admin, [topic])
        except KafkaError:
            return False
        return bool(metadata.findings_of(Hindrance.ABSENT))


def _trouble_with(clients: Clients, topics: Collection[str]) -> str | None:
    """Return why one of `topics` cannot be written, or None. Raises `KafkaError`. Runs in a thread."""
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


async def _wait_done(future: _Future) -> None:
    """Wait until a record is acknowledged, rejected or given up."""
    if isinstance(future, RecordRejectedError) or future.is_done:
        return
    token, done = trio.lowlevel.current_trio_token(), trio.Event()

    # Runs in the client's thread.
    def on_done(_: object) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(done.set)

    future.add_both(on_done)
    await done.wait()


def _appended(future: _Future, record: NewRecord) -> Appended:
    """Return where the record is. Raises `RecordRejectedError`, or `KafkaError` when it may or may not be there."""
    if isinstance(future, RecordRejectedError):
        raise future
    error = future.exception
    if error is None:
        at = future.value
        return Appended(at.topic, at.partition, at.offset, at.timestamp)
    if isinstance(error, TopicAuthorizationFailedError):
        raise RecordRejectedError(f"Kafka does not let us write to {record.topic}: allow WRITE of it to our user.")
    if isinstance(error, BrokerResponseError) and not isinstance(error, RetriableError):
        raise RecordRejectedError(f"Kafka refuses a record for {record.topic}: {error.description or error}")
    raise error
