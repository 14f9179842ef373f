from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import GLOBAL_KINDS, KINDS, parse_channel
from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS
from mesaya_ws.core.log.epochs import REMEMBERED
from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, TOPICS
from mesaya_ws.core.recovery.position import BadPositionError, Cursor, ReplacedTopicError
from mesaya_ws.core.recovery.position_text import number

TABLES = parse_channel("restaurant:1:tables")
ANNOUNCEMENTS = parse_channel("global:announcements")
FEED = [Partition(topic, 0) for topic in TABLES.kind.topics if topic in TOPICS]


def cursor(partitions=1, topics=TOPICS, end=0):
    made = Cursor()
    made.found({Partition(t, n): OffsetRange(0, end, f"id of {t}") for t in topics for n in range(partitions)})
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
        made.epochs_begin([(partition, 0, 2**62)])
        made.advance(partition, 1_000_000_000)
    assert len(made.position("restaurant:b18ccb5f-6beb-48b0-885a-3eca7d2d552c:tables", kind)) <= 40


@pytest.mark.parametrize("partitions", [1, 2])
def test_the_topic_of_our_own_counts_where_it_exists(partitions):
    without, own = cursor(partitions), cursor(partitions, topics=(*TOPICS, PARENTS_TOPIC))
    own.advance(Partition(PARENTS_TOPIC, 0), 7)
    assert own.read(place(own), TABLES)[Partition(PARENTS_TOPIC, 0)] == 7
    assert Partition(PARENTS_TOPIC, 0) not in own.read(place(without), TABLES)
    assert without.read(place(own), TABLES)[Partition(PARENTS_TOPIC, 0)] == 7
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
    extents = {partition: OffsetRange(0, 0, f"id of {partition.topic}") for partition in whole.next}
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
    made.found({number_one: OffsetRange(5, 9, "id of mesa-ya.tables.events")})
    assert cursor(2).read(place(made), TABLES) == {number_one: 5, number_one._replace(number=0): 0}


def test_a_topic_that_was_created_again_is_noticed():
    old = cursor()
    old.advance(FEED[1], 4)
    position = place(old)
    old.replaced("mesa-ya.sections.events", "another id")
    old.found({FEED[1]: OffsetRange(0, 9, "another id")})
    with pytest.raises(ReplacedTopicError):
        old.read(position, TABLES)
    assert old.read(place(old), TABLES)[FEED[1]] == 0


def test_a_place_in_an_epoch_that_ended_before_it_is_noticed():
    """A log loses its end, and gives out the same offsets again: who has the old ones learns of it."""
    old, new = cursor(), cursor()
    for made in (old, new):
        made.epochs_begin([(FEED[0], 0, 4)])
    positions = []
    for offset in range(1, 21):
        old.advance(FEED[0], offset)
        positions.append(place(old))
    new.epochs_begin([(FEED[0], 10, 5)])
    new.advance(FEED[0], 30)
    for offset, position in enumerate(positions, 1):
        if offset <= 10:
            assert new.read(position, TABLES)[FEED[0]] == offset
        else:
            with pytest.raises(ReplacedTopicError):
                new.read(position, TABLES)
    assert new.read(place(new), TABLES)[FEED[0]] == 30


def test_a_place_that_is_ahead_is_noticed_if_its_epoch_is_known_to_be_over():
    old, new = cursor(), cursor()
    old.epochs_begin([(FEED[0], 0, 4)])
    old.advance(FEED[0], 20)
    new.epochs_begin([(FEED[0], 0, 4)])
    new.advance(FEED[0], 10)
    assert new.read(place(old), TABLES)[FEED[0]] == 20, "it may come"
    new.epochs_begin([(FEED[0], 10, 5)])
    with pytest.raises(ReplacedTopicError):
        new.read(place(old), TABLES)
    old.epochs_begin([(FEED[0], 20, 6)])
    old.advance(FEED[0], 25)
    assert new.read(place(old), TABLES)[FEED[0]] == 25, "of later epochs nothing is known"


@pytest.mark.parametrize("partitions", [1, 3])
def test_instances_agree_where_the_one_has_not_seen_what_the_other_has(partitions):
    """A new epoch begins with its first record, in every place, whoever knows of it; and retention says nothing."""
    one, other = cursor(partitions), cursor(partitions)
    one.advance(FEED[0], 10)
    other.advance(FEED[0], 10)
    before = place(other)
    other.epochs_begin([(FEED[0], 10, 7)])
    assert place(other) == before == place(one)
    other.epochs_begin([(FEED[1], 0, 7)])
    other.advance(FEED[0], 11)
    one.epochs_begin([(FEED[0], 10, 7)])
    one.advance(FEED[0], 11)
    assert place(other) == place(one) != before
    late = Cursor()
    late.found({partition: OffsetRange(11, 11, f"id of {partition.topic}") for partition in one.next})
    assert late.read(place(one), TABLES)[FEED[0]] == 11, "it is not known which epoch ended there"
    assert one.read(place(late), TABLES)[FEED[0]] == 11


