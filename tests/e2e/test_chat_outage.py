"""A message written while the broker does not answer: its sender is answered, and the retry is delivered once."""

import time

import pytest

from tests.e2e.client import connected
from tests.e2e.command import produce
from tests.e2e.test_chat import CONVERSATION, next_of, published, restaurant, signed_in, written
from tests.kafka_broker import create_topics


@pytest.mark.kafka
def test_message_in_an_outage_is_unavailable_and_its_retry_is_delivered_once(start_gateway, tmp_path, kafka_broker):
    create_topics(kafka_broker.address)
    one, other = (start_gateway(KAFKA_BROKERS=kafka_broker.address) for _ in range(2))
    produce(tmp_path, [restaurant("r1", "o1")], KAFKA_BROKERS=kafka_broker.address)
    with connected(one.url) as guest, connected(other.url) as owner:
        signed_in(guest, "u1")
        signed_in(owner, "o1")
        owner.subscribe(CONVERSATION)
        written(guest, "m1", "before")
        kafka_broker.freeze()
        began = time.monotonic()
        answer = published(guest, "m2", "during")
        assert answer["code"] == "unavailable", answer
        assert 5 < time.monotonic() - began < 40
        kafka_broker.thaw()
        written(guest, "m2", "during")
        written(guest, "m3", "after")
        received = []
        while not received or received[-1] != "m3":
            received.append(next_of(owner, "chat.message")["data"]["messageId"])
        assert received == ["m1", "m2", "m3"]
