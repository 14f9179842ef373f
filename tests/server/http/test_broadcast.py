"""What n8n says becomes a record of the platform."""

import json

import pytest

from mesaya_ws.core.wire.http_errors import BAD_MESSAGE
from mesaya_ws.server.http.broadcast import Broadcast, as_record
from mesaya_ws.server.http.errors import ApiError
from tests.server.http.client import post

TIME = "2026-01-20T19:00:00Z"


def record_of(**news):
    topic, value = as_record(Broadcast(timestamp=TIME, **news))
    assert value["timestamp"] == TIME
    assert value["metadata"] == {"source": "broadcast"}
    return topic.split(".")[1], value["event_type"], value["entity_id"], value["data"]


@pytest.mark.parametrize(
    ("news", "record"),
    [
        (
            {"event": "payment.completed", "payment_id": "p1", "reservation_id": "r1", "amount": 25.5},
            (
                "payments",
                "status_changed",
                "p1",
                {"paymentId": "p1", "reservationId": "r1", "amount": 25.5, "paymentStatus": "COMPLETED"},
            ),
        ),
        (
            {"event": "payment_failed", "payment_id": "p1"},
            ("payments", "status_changed", "p1", {"paymentId": "p1", "paymentStatus": "FAILED"}),
        ),
        (
            {"event": "payment_intent.succeeded", "payment_id": "p1"},
            ("payments", "status_changed", "p1", {"paymentId": "p1", "paymentStatus": "COMPLETED"}),
        ),
        (
            {"event": "payment", "payment_id": "p1", "status": "canceled"},
            ("payments", "status_changed", "p1", {"paymentId": "p1", "paymentStatus": "CANCELLED"}),
        ),
        (
            {"event": "payment", "payment_id": "p1", "status": "on_hold"},
            ("payments", "status_changed", "p1", {"paymentId": "p1", "paymentStatus": "ON_HOLD"}),
        ),
        (
            {"event": "payment.created", "payment_id": "p1", "data": {"method": "card"}},
            ("payments", "created", "p1", {"method": "card", "paymentId": "p1"}),
        ),
        (
            {"event": "payment", "payment_id": "p1", "data": {"paymentStatus": "PENDING"}},
            ("payments", "status_changed", "p1", {"paymentId": "p1", "paymentStatus": "PENDING"}),
        ),
        (
            {"event": "reservation.no_show", "reservation_id": "r1"},
            ("reservations", "status_changed", "r1", {"id": "r1", "status": "NO_SHOW"}),
        ),
        (
            {"event": "RESERVATION_CHECKED_IN", "reservation_id": "r1"},
            ("reservations", "status_changed", "r1", {"id": "r1", "status": "CHECKED_IN"}),
        ),
        (
            {"event": "reservation.updated", "reservation_id": "r1", "data": {"numberOfGuests": 4}},
            ("reservations", "updated", "r1", {"id": "r1", "numberOfGuests": 4}),
        ),
        (
            {"event": "payment.completed", "reservation_id": "r1"},
            ("reservations", "status_changed", "r1", {"id": "r1", "status": "CONFIRMED"}),
        ),
        (
            {"event": "payment.refunded", "reservation_id": "r1"},
            ("reservations", "status_changed", "r1", {"id": "r1", "status": "CANCELLED"}),
        ),
        (
            {"event": "payments", "reservation_id": "r1", "status": "failed"},
            ("reservations", "status_changed", "r1", {"id": "r1", "status": "REJECTED"}),
        ),
        (
            {"event": "reservation.deleted", "reservation_id": "r1", "payment_id": "", "topic": "whatever"},
            ("reservations", "deleted", "r1", {"id": "r1"}),
        ),
    ],
)
def test_what_becomes_of_news(news, record):
    assert record_of(**news) == record


@pytest.mark.parametrize(
    ("news", "said"),
    [
        ({"event": "payment.completed"}, "whom is it about"),
        ({"event": "payment.completed", "payment_id": "", "reservation_id": ""}, "whom is it about"),
        ({"event": "something", "payment_id": "p1"}, "Name a status"),
        ({"event": "", "reservation_id": "r1"}, "Name a status"),
        ({"event": "payment.created", "reservation_id": "r1"}, "name a payment_id"),
        ({"event": "payment.on_hold", "reservation_id": "r1"}, "name a payment_id"),
        ({"event": "reservation.confirmed", "reservation_id": "r1", "timestamp": "soon"}, "must be a time"),
    ],
)
def test_news_that_say_too_little_are_refused(news, said):
    with pytest.raises(ApiError, match=said) as caught:
        as_record(Broadcast(**news))
    assert caught.value.error == BAD_MESSAGE


def test_news_without_a_time_happen_now():
    _, value = as_record(Broadcast("reservation.confirmed", reservation_id="r1"))
    assert value["timestamp"].endswith("Z")


async def test_news_are_appended(service):
    body = {"event": "payment.completed", "payment_id": "p1", "reservation_id": "r1", "amount": 25, "topic": "payments"}
    answer = await service.post("/broadcast", body)
    assert (answer.status, answer.json) == (201, {"topic": "mesa-ya.payments.events", "partition": 0, "offset": 0})
    assert json.loads(service.records[0].value)["data"]["amount"] == 25


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({}, "bad_message", "event is missing"),
        ({"event": 5}, "bad_message", "event must be text"),
        ({"event": "payment.paid", "payment_id": "p1", "amount": "25"}, "bad_message", "amount must be a number"),
        ({"event": "payment.paid", "payment_id": "p1", "data": []}, "bad_message", "data must be an object"),
        ({"event": "payment.paid", "payment_id": "no id"}, "bad_record", "id"),
        ({"event": "payment.paid", "payment_id": "p1", "reservation_id": "no id"}, "bad_record", "reservationId"),
    ],
)
async def test_wrong_body_is_answered_with_the_reason(service, body, code, said):
    answer = await service.post("/broadcast", body)
    assert (answer.status, answer.error) == (422, code)
    assert said in answer.sentence
    assert service.records == []


async def test_it_wants_the_token_too(service):
    assert (await post(service.app, "/broadcast", {"event": "payment.paid", "payment_id": "p1"})).status == 401
