"""A bot of the restaurant that writes to the topic of conversations by itself, with kafkajs as the platform does."""

from uuid import uuid4

import pytest

from tests.e2e.client import connected
from tests.e2e.command import produce
from tests.e2e.node import running_node
from tests.e2e.test_chat import CONVERSATION, from_a_bot, next_of, published, restaurant, signed_in


@pytest.mark.kafka
def test_message_of_a_kafkajs_bot_is_one_like_any_other_and_its_poison_is_skipped(
    start_gateway, tmp_path, platform_topics
):
    log = {"KAFKA_BROKERS": platform_topics}
    gateway = start_gateway(**log)
    produce(tmp_path, [restaurant("r1", "o1")], **log)
    with connected(gateway.url) as guest, running_node("produce.js", platform_topics) as bot:
        signed_in(guest, "u1")
        guest.subscribe(CONVERSATION)
        while (answer := published(guest, str(uuid4()), "Is there a table?")).get("code") == "unknown_restaurant":
            pass
        assert answer["type"] == "published", answer
        first, second = from_a_bot("b1", "¡Hola! 🍽️"), from_a_bot("b2", "At eight.")
        again = from_a_bot("b1", "Not this one")
        no_text = {**first, "value": {**first["value"], "data": {**first["value"]["data"], "text": 7}}}
        for record in ({**first, "value": "no JSON"}, {**first, "value": None}, no_text, first, again, second):
            bot.say([record])
            bot.next("acknowledged")
        texts = []
        while texts[-1:] != ["At eight."]:
            texts.append(next_of(guest, "chat.message")["data"]["text"])
        assert texts == ["¡Hola! 🍽️", "At eight."]
        state = guest.ask(type="history", channel=CONVERSATION)
        assert [each["text"] for each in state["messages"]] == ["Is there a table?", *texts]
    assert '"exception"' not in gateway.output
