"""Moving from one instance to another that took the records of several partitions in another order."""

from collections import Counter
from random import Random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import LogMetadata, Records, TopicRecreated
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.reparenting import AT_ONCE, Reparentings
from mesaya_ws.core.recovery.verdict import Recoverable, Unrecoverable
from mesaya_ws.core.wire.frames import payload_of
from tests.steps import calls, most_calls_in_a_step
from tests.support.instance import a_feed, written
from tests.support.log import LATER, OVER, Log

TABLES = parse_channel("restaurant:R:tables")
CHANNELS = [TABLES, *map(parse_channel, ("restaurant:R2:tables", "restaurant:R3:reviews"))]


class Instance:
    """An instance, and the ids of things that it could not place at some time, so that it sent nothing."""

    def __init__(self, log, max_bytes=1 << 20):
        self.orphans = set()
        self.feed = a_feed(self.report, max_bytes=max_bytes)
        self.feed.ingest(log.sources(), LATER)
        list(self.feed.process(OVER))

    def report(self, record, outcome):
        if outcome.reason == Disposition.ORPHAN:
            self.orphans.add(orjson.loads(record.value)["entity_id"])

    def take(self, record):
        self.feed.ingest(Records(Partition(record.topic, record.partition), [record], 0), LATER)
        list(self.feed.process(OVER))


class Picture:
    """What a client knows of a restaurant from what it received: entities by kind and id."""

    def __init__(self):
        self.known = {"section": {}, "table": {}, "section_object": {}, "review": {}}
        self.over = False

    def receive(self, message):
        entity, _, what = message["type"].partition(".")
        data = message["data"]
        if entity == "restaurant":
            if what == "deleted":
                self.over = True
                for known in self.known.values():
                    known.clear()
            return
        assert not self.over, f"{message['type']} after the last word"
        id_field = {"section_object": "sectionObjectId"}.get(entity, f"{entity}Id")
        for kind, field in (("table", "tableIds"), ("section_object", "sectionObjectIds")):
            for gone in data.pop(field, ()):
                self.known[kind].pop(gone, None)
        for kind, field in (("table", "tables"), ("section_object", "sectionObjects")):
            for come in data.pop(field, ()):
                self.known[kind][come[f"{field[:-1]}Id"]] = come
        if entity == "object":
            return
        if what == "deleted":
            self.known[entity].pop(data[id_field], None)
        else:
            self.known[entity][data[id_field]] = data

    def without(self, ids):
        return {kind: {id: data for id, data in known.items() if id not in ids} for kind, known in self.known.items()}

    def copy(self):
        copied = Picture()
        copied.known = {kind: dict(known) for kind, known in self.known.items()}
        copied.over = self.over
        return copied


def picture_of(feed, channel):
    """Return the picture that a snapshot gives."""
    picture = Picture()
    state = written(feed.states.snapshot(channel))
    assert state.pop("holds", []) == []
    for field, entities in state.items():
        kind, id = {"sectionObjects": ("section_object", "sectionObjectId")}.get(field, (field[:-1], f"{field[:-1]}Id"))
        picture.known[kind] = {data[id]: data for data in entities}
    return picture


def messages(publications):
    return [orjson.loads(payload_of(publication.frame)) for publication in publications]


def places(here, records):
    """Have an instance take records; return after each one every channel's position, and what a client there knows."""
    feed = here.feed
    pictures = {channel: Picture() for channel in CHANNELS}
    serial, found = 0, []
    for record in (None, *records):
        if record is not None:
            here.take(record)
        for channel, picture in pictures.items():
            for message in messages(feed.window.after(channel.name, {}, serial)):
                picture.receive(message)
            found.append((channel, feed.position(channel), picture.copy()))
        serial = feed.window.serial
    return found


