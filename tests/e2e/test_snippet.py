"""The seed's JavaScript snippet, unchanged: in Node, and in the console of a real browser."""

from pathlib import Path

import pytest

from tests.e2e.node import Program, required, running_node
from tests.timing import PATIENCE

SNIPPET = str(Path(__file__).with_name("seed_snippet.js"))
CHANNEL = "restaurant:123:reservations"
TOKEN = "a token of the tests"
OPEN, CLOSED = 1, 3

RECORD = {
    "topic": "mesa-ya.reservations.events",
    "value": {
        "timestamp": "2026-01-19T10:00:00.000Z",
        "event_type": "created",
        "entity_id": "abc123",
        "data": {
            "id": "abc123",
            "restaurantId": "123",
            "tableId": "456",
            "userId": "789",
            "userName": "Juan Pérez",
            "reservationDate": "2026-01-20T00:00:00.000Z",
            "reservationTime": "2026-01-20T19:00:00.000Z",
            "numberOfGuests": 2,
            "status": "PENDING",
        },
    },
}


@pytest.fixture
def gateway(start_gateway):
    return start_gateway(PUBLISH_TOKEN=TOKEN)


def message(program: Program, kind: str):
    """Return the next message of that type which the snippet has logged."""
    while True:
        words, data = program.next("log")
        assert words == "Mensaje recibido:"
        if data["type"] == kind:
            return data


def receives_a_reservation(program: Program, gateway) -> None:
    """See the snippet through: subscribed, a reservation received, and the end received."""
    assert gateway.until(lambda: gateway.metric("mesaya_subscriptions") == 1, PATIENCE, "the snippet has subscribed")
    status, _, answer = gateway.request("/publish", method="POST", body=RECORD, Authorization=f"Bearer {TOKEN}")
    assert status == 201, answer
    event = message(program, "reservation.created")
    assert event["channel"] == CHANNEL
    assert (
        event["data"].items()
        >= {
            "reservationId": "abc123",
            "restaurantId": "123",
            "tableId": "456",
            "clientName": "Juan Pérez",
            "date": "2026-01-20T19:00:00Z",
        }.items()
    )
    assert gateway.stop() == 0
    assert program.next("log") == ["Conexión cerrada, reconectando..."]


def test_snippet_works_in_node(gateway):
    with running_node("paste_in_node.js", SNIPPET, str(gateway.port)) as program:
        assert program.next("pasted") == OPEN
        receives_a_reservation(program, gateway)


def test_snippet_works_in_a_browser(gateway):
    chromium = required("chromium")
    with running_node("paste_in_browser.js", chromium, SNIPPET, str(gateway.port), "http://localhost:4200") as program:
        assert program.next("pasted") == OPEN
        # What it may open a WebSocket to, it may also ask over HTTP.
        assert program.next("fetched") == {"/health": 200, "/metrics": 200}
        receives_a_reservation(program, gateway)


def test_a_page_of_another_origin_is_kept_out(start_gateway):
    chromium = required("chromium")
    gateway = start_gateway(AUTH="on")
    with running_node("paste_in_browser.js", chromium, SNIPPET, str(gateway.port), "http://localhost:5000") as program:
        [refusal] = program.next("error")
        assert "403" in refusal
        assert program.next("pasted") == CLOSED
        assert program.next("fetched") == dict.fromkeys(("/health", "/metrics"), "Failed to fetch")
    assert gateway.metric("mesaya_connections_opened_total") == 0