def test_quiet_topics_that_have_a_new_epoch_before_them_cost_nothing():
    made = cursor()
    for partition in made.next:
        made.epochs_begin([(partition, 0, 1 << 40)])
    made.advance(Partition("mesa-ya.auth.events", 0), 1)
    place(made)
    layout = made._layouts["tables"]
    made.advance(Partition("mesa-ya.auth.events", 0), 2)
    place(made)
    assert made._layouts["tables"] is layout
    made.advance(FEED[0], 1)
    place(made)
    assert made._layouts["tables"] is not layout
    layout = made._layouts["tables"]
    made.advance(FEED[0], 2)
    place(made)
    assert made._layouts["tables"] is layout


def test_of_an_epoch_without_a_number_like_those_of_kafka_all_is_checked():
    """Tags alone are alike once in 127 times, for numbers that are drawn; the check of the ids covers the rest."""
    alike = 0
    for life in range(1, 300):
        old, new = cursor(), cursor()
        old.epochs_begin([(FEED[0], 0, life << 31)])
        new.epochs_begin([(FEED[0], 0, (life + 127) << 31)])
        for made in (old, new):
            made.advance(FEED[0], 5)
        try:
            new.read(place(old), TABLES)
            alike += 1
        except ReplacedTopicError:
            pass
    assert alike == 0


def test_in_a_log_with_lives_a_place_that_is_ahead_is_in_the_last_one():
    """Two processes read one file, and the one is a record ahead, in a life that the other has only learned of."""
    ahead, late = cursor(), cursor()
    for made in (ahead, late):
        made.epochs_begin([(FEED[0], 0, 1 << 40)])
        made.advance(FEED[0], 5)
        made.epochs_begin([(FEED[0], 5, 9 << 40)])
    ahead.advance(FEED[0], 6)
    assert late.read(place(ahead), TABLES)[FEED[0]] == 6
    late.advance(FEED[0], 6)
    assert late.read(place(ahead), TABLES)[FEED[0]] == 6
    assert place(ahead) == place(late)


def test_where_it_begins_the_epoch_is_that_of_the_place():
    made, checked = cursor(), Cursor()
    made.epochs_begin([(FEED[0], 0, 3)])
    made.advance(FEED[0], 8)
    places = made.places()
    assert places[FEED[0]] == PartitionPosition("id of mesa-ya.tables.events", 8, 3)
    checked.begin(places)
    assert place(checked) == place(made)
    made.epochs_begin([(FEED[0], 4, 5)])
    with pytest.raises(ReplacedTopicError):
        checked.read(place(made), TABLES)


def test_after_a_gap_the_epoch_is_not_known():
    made = cursor()
    made.epochs_begin([(FEED[0], 0, 3)])
    made.advance(FEED[0], 8)
    made.epochs_begin([(FEED[0], 19, None)])
    made.advance(FEED[0], 20)
    assert made.places()[FEED[0]].epoch is None


def test_so_many_epochs_are_remembered_and_no_more():
    made = cursor()
    positions = []
    for epoch in range(3 * REMEMBERED):
        made.epochs_begin([(FEED[0], epoch, epoch)])
        made.advance(FEED[0], epoch + 1)
        positions.append(place(made))
    for offset, position in enumerate(positions, 1):
        assert made.read(position, TABLES)[FEED[0]] == offset
    assert len(made._epochs[FEED[0]]._begins) == REMEMBERED


# As the version before wrote them: of the topics of a table's channel at 5, 300, 0, 0 and 2**31.
FORMER = {1: "IQKUOVcGrQIBAYGAgIAI", 2: "IAKUOVcCBQACrAIAAgAAAgAAAoCAgIAIAA"}


@pytest.mark.parametrize("partitions", FORMER)
def test_positions_of_the_version_before_are_read(partitions):
    made = cursor(partitions)
    for partition in made.next:
        made.epochs_begin([(partition, 0, 1 << 40)])
        made.advance(partition, 2**32)
    vector = made.read(FORMER[partitions], TABLES)
    assert [vector[partition] for partition in FEED] == [5, 300, 0, 0, 2**31]
    made.replaced("mesa-ya.sections.events", "another id")
    made.found({FEED[1]: OffsetRange(0, 9, "another id")})
    with pytest.raises(ReplacedTopicError):
        made.read(FORMER[partitions], TABLES)


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
        b"\x00" * 7 + b"\x01",  # something after it
        b"\x01\x80",  # cut off in a number
    ],
)
@pytest.mark.parametrize("version", [0x20, 0x21])
def test_what_somebody_forged(numbers, version):
    with pytest.raises(BadPositionError):
        cursor().read(forged(numbers, version), TABLES)


