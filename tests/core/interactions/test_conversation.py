from contextlib import suppress
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.chat_clock import CLOCK_ERROR, MAX_RETURNS, ChatClock
from mesaya_ws.core.interactions.chat_message import message_in, message_row
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
from mesaya_ws.core.interactions.conversation import KEPT
from mesaya_ws.core.interactions.strict import BadFieldError
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import Record

HERE = ConversationKey("r1", "u1")
NOW = 1_790_000_000_000


def said(id="m1", side="guest", text="Hello", author="u1", **fields):
    return Said(HERE, id, side, author, text, **fields)


def applied(*records, at=NOW, chats=None):
    chats = Chats() if chats is None else chats
    changes = []
    for offset, each in enumerate(records):
        changes.append(chats.apply(each, 0, offset, at + offset))
        list(chats.finish())
    return chats, changes


def messages(chats, key=HERE):
    return chats.get(key).before(None, 1000)


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
    assert [message.text for message in messages(chats)] == ["Hello"]
    assert chats.get(HERE).find("m1").digest == said().digest() != said(text="other").digest()


def test_message_is_edited_by_its_own_side_only_and_not_once_it_is_deleted():
    other, own = Edited(HERE, "m1", "restaurant", "no"), Edited(HERE, "m1", "guest", "yes")
    chats, changes = applied(said(), other, own, Deleted(HERE, "m1", "guest"), own)
    assert [change is not None for change in changes] == [True, False, True, True, False]
    message = chats.get(HERE).find("m1")
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
    assert (chats.get(HERE).find("m1").text is None) is can


def test_unread_counts_what_the_other_side_has_written_after_the_mark():
    chats, _ = applied(
        said(), said("m2"), said("m3", "restaurant"), ReadUpTo(HERE, "restaurant", 0), ReadUpTo(HERE, "guest", 99)
    )
    conversation = chats.get(HERE)
    assert conversation.unread("restaurant") == 1
    assert conversation.unread("guest") == 0
    assert conversation.marks.guest == 4, "nobody has read what was not written"


def test_message_and_a_block_are_known_for_as_long_as_retention():
    chats, _ = applied(said(), Blocked(HERE, True), *(said(f"m{number}") for number in range(2, 1200)))
    assert len(chats.get(HERE).before(None, 2000)) == 1199
    assert chats.get(HERE).blocked
    last = chats.apply(said("late"), 0, 2000, NOW + KEPT + 2).conversation
    assert not last.blocked
    assert last.forgot
    assert last.find("m1") is None
    assert [message.id for message in last.before(None, 2000)][:2] == ["m2", "m3"]
    assert last.unread("restaurant") == 1199
    assert chats.apply(said("m1"), 0, 2001, NOW + KEPT + 3) is not None, "its id is not known any more"


def test_log_whose_clock_was_wrong_for_a_moment_has_conversations_and_retries_as_before():
    other = ConversationKey("r1", "u2")
    chats, _ = applied(Said(other, "m1", "guest", "u2", "Hello"), at=NOW + 10 * KEPT)
    late, again = chats.apply(said(), 0, 1, NOW), chats.apply(said(), 0, 2, NOW + 1)
    assert late is not None
    assert again is None, "it is known"
    assert [message.id for message in messages(chats)] == ["m1"]
    assert [key.guest for key in chats.conversations.of_restaurant("r1") if chats.get(key)] == ["u1", "u2"]
    chats.apply(said("m2"), 0, 3, NOW - CLOCK_ERROR + 2)
    chats.apply(said("m3"), 0, 4, NOW + KEPT)
    assert [message.id for message in messages(chats)] == ["m1", "m2", "m3"], "a little earlier is no other time"