def story(log, random, length):
    """Let a log hold the floor plans of two restaurants, and the reviews of a third one.

    What it says of one thing is all in one partition. What is deleted does not come back, and takes nothing with it
    that could have gone elsewhere: of that, two instances may think differently for ever.
    """

    def says(kind, id, **data):
        log.says(kind, id, partition=sum(id.encode()) % 2, **data)

    sections = ["s1", "s2", "s3"]
    for restaurant in ("R", "R2", "R3"):
        says("restaurant.created", restaurant)
    for section in sections[:2]:
        says("section.created", section, restaurantId="R")
    sections.append("seeded")
    for _ in range(length):
        section, what = random.choice(sections), random.choice(["created", "updated", "updated"])
        match random.choices(range(8), [5, 0.5, 8, 1, 3, 1, 2, 2])[0]:
            case 0:
                says(f"section.{what}", section, restaurantId=random.choice(["R", "R2"]))
            case 1 if len(sections) > 1:
                says("section.deleted", section)
                sections.remove(section)
            case 2:
                says(
                    f"table.{what}", random.choice(["t1", "t2", "t3"]), sectionId=section, capacity=random.randrange(9)
                )
            case 3:
                says("table.deleted", random.choice(["t1", "t2", "t3"]))
            case 4:
                says(f"section_object.{what}", random.choice(["p1", "p2"]), sectionId=section, objectId="o")
            case 5:
                says("section_object.deleted", random.choice(["p1", "p2"]))
            case 6:
                says(f"review.{what}", random.choice("vw"), restaurantId="R3", rating=random.randrange(5))
            case 7:
                tables = [{"id": "t4", "number": 4}, {"id": "t5", "capacity": 0}]
                says("section.found", "seeded", restaurantId="R", name="Patio", tables=tables)
                says("table.updated", "t4", sectionId="seeded", capacity=random.randrange(9))
    if random.random() < 0.5:
        says("restaurant.deleted", "R3")
        log.records.insert(random.randrange(3, length), log.records.pop())


def interleaved(records, random, disorder):
    """Return records in another order, in which those of each partition keep theirs."""
    at = {}
    order = sorted(range(len(records)), key=lambda n: n + random.uniform(0, disorder))
    for record in records:
        at.setdefault((record.topic, record.partition), []).append(record)
    return [at[records[n].topic, records[n].partition].pop(0) for n in order]


@given(st.integers(0, 2**32), st.sampled_from([0, 2, 5, 20]))
def test_client_that_moves_ends_with_the_logs_state_or_a_reason(seed, disorder):
    random = Random(seed)
    log = Log(partitions=2)
    story(log, random, 30)
    here, there = Instance(log), Instance(log)
    found = places(here, log.records)
    for record in interleaved(log.records, random, disorder):
        there.take(record)
    outcomes = Counter()
    unplaced = here.orphans | there.orphans
    for channel, position, picture in found:
        verdict = there.feed.coverage.check(channel, position)
        outcomes[type(verdict)] += 1
        if isinstance(verdict, Recoverable):
            for message in messages(there.feed.window.after(channel.name, verdict.vector)):
                picture.receive(message)
            assert picture.without(unplaced) == picture_of(there.feed, channel).without(unplaced)
        else:
            assert verdict == Unrecoverable.INCONSISTENT_POSITION
    # At the beginning and at the end nobody is unsure, and in the same order never.
    assert all(
        isinstance(there.feed.coverage.check(*place[:2]), Recoverable)
        for place in (*found[: len(CHANNELS)], *found[-len(CHANNELS) :])
    )
    assert disorder or not outcomes[Unrecoverable]


@pytest.fixture
def moved():
    """Two instances that took a section's move, and a table in it, in different order; and a client's place between."""
    log = Log()
    start = [
        log.says("section.created", "s", restaurantId="R"),
        log.says("table.created", "t", sectionId="s"),
    ]
    here, there = Instance(log), Instance(log)
    move, table = log.says("section.updated", "s", restaurantId="R2"), log.says("table.updated", "t", sectionId="s")
    for record in (*start, move):
        here.take(record)
    position = here.feed.position(TABLES)
    here.take(table)
    for record in (*start, table, move):
        there.take(record)
    return here.feed, there.feed, position


def test_position_across_reparenting_is_inconsistent(moved):
    here, there, position = moved
    assert isinstance(here.coverage.check(TABLES, position), Recoverable)
    assert there.coverage.check(TABLES, position) == Unrecoverable.INCONSISTENT_POSITION
    elsewhere = parse_channel("restaurant:R3:tables")
    assert isinstance(there.coverage.check(elsewhere, here.position(elsewhere)), Recoverable), "nothing changed there"


def test_section_that_arrives_brings_what_was_not_published_before():
    log = Log()
    section, table = log.says("section.created", "s", restaurantId="R"), log.says("table.created", "t", sectionId="s")
    here, there = Instance(log), Instance(log)
    here.take(section)
    position = here.feed.position(TABLES)
    there.take(table)
    there.take(section)
    assert there.feed.coverage.check(TABLES, position) == Unrecoverable.INCONSISTENT_POSITION, (
        "the table came with the section, which is sent already"
    )


