"""The oracle itself, held to sentences of the rules by cases that were written by hand."""

import json
from typing import Any

import pytest

from tests.oracle import DATA, SAMPLES, SampleRecord, date_of, deliveries, expected, expected_lines, sample, why

RESERVATION = {
    "restaurantId": "r1",
    "userId": "u1",
    "tableId": "t1",
    "reservationDate": "2026-02-07T00:00:00.000Z",
    "reservationTime": "2026-02-07T14:00:00.000Z",
    "numberOfGuests": 5,
    "status": "PENDING",
    "createdAt": "2026-01-20T15:01:01.381Z",
    "updatedAt": "2026-01-20T15:01:02.023Z",
}
SEEN = {
    "reservationId": "b1",
    "restaurantId": "r1",
    "tableId": "t1",
    "userId": "u1",
    "clientName": None,
    "date": "2026-02-07T14:00:00Z",
    "numberOfGuests": 5,
    "status": "pending",
    "createdAt": "2026-01-20T15:01:01.381Z",
    "updatedAt": "2026-01-20T15:01:02.023Z",
}
STAFF, GUEST = "restaurant:r1:reservations", "user:u1:notifications"


def raw(domain: str, value: bytes | None) -> SampleRecord:
    return SampleRecord(f"mesa-ya.{domain}.events", 0, 0, value)


def event(domain: str, what: str, entity_id: str, data: Any = None, **more: Any) -> SampleRecord:
    envelope = {"timestamp": "now", "event_type": what, "entity_id": entity_id, "data": data, **more}
    return raw(domain, json.dumps(envelope).encode())


def reservation(what: str, **changes: Any) -> SampleRecord:
    return event("reservations", what, "b1", {"id": "b1"} | RESERVATION | changes)


def section(what: str, section_id: str, restaurant_id: str) -> SampleRecord:
    return event("sections", what, section_id, {"id": section_id, "restaurantId": restaurant_id})


def table(what: str, table_id: str, section_id: str, **more: Any) -> SampleRecord:
    return event("tables", what, table_id, {"id": table_id, "sectionId": section_id} | more)


def last(*records: SampleRecord) -> dict[str, tuple[str, Any]]:
    """Return what the last record becomes: type and data by channel."""
    return {message["channel"]: (message["type"], message["data"]) for message in expected(records)[-1]}


