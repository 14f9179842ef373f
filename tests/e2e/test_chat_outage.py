"""A message written while the broker does not answer: its sender is answered, and the retry is delivered once."""

import time

import pytest

from tests.e2e.client import connected
from tests.e2e.command import produce
from tests.e2e.test_chat import CONVERSATION, next_of, published, restaurant, signed_in
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
        while (answer := published(guest, "m1", "before")).get("code") == "unknown_restaurant":
            pass
        assert answer["type"] == "published", answer
        kafka_broker.freeze()
        began = time.monotonic()
        answer = published(guest, "m2", "during")
        assert answer["code"] == "unavailable", answer
        assert 5 < time.monotonic() - began < 40
        kafka_broker.thaw()
        while (answer := published(guest, "m2", "during")).get("code") in ("unavailable", "rate_limited"):
            time.sleep(answer.get("retryIn", 0.2))
        assert answer["type"] == "published", answer
        while (last := published(guest, "m3", "after")).get("code") in ("unavailable", "rate_limited"):
            time.sleep(last.get("retryIn", 0.2))
        received = []
        while not received or received[-1] != "m3":
            received.append(next_of(owner, "chat.message")["data"]["messageId"])
        assert received == ["m1", "m2", "m3"]