def test_more_partitions_than_there_are_can_be_named_but_not_many():
    rest = (number(1) + number(0)) * 4
    vector = cursor().read(forged(number(1000) + number(1 << 7) * 1000 + rest, version=0x40), TABLES)
    assert len(vector) == 1004
    with pytest.raises(BadPositionError, match="that many"):
        cursor().read(forged(number(10_000) + bytes(10_000) + rest, version=0x40), TABLES)
    with pytest.raises(BadPositionError, match="never that long"):
        cursor().read(forged(number(10_000) + number(1 << 7) * 10_000 + rest, version=0x40), TABLES)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_positions_of_many_partitions_are_read(kind):
    """All that this service gives out it understands, up to two hundred partitions of each topic."""
    channel = parse_channel(f"global:{kind.name}" if kind.name in GLOBAL_KINDS else f"restaurant:1:{kind.name}")
    channel = channel or parse_channel(f"user:1:{kind.name}") or parse_channel(f"restaurant:1:{kind.name}:1")
    made = cursor(200, topics=(*TOPICS, CHAT, ACKS, HOLDS, PARENTS_TOPIC))
    for partition in made.next:
        made.advance(partition, 4_000_000_000 + partition.number)
    position = made.position(channel.name, channel.kind)
    feeding = {partition: offset for partition, offset in made.next.items() if partition.topic in kind.topics}
    assert made.read(position, channel) == feeding
    assert len(orjson.dumps({"type": "subscribe", "channel": channel.name, "position": position})) < 65_536


@pytest.mark.parametrize("partitions", [1, 2])
@pytest.mark.parametrize("existing", [(), (PARENTS_TOPIC,), (HOLDS,), (PARENTS_TOPIC, HOLDS)])
def test_topics_of_our_own_are_kept_apart_whichever_of_them_exist(partitions, existing):
    made = cursor(partitions, topics=(*TOPICS, *existing))
    for offset, topic in enumerate(existing, 7):
        made.advance(Partition(topic, 0), offset)
    every = cursor(partitions, topics=(*TOPICS, PARENTS_TOPIC, HOLDS))
    for position in (place(made), made.position_at(TABLES.name, TABLES.kind, FEED[0], made.next[FEED[0]])):
        for reader in (made, every):
            read = reader.read(position, TABLES)
            own = {at.topic: offset for at, offset in read.items() if at.topic not in TOPICS and at.number == 0}
            assert own == {topic: offset for offset, topic in enumerate(existing, 7)}


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


@given(st.lists(st.integers(0, 2**54 - 2), min_size=10, max_size=10), st.booleans())
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
            st.tuples(
                st.just("found"), st.sampled_from((*TOPICS, PARENTS_TOPIC)), st.integers(0, 2), st.integers(0, 300)
            ),
            st.tuples(st.just("topic_recreated"), st.sampled_from(TOPICS), st.just(0), st.just(0)),
            st.tuples(st.just("epoch"), st.sampled_from(TOPICS), st.integers(0, 2), st.integers(0, 1 << 40)),
            st.tuples(st.just("truncated"), st.sampled_from(TOPICS), st.integers(0, 2), st.integers(0, 1 << 40)),
            st.tuples(st.just("ask"), st.sampled_from(TOPICS), st.just(0), st.just(0)),
        ),
        max_size=40,
    )
)
def test_position_is_the_same_reached_by_steps_or_at_once(steps):
    stepped, ids = cursor(topics=TOPICS[:3]), {}
    for step, topic, partition_number, offset in steps:
        partition = Partition(topic, partition_number)
        if step == "found":
            stepped.found({partition: OffsetRange(offset, offset, ids.get(topic, f"id of {topic}"))})
        elif step == "topic_recreated":
            ids[topic] = f"another of {topic}"
            stepped.replaced(topic, ids[topic])
        elif step == "ask":
            state_of(stepped)
        elif step == "epoch":
            # Alike numbers are those of Kafka, and others.
            stepped.epochs_begin([(partition, offset, offset % 5 << (offset % 2 * 40))])
        elif partition in stepped.next and step == "truncated":
            stepped.truncated(partition, offset)
        elif partition in stepped.next:
            stepped.advance(partition, offset)
    beginner = Cursor()
    beginner.begin(stepped.places())
    assert state_of(stepped) == state_of(beginner)


def state_of(made):
    return {name: made.position(name, kind) for name, kind in KINDS.items()}


def test_partition_that_no_refresh_has_shown_is_not_in_positions():
    made = cursor(2)
    before = place(made)
    made.advance(Partition(TABLES.kind.topics[0], 2), 7)
    assert place(made) == before


def test_topic_that_is_read_before_a_refresh_shows_it_counts_from_where_it_was_read():
    """As the first record of a topic of our own, while the broker is slow to say anything else of it."""
    late = FEED[0]
    made = cursor(topics=[topic for topic in TOPICS if topic != late.topic])
    made.advance(late, 7)
    assert late not in made.places()
    assert not made.has_found_all
    made.found({late: OffsetRange(0, 9, f"id of {late.topic}")})
    whole = cursor()
    whole.advance(late, 7)
    assert made.has_found_all
    assert made.places() == whole.places()
    assert place(made) == place(whole)
    made.advance(late, 8)
    assert made.places()[late].next == 8


def test_topic_that_was_created_again_before_a_refresh_has_shown_it_is_taken_anew():
    made = cursor(topics=TOPICS[:2])
    late = Partition(TOPICS[2], 0)
    made.advance(late, 7)
    made.replaced(late.topic, "another")
    made.found({late: OffsetRange(0, 9, "another")})
    assert made.places()[late].next == 0
