from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.chat_records import (
    Blocked,
    ConversationKey,
    Deleted,
    Edited,
    Erased,
    ReadUpTo,
    Said,
    chat_record,
    read_chat_record,
)
from mesaya_ws.core.interactions.chats import LOOKED_AT_AT_ONCE, Chats
from mesaya_ws.core.interactions.conversation import AT_LEAST, KEPT, REMEMBERED
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.state.tracking import Tracking

HERE = ConversationKey("r1", "u1")
NOW = 1_790_000_000_000


def said(id="m1", side="guest", text="Hello", author="u1", **fields):
    return Said(HERE, id, side, author, text, **fields)


def applied(*records, at=NOW, chats=None):
    chats = Chats() if chats is None else chats
    return chats, [chats.apply(each, 0, offset, at + offset) for offset, each in enumerate(records)]


IDS = st.sampled_from(["m1", "m2", "m3"])
SIDES = st.sampled_from(["guest", "restaurant"])
TEXTS = st.sampled_from(["a", "b"])
ATTACHMENTS = st.sampled_from([(), ("https://a.example/x",)])
RECORDS = st.one_of(
    st.builds(Said, st.just(HERE), IDS, SIDES, st.just("u1"), TEXTS, ATTACHMENTS, st.none() | IDS),
    st.builds(Edited, st.just(HERE), IDS, SIDES, TEXTS),
    st.builds(Deleted, st.just(HERE), IDS, st.sampled_from(["guest", "restaurant", "admin"])),
    st.builds(ReadUpTo, st.just(HERE), SIDES, st.integers(0, 60)),
    st.builds(Blocked, st.just(HERE), st.booleans()),
    st.builds(Erased, st.sampled_from(["u1", "u2"])),
)


@given(RECORDS)
def test_record_is_read_as_it_was_written(record):
    new = chat_record(record, "2026-01-01T00:00:00.000Z")
    assert read_chat_record(Record(CHAT, 0, 0, NOW, new.key, new.value)) == record


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(0, 9), st.lists, max_leaves=5).map(orjson.dumps))
def test_any_bytes_are_poison_and_raise_nothing_else(value):
    with pytest.raises(BadFieldError):
        read_chat_record(Record(CHAT, 0, 0, NOW, None, value))


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "x" * 4001},
        {"text": "a\tb"},
        {"text": "a\x00"},
        {"text": None},
        {"from": "admin"},
        {"authorId": "a b"},
        {"userId": "a:b"},
        {"restaurantId": 1},
        {"attachments": ["http://a.example/x"]},
        {"attachments": ["https://a.example/x"] * 6},
        {"attachments": "https://a.example/x"},
        {"replyTo": 5},
    ],
)
def test_message_with_a_wrong_field_is_poison(wrong):
    value = orjson.loads(chat_record(said(), "now").value)
    value["data"] |= wrong
    with pytest.raises(BadFieldError):
        read_chat_record(Record(CHAT, 0, 0, NOW, None, orjson.dumps(value)))


def test_message_with_a_known_id_says_nothing_and_the_first_one_stands():
    chats, changes = applied(said(), said(text="other"), said())
    assert [change is not None for change in changes] == [True, False, False]
    assert [message.text for message in chats.get(HERE).messages.values()] == ["Hello"]
    assert chats.get(HERE).messages["m1"].digest == said().digest() != said(text="other").digest()


def test_message_is_edited_by_its_own_side_only_and_not_once_it_is_deleted():
    other, own = Edited(HERE, "m1", "restaurant", "no"), Edited(HERE, "m1", "guest", "yes")
    chats, changes = applied(said(), other, own, Deleted(HERE, "m1", "guest"), own)
    assert [change is not None for change in changes] == [True, False, True, True, False]
    message = chats.get(HERE).messages["m1"]
    assert (message.text, message.deleted_by) == (None, "guest")


@pytest.mark.parametrize(
    ("by", "side", "can"),
    [
        ("guest", "guest", True),
        ("guest", "restaurant", False),
        ("restaurant", "guest", True),
        ("admin", "guest", True),
    ],
)
def test_message_is_deleted_by_its_side_the_restaurant_or_an_administrator(by, side, can):
    chats, _ = applied(said(side=side), Deleted(HERE, "m1", by))
    assert (chats.get(HERE).messages["m1"].text is None) is can


def test_unread_counts_what_the_other_side_has_written_after_the_mark():
    chats, _ = applied(
        said(), said("m2"), said("m3", "restaurant"), ReadUpTo(HERE, "restaurant", 0), ReadUpTo(HERE, "guest", 99)
    )
    conversation = chats.get(HERE)
    assert conversation.unread("restaurant") == 1
    assert conversation.unread("guest") == 0
    assert conversation.marks.guest == 4, "nobody has read what was not written"


def test_message_is_kept_among_the_last_or_for_a_day_within_retention():
    chats = Chats()
    for number in range(REMEMBERED + 10):
        chats.apply(said(f"m{number}"), 0, number, NOW + number)
    assert len(chats.get(HERE).messages) == REMEMBERED + 10
    chats.apply(said("next"), 0, 2000, NOW + AT_LEAST + 5000)
    assert len(chats.get(HERE).messages) == REMEMBERED
    assert chats.get(HERE).forgot
    chats.apply(said("late"), 0, 3000, NOW + AT_LEAST + 5000 + KEPT + 1)
    assert list(chats.get(HERE).messages) == ["late"]


