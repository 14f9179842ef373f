"""What is said of a record: the same as becomes of it, and nothing changes by asking."""

import json
from pathlib import Path

import orjson
import pytest

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.explanation import REASONS, TooWideError, explain
from mesaya_ws.core.feed.pieces import data_in_pieces
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.interactions.chat_records import ConversationKey, Deleted, Said, chat_record
from mesaya_ws.core.interactions.hold_records import Claim, hold_record
from mesaya_ws.core.interactions.topics import HOLDS
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import decode
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE
from mesaya_ws.core.platform.projection_rows import rows_of
from mesaya_ws.core.platform.projections import Projections
from tests.support.log import Platform, record

DATA = Path(__file__).parents[2] / "data"


def sample(name):
    """Yield the records of a sample, in two partitions of each topic, one of which is late now and then."""
    for number, line in enumerate((DATA / name).read_text().splitlines()):
        said = json.loads(line)
        value = said["value"]
        if value is not None:
            value = value.encode() if isinstance(value, str) else orjson.dumps(value)
        time = 1_800_000_000_000 + number * 10 - (500 if number % 7 == 0 else 0)
        yield Record(said["topic"], number % 2, number // 2, time, None, value)


def test_hold_is_explained_and_nobody_has_the_table_by_that():
    platform = Platform()
    new = hold_record(Claim("h1", "R", ("t",), None, "u1", 300_000, "a", 1))
    said = Record(HOLDS, 0, 7, 1_800_000_000_000, new.key, new.value)
    for _ in range(2):
        explanation = explain(said, platform.projections)
        assert (explanation["understood"]["entity"], explanation["understood"]["event"]) == ("hold", "claim")
        assert [each["type"] for each in explanation["messages"]] == ["table.selecting", "hold.created"]
        assert explanation["messages"][1]["data"]["token"] == 7
    assert len(platform.projections.holds) == 0


@pytest.mark.parametrize("name", ["captured.jsonl", "events.jsonl"])
def test_explanation_is_what_becomes_of_the_record_and_changes_nothing(name):
    projections, asked_never = Projections(), Projections()
    for said in sample(name):
        explanation = explain(said, projections)
        outcome = process(decode(said), projections)
        process(decode(said), asked_never)
        assert explanation["becomes"] == outcome.reason
        assert [(each["channel"], each["type"], each["data"]) for each in explanation["messages"]] == [
            (message.channel, message.type, json.loads(b"".join(data_in_pieces(message.data))))
            for message in outcome.messages
        ]
        projections.endings.end_all()
        asked_never.endings.end_all()
    assert list(rows_of(projections)) == list(rows_of(asked_never))


def test_nothing_changes_when_only_asked():
    platform = Platform()
    said = list(sample("events.jsonl"))
    for each in said[: len(said) // 2]:
        process(decode(each), platform.projections)
        platform.projections.endings.end_all()
    before = orjson.dumps(list(rows_of(platform.projections)))
    for each in said:
        explain(each, platform.projections)
    assert orjson.dumps(list(rows_of(platform.projections))) == before


def restaurant():
    platform = Platform()
    platform.says("restaurant.created", "R", name="La Mesa", ownerId="owner")
    return platform


BOOKING = {"restaurantId": "R", "userId": "guest", "tableId": "t", "status": "PENDING"}


def test_reservation_is_seen_by_the_owner_the_guest_and_admins():
    explanation = explain(record("reservation.created", "r", **BOOKING), restaurant().projections)
    seen = {message["channel"]: message["seenBy"] for message in explanation["messages"]}
    assert seen == {
        "restaurant:R:reservations": [{"who": "admin"}, {"who": "owner", "user": "owner"}],
        "user:guest:notifications": [{"who": "admin"}, {"who": "self", "user": "guest"}],
    }


@pytest.mark.parametrize(
    ("user", "auth", "sees"),
    [
        (Identity("owner"), True, [True, False]),
        (Identity("guest"), True, [False, True]),
        (Identity("else"), True, [False, False]),
        (Identity("else", ("ADMIN",)), True, [True, True]),
        (Identity("else"), False, [True, True]),
    ],
)
def test_user_sees_what_rights_allow(user, auth, sees):
    said = record("reservation.created", "r", **BOOKING)
    explanation = explain(said, restaurant().projections, auth=auth, user=user)
    assert [message["seenByUser"] for message in explanation["messages"]] == sees


@pytest.mark.parametrize(
    ("user", "sees"), [(Identity("owner"), True), (Identity("else"), False), (Identity("else", ("ADMIN",)), True)]
)
def test_record_that_takes_a_right_is_the_last_one_that_its_owner_sees(user, sees):
    platform = restaurant()
    ends = explain(record("restaurant.deleted", "R", timestamp=5), platform.projections, user=user)
    [last] = [message for message in ends["messages"] if message["channel"] == "restaurant:R:reservations"]
    assert (last["type"], last["seenByUser"]) == ("restaurant.deleted", sees)
    assert last["seenBy"] == [{"who": "admin"}, {"who": "owner", "user": "owner"}]


def test_record_that_gives_a_right_is_seen_by_who_has_it_then():
    platform = restaurant()
    platform.says("restaurant.deleted", "R", timestamp=5)
    again = record("restaurant.created", "R", timestamp=9, name="La Mesa", ownerId="new")
    for user, sees in (("new", True), ("owner", False)):
        messages = explain(again, platform.projections, user=Identity(user))["messages"]
        [first] = [message for message in messages if message["channel"] == "restaurant:R:reservations"]
        assert (first["seenByUser"], first["seenBy"][1]) == (sees, {"who": "owner", "user": "new"})


def test_public_channels_are_seen_by_anybody():
    [message] = explain(record("review.created", "v", restaurantId="R"), restaurant().projections)["messages"]
    assert message["seenBy"] == [{"who": "anybody"}]


def test_change_is_shown_by_field():
    platform = restaurant()
    platform.says("reservation.created", "r", **BOOKING)
    explanation = explain(
        record("reservation.status_changed", "r", timestamp=5, status="CONFIRMED"), platform.projections
    )
    assert explanation["applied"] == {
        "existed": True,
        "exists": True,
        "late": False,
        "changed": {"status": {"before": "pending", "after": "confirmed"}},
    }


def test_record_without_a_known_parent_waits_for_it():
    explanation = explain(record("table.created", "t", sectionId="s"), restaurant().projections)
    assert (explanation["becomes"], explanation["waitsFor"]) == ("orphan", ["section:s"])
    assert explanation["because"] == REASONS[Disposition.ORPHAN]


def test_poison_is_not_understood_and_its_sentence_is_given():
    explanation = explain(Record("mesa-ya.tables.events", 0, 0, 0, None, b"{"), Projections())
    assert explanation["understood"] is None
    assert explanation["because"].startswith("The value is not JSON: ")
    assert "applied" not in explanation


def test_what_is_left_out_is_named():
    explanation = explain(record("review.created", "v", restaurantId="R", rating=[]), restaurant().projections)
    assert explanation["understood"]["leftOut"] == ["rating"]


def test_names_and_roles_of_users_are_applied_and_e_mails_not_shown():
    value = {"type": "user.created", "payload": {"userId": "u", "firstName": "A", "email": "a@example.com"}}
    explanation = explain(Record("mesa-ya.auth.events", 0, 0, 0, None, orjson.dumps(value)), Projections())
    assert explanation["becomes"] == "auth"
    assert "example.com" not in json.dumps(explanation)


def test_what_concerns_too_much_is_refused_unless_nobody_waits():
    platform = restaurant()
    platform.says("section.created", "s", restaurantId="R")
    for number in range(PARTS_AT_ONCE + 1):
        platform.says("table.created", f"t{number}", sectionId="s")
    said = record("section.deleted", "s", timestamp=5)
    with pytest.raises(TooWideError):
        explain(said, platform.projections)
    [message] = explain(said, platform.projections, is_alone=True)["messages"]
    assert len(message["data"]["tableIds"]) == PARTS_AT_ONCE + 1
    assert len(platform.projections.entities["table"].alive) == PARTS_AT_ONCE + 1


def test_every_disposition_has_a_sentence():
    assert REASONS.keys() == set(Disposition)


def test_record_of_chat_is_explained_and_changes_nothing():
    projections = Projections()
    said = Said(ConversationKey("r1", "u1"), "m1", "guest", "u1", "Hello")
    new = chat_record(said, "2026-01-01T00:00:00.000Z")
    record = Record(new.topic, 0, 0, 1000, new.key, new.value)
    explained = explain(record, projections, user=Identity("u1"))
    assert (explained["becomes"], explained["understood"]["event"]) == ("published", "said")
    assert [(each["channel"], each["seenByUser"]) for each in explained["messages"]] == [
        ("restaurant:r1:chat:u1", True),
        ("restaurant:r1:chats", False),
        ("user:u1:chats", True),
    ]
    assert explained["messages"][1]["seenBy"] == [{"who": "admin"}, {"who": "owner", "user": None}]
    assert not list(projections.chats.rows())
    process(decode(record), projections)
    again = explain(record._replace(offset=1), projections)
    assert (again["becomes"], again["messages"]) == ("void", [])
    deleted = chat_record(Deleted(said.conversation, "m1", "guest"), "2026-01-01T00:00:00.000Z")
    assert explain(Record(new.topic, 0, 1, 2000, deleted.key, deleted.value), projections)["becomes"] == "published"
    assert projections.chats.get(said.conversation).find("m1").text == "Hello"
