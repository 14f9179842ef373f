"""How the clients of Kafka are made."""

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import trio
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaConnectionError
from kafka.net.compat import KafkaNetClient

from mesaya_ws.eventlog.kafka.driver import batches
from mesaya_ws.eventlog.kafka.driver.connections import Connections, Loop, UnthreadedLoop
from mesaya_ws.eventlog.kafka.driver.consumer import Consumer, raw_consumer
from mesaya_ws.eventlog.kafka.timings import DEFAULTS, Timings
from mesaya_ws.settings import Settings, SettingsError

GRACE = 0.3
"""Seconds that a cancelled thread has to end by itself before its clients are closed from outside."""

SIZES, TIMINGS = "sizes", "timings"
"""Options of our own: how large a record and a batch may be, and how long to wait for what."""

Options = Mapping[str, Any]
_Result = TypeVar("_Result")


def timings_in(options: Options) -> Timings:
    """Return how long to wait for what."""
    timings: Timings = options.get(TIMINGS, DEFAULTS)
    return timings


def connection_options(settings: Settings, timings: Timings = DEFAULTS) -> Options:
    """Return the options of all clients. Raises `SettingsError` when a file for TLS cannot be used."""
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.kafka_brokers),
        "client_id": settings.kafka_group_id,
        "security_protocol": settings.kafka_security_protocol,
        "bootstrap_timeout_ms": round(timings.connect_timeout * 1000),
        # With the default, 30 s, a client would notice so late that a broker is back.
        "reconnect_backoff_max_ms": 1_000,
        # How soon a hanging broker is given up, and new leaders and re-created topics are noticed.
        "request_timeout_ms": 10_000,
        "metadata_max_age_ms": 15_000,
        SIZES: batches.SIZES._replace(record=settings.max_record_bytes),
        TIMINGS: timings,
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
    """Return the TLS context; its files are read now, so that their faults are reported at the start."""
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
    """The clients of one thread, and the way to interrupt that thread in them.

    Making one takes up to `Timings.connect_timeout`, and then raises `KafkaTimeoutError`.
    """

    def __init__(self, options: Options) -> None:
        self._sizes = options.get(SIZES, batches.SIZES)
        # kafka-python refuses options that it does not know.
        self._options = {name: option for name, option in options.items() if name not in (SIZES, TIMINGS)}
        self._nets: list[KafkaNetClient] = []
        self._opened: list[Any] = []
        self.closed = False

    def admin(self) -> KafkaAdminClient:
        """Return a new admin client, with short timeouts."""
        return self._keep(
            KafkaAdminClient(**{**self._options, "request_timeout_ms": 3_000}, kafka_client=self._connect)
        )

    def consumer(self) -> Consumer:
        """Return a new consumer without partitions."""
        return Consumer(self._keep(raw_consumer(partial(self._connect, UnthreadedLoop), self._options)), self._sizes)

    def producer(self, **options: object) -> KafkaProducer:
        """Return a new producer; `close` does not close it."""
        return KafkaProducer(**self._options, **options, kafka_client=self._connect)

    def interrupt(self) -> None:
        """Close all connections, from another thread: whatever the first one waits for in a client raises soon."""
        self.closed = True
        for net in self._nets:
            with suppress(Exception):  # it may be closing at this moment, in its own thread
                if net._net._io_thread is None:
                    # The loop has no thread of its own; only the thread that runs it may close connections.
                    net._manager.call_soon(net._manager.close)
                else:
                    net.close()

    def close(self) -> None:
        """Close everything; the threads of the clients end."""
        self.closed = True
        # A constructor that failed leaves its connections open, and their thread running.
        for client in (*self._opened, *self._nets):
            with suppress(Exception):
                client.close()

    def _keep(self, client: Any) -> Any:
        self._opened.append(client)
        return client

    def _connect(self, make_loop: Callable[..., Loop] = Loop, **options: Any) -> KafkaNetClient:
        """Make the network half of a client; this is what the clients call `kafka_client`."""
        if self.closed:
            raise KafkaConnectionError("the clients of this thread have been closed")
        loop = make_loop(**options)
        net = KafkaNetClient(net=loop, manager=Connections(loop, **options), **options)
        # The consumer's own option of that name is ignored: reading a topic that does not exist would create it.
        net.cluster.config["allow_auto_create_topics"] = False
        self._nets.append(net)
        return net


async def run_in_thread(work: Callable[[], _Result], interrupt: Callable[[], None]) -> _Result:
    """Run `work` in a thread, and return its result once that thread has ended.

    On cancellation, if `work` does not end within `GRACE`, `interrupt` closes the clients that it waits for.
    """
    ended = trio.Event()
    failure: Exception | None = None

    async def interrupt_when_cancelled() -> None:
        try:
            await ended.wait()
        finally:
            with trio.CancelScope(shield=True):
                with trio.move_on_after(GRACE):
                    await ended.wait()
                if not ended.is_set():
                    await trio.to_thread.run_sync(interrupt)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(interrupt_when_cancelled)
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