def test_quiet_conversation_is_forgotten_after_retention_or_past_the_bound():
    chats = Chats()
    other = ConversationKey("r2", "u2")
    chats.apply(said(), 0, 0, NOW)
    chats.apply(Said(other, "m2", "guest", "u2", "x"), 0, 1, NOW + KEPT + 1)
    assert chats.get(HERE) is None
    assert chats.by_guest.count("u1") == 0
    assert not chats.forgot
    small = Chats(max_bytes=3000)
    for number in range(10):
        key = ConversationKey("r1", f"u{number}")
        small.apply(Said(key, f"m{number}", "guest", key.guest, "x" * 100), 0, number, NOW)
    assert small.forgot
    assert 0 < len(small) < 10
    assert small.bytes <= 3000
    assert small.get(ConversationKey("r1", "u9")) is not None


def test_erased_user_has_no_texts_and_what_follows_counts():
    chats, _ = applied(said(), said("m2", "restaurant", author="o1"), Erased("u1"), said("m3"))
    texts = [message.text for message in chats.get(HERE).messages.values()]
    assert texts == [None, "Hello", "Hello"]
    assert chats.is_erased("u1", 0, 0, NOW)
    assert not chats.is_erased("u1", 0, 3, NOW)
    assert not chats.is_erased("o1", 0, 1, NOW)


def test_messages_of_lost_records_are_forgotten_so_that_a_retry_counts():
    chats, _ = applied(said(), said("m2"))
    list(chats.truncate(0, 1))
    assert list(chats.get(HERE).messages) == ["m1"]
    assert chats.apply(said("m2"), 0, 1, NOW) is not None


@pytest.mark.slow
def test_messages_of_lost_records_are_forgotten_in_steps_however_many_conversations_there_are():
    chats = Chats()
    for number in range(20_000):
        record = Said(ConversationKey("r1", f"u{number}"), "m1", "guest", f"u{number}", "Hello")
        chats.apply(record, 0, number, NOW)
    steps = [sum(not each.messages for each in chats._conversations.values()) for _ in chats.truncate(0, 15_000)]
    assert len(steps) > 10
    assert max(later - earlier for earlier, later in pairwise(steps)) <= LOOKED_AT_AT_ONCE / 10
    assert steps[-1] > 4_000
    assert sum(not each.messages for each in chats._conversations.values()) == 5_000
    assert chats.bytes == sum(each.bytes for each in chats._conversations.values())


@given(st.lists(RECORDS, max_size=40))
def test_marks_never_go_back_and_every_message_is_published_once(records):
    chats, marks, counted = Chats(), {"guest": -1, "restaurant": -1}, []
    for offset, record in enumerate(records):
        change = chats.apply(record, 0, offset, NOW + offset)
        if change is not None and isinstance(record, Said):
            counted.append(record.id)
        conversation = chats.get(HERE)
        if conversation is not None:
            for side, mark in marks.items():
                assert conversation.marks.of(side) >= mark
                marks[side] = conversation.marks.of(side)
    assert len(counted) == len(set(counted))
    assert set(counted) == {record.id for record in records if isinstance(record, Said)}
    assert chats.bytes == sum(each.bytes for each in chats._conversations.values())


@given(st.lists(RECORDS, max_size=30), st.integers(0, 30))
def test_replica_that_begins_with_rows_of_another_one_ends_as_it_does(records, cut):
    whole, half = Chats(), Chats()
    for offset, record in enumerate(records):
        if offset == cut:
            for id, value in orjson.loads(orjson.dumps(list(whole.rows()))):
                half.load(id, value)
        whole.apply(record, 0, offset, NOW + offset)
        if offset >= cut:
            half.apply(record, 0, offset, NOW + offset)
    if len(records) > cut:
        assert orjson.dumps(list(half.rows())) == orjson.dumps(list(whole.rows()))
        assert half.bytes == whole.bytes


def kept(chats):
    """Return all rows by their ids, which name one each."""
    rows = list(chats.rows())
    assert len(dict(rows)) == len(rows)
    return dict(rows)


@given(st.lists(st.tuples(RECORDS, st.sampled_from([1, 1, 1, KEPT + 1])), max_size=40), st.integers(0, 40))
def test_rows_that_were_taken_are_those_that_are_known(records, lost):
    tracking = Tracking()
    follower, rows, at = tracking.follow(), {}, NOW
    chats = Chats(tracking=tracking)
    for offset, (record, step) in enumerate(records):
        at += step
        chats.apply(record, 0, offset, at)
        if offset == lost:
            list(chats.truncate(0, offset // 2))
        for id, row in follower.take().get("chat", {}).items():
            rows.pop(id, None)
            if row is not None:
                rows[id] = row
        assert rows == kept(chats)
    list(chats.discard())
    assert set(follower.take().get("chat", {}).values()) <= {None}
    assert not kept(chats)


def test_rows_of_former_checkpoints_are_understood():
    """They had ten messages each, and no places."""
    chats = Chats()
    chats.load("erased:u", [0, 1, NOW])
    chats.load("r1:u1", [0, NOW, 1, [-1, -1], [False, False, False]])
    message = ["m1", 5, "guest", "u1", "Hola", [], None, NOW, "00", None, None]
    chats.load("r1:u1:messages", [message, ["m2", 6, *message[2:]]])
    conversation = chats.get(ConversationKey("r1", "u1"))
    assert [(each.id, each.offset, each.text) for each in conversation.messages.values()] == [
        ("m1", 5, "Hola"),
        ("m2", 6, "Hola"),
    ]
    assert chats.is_erased("u", 0, 0, NOW)
