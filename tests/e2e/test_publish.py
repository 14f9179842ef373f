"""The ways in by HTTP: what is posted goes through the log, and arrives."""

import socket

import pytest

from tests.e2e.client import connected
from tests.support.gateway import running

TOKEN = "a token of the tests"

RESERVATION = {
    "topic": "mesa-ya.reservations.events",
    "value": {
        "timestamp": "2026-01-20T18:00:00.000Z",
        "event_type": "created",
        "entity_id": "b1",
        "data": {"id": "b1", "restaurantId": "r1", "userId": "u1", "status": "PENDING"},
    },
}
ANNOUNCEMENT = {"channel": "global:announcements", "type": "announcement.created", "data": {"title": "Hola"}}
CONFIRMED = {"event": "reservation.confirmed", "reservation_id": "b1", "timestamp": "2026-01-20T19:00:00Z"}
PAID = {"event": "payment.completed", "payment_id": "p1", "reservation_id": "b1", "amount": 25.5}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with running(tmp_path_factory.mktemp("publish"), PUBLISH_TOKEN=TOKEN) as gateway:
        yield gateway


def test_what_is_published_arrives_through_the_embedded_log(gateway):
    goes_through(gateway)


@pytest.mark.kafka
def test_what_is_published_arrives_through_kafka(start_gateway, platform_topics):
    goes_through(start_gateway(PUBLISH_TOKEN=TOKEN, KAFKA_BROKERS=platform_topics, PARENT_TIMEOUT="0"))


def goes_through(gateway):
    """See a record, an announcement and two broadcasts through: acknowledged with their places, and received."""
    with connected(gateway.url) as client:
        client.subscribe("restaurant:r1:reservations", "global:announcements")
        for body, path, topic, kind, fields in (
            (RESERVATION, "/publish", "reservations", "reservation.created", {"status": "pending"}),
            (ANNOUNCEMENT, "/publish", "announcements", "announcement.created", {"title": "Hola"}),
            (
                CONFIRMED,
                "/broadcast",
                "reservations",
                "reservation.status_changed",
                {"newStatus": "confirmed", "previousStatus": "pending", "userId": "u1"},
            ),
            (
                PAID,
                "/broadcast",
                "payments",
                "payment.status_changed",
                {"paymentStatus": "completed", "amount": 25.5, "reservationId": "b1"},
            ),
        ):
            status, place = gateway.publish(body, path)
            assert status == 201
            assert place.keys() == {"topic", "partition", "offset"}
            assert place["topic"] == f"mesa-ya.{topic}.events"
            message = client.receive()
            assert message["type"] == kind
            assert message["data"].items() >= fields.items()


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/publish", {"topic": "another", "value": {}}, 422, "unknown_topic"),
        ("/publish", RESERVATION | {"value": {"event_type": "exploded"}}, 422, "bad_record"),
        ("/publish", {"value": {}}, 422, "bad_message"),
        ("/publish", ["no object"], 400, "bad_json"),
        ("/publish", ANNOUNCEMENT | {"channel": "restaurant:r1:tables"}, 422, "bad_message"),
        ("/publish", "x" * 2_000_000, 413, "body_too_large"),
        ("/broadcast", {"event": "payment.completed"}, 422, "bad_message"),
        ("/broadcast", PAID | {"payment_id": "no id"}, 422, "bad_record"),
    ],
)
def test_what_is_wrong_is_reported_in_json(gateway, path, body, status, code):
    answered, answer = gateway.publish(body, path)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert answer["error"]["message"].endswith((".", "?"))


@pytest.mark.parametrize("path", ["/publish", "/broadcast"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}])
def test_nobody_publishes_without_the_token(gateway, path, headers):
    status, answered, body = gateway.request(path, method="POST", body=RESERVATION, **headers)
    assert status == 401
    assert answered["www-authenticate"] == "Bearer"
    assert b'"unauthorized"' in body


@pytest.mark.kafka
def test_a_log_that_does_not_answer(start_gateway):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    gateway = start_gateway(ready=False, PUBLISH_TOKEN=TOKEN, KAFKA_BROKERS=address)
    status, answer = gateway.publish(RESERVATION)
    assert (status, answer["error"]["code"]) == (503, "log_unavailable")
    assert "may or may not have been appended" in answer["error"]["message"]
