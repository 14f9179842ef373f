"""What is changed in kafka-python, where no other test shows it; without a broker."""

import re
import socket
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import FetchSessionHandler
from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from kafka.net.inet import create_connection
from kafka.protocol.consumer import FetchRequest

from mesaya_ws.eventlog.kafka.driver import RELEASE, check_release, connections
from mesaya_ws.eventlog.kafka.driver.clients import Clients, connection_options
from mesaya_ws.eventlog.kafka.driver.connections import Connections, Loop, TlsTransport, UnthreadedLoop
from mesaya_ws.eventlog.kafka.driver.fetch_requests import fetch_request
from mesaya_ws.eventlog.kafka.driver.producer import NO_KEY, Keys, end
from mesaya_ws.settings import Settings, SettingsError

ROOT = Path(__file__).parents[3]


def test_another_release_is_refused_in_one_sentence():
    check_release(RELEASE)
    with pytest.raises(SettingsError, match=r"kafka-python 3\.1\.0 is installed, .*: install kafka-python==3\.0\.12\."):
        check_release("3.1.0")


def test_the_release_is_the_pinned_one():
    assert re.findall(r"kafka-python\S*==([0-9.]+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8")) == [RELEASE]


def run(script: str) -> str:
    """Return what a script prints in a Python of its own."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.mark.slow
def test_nothing_of_kafka_python_is_replaced_before_a_log_is_opened():
    """Whoever imports it, for whatever, finds kafka-python as it is (with one more scheme that a proxy may have)."""
    printed = run(
        """
import trio
from kafka.consumer import fetcher
from mesaya_ws.eventlog.kafka import inspection, open_kafka_log
from mesaya_ws.settings import Settings

async def main():
    async with open_kafka_log(Settings(kafka_brokers=("127.0.0.1:1",))):
        print(fetcher._FetchPartition is FetchPartition)

FetchPartition = fetcher._FetchTopic.FetchPartition
print(fetcher._FetchPartition is FetchPartition)
trio.run(main)
"""
    )
    assert printed.split() == ["True", "False"]


@pytest.mark.slow
def test_another_release_is_refused_before_its_names_are_looked_for():
    printed = run(
        """
import kafka
kafka.__version__ = "4.0.0"
try:
    import mesaya_ws.eventlog.kafka
except Exception as error:
    import sys
    print(type(error).__name__, "mesaya_ws.eventlog.kafka.driver.batches" in sys.modules)
"""
    )
    assert printed.split() == ["SettingsError", "False"]


def asked(offset: int) -> tuple[Any, Any]:
    """Return what is asked for from `offset` on, ours and as kafka-python makes it."""
    values = {"partition": 0, "current_leader_epoch": 1, "fetch_offset": offset, "partition_max_bytes": 9}
    return fetch_request(**values), FetchRequest.FetchTopic.FetchPartition(**values)


def test_what_a_fetch_asks_is_reused_and_says_what_it_said():
    (ours, theirs), (again, _), (other, _) = asked(5), asked(5), asked(6)
    assert ours is again
    assert ours != other
    assert isinstance(ours, type(theirs))
    assert ours.to_dict() == theirs.to_dict()
    session = FetchSessionHandler(1)
    session.next_metadata = session.next_metadata.new_incremental(7)
    for fetched, sent in ((ours, 1), (again, 0), (other, 1), (ours, 1)):
        assert len(session.build_next({TopicPartition("a", 0): fetched}).to_send) == sent


def test_a_socket_that_gets_no_connection_is_closed(monkeypatch: pytest.MonkeyPatch):
    made: list[socket.socket] = []

    def kept(_: object, *kind: int) -> socket.socket:
        made.append(socket.socket(*kind))
        return made[-1]

    with socket.socket() as taken, closing(UnthreadedLoop()) as loop:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        monkeypatch.setattr(connections.ClosingSocket, "socket", kept)
        with pytest.raises(KafkaConnectionError):
            loop.run(create_connection, loop, "127.0.0.1", taken.getsockname()[1], (), "direct://")
    assert [each.fileno() for each in made] == [-1]


def test_a_handshake_that_is_not_answered_ends_in_time():
    ours, silent = socket.socketpair()
    ours.setblocking(False)
    with silent, closing(UnthreadedLoop()) as loop:
        transport = TlsTransport(loop, ours, host="localhost", ssl_context=ssl.create_default_context())
        transport.timeout_at = monotonic() + 0.05
        with pytest.raises(KafkaTimeoutError):
            loop.run(transport.handshake)
        transport.abort()
        loop.poll(0)


def test_failures_of_a_broker_are_forgotten_only_when_there_is_a_connection_to_it():
    with closing(Loop()) as loop:
        managed = Connections(loop, bootstrap_servers=["127.0.0.1:1"], reconnect_backoff_ms=10_000)
        managed.reset_backoff(1)
        assert managed.connection_delay(1) > 1, "it is a failure more"

        class Connected:
            connected = True

        managed._conns[1] = Connected()
        managed.reset_backoff(1)
        assert managed.connection_delay(1) == 0


def test_reading_creates_no_topics():
    clients = Clients(connection_options(Settings(kafka_brokers=("127.0.0.1:1",))))
    with closing(clients):
        net = clients._connect(UnthreadedLoop, bootstrap_servers=["127.0.0.1:1"], allow_auto_create_topics=True)
        assert not net.cluster.metadata_request().allow_auto_topic_creation


def test_a_record_may_have_neither_key_nor_value():
    assert Keys().serialize("a", None, NO_KEY) is None
    assert Keys().serialize("a", None, b"key") == b"key"


def test_a_producer_ends_with_its_thread_though_its_records_are_not_acknowledged(monkeypatch: pytest.MonkeyPatch):
    def flush(_: float) -> None:
        raise KafkaTimeoutError

    options = {**connection_options(Settings(kafka_brokers=("127.0.0.1:1",))), "api_version": (4, 1)}
    with closing(Clients(options)) as clients:
        producer = clients.producer(enable_idempotence=False, max_block_ms=10, metrics_enabled=False)
        with pytest.raises(KafkaTimeoutError):
            producer.send("a", b"value")
        assert producer._sender.is_alive()
        monkeypatch.setattr(producer, "flush", flush)
        end(producer, 0.1, 10)
        assert not producer._sender.is_alive()
