"""Chat between a guest and a restaurant, each on another instance, on either log."""

import json
import time
from contextlib import closing
from uuid import uuid4

import pytest

from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.platform.topics import topic_of
from tests.e2e.client import connected
from tests.e2e.command import produce, run
from tests.kafka_broker import topic_configs
from tests.timing import PATIENCE

TOKEN = "a token of the tests"
CONVERSATION = "restaurant:r1:chat:u1"


def restaurant(id: str, owner: str) -> dict:
    value = {"event_type": "created", "entity_id": id, "data": {"name": "Casa Ana", "ownerId": owner}}
    return {"topic": topic_of("restaurants"), "value": {"timestamp": "2026-01-20T18:00:00.000Z", **value}}


def from_a_bot(id: str, text: str) -> dict:
    data = {"restaurantId": "r1", "userId": "u1", "from": "restaurant", "authorId": "bot", "text": text}
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "message", "entity_id": id, "data": data}
    return {"topic": CHAT, "value": value, "key": "r1"}


def signed_in(client, user: str, *roles: str) -> None:
    answer = client.ask(type="auth", user=user, roles=roles)
    assert answer["user"] == user, answer


def published(client, id: str, text: str, kind: str = "publish") -> dict:
    """Send a message, and return the answer; what else comes meanwhile is passed over."""
    client.send(type=kind, channel=CONVERSATION, messageId=id, data={"text": text}, id=id)
    while (answer := client.receive()).get("id") != id:
        assert answer["type"].startswith("chat."), answer
    return answer


def written(client, id: str, text: str) -> dict:
    """Send a message as often as it takes until it is in the log, which may be slow, and return the answer."""
    while (answer := published(client, id, text)).get("code") in ("rate_limited", "unknown_restaurant", "unavailable"):
        time.sleep(answer.get("retryIn", 0.2))
    assert answer["type"] == "published", answer
    return answer


def next_of(client, kind: str) -> dict:
    while (message := client.receive())["type"] != kind:
        pass
    return message


def both_sides_talk(start_gateway, folder, **log: str) -> None:
    settings = {**log, "PUBLISH_TOKEN": TOKEN}
    produce(folder, [restaurant("r1", "o1")], **log)
    one, other = start_gateway(**settings), start_gateway(**settings)
    with connected(one.url) as guest, connected(other.url) as owner:
        signed_in(guest, "u1", "USER")
        signed_in(owner, "o1", "OWNER")
        owner.subscribe("restaurant:r1:chats", CONVERSATION)
        guest.subscribe(CONVERSATION)
        first, second = str(uuid4()), str(uuid4())
        answer = written(guest, first, "Do you have a terrace?")
        message = next_of(owner, "chat.message")
        assert (message["data"]["text"], message["data"]["from"]) == ("Do you have a terrace?", "guest")
        assert message["position"] == answer["position"]
        assert next_of(owner, "chat.conversation")["data"]["unread"] == 1
        written(owner, second, "We do.")
        assert next_of(guest, "chat.message")["data"]["messageId"] in (first, second)
        # A retry, by the other instance: the first position, and nobody is sent anything.
        with connected(other.url) as again:
            signed_in(again, "u1", "USER")
            assert written(again, first, "Do you have a terrace?")["position"] == answer["position"]
            assert published(again, first, "Something else")["code"] == "conflict"
            state = again.ask(type="history", channel=CONVERSATION)
            assert [each["messageId"] for each in state["messages"]] == [first, second]
        # Another service writes there, too; what it writes wrongly is skipped.
        produce(
            folder, [{**from_a_bot("b0", ""), "value": {"event_type": "message"}}, from_a_bot("b1", "¡Hola!")], **log
        )
        while (message := next_of(guest, "chat.message"))["data"]["authorId"] != "bot":
            pass
        assert message["data"]["text"] == "¡Hola!"
        # At the erasure, both instances forget.
        erasure = {"method": "POST", "body": {"user": "u1"}, "authorization": f"Bearer {TOKEN}"}
        while (answer := one.request("/erase", **erasure))[0] == 503:
            time.sleep(0.2)
        assert answer[0] == 201, answer
        written(owner, str(uuid4()), "…")
        for gateway, user in ((one, "u1"), (other, "o1")):
            with connected(gateway.url) as client:
                signed_in(client, user)
                state = client.ask(type="history", channel=CONVERSATION)
                while len(state["messages"]) < 4:  # the other instance may not have read so far
                    state = client.ask(type="history", channel=CONVERSATION)
                assert [each["text"] for each in state["messages"]] == [None, "We do.", "¡Hola!", "…"]
                assert "terrace" not in json.dumps(state)
    for gateway in (one, other):
        assert '"exception"' not in gateway.output


