"""Who is on a channel, and who is typing, as clients of several instances and workers are sent it."""

import time
from contextlib import ExitStack, closing

import pytest

from mesaya_ws.core.interactions.topics import PRESENCE
from tests.e2e.client import PATIENCE, connected
from tests.e2e.command import produce, run
from tests.e2e.event_reader import reading
from tests.e2e.test_chat import CONVERSATION, restaurant, signed_in
from tests.support.gateway import START_TIMEOUT

TABLES = "restaurant:r1:tables"


def asks(client, channel=TABLES):
    """Subscribe with presence, and return what the client is sent of it first."""
    client.send(type="subscribe", channel=channel, presence=True)
    while (message := client.receive())["type"] != "subscribed":
        assert message["type"] == "presence", message
    while (message := client.receive())["channel"] != channel:
        pass
    return message


def until_sent(client, kind="presence", **expected):
    """Receive until a message of that type says just that."""
    deadline = time.monotonic() + PATIENCE
    while (message := client.receive())["type"] != kind or any(message.get(k) != v for k, v in expected.items()):
        assert time.monotonic() < deadline, message


def instances_count_together(start_gateway, folder, **log):
    one, other = start_gateway(**log), start_gateway(**log)
    produce(folder, [restaurant("r1", "o1")], **log)
    with connected(one.url) as guest, connected(other.url) as owner, ExitStack() as visit:
        signed_in(guest, "u1", "USER")
        signed_in(owner, "o1", "OWNER")
        assert asks(guest) == {"type": "presence", "channel": TABLES, "viewers": 1}
        assert asks(owner)["viewers"] in (1, 2)
        # A second tab of a user changes nothing, and who does not ask counts as well.
        again = visit.enter_context(connected(other.url))
        signed_in(again, "u1")
        again.subscribe(TABLES)
        visit.enter_context(connected(one.url)).subscribe(TABLES)
        until_sent(guest, viewers=3)
        until_sent(owner, viewers=3)
        visit.close()
        until_sent(guest, viewers=2)
        asks(guest, CONVERSATION)
        asks(owner, CONVERSATION)
        until_sent(guest, channel=CONVERSATION, guest=True, restaurant=True)
        owner.send(type="typing", channel=CONVERSATION, typing=True)
        until_sent(guest, "chat.typing", data={"by": "restaurant", "typing": True})
        owner.send(type="typing", channel=CONVERSATION, typing=False)
        until_sent(guest, "chat.typing", data={"by": "restaurant", "typing": False})
        owner.socket.close()
        until_sent(guest, channel=CONVERSATION, guest=True, restaurant=False)
        assert one.metric("mesaya_presence_messages_sent_total") > 0
    for gateway in (one, other):
        assert gateway.stop() == 0
        assert '"exception"' not in gateway.output


def test_instances_on_the_embedded_log_count_together(start_gateway, tmp_path):
    instances_count_together(start_gateway, tmp_path)


@pytest.mark.kafka
def test_instances_on_kafka_count_together(start_gateway, tmp_path, platform_topics):
    from kafka import KafkaAdminClient

    instances_count_together(start_gateway, tmp_path, KAFKA_BROKERS=platform_topics)
    with closing(KafkaAdminClient(bootstrap_servers=platform_topics)) as admin:
        assert len(admin.describe_topics([PRESENCE])[0]["partitions"]) == 1
    assert run(tmp_path, "check", KAFKA_BROKERS=platform_topics, AUTH="off").returncode == 0


def test_workers_count_together(start_gateway):
    gateway = start_gateway(WORKERS="2")
    gateway.until(lambda: len(gateway.logged("worker ready")) == 2, START_TIMEOUT, "both workers are ready")
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(gateway.url)) for _ in range(12)]
        first = [asks(client)["viewers"] for client in clients]
        for client, viewers in zip(clients, first, strict=True):
            if viewers != len(clients):  # the last one may have been sent that at once
                until_sent(client, viewers=len(clients))
    assert '"exception"' not in gateway.output


def test_stream_of_events_counts_and_is_sent_who_is_there(start_gateway):
    gateway = start_gateway()
    with connected(gateway.url) as client:
        assert asks(client)["viewers"] == 1
        with reading(gateway.port, [TABLES], presence="1") as reader:
            assert [message["type"] for _, message in zip(range(3), reader, strict=False)][-1] == "presence"
            until_sent(client, viewers=2)
        until_sent(client, viewers=1)