@pytest.mark.parametrize("name", SAMPLES)
def test_expected_files_say_what_the_oracle_says(name: str) -> None:
    lines = (DATA / f"expected_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == list(expected_lines(name))


def test_samples_hold_records_of_every_domain_and_poison() -> None:
    records = [record for name in SAMPLES for record in sample(name)]
    assert len(records) == 669
    assert len({record.topic for record in records}) == 13
    assert set(why(records)) == {None, "auth", "stripe", "orphan", "unconcerned", "unreadable"}


def test_a_reservation_has_exactly_these_fields_for_restaurant_and_guest() -> None:
    assert last(reservation("created", userEmail="a@example.com")) == {
        STAFF: ("reservation.created", SEEN),
        GUEST: ("reservation.created", SEEN),
    }


def test_what_a_minimal_record_leaves_out_is_filled_from_the_projections() -> None:
    changed = SEEN | {"status": "confirmed", "newStatus": "confirmed", "previousStatus": "pending"}
    minimal = event("reservations", "status_changed", "b1", {"id": "b1", "status": "CONFIRMED"})
    assert last(reservation("created"), minimal)[GUEST] == ("reservation.status_changed", changed)


def test_what_happened_to_a_reservation_follows_from_its_status() -> None:
    created = reservation("created")
    confirmed = {"status": "CONFIRMED"}
    assert last(created, reservation("updated"))[STAFF][0] == "reservation.updated"
    assert last(created, reservation("created"))[STAFF][0] == "reservation.updated"
    assert last(created, reservation("status_changed"))[STAFF][0] == "reservation.updated"
    assert last(created, reservation("updated", **confirmed))[STAFF][0] == "reservation.status_changed"
    assert last(reservation("updated", **confirmed))[STAFF][0] == "reservation.updated"
    type_, data = last(reservation("status_changed", **confirmed))[STAFF]
    assert (type_, data["previousStatus"]) == ("reservation.status_changed", None)
    deleted = reservation("deleted")
    assert last(created, deleted, created)[STAFF][0] == "reservation.created"


def test_a_record_that_names_the_previous_status_is_believed() -> None:
    named = event(
        "reservations", "status_changed", "b1", {"reservationId": "b1", "newStatus": "NO_SHOW", "previousStatus": "X"}
    )
    _, data = last(reservation("created"), named)[GUEST]
    assert (data["previousStatus"], data["newStatus"], data["status"]) == ("x", "no_show", "no_show")


@pytest.mark.parametrize(
    ("time", "day", "date"),
    [
        ("2026-02-07T14:00:00.000Z", "2026-02-09", "2026-02-07T14:00:00Z"),
        ("2026-02-07T20:00:00-05:00", None, "2026-02-08T01:00:00Z"),
        ("14:30", "2026-02-07", "2026-02-07T14:30:00Z"),
        ("14:30:15", "2026-02-07T00:00:00.000Z", "2026-02-07T14:30:15Z"),
        ("14:30", None, None),
        ("2026-02-07", "2026-02-07", None),
        ("soon", "2026-02-07", None),
        (None, "2026-02-07", None),
    ],
)
def test_the_date_is_the_instant_at_which_a_reservation_starts(time: Any, day: Any, date: str | None) -> None:
    assert date_of(time, day) == date


def test_the_name_of_a_guest_comes_from_the_record_else_from_auth_or_a_review() -> None:
    user = {"userId": "u1", "firstName": "Ana", "lastName": "Loor", "password": "x"}
    auth = raw("auth", json.dumps({"type": "user.created", "payload": user}).encode())
    review = event("reviews", "created", "v1", {"id": "v1", "restaurantId": "r1", "userId": "u1", "userName": "Eva"})
    assert why([auth]) == ["auth"]
    assert last(auth, reservation("created"))[STAFF][1]["clientName"] == "Ana Loor"
    assert last(review, reservation("created"))[STAFF][1]["clientName"] == "Eva"
    assert last(auth, reservation("created", userName="Iván"))[STAFF][1]["clientName"] == "Iván"


def test_table_without_a_section_waits_to_be_published_with_it() -> None:
    orphan = table("created", "t1", "s1", status="OCCUPIED")
    assert why([orphan]) == ["orphan"]
    assert last(orphan, section("created", "s1", "r1")) == {
        "restaurant:r1:tables": (
            "section.created",
            {
                "sectionId": "s1",
                "restaurantId": "r1",
                "tables": [{"tableId": "t1", "sectionId": "s1", "status": "occupied"}],
            },
        )
    }


def test_a_table_that_moves_to_another_restaurant_is_deleted_there_and_created_here() -> None:
    before = [section("created", "s1", "r1"), section("created", "s2", "r1"), section("created", "s3", "r2")]
    created = table("created", "t1", "s1")
    assert last(*before, created, table("updated", "t1", "s2")) == {
        "restaurant:r1:tables": ("table.updated", {"tableId": "t1", "sectionId": "s2"})
    }
    assert last(*before, created, table("updated", "t1", "s3")) == {
        "restaurant:r1:tables": ("table.deleted", {"tableId": "t1", "sectionId": "s1"}),
        "restaurant:r2:tables": ("table.created", {"tableId": "t1", "sectionId": "s3"}),
    }


def test_a_section_that_moves_or_goes_takes_its_tables_with_it() -> None:
    before = [section("created", "s1", "r1"), table("created", "t1", "s1")]
    seen = {"tableId": "t1", "sectionId": "s1"}
    assert last(*before, section("updated", "s1", "r2")) == {
        "restaurant:r1:tables": ("section.deleted", {"sectionId": "s1", "restaurantId": "r1", "tableIds": ["t1"]}),
        "restaurant:r2:tables": ("section.created", {"sectionId": "s1", "restaurantId": "r2", "tables": [seen]}),
    }
    gone = event("sections", "deleted", "s1", {"id": "s1"})
    assert last(*before, gone)["restaurant:r1:tables"][1]["tableIds"] == ["t1"]
    assert why([*before, gone, table("updated", "t1", "s1"), gone])[-2:] == ["orphan", "orphan"]


def restaurant(what: str, owner: str = "o1", **more: Any) -> SampleRecord:
    data = {"id": "r1", "ownerId": owner, "adminNote": "n", "subscriptionId": "x", "status": "ACTIVE", "active": True}
    return event("restaurants", what, "r1", data, **more)


PUBLIC = {"restaurantId": "r1", "status": "active", "active": True}
PRIVATE = PUBLIC | {"ownerId": "o1", "adminNote": "n", "subscriptionId": "x"}


def test_new_owner_is_published_to_both_owners_and_nobody_else() -> None:
    reassigned = restaurant("updated", "o2", metadata={"user_id": "o2", "action": "owner_reassigned"})
    assert last(restaurant("created"), reassigned) == {
        "user:o1:notifications": ("restaurant.owner_changed", PRIVATE | {"ownerId": "o2"}),
        "user:o2:notifications": ("restaurant.owner_changed", PRIVATE | {"ownerId": "o2"}),
        "restaurant:r1:info": ("restaurant.updated", PUBLIC),
        "global:restaurants": ("restaurant.updated", PUBLIC),
    }


def test_an_approved_upgrade_silently_makes_an_owner() -> None:
    upgrade = event(
        "owner-upgrade", "status_changed", "q1", {"userId": "u9", "status": "APPROVED", "assignedRestaurantId": "r1"}
    )
    subscription = event(
        "subscriptions", "created", "s1", {"subscriptionId": "s1", "restaurantId": "r1"}, entity_subtype="subscription"
    )
    assert last(restaurant("created"), upgrade) == {
        "user:u9:notifications": (
            "owner_upgrade.status_changed",
            {"requestId": "q1", "userId": "u9", "status": "approved", "assignedRestaurantId": "r1"},
        )
    }
    assert set(last(restaurant("created"), upgrade, subscription)) == {"user:u9:notifications"}


def test_the_end_of_a_restaurant_is_the_last_word_on_each_of_its_channels() -> None:
    latest = last(restaurant("created"), restaurant("deleted"))
    kinds = ("tables", "menu", "reviews", "info", "reservations")
    assert set(latest) == {f"restaurant:r1:{kind}" for kind in kinds} | {"global:restaurants"}
    assert {type_ for type_, _ in latest.values()} == {"restaurant.deleted"}
    assert [channel for channel, (_, data) in latest.items() if data != PUBLIC] == [STAFF]
    assert latest[STAFF][1] == PRIVATE


def test_a_payment_goes_to_the_parties_of_its_reservation_or_to_the_owner() -> None:
    data = {"paymentId": "p1", "amount": 9.5, "paymentStatus": "FAILED", "date": "d", "createdAt": "d"}
    for_reservation = event("payments", "created", "p1", data | {"reservationId": "b1"})
    seen = {"paymentId": "p1", "reservationId": "b1", "amount": 9.5, "paymentStatus": "failed", "date": "d"}
    assert why([for_reservation]) == ["orphan"]
    latest = last(reservation("created"), for_reservation)
    assert latest == {STAFF: ("payment.created", seen), GUEST: ("payment.created", seen)}
    gone = event("payments", "deleted", "p1", {"paymentId": "p1"})
    assert last(reservation("created"), for_reservation, gone)[GUEST] == ("payment.deleted", seen)
    stripe = raw("payments", b'{"event_type": "payment_intent.succeeded", "payment_intent_id": "pi", "data": {}}')
    assert why([stripe]) == ["stripe"]


def test_an_image_goes_where_the_thing_belongs_that_it_shows() -> None:
    image = event("images", "created", "i1", {"id": "i1", "url": "u", "storagePath": "secret", "entityId": "t1"})
    assert why([image]) == ["unconcerned"]
    assert last(section("created", "s1", "r1"), table("created", "t1", "s1"), image) == {
        "restaurant:r1:info": ("image.created", {"imageId": "i1", "url": "u", "entityId": "t1"})
    }


def test_dish_known_only_by_its_menu_can_be_deleted_by_its_id() -> None:
    menu = event(
        "menus",
        "created",
        "m1",
        {"menuId": "m1", "restaurantId": "r1", "dishes": [{"dishId": "d1", "name": "Viche"}]},
        entity_subtype="menu",
    )
    gone = event("menus", "deleted", "d1", {"dishId": "d1"}, entity_subtype="dish")
    assert last(menu, gone) == {
        "restaurant:r1:menu": ("dish.deleted", {"dishId": "d1", "restaurantId": "r1", "name": "Viche"})
    }
    assert why([gone]) == ["orphan"]


def test_a_field_of_the_wrong_type_is_dropped_and_the_rest_is_sent() -> None:
    data = {"id": "t1", "sectionId": "s1", "capacity": "four", "number": True, "posX": 3, "colour": {"any": [1]}}
    assert last(section("created", "s1", "r1"), event("tables", "created", "t1", data)) == {
        "restaurant:r1:tables": (
            "table.created",
            {"tableId": "t1", "sectionId": "s1", "posX": 3, "colour": {"any": [1]}},
        )
    }


def test_an_older_envelope_means_the_same() -> None:
    old = {"action": "reservation.created", "entity": {"id": "b1"} | RESERVATION, "timestamp": "now"}
    assert last(raw("reservations", json.dumps(old).encode())) == last(reservation("created"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"\xff", "unreadable"),
        (b"[1,2", "unreadable"),
        (b"[1, 2]", "unreadable"),
        (b'"text"', "unreadable"),
        (b"NaN", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b"{}", "unreadable"),
        (b'{"event_type": "exploded", "entity_id": "t1", "data": {}}', "unreadable"),
        (b'{"event_type": "created", "data": {"sectionId": "s1"}}', "unreadable"),
        (b'{"event_type": "created", "entity_id": 5, "data": {"id": 5}}', "unreadable"),
        (b'{"event_type": "created", "entity_id": "a:b", "data": {}}', "unreadable"),
        (b'{"event_type": "created", "entity_id": "t1", "data": "text"}', "unreadable"),
        (b'{"event_type": "created", "entity_id": "t1", "data": {"sectionId": 5}}', "unreadable"),
        (b'{"event_type": "deleted", "entity_id": "t1"}', "orphan"),
        (b'{"action": "reservation.created", "entity": {"id": "b1"}}', "unreadable"),
    ],
)
def test_what_cannot_be_understood_becomes_nothing(value: bytes | None, reason: str) -> None:
    assert why([raw("tables", value)]) == [reason]


def test_plans_and_catalogue_objects_concern_nobody() -> None:
    plan = event("subscriptions", "created", "p1", {"subscriptionPlanId": "p1"}, entity_subtype="plan")
    assert why([plan, event("objects", "created", "o1", {"id": "o1"})]) == ["unconcerned", "unconcerned"]


def test_deliveries_are_those_of_each_channel_in_order() -> None:
    received = deliveries([reservation("created"), raw("reservations", None), reservation("deleted")])
    assert list(received) == [STAFF, GUEST]
    assert [delivery.message["type"] for delivery in received[STAFF]] == ["reservation.created", "reservation.deleted"]
