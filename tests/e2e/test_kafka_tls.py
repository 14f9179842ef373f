"""Certificates of Kafka's that are renewed while a gateway runs."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.e2e.client import Client, connected
from tests.e2e.command import produce
from tests.e2e.records import announced
from tests.kafka_broker import Broker, create_topics
from tests.support.certificates import write_pem
from tests.support.gateway import START_TIMEOUT

pytestmark = pytest.mark.kafka

CHANNEL = "global:announcements"


def received(client: Client, count: int) -> list[dict[str, object]]:
    """Return the next events, which are announcements."""
    return [client.receive() for _ in range(count)]


def ids(events: list[dict[str, object]]) -> list[str]:
    return [event["data"]["announcementId"] for event in events]


def write_certificates(folder: Path, authority: trustme.CA) -> None:
    """Write what the broker has, and what the gateway has, of an authority."""
    authority.cert_pem.write_to_path(folder / "authority.pem")
    write_pem(folder / "broker.pem", authority.issue_cert("127.0.0.1"))
    write_pem(folder / "client.pem", authority.issue_cert("mesaya-ws@example.com"))


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Path]:
    """Two folders of certificates, each of an authority that the other one's do not know."""
    folders = {name: tmp_path / name for name in ("old", "new")}
    for folder in folders.values():
        folder.mkdir()
        write_certificates(folder, trustme.CA())
    return folders


@pytest.fixture
def broker(tmp_path: Path, certificates: dict[str, Path]) -> Iterator[Broker]:
    """A Kafka with a certificate of the old authority, which asks clients for one of the same."""
    broker = Broker(tmp_path / "kafka")
    broker.use_tls(certificates["old"] / "broker.pem", certificates["old"] / "authority.pem")
    broker.start()
    create_topics(broker.address)
    yield broker
    broker.kill()


def test_certificates_of_kafka_are_read_again_at_a_reload_and_nothing_is_lost(
    start_gateway, tmp_path, broker, certificates
):
    files = {name: tmp_path / f"{name}.pem" for name in ("authority", "client")}

    def install(which: str) -> None:
        for name, path in files.items():
            path.write_bytes((certificates[which] / f"{name}.pem").read_bytes())

    install("old")
    gateway = start_gateway(
        KAFKA_BROKERS=broker.tls_address,
        KAFKA_SECURITY_PROTOCOL="SSL",
        KAFKA_SSL_CAFILE=str(files["authority"]),
        KAFKA_SSL_CERTFILE=str(files["client"]),
        KAFKA_SSL_KEYFILE=str(files["client"]),
    )
    with connected(gateway.url) as client:
        client.subscribe(CHANNEL)
        produce(tmp_path, map(announced, range(2)), KAFKA_BROKERS=broker.address)
        before = received(client, 2)
        broker.use_tls(certificates["new"] / "broker.pem", certificates["new"] / "authority.pem")
        broker.restart()
        produce(tmp_path, [announced(2)], KAFKA_BROKERS=broker.address)
        gateway.until(
            lambda: "KAFKA_SSL_CAFILE" in str(gateway.health()),
            START_TIMEOUT,
            "it says that the brokers' authority is another one",
        )
        install("new")
        gateway.send_signal(signal.SIGHUP)
        gateway.event("reloaded", 2 * START_TIMEOUT)
        assert client.closed_with() == 1012
    with connected(gateway.url) as client:
        answer = client.ask(type="subscribe", channel=CHANNEL, position=before[-1]["position"])
        assert (answer["type"], answer["recovered"]) == ("subscribed", True)
        missed = received(client, 1)
        produce(tmp_path, [announced(3)], KAFKA_BROKERS=broker.address)
        after = received(client, 1)
    assert ids([*before, *missed, *after]) == ["a0", "a1", "a2", "a3"]
