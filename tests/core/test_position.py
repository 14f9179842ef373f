from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.channels import KINDS, parse_channel
from mesaya_ws.core.event_log import PARENTS, TOPICS, Extent, Partition
from mesaya_ws.core.position import BadPositionError, Cursor, ReplacedTopicError

TABLES = parse_channel("restaurant:1:tables")
ANNOUNCEMENTS = parse_channel("global:announcements")
FEED = [Partition(topic, 0) for topic in TABLES.kind.topics if topic in TOPICS]


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


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_with_one_partition_a_topic_a_position_is_short(kind):
    made = cursor()
    for partition in made.next:
        made.advance(partition, 1_000_000_000)
    assert len(made.position("restaurant:b18ccb5f-6beb-48b0-885a-3eca7d2d552c:tables", kind)) <= 40


@pytest.mark.parametrize("partitions", [1, 2])
def test_the_topic_of_our_own_counts_where_it_exists(partitions):
    without, own = cursor(partitions), cursor(partitions, topics=(*TOPICS, PARENTS))
    own.advance(Partition(PARENTS, 0), 7)
    assert own.read(place(own), TABLES)[Partition(PARENTS, 0)] == 7
    assert Partition(PARENTS, 0) not in own.read(place(without), TABLES)
    assert without.read(place(own), TABLES)[Partition(PARENTS, 0)] == 7
    assert len(place(own)) > len(place(without))
    raw = urlsafe_b64decode(place(own) + "=" * (-len(place(own)) % 4))
    for end in range(len(raw)):
        cut = urlsafe_b64encode(raw[:end]).rstrip(b"=").decode()
        with pytest.raises((BadPositionError, ReplacedTopicError)):
            own.read(cut, TABLES)


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
    assert nothing.read(place(early), TABLES) == dict.fromkeys(FEED, 0)


def test_a_topic_that_appears_later_counts_from_its_beginning():
    early, later = cursor(topics=TOPICS[:2]), cursor()
    assert later.read(place(early), TABLES).keys() == {FEED[1], FEED[4]}


@pytest.mark.parametrize("found_later", [0, 1, 2])
def test_a_partition_that_is_found_late_is_not_mistaken_for_another(found_later):
    """One that has no leader is left out of what the log is found to hold."""
    whole, made = cursor(3), Cursor()
    extents = {partition: Extent(0, 0, f"id of {partition.topic}") for partition in whole.next}
    made.found({partition: extent for partition, extent in extents.items() if partition.number != found_later})
    for partition in made.next:
        made.advance(partition, 10 + partition.number)
    there = {known: 10 + known.number for known in made.next if known.topic in TABLES.kind.topics}
    missing = {Partition(topic, found_later): 0 for topic, _ in FEED if found_later < 2}
    assert whole.read(place(made), TABLES) == there | missing
    made.found(extents)
    assert whole.read(place(made), TABLES) == there | {Partition(topic, found_later): 0 for topic, _ in FEED}


def test_one_partition_that_is_not_the_first():
    made, number_one = Cursor(), Partition("mesa-ya.tables.events", 1)
    made.found({number_one: Extent(5, 9, "id of mesa-ya.tables.events")})
    assert cursor(2).read(place(made), TABLES) == {number_one: 5, number_one._replace(number=0): 0}


def test_a_topic_that_was_created_again_is_noticed():
    old = cursor()
    old.advance(FEED[1], 4)
    position = place(old)
    old.replaced("mesa-ya.sections.events", "another id")
    old.found({FEED[1]: Extent(0, 9, "another id")})
    with pytest.raises(ReplacedTopicError):
        old.read(position, TABLES)
    assert old.read(place(old), TABLES)[FEED[1]] == 0


def test_a_position_of_another_channel_is_refused():
    made = cursor()
    with pytest.raises(BadPositionError, match="another channel"):
        made.read(place(made, parse_channel("restaurant:2:tables")), TABLES)


@pytest.mark.parametrize("text", ["", "A", "====", "é", "not a position", "A" * 5000, "\x00", "EVCCDkGAAtuVAAhCAA"])
def test_what_is_no_position(text):
    with pytest.raises(BadPositionError):
        cursor().read(text, TABLES)


def forged(numbers, version=0x20):
    """Return what would be a position of the channel, with any bytes for its numbers."""
    head = urlsafe_b64decode(place(cursor()) + "==")[1:5]
    return urlsafe_b64encode(bytes([version]) + head + numbers).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "numbers",
    [
        b"\xff" * 9 + b"\x7f" + b"\x01" * 2000,  # more partitions than there are atoms, few of which follow
        b"\xff" * 3000,  # a number without an end
        b"\x00" * 6 + b"\x01",  # something behind it
        b"\x01\x80",  # cut off in a number
    ],
)
@pytest.mark.parametrize("version", [0x20, 0x21])
def test_what_somebody_forged(numbers, version):
    with pytest.raises(BadPositionError):
        cursor().read(forged(numbers, version), TABLES)


def test_more_partitions_than_there_are_can_be_named_but_not_many():
    vector = cursor().read(forged(b"\xe8\x07" + b"\x01" * 1000 + b"\x01\x00" * 4), TABLES)
    assert len(vector) == 1004
    with pytest.raises(BadPositionError, match="never that long"):
        cursor().read(forged(b"\x90\x4e" + b"\x01" * 10_000 + b"\x01\x00" * 4), TABLES)


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


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("advance"), st.sampled_from(TOPICS), st.integers(0, 2), st.integers(0, 1 << 40)),
            st.tuples(st.just("found"), st.sampled_from((*TOPICS, PARENTS)), st.integers(0, 2), st.integers(0, 300)),
            st.tuples(st.just("replaced"), st.sampled_from(TOPICS), st.just(0), st.just(0)),
            st.tuples(st.just("ask"), st.sampled_from(TOPICS), st.just(0), st.just(0)),
        ),
        max_size=40,
    )
)
def test_a_place_is_told_alike_by_who_came_there_step_by_step_and_who_begins_there(steps):
    stepped, ids = cursor(topics=TOPICS[:3]), {}
    for step, topic, number, offset in steps:
        partition = Partition(topic, number)
        if step == "found":
            stepped.found({partition: Extent(offset, offset, ids.get(topic, f"id of {topic}"))})
        elif step == "replaced":
            ids[topic] = f"another of {topic}"
            stepped.replaced(topic, ids[topic])
        elif step == "ask":
            told(stepped)
        elif partition in stepped.next:
            stepped.advance(partition, offset)
    beginner = Cursor()
    beginner.found({partition: Extent(next, next, id) for partition, (id, next) in stepped.places().items()})
    assert told(stepped) == told(beginner)


def told(made):
    return {name: made.position(name, kind) for name, kind in KINDS.items()}
