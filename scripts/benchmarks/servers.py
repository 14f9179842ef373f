"""The servers that are compared, and how each is started and fed."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from attrs import field, frozen
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from load.feed import Feed, LineFeed, LogFeed
from load.gateway import free_port, serving
from load.process import Observed
from load.processes import RunError

from benchmarks.kafka_feed import KafkaFeed

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"
CENTRIFUGO = "github.com/centrifugal/centrifugo/v6@v6.9.1"
BUILD_TIMEOUT = 600.0
START_TIMEOUT = 20.0


@frozen
class Target:
    """A server that runs: its process, what it is fed by, and what a plan must say to reach it."""

    observed: Observed
    feed: Feed
    reach: dict[str, object] = field(factory=dict)


Start = Callable[[str], AbstractContextManager[Target]]
"""Starts a server, given the address of a Kafka, for those that use one."""


@contextmanager
def fed_gateway(_: str) -> Iterator[Target]:
    """Start this service, its log replaced by a feed."""
    feed = free_port()
    with serving((sys.executable, str(HERE / "fed_gateway.py"), str(feed))) as (observed, settings):
        yield Target(observed, LineFeed(feed, messages=False), {"port": int(settings["PORT"])})


def real_gateway(workers: int) -> Start:
    """Return what starts so many workers of this service, on Kafka or, without one, on its embedded log."""

    @contextmanager
    def start(brokers: str) -> Iterator[Target]:
        with serving(WORKERS=str(workers), KAFKA_BROKERS=brokers) as (observed, settings):
            feed = KafkaFeed(brokers) if brokers else LogFeed(settings)
            yield Target(observed, feed, {"port": int(settings["PORT"])})

    return start


@contextmanager
def floor(_: str) -> Iterator[Target]:
    """Start the raw loop of non-blocking sends."""
    with _fed(lambda port, feed: (sys.executable, str(HERE / "floor.py"), port, feed)) as target:
        yield target


@contextmanager
def asyncio_websockets(_: str) -> Iterator[Target]:
    """Start the peer on asyncio."""
    with _fed(lambda port, feed: (sys.executable, str(HERE / "asyncio_websockets.py"), port, feed)) as target:
        yield target


@contextmanager
def plain_trio_websocket(_: str) -> Iterator[Target]:
    """Start trio-websocket as it comes."""
    with _fed(lambda port, feed: (sys.executable, str(HERE / "plain_trio_websocket.py"), port, feed)) as target:
        yield target


@contextmanager
def go_hub(_: str) -> Iterator[Target]:
    """Build and start the peer in Go."""
    program = CACHE / "go_hub"
    _go("build", "-o", str(program), ".", folder=HERE / "go_hub")
    with _fed(
        lambda port, feed: (str(program), "-listen", f"127.0.0.1:{port}", "-feed", f"127.0.0.1:{feed}")
    ) as target:
        yield target


@contextmanager
def centrifugo(brokers: str) -> Iterator[Target]:
    """Build and start Centrifugo, which consumes messages from Kafka, whose channels are in a header."""
    if not (CACHE / "centrifugo").exists():
        _go("install", CENTRIFUGO, folder=HERE, GOBIN=str(CACHE))
    port = free_port()
    topic = f"centrifugo-{port}"
    admin = KafkaAdminClient(bootstrap_servers=brokers)
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()
    config = {
        "http_server": {"address": "127.0.0.1", "port": port},
        "log": {"level": "error"},
        "client": {"insecure": True},
        "channel": {
            "namespace_boundary": "/",  # the colon of our channels is none
            "without_namespace": {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True},
        },
        "consumers": [
            {
                "enabled": True,
                "name": "bench",
                "type": "kafka",
                "kafka": {
                    "brokers": [brokers],
                    "topics": [topic],
                    "consumer_group": f"bench-{port}",
                    "fetch_max_wait": "500ms",
                    "publication_data_mode": {"enabled": True, "channels_header": "centrifugo-channels"},
                },
            }
        ],
    }
    with TemporaryDirectory(prefix="centrifugo-") as folder:
        path = Path(folder, "config.json")
        path.write_bytes(orjson.dumps(config))
        with _process((str(CACHE / "centrifugo"), "-c", str(path)), [port]) as observed:
            reach = {"port": port, "path": "/connection/websocket", "protocol": "centrifugo"}
            yield Target(observed, KafkaFeed(brokers, topic), reach)


SERVERS: dict[str, Start] = {
    "mesaya-ws": fed_gateway,
    "floor": floor,
    "go": go_hub,
    "websockets": asyncio_websockets,
    "trio-websocket": plain_trio_websocket,
    "mesaya-ws sqlite": real_gateway(1),
    "mesaya-ws sqlite, 2 workers": real_gateway(2),
    "mesaya-ws kafka": real_gateway(1),
    "mesaya-ws kafka, 2 workers": real_gateway(2),
    "centrifugo kafka": centrifugo,
}


@contextmanager
def _fed(command: Callable[[str, str], Sequence[str]]) -> Iterator[Target]:
    """Run a server that takes finished messages on a second port."""
    port, feed = free_port(), free_port()
    with _process(command(str(port), str(feed)), [port, feed]) as observed:
        yield Target(observed, LineFeed(feed, messages=True), {"port": port})


@contextmanager
def _process(command: Sequence[str], ports: Sequence[int]) -> Iterator[Observed]:
    with subprocess.Popen(command) as process:
        try:
            for port in ports:
                _wait(process, port)
            yield Observed(process.pid)
        finally:
            process.kill()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RunError(f"{process.args[0]} does not listen on port {port}.") from None
            time.sleep(0.05)
        else:
            return


def _go(*arguments: str, folder: Path, **environ: str) -> None:
    CACHE.mkdir(exist_ok=True)
    try:
        subprocess.run(("go", *arguments), cwd=folder, env={**os.environ, **environ}, check=True, timeout=BUILD_TIMEOUT)
    except FileNotFoundError:
        raise RunError("Go is not on the PATH: install it (https://go.dev/dl), or name other servers.") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise RunError(f"Go cannot build it: {error}.") from None


def raise_limit() -> None:
    """Allow the servers and the load as many open files as there may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
