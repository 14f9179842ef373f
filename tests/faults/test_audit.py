"""Whether the audit sees what is wrong: one that cannot fail proves nothing."""

import json
from math import inf

import pytest

from tests import oracle

from .audit import Audit
from .log import Held
from .rights_page import Claims, Page
from .visitors import STREAM, WEBSOCKET, Book, Entry

RESERVATIONS, OF_ANA = "restaurant:r1:reservations", "user:ana:notifications"
ANA, BEN, GUEST = (Claims(user, (), 1000, inf) for user in ("ana", "ben", "gus"))
EXPIRED = Claims("ana", (), 1000, 50)
NOW = 100


def record(number, domain, what, id, metadata=None, **data):
    value = {"timestamp": "T", "event_type": what, "entity_id": id, "data": data, "metadata": metadata or {}}
    return Held(f"mesa-ya.{domain}.events", 0, number, 2_000_000, json.dumps(value).encode(), 0, None)


def booked(number):
    return record(number, "reservations", "created", f"r1.b{number}", restaurantId="r1", userId="gus", status="PENDING")


RECORDS = [
    record(1, "restaurants", "created", "r1", ownerId="ana"),
    booked(2),
    booked(3),
    record(4, "restaurants", "updated", "r1", {"action": "owner_reassigned", "user_id": "ben"}, ownerId="ben"),
    booked(5),
]
PAGE = Page(RECORDS, [each.value for each in RECORDS])


def event(number, channel=RESERVATIONS):
    """Return the event that a reservation is."""
    [data] = [each["data"] for each in oracle.expected(RECORDS)[number - 1] if each["channel"] == channel]
    return {
        "type": "reservation.created",
        "channel": channel,
        "position": f"P{number}",
        "timestamp": "T",
        "data": data,
    }


def subscribed(**more):
    return {"type": "subscribed", "channel": RESERVATIONS, "position": "P", **more}


def snapshot(**data):
    return {"type": "snapshot", "channel": RESERVATIONS, "position": "S", "data": data}


def ended(reason):
    return {"type": "unsubscribed", "channel": RESERVATIONS, "reason": reason, "position": "P4"}


def audited(claims, *happened, transport=WEBSOCKET):
    """Return what the audit says of a connection; what happens is at a moment each."""
    book = Book()
    made = book.connection(0, transport, claims=claims, channels=(RESERVATIONS,))
    book.entries = [book.entries[0]._replace(begun=0, at=NOW)]
    if claims is not None:
        happened = [(0, "received", {"type": "welcome", "user": claims.user}), *happened]
    for begun, what, message, *token in happened:
        book.entries.append(Entry(made, what, message, begun, NOW, *token))
    return Audit(PAGE, book, leeway=0)


def asking(begun, **more):
    return begun, "sent", {"type": "subscribe", "id": 1, "channel": RESERVATIONS, **more}


def answered(begun, message):
    return begun, "received", {"id": 1, **message}


def came(begun, message):
    return begun, "received", message


RIGHTLY = [asking(1), answered(1, subscribed()), came(2, event(2)), came(3, event(3))]


def test_owner_who_is_sent_all_up_to_the_end_is_sent_what_is_right():
    audit = audited(ANA, *RIGHTLY, came(4, ended("rights_changed")), (5, "closed", {}))
    assert (audit.wrong, audit.missing) == ([], [])


def test_new_owner_is_sent_the_past_by_the_rights_of_today():
    audit = audited(BEN, asking(4), answered(5, subscribed()), came(5, event(5)))
    assert (audit.wrong, audit.missing) == ([], [])


@pytest.mark.parametrize(
    ("claims", "happened", "words"),
    [
        (GUEST, [asking(1), answered(3, subscribed())], "subscribed without a right"),
        (ANA, [*RIGHTLY, came(5, event(5))], "shown without a right"),
        (ANA, [came(3, event(2))], "shown without a right"),
        (ANA, [asking(1), answered(1, subscribed()), came(3, event(3))], "number 1 instead of 0"),
        (ANA, [*RIGHTLY, came(3, event(3))], "number 1 instead of 2"),
        (ANA, [*RIGHTLY[:3], came(4, ended("rights_changed"))], "before all was sent"),
        (ANA, [*RIGHTLY[:3], came(3, ended("rights_changed"))], "ended though the right lasts"),
        (ANA, [*RIGHTLY, came(3, ended("token_expired"))], "ended though the token is good"),
        (ANA, [*RIGHTLY, came(3, ended("revoked"))], "ended though the token is good"),
        (ANA, [*RIGHTLY, asking(3), answered(3, {"type": "error", "code": "unauthorized"})], "refused"),
        (ANA, [(0, "refused", {"status": 401})], "refused at the door"),
        (EXPIRED, [], "taken for somebody"),
        (ANA, [*RIGHTLY, (3, "received", event(2) | {"channel": OF_ANA})], "shown without a right"),
        (
            ANA,
            [asking(1), answered(1, subscribed()), came(3, event(3) | {"data": {"reservationId": "r2.b1"}})],
            "concerns others",
        ),
        (
            ANA,
            [asking(1), answered(1, subscribed()), came(3, snapshot(reservations=[{"reservationId": "r2.b1"}]))],
            "of others",
        ),
        (
            ANA,
            [
                (1, "sent", {"type": "auth", "id": 2, "token": "…"}, BEN),
                (1, "received", {"type": "authenticated", "id": 2}),
            ],
            "taken for somebody",
        ),
        (ANA, [*RIGHTLY, (3, "revoked", {"user": "ana", "before": 2000}), came(5, event(5))], "after the revocation"),
    ],
)
def test_what_is_wrong_is_seen(claims, happened, words):
    assert any(words in each for each in audited(claims, *happened).wrong)


def test_subscription_that_is_still_open_without_a_right_is_seen_in_the_end():
    assert audited(ANA, *RIGHTLY).missing == [f"{WEBSOCKET} 1 should have ended {RESERVATIONS}"]


def test_what_is_still_to_come_is_missing():
    audit = audited(BEN, asking(4), answered(4, subscribed()))
    assert (audit.wrong, audit.missing) == ([], [f"{WEBSOCKET} 1 lacks 1 on {RESERVATIONS}"])


def test_stream_goes_on_where_its_id_says():
    audit = audited(BEN, answered(4, subscribed()), came(5, event(5)), transport=STREAM)
    assert (audit.wrong, audit.missing) == ([], [])