def test_both_sides_talk_on_the_embedded_log(start_gateway, tmp_path):
    both_sides_talk(start_gateway, tmp_path)


@pytest.mark.kafka
def test_both_sides_talk_on_kafka_in_a_topic_that_bears_the_logs_times(start_gateway, tmp_path, platform_topics):
    from kafka import KafkaAdminClient

    both_sides_talk(start_gateway, tmp_path, KAFKA_BROKERS=platform_topics)
    with closing(KafkaAdminClient(bootstrap_servers=platform_topics)) as admin:
        assert len(admin.describe_topics([CHAT])[0]["partitions"]) == 1
    configs = topic_configs(platform_topics, CHAT)
    assert configs["message.timestamp.type"] == "LogAppendTime"
    assert configs["retention.ms"] == str(30 * 24 * 3600 * 1000)
    assert run(tmp_path, "check", KAFKA_BROKERS=platform_topics, AUTH="off").returncode == 0


@pytest.mark.kafka
def test_topic_with_producers_times_is_refused_and_check_says_so(start_gateway, tmp_path, platform_topics):
    from kafka import KafkaAdminClient

    with closing(KafkaAdminClient(bootstrap_servers=platform_topics)) as admin:
        admin.create_topics({CHAT: {"num_partitions": 1}}, wait_for_metadata=True)
    gateway = start_gateway(KAFKA_BROKERS=platform_topics)
    produce(tmp_path, [restaurant("r1", "o1")], KAFKA_BROKERS=platform_topics)
    with connected(gateway.url) as guest:
        signed_in(guest, "u1")
        # Before that is known, a busy broker may not answer in time, nor let the restaurant be known.
        while "message.timestamp.type" not in (answer := published(guest, "m1", "Hello"))["message"]:
            time.sleep(answer.get("retryIn", 0.2))
        assert answer["code"] == "unavailable"
        state = guest.ask(type="history", channel=CONVERSATION)
        assert state["messages"] == []
    checked = run(tmp_path, "check", KAFKA_BROKERS=platform_topics, AUTH="off")
    assert checked.returncode != 0
    assert "LogAppendTime" in checked.stdout + checked.stderr


def test_gateway_that_dies_before_its_answer_leaves_a_retry_that_is_delivered_once(start_gateway, tmp_path):
    produce(tmp_path, [restaurant("r1", "o1")])
    one, other = start_gateway(), start_gateway()
    with connected(other.url) as owner:
        signed_in(owner, "o1")
        owner.subscribe(CONVERSATION)
        with connected(one.url) as guest:
            signed_in(guest, "u1")
            guest.send(type="publish", channel=CONVERSATION, messageId="m1", data={"text": "Hello"})
            one.kill()
        with connected(other.url) as guest:
            signed_in(guest, "u1")
            for text in ("Hello", "Hello"):
                written(guest, "m1", text)
            written(guest, "m2", "the last")
        seen = []
        while not seen or seen[-1] != "m2":
            seen.append(next_of(owner, "chat.message")["data"]["messageId"])
    assert seen == ["m1", "m2"]


def test_command_writes_the_lines_of_standard_input_and_the_client_is_the_other_side(start_gateway, tmp_path):
    import trio

    from mesaya_ws.client import connect

    produce(tmp_path, [restaurant("r1", "o1")])
    gateway = start_gateway()
    port = str(gateway.port)
    asked = run(tmp_path, "chat", "r1", "u1", stdin="Hello\n\nIs the terrace open?\n", PORT=port)
    assert asked.returncode == 0, asked.stderr

    async def answer():
        async with connect(gateway.url, user="o1", roles=("OWNER",)) as session:
            chat = session.chat("r1", "u1")
            await session.subscribe(chat.channel, snapshot=True)
            with trio.fail_after(PATIENCE):
                async for event in session:
                    if event.type == "snapshot":
                        *_, last = event.data["messages"]
                        await chat.read(last["position"])
                        await chat.publish("It is.", reply_to=last["messageId"])
                        await chat.edit(last["messageId"], "x")

    with pytest.raises(BaseExceptionGroup) as raised:
        trio.run(answer)
    assert "its own side" in str(raised.value.exceptions[0])
    with connected(gateway.url) as client:
        signed_in(client, "u1")
        state = client.ask(type="history", channel=CONVERSATION)
    assert [each["text"] for each in state["messages"]] == ["Hello", "Is the terrace open?", "It is."]
