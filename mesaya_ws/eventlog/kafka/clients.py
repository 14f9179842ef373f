"""How the clients of Kafka are made, and what is changed in them.

The names of kafka-python that begin with an underscore are those of release 3.0.12, which is pinned; what each change
is for is told at its place, and `tests/eventlog/test_kafka.py` shows that it works.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import trio
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaConnectionError
from kafka.net.compat import KafkaNetClient
from kafka.net.selector import NetworkSelector

from mesaya_ws.core.event_log import Record
from mesaya_ws.eventlog.kafka.connections import Connections
from mesaya_ws.settings import Settings, SettingsError

BATCH_RECORDS = 200
"""Records that one poll hands over at most. They die before the garbage collector counts enough of them to look at the
whole heap, which would stop the event loop."""

CONNECT_PATIENCE = 5.0
"""Seconds in which a new client must have found a broker."""

GRACE = 0.3
"""Seconds that a cancelled thread has to end by itself, before its clients are closed under it."""

_CONSUMER: dict[str, Any] = {
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
}

Options = Mapping[str, Any]
_Result = TypeVar("_Result")


def connection_options(settings: Settings) -> Options:
    """Return what all clients are told of the brokers. Raises `SettingsError` when a file for TLS cannot be used."""
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.kafka_brokers),
        "client_id": settings.kafka_group_id,
        "security_protocol": settings.kafka_security_protocol,
        "bootstrap_timeout_ms": round(CONNECT_PATIENCE * 1000),
        # The default, 30 s, is how long a client would look away after a broker has come back.
        "reconnect_backoff_max_ms": 1_000,
        # How soon a broker that hangs is given up, and new leaders and re-created topics are noticed.
        "request_timeout_ms": 10_000,
        "metadata_max_age_ms": 15_000,
    }
    if "SASL" in settings.kafka_security_protocol:
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password,
        }
    if "SSL" in settings.kafka_security_protocol:
        options["ssl_context"] = _tls_context(settings)
    return options


def _tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the rules of TLS, from files that are read now: what is wrong with them is then told at the start."""
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile or None)
    except OSError as error:
        raise SettingsError([f"KAFKA_SSL_CAFILE: {settings.kafka_ssl_cafile} cannot be used: {error}"]) from error
    context.check_hostname = settings.kafka_ssl_check_hostname
    if settings.kafka_ssl_certfile:
        try:
            # An empty password: else OpenSSL asks for one at the terminal.
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile, "")
        except OSError as error:
            files = f"{settings.kafka_ssl_certfile} with {settings.kafka_ssl_keyfile}"
            raise SettingsError([f"KAFKA_SSL_CERTFILE: {files} cannot be used: {error}"]) from error
    return context