@pytest.mark.parametrize("ahead", [KEPT // 2, KEPT - 5, 3 * KEPT])
def test_what_was_too_old_by_a_wrong_clock_is_so_for_every_replica(ahead):
    """Whatever a replica has removed meanwhile, and whoever has looked at conversations, or starts again."""
    keys = [ConversationKey("r1", f"u{number}") for number in range(20)]
    hasty, watched, slow = Chats(at_once=1000), Chats(), Chats(at_once=1)

    def apply(key, id, offset, at):
        for chats in (hasty, watched, slow):
            chats.apply(Said(key, id, "guest", key.guest, "Hello"), 0, offset, at)

    def known(chats):
        found = {key.guest: chats.get(key) for key in keys}
        return {guest: each and [message.id for message in each.before(None, 100)] for guest, each in found.items()}

    for number, key in enumerate(keys):
        apply(key, "old", number, NOW + number)
        apply(key, "new", 100 + number, NOW + KEPT // 2 + number)
    now = NOW + KEPT - CLOCK_ERROR
    apply(keys[3], "ahead", 200, now + ahead)
    known(watched)
    apply(keys[4], "ahead", 201, now + ahead + 1)
    for number in range(3):
        apply(keys[5 + number], "after", 300 + number, now + number)
        assert known(hasty) == known(watched) == known(slow)
        if number == 1:
            again = Chats()
            for row in slow.rows():
                with suppress(ValueError):  # that it is on disk, where it is read as needed
                    again.load(*row)
            for place in (0, slow.next_place):
                assert again._clock.since(place) == slow._clock.since(place)
    assert known(slow)["u5"][-1] == "after"
    if ahead > KEPT:
        assert known(slow)["u5"] == ["after"]
        assert known(slow)["u19"] is None


def test_messages_are_forgotten_in_their_order_though_the_clock_went_back_a_little():
    """Whoever has looked, and however often."""
    times = [NOW + minutes * 60_000 for minutes in (80, 81, 100, 95, 98, 99, 100, 101)]
    often, once = Chats(), Chats()
    for chats in (often, once):
        for number, at in enumerate(times):
            chats.apply(said(f"m{number}"), 0, number, at)
    other = ConversationKey("r1", "u2")
    for number, minutes in enumerate((81, 82, 97, 99, 101), len(times)):
        since = NOW + minutes * 60_000
        for chats in (often, once):
            chats.apply(Said(other, f"n{number}", "guest", "u2", "x"), 0, number, since + KEPT)
        known = [f"m{each}" for each in range(len(times)) if max(times[: each + 1]) >= since]
        # A draft changes nothing of what it is of.
        for chats in (often, once.draft()):
            assert [message.id for message in chats.get(HERE).before(None, 100)] == known
    for message in once.draft().get(HERE).latest():
        assert message_in(message_row(message)) == message


def test_times_that_go_back_often_are_a_bounded_number():
    clock, plain = ChatClock(), []
    for place in range(MAX_RETURNS * 3):
        clock.set(NOW + (1000 - place) * KEPT, place)
        clock.set(NOW, place)
        plain.append((place, NOW + (999 - place) * KEPT))
    assert len(clock.row()) == 2 * MAX_RETURNS
    for place in range(MAX_RETURNS * 3):
        assert clock.since(place) >= max([NOW - KEPT, *(since for before, since in plain if place < before)])


def test_quiet_conversation_is_forgotten_after_retention_or_past_the_bound():
    chats = Chats()
    other = ConversationKey("r2", "u2")
    chats.apply(said(), 0, 0, NOW)
    chats.apply(Said(other, "m2", "guest", "u2", "x"), 0, 1, NOW + KEPT + 1)
    assert chats.get(HERE) is None
    assert not list(chats.conversations.of_guest("u1"))
    assert not chats.forgot
    small = Chats(max_bytes=8000)
    for number in range(10):
        key = ConversationKey("r1", f"u{number}")
        small.apply(Said(key, f"m{number}", "guest", key.guest, "x" * 100), 0, number, NOW)
    known = [key.guest for key in small.conversations.of_restaurant("r1")]
    assert small.forgot
    assert known == [f"u{number}" for number in range(9, 9 - len(known), -1)]
    assert 0 < len(known) < 10
    assert small.bytes <= 8000
    only = Chats(max_bytes=8000)
    for number in range(100):
        only.apply(said(f"m{number}", text="x" * 100), 0, number, NOW)
    assert only.bytes <= 8000
    assert only.get(HERE).forgot
    assert only.get(HERE).last.id == "m99"


def test_erased_user_has_no_texts_and_what_follows_counts():
    chats, _ = applied(said(), said("m2", "restaurant", author="o1"), Erased("u1"), said("m3"))
    texts = [message.text for message in messages(chats)]
    assert texts == [None, "Hello", "Hello"]
    assert chats.erased.is_erased("u1", 0, 0, NOW)
    assert not chats.erased.is_erased("u1", 0, 3, NOW)
    assert not chats.erased.is_erased("o1", 0, 1, NOW)


def test_messages_of_lost_records_are_forgotten_so_that_a_retry_counts():
    chats, _ = applied(said(), said("m2"))
    list(chats.truncate(0, 1))
    assert [message.id for message in messages(chats)] == ["m1"]
    assert chats.get(HERE).unread("restaurant") == 1
    assert chats.apply(said("m2"), 0, 1, NOW) is not None


def test_messages_of_lost_records_are_forgotten_in_steps_however_many_conversations_there_are():
    chats = Chats()
    keys = [ConversationKey("r1", f"u{number}") for number in range(2_000)]
    for number, key in enumerate(keys):
        chats.apply(Said(key, "m1", "guest", key.guest, "Hello"), 0, number, NOW)
    steps = [sum(chats.get(key).last is None for key in keys) for _ in chats.truncate(0, 1_500)]
    assert len(steps) >= 2_000 // LOOKED_AT_AT_ONCE
    assert max(later - earlier for earlier, later in pairwise(steps)) <= LOOKED_AT_AT_ONCE
    assert sum(chats.get(key).last is None for key in keys) == 500


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
