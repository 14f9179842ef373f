from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.channels import parse_channel
from mesaya_ws.core.event_log import TOPICS, Extent, Partition
from mesaya_ws.core.position import BadPositionError, Cursor, ReplacedTopicError

TABLES = parse_channel("restaurant:1:tables")
ANNOUNCEMENTS = parse_channel("global:announcements")
FEED = [Partition(topic, 0) for topic in TABLES.kind.topics]


def cursor(partitions=1, topics=TOPICS, end=0):
    made = Cursor()
    made.found({Partition(t, n): Extent(0, end, f"id of {t}") for t in topics for n in range(partitions)})
    return made


def place(made, channel=TABLES):
    return made.position(channel.name, channel.kind)


def test_a_position_names_what_feeds_its_channel_and_nothing_else():
    made = cursor()
    made.advance(Partition("mesa-ya.tables.events", 0), 300)
    made.advance(Partition("mesa-ya.reviews.events", 0), 7)
    assert made.read(place(made), TABLES) == dict.fromkeys(FEED, 0) | {FEED[0]: 300}


def test_with_one_partition_a_topic_a_position_is_short():
    made = cursor()
    for partition in made.next:
        made.advance(partition, 2**21 - 1)
    assert (
        max(
            len(made.position(f"restaurant:1:{kind}", parse_channel(f"restaurant:1:{kind}").kind))
            for kind in ("tables", "reservations", "menu", "reviews", "info")
        )
        <= 40
    )


def test_another_replica_understands_it():
    one, other = cursor(3), cursor(3, end=9)
    one.advance(Partition("mesa-ya.sections.events", 2), 5)
    assert other.read(place(one), TABLES)[Partition("mesa-ya.sections.events", 2)] == 5


def test_partitions_that_appear_later_count_from_their_beginning():
    early, later = cursor(1), cursor(2)
    assert Partition("mesa-ya.tables.events", 1) not in later.read(place(early), TABLES)
    nothing = Cursor()
    assert later.read(place(nothing), TABLES) == {}
    assert nothing.read(place(nothing), TABLES) == {}


def test_a_topic_that_was_created_again_is_noticed():
    old = cursor()
    old.advance(FEED[1], 4)
    position = place(old)
    old.replaced("mesa-ya.sections.events", "another id")
    old.found({FEED[1]: Extent(0, 9, "another id")})
    with pytest.raises(ReplacedTopicError, match="sections"):
        old.read(position, TABLES)
    assert old.read(place(old), TABLES)[FEED[1]] == 0


def test_a_position_of_another_channel_is_refused():
    made = cursor()
    with pytest.raises(BadPositionError, match="another channel"):
        made.read(place(made, parse_channel("restaurant:2:tables")), TABLES)


@pytest.mark.parametrize("text", ["", "A", "====", "é", "not a position", "A" * 5000, "\x00", "EVCCDkGA"])
def test_what_is_no_position(text):
    with pytest.raises(BadPositionError):
        cursor().read(text, TABLES)


def test_every_cut_of_a_position_is_refused():
    made = cursor(2)
    position = place(made)
    for size in range(len(position)):
        with pytest.raises(BadPositionError):
            made.read(position[:size], TABLES)


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
def test_reading_never_fails_otherwise(text):
    with suppress(BadPositionError, ReplacedTopicError):
        cursor().read(text, ANNOUNCEMENTS)


@given(st.lists(st.integers(0, 2**62), min_size=10, max_size=10), st.booleans())
def test_what_is_written_is_read(offsets, wide):
    made = cursor(2 if wide else 1)
    wanted = {}
    for partition, offset in zip(
        (p for p in sorted(made.next) if p.topic in TABLES.kind.topics), offsets, strict=False
    ):
        made.advance(partition, offset)
        wanted[partition] = offset
    assert made.read(place(made), TABLES) == wanted