class Clients:
    """The clients that one thread works with, and the way to get that thread out of them.

    Making one takes up to `CONNECT_PATIENCE`, and then raises `KafkaTimeoutError`.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._nets: list[KafkaNetClient] = []
        self._opened: list[Any] = []
        self.closed = False

    def admin(self) -> KafkaAdminClient:
        """Return a new client for questions about topics; one that does not wait for long."""
        return self._keep(
            KafkaAdminClient(**{**self._options, "request_timeout_ms": 3_000}, kafka_client=self._connect)
        )

    def consumer(self) -> KafkaConsumer:
        """Return a new consumer; it has no partitions yet."""
        return self._keep(_guarded(KafkaConsumer(**self._options, **_CONSUMER, kafka_client=self._connect)))

    def producer(self, **options: object) -> KafkaProducer:
        """Return a new producer; `close` does not close it."""
        return KafkaProducer(**self._options, **options, kafka_client=self._connect)

    def free(self) -> None:
        """Close all connections, from another thread: whatever this one waits for in a client raises soon."""
        self.closed = True
        for net in self._nets:
            with suppress(Exception):  # it may be closing at this moment, in its own thread
                if net._net._io_thread is None:
                    # A producer's connections are worked on by whoever waits for it, and may only be closed there.
                    net._manager.call_soon(net._manager.close)
                else:
                    net.close()

    def close(self) -> None:
        """Close everything; the threads of the clients end."""
        self.closed = True
        # A constructor that failed leaves its connections, and the thread that works on them.
        for client in (*self._opened, *self._nets):
            with suppress(Exception):
                client.close()

    def _keep(self, client: Any) -> Any:
        self._opened.append(client)
        return client

    def _connect(self, **options: Any) -> KafkaNetClient:
        """Make the network half of a client; this is what the clients call `kafka_client`."""
        if self.closed:
            raise KafkaConnectionError("the clients of this thread have been closed")
        selector = NetworkSelector(**options)
        net = KafkaNetClient(net=selector, manager=Connections(selector, **options), **options)
        # The consumer's own option of that name is ignored: reading a topic that does not exist would create it.
        net.cluster.config["allow_auto_create_topics"] = False
        self._nets.append(net)
        return net


class Poison(NamedTuple):
    """A place that a consumer cannot read: a damaged batch, a header that is not text, a codec that nobody knows."""

    partition: TopicPartition
    offset: int
    reason: str


class PoisonError(Exception):
    """What `poll` raises at a `poison`; the way on is to seek behind it."""

    def __init__(self, poison: Poison) -> None:
        super().__init__(poison)
        self.poison = poison


def _guarded(consumer: KafkaConsumer) -> KafkaConsumer:
    """Change three things in a consumer.

    - Anything that is raised while records are unpacked would leave the half-read batch where it is, and every later
      poll would spin on it for ever. Now the batch is dropped, and poll raises `PoisonError`.
    - While records of some partitions are buffered, a fetch would ask for the idle ones only, and wait at the broker
      for `fetch_max_wait_ms` before the next may ask for the busy ones. Now nothing is fetched until all are taken.
    - `highwater` is the end of what committed transactions have written, for that is how far a reader comes.
    """
    fetcher = consumer._fetcher
    send, take, parse = fetcher._send_fetches_async, fetcher.fetched_records, fetcher._parse_fetched_data

    # Runs in the client's own thread, as the arrival of answers does: they cannot overtake one another.
    async def send_fetches() -> list[Any]:
        if fetcher._completed_fetches or fetcher._next_partition_records:
            return []
        return await send()  # type: ignore[no-any-return]

    def fetched_records(*args: Any, **kwargs: Any) -> Any:
        try:
            return take(*args, **kwargs)
        except Exception as error:
            rest = fetcher._next_partition_records
            if not rest:
                raise
            fetcher._next_partition_records = None
            reason = f"{type(error).__name__}: {error}"
            raise PoisonError(Poison(rest.topic_partition, rest.next_fetch_offset, reason)) from error

    def parse_fetched_data(fetch: Any) -> Any:
        data = fetch.partition_data
        if data.last_stable_offset >= 0:
            data.high_watermark = data.last_stable_offset
        return parse(fetch)

    fetcher._send_fetches_async = send_fetches
    fetcher.fetched_records = fetched_records
    fetcher._parse_fetched_data = parse_fetched_data
    return consumer


def place(consumer: KafkaConsumer, partition: TopicPartition) -> int:
    """Return the next offset that `consumer` reads; it lies behind the marks of transactions, which are no records.

    `consumer.position` says the same, after asking the broker whether the place is still a valid one.
    """
    offset: int = consumer._subscription.assignment[partition].position.offset
    return offset


def topic_id(consumer: KafkaConsumer, topic: str) -> str:
    """Return the id of the topic that `consumer` reads from at this moment."""
    return str(consumer._client.cluster.topic_id(topic))


def records_of(polled: Iterable[Any]) -> list[Record]:
    """Return what `poll` returned of one partition as records of ours."""
    return [Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value) for one in polled]


async def run_in_thread(work: Callable[[], _Result], free: Callable[[], None]) -> _Result:
    """Run `work` in a thread, and return when that thread has ended.

    When this is cancelled, and `work` does not see it soon, `free` closes the clients that hold it up.
    """
    ended = trio.Event()
    failure: Exception | None = None

    async def free_when_cancelled() -> None:
        try:
            await ended.wait()
        finally:
            with trio.CancelScope(shield=True):
                with trio.move_on_after(GRACE):
                    await ended.wait()
                if not ended.is_set():
                    await trio.to_thread.run_sync(free)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(free_when_cancelled)
        try:
            result = await trio.to_thread.run_sync(work, limiter=trio.CapacityLimiter(1))
        except Exception as error:  # noqa: BLE001 - it is raised below, outside of the nursery, which would wrap it
            failure = error
        finally:
            ended.set()
    if failure is not None:
        await trio.lowlevel.checkpoint_if_cancelled()
        raise failure
    return result
