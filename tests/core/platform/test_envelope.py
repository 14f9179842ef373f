import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.log.records import Record, TooLarge
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import Event, Rejected, decode, platform_time
from mesaya_ws.core.platform.fields import MAX_NAMES
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.core.wire.json_text import MAX_NODES, nodes
from tests.steps import calls


def record(domain, value, key=None, timestamp=1_769_000_000_123):
    raw = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
    return Record(topic_of(domain), 0, 0, timestamp, key, raw)


def envelope(what, data, **more):
    return {"timestamp": "2026-01-20T15:00:00.000Z", "event_type": what, "entity_id": "e", "data": data, **more}


def read(domain, value, **more):
    event = decode(record(domain, value, **more))
    assert isinstance(event, Event), event
    return event


def reason(domain, value, **more):
    problem = decode(record(domain, value, **more))
    assert isinstance(problem, Rejected), problem
    return problem.reason


def test_a_record_without_a_type_is_reported_as_such():
    assert decode(record("tables", {})).detail == "There is no event_type."


def test_the_current_envelope():
    event = read("tables", envelope("updated", {"id": "e", "capacity": 4, "status": "AVAILABLE"}, metadata={"a": 1}))
    assert event == Event(
        "table",
        "updated",
        "e",
        {"tableId": "e", "capacity": 4, "status": "available"},
        {"a": 1},
        "2026-01-20T15:00:00.000Z",
        event.at,
    )


def test_the_older_envelope_says_the_same():
    older = {
        "action": "reservation.updated",
        "entity": {"id": "r", "numberOfGuests": 2},
        "entityId": "r",
        "timestamp": "2025-11-01T00:00:00.000Z",
    }
    event = read("reservations", older)
    assert (event.entity, event.what, event.id) == ("reservation", "updated", "r")
    assert event.data == {"reservationId": "r", "numberOfGuests": 2}
    del older["entityId"]
    assert read("reservations", older) == event


@pytest.mark.parametrize("action", ["section-object.updated", "section_object.updated"])
def test_the_older_envelope_names_entities_of_two_words(action):
    assert read("section-objects", {"action": action, "entity": {"id": "x"}}).entity == "section_object"


def test_an_action_of_another_topic_is_not_understood():
    assert reason("tables", {"action": "dish.updated", "entity": {"id": "x"}}) == "unknown_entity"
    assert reason("tables", {"action": "table.selecting", "entity": {"id": "x"}}) == "unknown_event_type"


@pytest.mark.parametrize(
    ("domain", "subtype", "data", "entity"),
    [
        ("menus", "menu", {"menuId": "e"}, "menu"),
        ("menus", "dish", {"dishId": "e", "menuId": "m"}, "dish"),
        ("menus", None, {"dishId": "e", "menuId": "m"}, "dish"),
        ("menus", None, {"menuId": "e"}, "menu"),
        ("subscriptions", "subscription", {"subscriptionId": "e"}, "subscription"),
        ("subscriptions", "plan", {"subscriptionPlanId": "e"}, "plan"),
        ("subscriptions", None, {"subscriptionId": "e", "subscriptionPlanId": "p"}, "subscription"),
        ("subscriptions", None, {"subscriptionPlanId": "e"}, "plan"),
        ("owner-upgrade", None, {"userId": "u"}, "owner_upgrade"),
        ("tables", "of whatever kind", {}, "table"),
    ],
)
def test_what_a_record_is_about(domain, subtype, data, entity):
    value = envelope("created", data) | ({"entity_subtype": subtype} if subtype else {})
    assert read(domain, value).entity == entity


@pytest.mark.parametrize("subtype", ["category", 5, {"menu": 1}])
def test_a_subtype_that_nobody_knows(subtype):
    assert reason("menus", envelope("created", {"menuId": "e"}, entity_subtype=subtype)) == "unknown_entity"


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        ("tables", b"not json", "not_json"),
        ("tables", b"", "not_json"),
        ("tables", b'{"a": "\xff"}', "not_json"),
        ("tables", b"[" * 2000, "not_json"),
        ("tables", b"null", "not_object"),
        ("tables", [1, 2], "not_object"),
        ("tables", "text", "not_object"),
        ("tables", envelope("updated", "text"), "not_object"),
        ("auth", {"type": "user.created", "payload": [1]}, "not_object"),
        ("tables", {}, "unknown_event_type"),
        ("tables", envelope("moved", {}), "unknown_event_type"),
        ("tables", envelope(["updated"], {}), "unknown_event_type"),
        ("auth", {"payload": {"userId": "u"}}, "unknown_event_type"),
        ("announcements", envelope("Maintenance!", {}), "unknown_event_type"),
        ("tables", {"event_type": "updated", "data": {}}, "bad_id"),
        ("tables", {"event_type": "updated", "entity_id": 5, "data": {"id": "t"}}, "bad_id"),
        ("tables", {"event_type": "updated", "entity_id": "a:b", "data": {}}, "bad_id"),
        ("tables", {"event_type": "updated", "entity_id": "x" * 129, "data": {}}, "bad_id"),
        ("auth", {"type": "user.created", "payload": {"userId": None}}, "bad_id"),
    ],
)
def test_poison_is_reported_with_a_reason_and_a_sentence(domain, value, expected):
    problem = decode(record(domain, value))
    assert problem.reason == expected
    assert problem.detail.endswith(".")


