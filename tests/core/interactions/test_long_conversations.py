"""Conversations of many messages: what is counted of them is right, and no step takes longer the more there are."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.chat_records import (
    GUEST,
    RESTAURANT,
    ConversationKey,
    Deleted,
    Edited,
    Erased,
    ReadUpTo,
    Said,
)
from mesaya_ws.core.interactions.chat_sweeping import SWEPT_AT_ONCE
from mesaya_ws.core.interactions.chats import Chats
from mesaya_ws.core.interactions.conversation import KEPT
from mesaya_ws.core.interactions.read_marks import other
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.state.tracking import Tracking
from tests.steps import calls, most_calls_in_a_step

from .test_chats import Life

HERE = ConversationKey("r1", "u1")
NOW = 1_790_000_000_000

MOST_CALLS = 8000
"""Calls of a step that takes some milliseconds."""

SHARES = st.floats(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from([GUEST, RESTAURANT]), st.integers(1, 150)),
    st.tuples(st.just("say"), st.sampled_from([GUEST, RESTAURANT]), st.integers(1, 150)),
    st.tuples(st.just("read"), st.sampled_from([GUEST, RESTAURANT]), SHARES),
    st.tuples(st.just("delete"), SHARES, st.integers(1, 5)),
    st.tuples(st.just("grow old"), st.none(), st.integers(1, 4)),
    st.tuples(st.just("lose"), st.none(), st.integers(1, 100)),
    st.tuples(st.just("commit"), st.none(), st.none()),
)


def known_of(chats):
    conversation = chats.get(HERE)
    return [] if conversation is None else conversation.before(None, 10_000)


@given(st.booleans(), st.lists(STEPS, max_size=25))
def test_unread_messages_of_a_long_conversation_are_those_that_one_counts(is_stored, steps):
    life = Life([], MemoryState() if is_stored else None)
    chats, offset, at = life.chats, 0, NOW

    def write(record):
        nonlocal offset, at
        chats.apply(record, 0, offset, at)
        offset, at = offset + 1, at + 1

    for what, who, how in steps:
        known = known_of(chats)
        if what == "say":
            for _ in range(how):
                write(Said(HERE, f"m{offset}-{at}", who, "u1", "Hello"))
        elif what == "read":
            write(ReadUpTo(HERE, who, int(how * offset)))
        elif what == "delete":
            for each in known[int(who * len(known)) :][:how]:
                write(Deleted(HERE, each.id, "admin"))
        elif what == "grow old":
            at += KEPT // how
        elif what == "lose" and known:
            offset = known[-how:][0].offset
            list(chats.truncate(0, offset))
        elif what == "commit" and is_stored:
            life.commit(*life.capture())
        conversation = chats.get(HERE)
        for side in (GUEST, RESTAURANT):
            unread = [
                each
                for each in known_of(chats)
                if each.side == other(side) and each.deleted_by is None and each.offset > conversation.marks.of(side)
            ]
            assert conversation is None or conversation.unread(side) == len(unread)


def test_mark_that_was_set_in_lost_records_is_taken_back_for_good():
    """Or what is written in their place would count as read after the next start."""
    life = Life([(Said(HERE, "m1", GUEST, "u1", "Hello"), NOW)], MemoryState())
    life.read(1)
    life.chats.apply(ReadUpTo(HERE, RESTAURANT, 9), 0, 9, NOW)
    life.commit(*life.capture())
    list(life.chats.truncate(0, 1))
    life.commit(*life.capture())
    again = Life([], life.store)
    again.chats.apply(Said(HERE, "m2", GUEST, "u1", "Are you there?"), 0, 1, NOW + 1)
    assert again.chats.get(HERE).unread(RESTAURANT) == 1


class Long:
    """A conversation of so many messages of the guest, of which nothing has been read."""

    def __init__(self, count):
        self.chats, self.count, self.at = Chats(tracking=Tracking()), count, NOW
        for number in range(count):
            self.chats.apply(Said(HERE, f"m{number}", GUEST, "u1", "Hello"), 0, number, NOW)

    def applied(self, record, later=1):
        """Return how many calls the longest step takes of a record that comes some time later (ms)."""
        self.count, self.at = self.count + 1, self.at + later
        applying = calls(lambda: self.chats.apply(record, 0, self.count, self.at))
        return max(applying, most_calls_in_a_step(self.chats.finish()))

    def becomes_old(self):
        self.applied(Said(HERE, "last", RESTAURANT, "o1", "Hello"), KEPT // 2)
        return self.applied(Said(HERE, "later", RESTAURANT, "o1", "Hello"), KEPT // 2 + 1)


CASES = {
    "read to the middle": lambda long: long.applied(ReadUpTo(HERE, RESTAURANT, long.count // 2)),
    "read to the end": lambda long: long.applied(ReadUpTo(HERE, RESTAURANT, long.count)),
    "edited": lambda long: long.applied(Edited(HERE, "m5", GUEST, "Well")),
    "deleted": lambda long: long.applied(Deleted(HERE, "m5", GUEST)),
    "erased": lambda long: long.applied(Erased("u1")),
    "too old all at once": Long.becomes_old,
    "lost": lambda long: most_calls_in_a_step(long.chats.truncate(0, 10)),
    "a page of the history": lambda long: calls(lambda: long.chats.get(HERE).before(long.count // 2, 100)),
}


@pytest.mark.parametrize("case", CASES)
def test_record_of_a_conversation_takes_no_longer_the_more_messages_that_has(case):
    few, many = (CASES[case](Long(count)) for count in (1000, 4000))
    assert max(few, many) < MOST_CALLS
    assert many <= 1.5 * few + 200


@pytest.mark.parametrize(("conversations", "each"), [(1000, 1), (20, 100)])
def test_conversations_that_are_erased_or_become_too_old_are_looked_through_in_steps(conversations, each):
    keys = [ConversationKey(f"r{number}", "many") for number in range(conversations)]
    life = Life([], MemoryState(), at_once=SWEPT_AT_ONCE)
    chats, offset = life.chats, 0
    for key in keys:
        for _ in range(each):
            chats.apply(Said(key, f"m{offset}", GUEST, "many", "Hello"), 0, offset, NOW)
            offset += 1
    life.commit(*life.capture())
    assert calls(lambda: chats.apply(Erased("many"), 0, offset, NOW)) < MOST_CALLS
    assert most_calls_in_a_step(chats.finish()) < MOST_CALLS
    most = 0
    for number in range(offset + 1, offset + 300):
        record = Said(HERE, f"m{number}", GUEST, "u1", "Hello")
        most = max(most, calls(partial(chats.apply, record, 0, number, NOW + KEPT + number)))
    assert most < MOST_CALLS
    assert [key for key in keys if chats.get(key)] == []
    assert [*chats.conversations.keys()] == [HERE]
