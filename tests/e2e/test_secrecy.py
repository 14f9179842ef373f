"""What clients and services say is not in the log, at whatever level; what happened to whom is."""

import json

import pytest

from tests.e2e.client import connected
from tests.e2e.command import produce
from tests.e2e.raw import raw
from tests.support.gateway import Gateway
from tests.support.wire import BINARY, PING, close, frame, handshake
from tests.timing import PATIENCE

MARK = "hunter2"
TOKEN = f"{MARK}-of-the-publisher"
TALKATIVE = {"LOG_LEVEL": "debug", "PUBLISH_TOKEN": TOKEN, "MAX_MESSAGE_BYTES": "1000", "PARENT_TIMEOUT": "0"}


def review(value: object) -> dict:
    return {"topic": "mesa-ya.reviews.events", "key": MARK, "value": value}


RECORDS = [
    review(MARK),
    review([MARK]),
    review({"event_type": "created", "entity_id": f"{MARK} is no id", "data": {"comment": MARK}}),
    review({"event_type": "created", "entity_id": "v1", "data": MARK}),
    review({"event_type": "created", "entity_id": "v1", "data": {"restaurantId": "r1", "comment": MARK}}),
    review({"event_type": "created", "entity_id": "v1", "data": {"restaurantId": [MARK]}, "timestamp": {"x": MARK}}),
    {"topic": "mesa-ya.auth.events", "value": {"type": "user_signed_up", "data": {"id": "u1", "password": MARK}}},
    {"topic": "mesa-ya.payments.events", "value": {"payment_intent_id": MARK}},
    {"topic": "mesa-ya.tables.events", "value": {"event_type": "deleted", "entity_id": "t", "data": {"number": MARK}}},
]
MESSAGES = [
    MARK,
    f'{{"type": "{MARK}"}}',
    f'{{"type": "subscribe", "channel": "{MARK}"}}',
    f'{{"type": "subscribe", "channel": "global:restaurants", "position": "{MARK}", "id": "{MARK}"}}',
    f'{{"type": "subscribe", "channel": "global:restaurants", "token": "{MARK}", "snapshot": "{MARK}"}}',
    f'{{"type": "ping", "id": "{MARK}"}}',
]


def everything_is_said(gateway: Gateway, **log: str) -> None:
    """Have all that should stay between the two said to a gateway, in every way that there is."""
    produce(gateway.folder, RECORDS, **log)
    with connected(gateway.url, additional_headers={"Authorization": MARK, "Cookie": MARK}) as client:
        client.subscribe("global:announcements", "restaurant:r1:reviews")
        for message in MESSAGES:
            client.socket.send(message)
            client.receive()
        assert gateway.announce(MARK) == 201
        assert gateway.publish({"event": MARK}, "/broadcast")[0] == 422
        assert gateway.publish(review({"event_type": MARK}), "/publish")[0] == 422
        for path in ("/publish", "/health", f"/{MARK}", f"/health?token={MARK}"):
            gateway.request(path, method="POST", body=MARK, Authorization=f"Bearer {MARK}", X_Anything=MARK)
    for sent in (frame(MARK.encode(), BINARY), frame(MARK.encode() * 1000), frame(MARK.encode() + b"\xff"), close(999)):
        with raw(gateway.port) as breaker:
            breaker.shake_hands(handshake(line=f"GET /ws?token={MARK} HTTP/1.1".encode()))
            breaker.send(frame(MARK.encode(), PING), sent)
            breaker.closed_with()
    for head in (f"GET /{MARK}", f"GET /ws?{MARK} HTTP/1.1\r\n{MARK}"):
        with raw(gateway.port) as breaker:
            breaker.send(head.encode() + b"\r\n\r\n")
            breaker.refusal()


def is_silent(gateway: Gateway) -> None:
    printed = gateway.output
    assert MARK not in printed
    assert len(gateway.logged("connection closed")) >= 5
    assert len(gateway.logged("request refused")) >= 2
    assert len(gateway.logged("record skipped")) >= 4


def test_with_the_embedded_log(start_gateway):
    gateway = start_gateway(**TALKATIVE)
    everything_is_said(gateway)
    gateway.until(lambda: gateway.metric("mesaya_records_total") >= len(RECORDS) + 1, PATIENCE, "all has been read")
    is_silent(gateway)
    ids = [event["connection"] for event in gateway.logged("connection closed") + gateway.logged("request refused")]
    assert len(set(ids)) == len(ids), "every event about a connection says which"
    # It is what the client was answered.
    with connected(gateway.url) as client:
        pass
    [event] = gateway.until(
        lambda: [it for it in gateway.logged("connection closed") if it["connection"] == client.welcome["connection"]],
        PATIENCE,
        "its end is logged",
    )
    assert event["code"] == 1000


@pytest.mark.kafka
def test_with_kafka(start_gateway, platform_topics):
    gateway = start_gateway(**TALKATIVE, KAFKA_BROKERS=platform_topics)
    everything_is_said(gateway, KAFKA_BROKERS=platform_topics)
    gateway.until(lambda: gateway.metric("mesaya_records_total") >= len(RECORDS) + 1, PATIENCE, "all has been read")
    is_silent(gateway)


@pytest.mark.kafka
def test_a_password_for_a_kafka_that_does_not_want_one(start_gateway, platform_kafka):
    gateway = start_gateway(
        ready=False,
        LOG_LEVEL="debug",
        KAFKA_BROKERS=platform_kafka,
        KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KAFKA_SASL_USERNAME="alice",
        KAFKA_SASL_PASSWORD=MARK,
    )
    gateway.event("the event log does not answer")
    assert MARK not in json.dumps(gateway.health())
    assert MARK not in gateway.output