def test_another_topic():
    assert decode(Record("mesa-ya.webhooks.delivery", 0, 0, 0, None, b"{}")).reason == Disposition.UNKNOWN_TOPIC


def test_a_tombstone_is_silent():
    assert decode(record("tables", None)) == Rejected(Disposition.TOMBSTONE)


def test_what_stripe_says_is_silent():
    hook = {"event_type": "payment_intent.succeeded", "payment_intent_id": "pi", "data": {"object": {"id": "pi"}}}
    assert decode(record("payments", hook, key=b"pi")) == Rejected(Disposition.STRIPE)
    assert reason("payments", {"event_type": "charge.refunded", "data": {}}, key=b"pi") == "stripe"
    assert reason("payments", {"event_type": "charge.refunded", "data": {}}) == "unknown_event_type"


def test_a_key_alone_does_not_make_it_stripes():
    assert read("payments", envelope("created", {"amount": 5}), key=b"k").entity == "payment"
    older = {"action": "payment.created", "entityId": "p", "entity": {"amount": 5}}
    assert read("payments", older, key=b"p").entity == "payment"
    assert reason("payments", {"event_type": "payment_created", "entity_id": "p"}, key=b"p") == "unknown_event_type"


def test_the_id_may_stand_in_the_data_alone():
    for data in ({"id": "r"}, {"reservationId": "r"}):
        assert read("reservations", {"event_type": "deleted", "data": data}).id == "r"


def test_a_record_may_hold_its_id_alone():
    assert read("menus", {"event_type": "deleted", "entity_id": "m", "entity_subtype": "menu"}).data == {"menuId": "m"}


def test_a_missing_timestamp_is_the_logs():
    for odd in (None, 5, {"a": 1}):
        value = envelope("updated", {}) | {"timestamp": odd}
        assert read("tables", value).timestamp == "2026-01-21T12:53:20.123Z"
    assert read("tables", envelope("updated", {}) | {"timestamp": None}, timestamp=2**62).timestamp.startswith("1970")


def test_a_field_of_the_wrong_type_is_dropped_alone():
    data = {"id": 7, "capacity": "four", "number": True, "sectionId": 9, "isAvailable": 1, "status": None, "posX": 1.5}
    assert read("tables", envelope("updated", data)).data == {"tableId": "e", "posX": 1.5}


def test_null_stays_where_it_means_something():
    data = {"description": None, "imageId": None, "name": None}
    assert read("restaurants", envelope("updated", data)).data == {
        "restaurantId": "e",
        "description": None,
        "imageId": None,
    }


def test_a_field_that_nobody_knows_passes_as_it_came():
    data = {"shape": {"kind": "ROUND", "corners": [None, 1]}}
    assert read("tables", envelope("updated", data)).data == {"tableId": "e", **data}


@pytest.mark.parametrize(
    "name", ["password", "passwordHash", "hash", "refreshToken", "clientSecret", "userEmail", "email", "ownerId"]
)
def test_what_nobody_may_see_is_never_kept(name):
    hidden = {name: "x", "more": {"kept": 1, name: "x", "deep": [{name: "x"}]}}
    assert read("tables", envelope("updated", hidden)).data == {"tableId": "e", "more": {"kept": 1, "deep": [{}]}}


def test_a_reservation_as_the_documents_show_it_to_clients():
    data = {
        "reservationId": "e",
        "clientName": "Juan Pérez",
        "date": "2026-01-20T19:00:00Z",
        "newStatus": "CONFIRMED",
        "previousStatus": "PENDING",
    }
    event = read("reservations", envelope("status_changed", data))
    assert event.previous == "pending"
    assert event.data == {
        "reservationId": "e",
        "userName": "Juan Pérez",
        "reservationTime": "2026-01-20T19:00:00Z",
        "status": "confirmed",
    }


def test_the_new_owner_is_named_by_the_metadata_where_the_data_does_not():
    metadata = {"action": "owner_reassigned", "user_id": "new"}
    assert read("restaurants", envelope("updated", {}, metadata=metadata)).data["ownerId"] == "new"
    assert read("restaurants", envelope("updated", {"ownerId": "o"}, metadata=metadata)).data["ownerId"] == "o"
    assert "ownerId" not in read("tables", envelope("updated", {}, metadata=metadata)).data


@pytest.mark.parametrize(
    "value",
    [
        {
            "type": "user.created",
            "payload": {"userId": "u", "email": "a@b", "firstName": "Ana", "lastName": "Loor ", "roles": ["USER", 5]},
        },
        envelope(
            "user_signed_up",
            {
                "id": "u",
                "email": "a@b",
                "firstName": "Ana",
                "lastName": "Loor",
                "passwordHash": "$2",
                "roles": ["USER"],
            },
        ),
    ],
)
def test_of_a_user_only_name_and_roles_are_kept(value):
    assert read("auth", value).data == {"name": "Ana Loor", "roles": ("USER",)}