def test_after_a_topic_was_created_again_old_changes_mean_nothing(moved):
    _, feed, position = moved
    feed.ingest(TopicRecreated("mesa-ya.sections.events", "another"), LATER)
    assert feed.coverage.check(TABLES, position) == Unrecoverable.TOPIC_RECREATED
    feed.ingest(LogMetadata({Partition("mesa-ya.sections.events", 0): OffsetRange(0, 0, "another")}, {}), LATER)
    list(feed.process(LATER))
    assert isinstance(feed.coverage.check(TABLES, feed.position(TABLES)), Recoverable)


def test_many_changes_are_forgotten_at_once_and_let_go_of_bit_by_bit():
    tables, sections, menus = (Partition(topic_of(domain), 0) for domain in ("tables", "sections", "menus"))
    cursor = Cursor()
    cursor.found({at: OffsetRange(0, 0, "id") for at in (tables, sections, menus)})
    parentage = Reparentings()
    menu = parse_channel("restaurant:R:menu")
    parentage.changed(menu, menus, cursor)
    for number in range(5 * AT_ONCE):
        cursor.advance(tables, number + 1)
        cursor.advance(sections, number + 1)
        parentage.changed(parse_channel(f"restaurant:{number}:tables"), sections, cursor)
    between = {tables: 0, sections: 5 * AT_ONCE}
    last = parse_channel(f"restaurant:{number}:tables")
    assert not parentage.clean(last, between)
    cursor.replaced(sections.topic, "another")
    cursor.found({sections: OffsetRange(0, 0, "another")})
    before = cursor.next[tables]
    forgotten = []
    assert calls(lambda: forgotten.append(parentage.replaced(sections.topic, cursor))) < 500
    assert not parentage.clean(last, {tables: before - 1, sections: 0}), "before that nothing is sure"
    assert parentage.clean(last, {tables: before, sections: 0}), "what was before it counts no more"
    cursor.advance(sections, 1)
    parentage.changed(last, sections, cursor)
    assert most_calls_in_a_step(forgotten[0]) < 5 * AT_ONCE
    assert parentage.clean(last, {tables: before, sections: 1})
    cursor.advance(tables, before + 1)
    parentage.changed(last, sections, cursor)
    assert not parentage.clean(last, {tables: before, sections: 1}), "what was after it counts"


def test_changes_before_a_topic_was_recreated_are_forgotten_first():
    tables = Partition(topic_of("tables"), 0)
    cursor = Cursor()
    cursor.found({tables: OffsetRange(0, 0, "id")})
    parentage = Reparentings(6)
    cursor.advance(tables, 9)
    for _ in range(6):
        parentage.changed(TABLES, tables, cursor)
    cursor.replaced(tables.topic, "another")
    cursor.found({tables: OffsetRange(0, 0, "another")})
    list(parentage.replaced(tables.topic, cursor))
    for offset in range(1, 7):
        cursor.advance(tables, offset)
        parentage.changed(TABLES, tables, cursor)
        assert parentage.clean(TABLES, {tables: 0}), "what is remembered from before is all that had to go"
    parentage.changed(TABLES, tables, cursor)
    assert not parentage.clean(TABLES, {tables: 0})


def test_before_what_is_remembered_nobody_is_sure(moved):
    _, feed, _ = moved
    start = Cursor()
    start.found({partition: OffsetRange(0, 0, "id") for partition in feed.cursor.next})
    begin, now = (start.position(TABLES.name, TABLES.kind), feed.position(TABLES))
    assert isinstance(feed.coverage.check(TABLES, begin), Recoverable)
    elsewhere = parse_channel("restaurant:R4:tables")
    parentage = Reparentings(6)
    parentage.changed(TABLES, Partition("mesa-ya.tables.events", 0), feed.cursor)
    assert parentage.clean(TABLES, start.read(begin, TABLES))
    parentage.changed(elsewhere, Partition("mesa-ya.tables.events", 0), feed.cursor)
    assert not parentage.clean(TABLES, start.read(begin, TABLES))
    assert parentage.clean(TABLES, feed.cursor.read(now, TABLES))
    assert parentage.clean(parse_channel("restaurant:R:menu"), {})
