"""A store on a broker of one's own; what needs no Kafka imports nothing of it."""

from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from tests.kafka_broker import Broker

    from .kafka_store import KafkaStore


@pytest.fixture
async def store(kafka_broker: "Broker") -> "KafkaStore":
    from .kafka_store import KafkaStore

    store = KafkaStore(kafka_broker.address)
    await store.create()
    return store


@pytest.fixture
def hasty(store: "KafkaStore") -> "KafkaStore":
    """The same, where it is looked, and given up, sooner than in production."""
    from .kafka_store import HASTY

    return attrs.evolve(store, timings=HASTY)
