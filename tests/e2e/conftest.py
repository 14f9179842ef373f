"""What the end-to-end tests share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.client import Client, connected
from tests.support.gateway import Gateway, running


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways with the given settings; those of one test work in the same folder, on the same embedded log."""
    numbers = count(1)
    with ExitStack() as stack:

        def start(*, ready: bool = True, **settings: str) -> Gateway:
            return stack.enter_context(running(tmp_path, ready=ready, name=f"gateway-{next(numbers)}", **settings))

        yield start


@pytest.fixture
def bystander(gateway: Gateway) -> Iterator[Client]:
    """A client of the module's `gateway`, which needs a PUBLISH_TOKEN.

    Whatever a test does there, this one receives afterwards what is said, and has received nothing else.
    """
    with connected(gateway.url) as client:
        client.subscribe("global:announcements")
        yield client
        assert gateway.announce("nothing has happened") == 201
        assert client.receive()["data"]["title"] == "nothing has happened"
    assert "Traceback" not in gateway.output
    assert '"exception"' not in gateway.output


@pytest.fixture(scope="package")
def platform_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Kafka for all tests here, which nobody stops: starting one takes seconds."""
    from tests.kafka_broker import Broker

    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker.address
    broker.stop()


@pytest.fixture
def platform_kafka(platform_broker: str) -> str:
    """The address of a Kafka that has none of the platform's topics yet; they may be used under their own names."""
    from kafka import KafkaAdminClient

    with closing(KafkaAdminClient(bootstrap_servers=platform_broker)) as admin:
        if topics := admin.list_topics():
            admin.delete_topics(topics)
    return platform_broker


@pytest.fixture
def platform_topics(platform_kafka: str) -> str:
    """The address of a Kafka that has all of the platform's topics, empty."""
    from tests.kafka_broker import create_topics

    create_topics(platform_kafka)
    return platform_kafka
