from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.interactions.presence import PresenceTable
from mesaya_ws.core.interactions.presence_own import EVERY, OFTEN, OwnTable
from mesaya_ws.core.interactions.presence_records import (
    MAX_PART_CHANNELS,
    NO_SIDE,
    NOBODY_VIEWS,
    PART_CHANNELS,
    Viewers,
    read_key,
    read_part,
)
from mesaya_ws.core.interactions.strict import MAX_RECORD_BYTES
from mesaya_ws.core.log.records import Record

C1, C2 = "restaurant:r1:tables", "restaurant:r2:tables"
CHAT, GUEST = "restaurant:r1:chat:u1", frozenset({"guest"})


def read(table, records, now=0):
    """Let another process read the records."""
    for new in records:
        record = Record(new.topic, 0, 0, now, new.key, new.value)
        table.apply(read_key(record), read_part(record), now, now)


def test_nothing_is_due_as_long_as_there_is_nothing_to_say():
    own = OwnTable("p", 10)
    assert own.due_at() == inf
    assert list(own.take(0)) == []
    assert own.tombstones() == []


def test_changes_are_appended_at_once_then_every_two_seconds_and_all_again_every_five():
    own, other = OwnTable("p", 10), PresenceTable()
    own.put(C1, Viewers(1), is_asked=True)
    assert own.due_at() < 0
    read(other, list(own.take(0)))
    assert other.is_asked(C1)
    assert own.due_at() == EVERY
    own.put(C2, Viewers(3), is_asked=False)
    assert own.due_at() == OFTEN
    read(other, list(own.take(OFTEN)))
    assert (other.level(C1), other.level(C2), other.is_asked(C2)) == (Viewers(1), Viewers(3), False)
    assert list(own.take(OFTEN + 1)) == []
    assert len(list(own.take(OFTEN + EVERY))) == 1


def test_tombstone_is_the_last_word_when_there_is_nothing_to_say_any_more():
    own, other = OwnTable("p", 10), PresenceTable()
    own.put(C1, Viewers(1), is_asked=False)
    read(other, list(own.take(0)))
    own.put(C1, NOBODY_VIEWS, is_asked=False)
    [tombstone] = list(own.take(OFTEN))
    assert tombstone.value is None
    assert own.is_silent
    assert own.due_at() == inf


def test_channel_that_is_asked_about_is_said_where_nobody_is():
    own, other = OwnTable("p", 10), PresenceTable()
    own.put(C1, NOBODY_VIEWS, is_asked=True)
    read(other, list(own.take(0)))
    assert other.is_asked(C1)


def test_what_may_not_be_in_the_log_is_appended_again():
    own = OwnTable("p", 10)
    own.put(C1, Viewers(1), is_asked=True)
    [first] = list(own.take(0))
    own.not_appended()
    [second] = list(own.take(OFTEN))
    assert second.key == first.key
    assert own.tombstones()


def test_typing_is_said_and_ends():
    own, other = OwnTable("p", 10), PresenceTable()
    own.type(CHAT, GUEST)
    read(other, list(own.take(0)))
    assert other.typing(CHAT, 0) == GUEST
    own.type(CHAT, NO_SIDE)
    read(other, list(own.take(OFTEN)))
    assert other.typing(CHAT, OFTEN) == NO_SIDE
    assert own.is_silent


def test_channels_past_the_bound_are_left_out_and_counted():
    own, other = OwnTable("p", 2), PresenceTable()
    for number in range(4):
        own.put(f"restaurant:r{number}:tables", Viewers(1), is_asked=True)
    own.put("restaurant:r0:tables", Viewers(7), is_asked=True)
    read(other, list(own.take(0)))
    assert own.left_out == 2
    assert other.level("restaurant:r0:tables") == Viewers(7)
    assert not other.is_asked("restaurant:r3:tables")
    own.put("restaurant:r0:tables", NOBODY_VIEWS, is_asked=False)
    own.put("restaurant:r3:tables", Viewers(1), is_asked=True)
    read(other, list(own.take(OFTEN)))
    assert other.is_asked("restaurant:r3:tables")


def test_ten_thousand_channels_are_divided_into_records_that_can_be_read():
    own, other = OwnTable("p", 10_000), PresenceTable()
    names = frozenset(f"{number:08}" for number in range(20))
    for number in range(10_000):
        own.put(f"restaurant:{number}:tables", Viewers(0, names), is_asked=True)
        if number in (PART_CHANNELS, 5_000):
            read(other, list(own.take(number * OFTEN)))
    records = list(own.take(20_000 * OFTEN))
    assert 1 < len(records) <= 64
    assert max(len(record.value) for record in records) < 512 * 1024
    read(other, records, 20_000 * OFTEN)
    assert all(other.level(f"restaurant:{number}:tables").number == 20 for number in range(10_000))
    assert MAX_PART_CHANNELS > PART_CHANNELS
    assert MAX_RECORD_BYTES < 512 * 1024, "larger than those of other interactions"


CHANNELS = st.integers(0, 40).map(lambda number: f"restaurant:{number}:tables")
PUTS = st.lists(st.tuples(CHANNELS, st.integers(0, 3).map(Viewers), st.booleans(), st.booleans()), max_size=60)


@given(PUTS)
def test_any_changes_are_read_as_they_stand(puts):
    own, other, expected = OwnTable("p", 1000), PresenceTable(), {}
    now = 0
    for channel, level, is_asked, appends in puts:
        own.put(channel, level, is_asked=is_asked)
        expected[channel] = level, is_asked
        if appends:
            now += OFTEN
            read(other, list(own.take(now)), now)
    read(other, list(own.take(now + OFTEN)), now + OFTEN)
    for channel, said in expected.items():
        assert (other.level(channel), other.is_asked(channel)) == said
