"""The log on a real Apache Kafka: the contract, and what is Kafka's own."""

import pytest

from .contract import LogContract
from .kafka_store import KafkaStore

pytestmark = pytest.mark.kafka


@pytest.fixture
async def store(kafka_brokers: str) -> KafkaStore:
    store = KafkaStore(kafka_brokers)
    await store.create()
    return store


class TestKafkaLog(LogContract):
    pass