def test_of_a_user_who_logged_in_there_may_be_nothing_to_keep():
    assert read("auth", {"type": "user.logged-in", "payload": {"userId": "u"}}).data == {}


def test_an_announcement_may_be_of_any_kind():
    event = read("announcements", envelope("maintenance", {"id": "e", "text": "…"}))
    assert (event.entity, event.what, event.id) == ("announcement", "maintenance", "e")
    assert event.data == {"announcementId": "e", "text": "…"}


@given(st.sampled_from(TOPICS), st.binary(), st.none() | st.binary(), st.integers(-(2**63), 2**63 - 1))
def test_any_bytes_are_an_event_or_unreadable(topic, value, key, timestamp):
    assert isinstance(decode(Record(topic, 0, 0, timestamp, key, value)), Event | Rejected)


@pytest.mark.parametrize(
    ("milliseconds", "written"),
    [
        (1_768_932_000_007, "2026-01-20T18:00:00.007Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (1 << 62, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_written_as_the_platform_does(milliseconds, written):
    assert platform_time(milliseconds) == written


# What is too much


def test_what_the_log_has_not_read_because_it_is_too_large_says_so():
    problem = decode(Record(topic_of("reviews"), 0, 0, 0, None, TooLarge(5_000_000)))
    assert problem == Rejected(Disposition.TOO_LARGE, problem.detail)
    assert "5000000 bytes" in problem.detail


def heavy(member, count):
    """Return a review with so many times the same in it."""
    text = b'{"event_type": "created", "entity_id": "e", "data": {"x": [' + b",".join([member] * count) + b"]}}"
    return record("reviews", text)


@pytest.mark.parametrize("member", [b"0", b"{}", b"[0]", b'{"a": 0}', b"[[[[[]]]]]", b'"a,b"'])
def test_a_record_with_too_much_in_it_is_refused_unread(member):
    count = MAX_NODES // nodes(member + b",")
    over = heavy(member, count)
    problem = decode(over)
    assert problem == Rejected(Disposition.TOO_LARGE, problem.detail)
    assert str(MAX_NODES) in problem.detail
    assert calls(lambda: decode(over)) < 20
    assert isinstance(decode(heavy(member, count - 20)), Event)


@pytest.mark.parametrize("member", [b"0", b"{}", b"[0]", b'{"a": 0}', b"[[[[[]]]]]"])
def test_what_is_not_too_much_is_little_work(member):
    few, many = (heavy(member, count // nodes(member + b",")) for count in (MAX_NODES // 2, MAX_NODES - 20))
    # Twice as much is twice the work, and that is little.
    assert calls(lambda: decode(many)) <= min(2.1 * calls(lambda: decode(few)), 3 * MAX_NODES)


def test_a_long_text_is_no_more_than_its_bytes():
    assert isinstance(decode(record("reviews", envelope("created", {"comment": "Muy rico. " * 400_000}))), Event)


def test_a_restaurant_with_a_thousand_tables_is_not_too_much():
    table = {
        "id": "4f2e8f4c-2a54-4a4e-9d94-0e62a4f0a7a9",
        "sectionId": "4f2e8f4c-2a54-4a4e-9d94-0e62a4f0a7a9",
        **dict.fromkeys(("number", "capacity", "posX", "posY", "width", "height"), 100),
        "tableImageId": "a",
        "chairImageId": "b",
        "status": "AVAILABLE",
        "isAvailable": True,
        "createdAt": "2026-01-20T15:00:00.000Z",
        "updatedAt": "2026-01-20T15:00:00.000Z",
    }
    event = read("restaurants", envelope("deleted", {"sections": [{"id": "s", "tables": [table] * 1000}]}))
    assert len(event.data["sections"][0]["tables"]) == 1000


def named(count, times=1, depth=0):
    """Return a review with so many different names of fields in it, in as many objects as `times` says."""
    own = len(envelope("created", {"reviewId": "e"})) + 2  # and the list's own name
    named = {f"n{number}": 0 for number in range(count - own)}
    for _ in range(depth):
        named = {"n0": [named]}
    return record("reviews", envelope("created", {"reviewId": "e", "all": [named] * times}))


@pytest.mark.parametrize("depth", [0, 3, 100])
def test_a_record_with_too_many_names_is_refused(depth):
    problem = decode(named(MAX_NAMES + 1, depth=depth))
    assert problem == Rejected(Disposition.TOO_LARGE, problem.detail)
    assert str(MAX_NAMES) in problem.detail
    assert isinstance(decode(named(MAX_NAMES, depth=depth)), Event)


def test_names_that_come_again_are_few_and_little_work():
    assert calls(lambda: decode(named(MAX_NAMES, times=8))) <= 3 * MAX_NODES
