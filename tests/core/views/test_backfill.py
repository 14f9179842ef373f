"""What the platform's API says of parents: as records of our own, and what becomes of them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.envelope import FOUND, Event, decode
from mesaya_ws.core.platform.projection_rows import rows_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, topic_of
from mesaya_ws.core.recovery.parents import missing_parent
from mesaya_ws.core.views.backfill import TABLES_AT_ONCE, parents_in
from mesaya_ws.core.views.backfill import records_of as steps_of
from mesaya_ws.core.wire.frames import payload_of
from tests.scenarios.test_any_records import check, junk, statuses
from tests.support.instance import a_feed, written
from tests.support.log import Platform, event, record

TIME = "2026-11-25T12:00:00.000Z"
PLAN = "restaurant:R:tables"
ROW = {
    "id": "R",
    "name": "La Terraza",
    "ownerId": "u",
    "status": "ACTIVE",
    "contactEmail": "a@example.com",
    "sections": [
        {
            "id": "s",
            "name": "Patio",
            "tables": [{"id": "t1", "number": 1}, {"id": "t2", "number": 2, "sectionId": "s"}],
        },
        {"id": "s2", "restaurantId": "not R", "name": "Bar", "tables": []},
    ],
}


def records_of(row, timestamp):
    return [record for record in steps_of(row, timestamp) if record is not None]


def events_of(row):
    understood = [decode(Record(new.topic, 0, 0, 0, new.key, new.value)) for new in records_of(row, TIME)]
    assert all(isinstance(one, Event) for one in understood)
    return understood


@pytest.fixture
def platform():
    return Platform()


# What the API says


def test_a_restaurant_speaks_of_itself_and_of_its_sections():
    assert set(parents_in(ROW)) == {"restaurant:R", "section:s", "section:s2"}


def test_records_say_what_the_api_says_but_for_what_is_nobodys_business():
    restaurant, patio, bar = events_of(ROW)
    assert (restaurant.entity, restaurant.id, restaurant.what) == ("restaurant", "R", FOUND)
    assert restaurant.data == {"restaurantId": "R", "name": "La Terraza", "ownerId": "u", "status": "active"}
    assert patio.data["tables"] == [{"tableId": "t1", "number": 1}, {"tableId": "t2", "number": 2, "sectionId": "s"}]
    assert bar.data == {"sectionId": "s2", "restaurantId": "R", "name": "Bar", "tables": []}
    assert {new.topic for new in records_of(ROW, TIME)} == {PARENTS_TOPIC}
    assert {new.key for new in records_of(ROW, TIME)} == {b"R"}


def test_section_with_many_tables_is_read_in_pieces_and_is_one_record():
    tables = [{"id": f"t{n}", "number": n, "password": "x"} for n in range(3 * TABLES_AT_ONCE + 1)]
    steps = list(steps_of({"id": "R", "sections": [{"id": "s", "tables": tables}]}, TIME))
    assert steps[1:-1] == [None] * 4
    assert orjson.loads(steps[-1].value)["data"] == {
        "sectionId": "s",
        "restaurantId": "R",
        "tables": [{"tableId": f"t{n}", "number": n} for n in range(len(tables))],
    }


@pytest.mark.parametrize("tables", [None, "t1", {"id": "t1"}])
def test_section_whose_tables_are_no_list_has_none(tables):
    [_, section] = events_of({"id": "R", "sections": [{"id": "s", "tables": tables}]})
    assert section.data == {"sectionId": "s", "restaurantId": "R"}


rows = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "", "no id", None, 5]) | junk,
        "ownerId": junk,
        "status": statuses | junk,
        "sections": junk | st.lists(st.fixed_dictionaries({}, optional={"id": junk | st.just("a"), "tables": junk})),
        "password": st.just("CANARY"),
    },
)


@given(rows | junk)
def test_whatever_the_api_says_is_decoded_or_passed_by(row):
    parents = set(parents_in(row))
    if parents:
        decoded = events_of(row)
        assert {f"{one.entity}:{one.id}" for one in decoded} == parents
        projections = Projections()
        for new, one in zip(records_of(row, TIME), decoded, strict=True):
            assert b"CANARY" not in new.value
            for message in process(one, projections).messages:
                check(Record(new.topic, 0, 0, 0, None, new.value), message)


def test_only_what_was_found_is_said_there():
    for what, topic in (("created", PARENTS_TOPIC), (FOUND, topic_of("sections")), (FOUND, topic_of("announcements"))):
        value = {"event_type": what, "entity_subtype": "section", "entity_id": "s", "data": {}}
        assert decode(Record(topic, 0, 0, 0, None, orjson.dumps(value))).reason == Disposition.UNKNOWN_EVENT_TYPE


# What becomes of it


def test_a_section_that_was_unknown_is_published_with_its_tables(platform):
    tables = [{"id": "t1", "number": 1}, {"id": "t2", "number": 2}]
    messages = platform.says("section.found", "s", restaurantId="R", name="Patio", tables=tables)
    assert messages.keys() == {PLAN}
    assert messages[PLAN].type == "section.created"
    assert messages[PLAN].data == {
        "sectionId": "s",
        "restaurantId": "R",
        "name": "Patio",
        "tables": [{"tableId": "t1", "number": 1, "sectionId": "s"}, {"tableId": "t2", "number": 2, "sectionId": "s"}],
    }
    assert platform.outcome.reparented == (PLAN,)
    assert "tables" not in platform.projections.entities["section"].alive["s"]
    assert list(platform.says("table.updated", "t1", number=3)) == [PLAN]


def test_what_stood_in_it_already_is_published_and_records_know_better(platform):
    assert platform.says("table.updated", "t1", sectionId="s", status="OCCUPIED", number=9) == {}
    assert platform.says("section_object.updated", "o1", sectionId="s", objectId="o") == {}
    messages = platform.says(
        "section.found", "s", restaurantId="R", tables=[{"id": "t1", "number": 1, "status": "AVAILABLE", "capacity": 4}]
    )
    [table] = messages[PLAN].data["tables"]
    assert table == {"tableId": "t1", "sectionId": "s", "status": "occupied", "number": 9, "capacity": 4}
    assert [item["sectionObjectId"] for item in messages[PLAN].data["sectionObjects"]] == ["o1"]


@pytest.mark.parametrize(
    "decoded",
    [
        [("section.created", "s", {"restaurantId": "R", "name": "y"}), ("table.created", "t", {"sectionId": "s"})],
        [("section.deleted", "s", {"restaurantId": "R"})],
        [("section.found", "s", {"restaurantId": "R", "name": "y", "tables": [{"id": "t"}]})],
        [("restaurant.created", "R", {}), ("restaurant.deleted", "R", {})],
    ],
    ids=["known", "deleted", "found before", "restaurant deleted"],
)
def test_what_records_have_spoken_of_is_not_backfilled(platform, decoded):
    for kind, id, data in decoded:
        platform.says(kind, id, **data)
    before = sent_rows(platform)
    assert platform.says("section.found", "s", restaurantId="R", name="x", tables=[{"id": "t"}]) == {}
    assert platform.outcome.reason == Disposition.BACKFILLED
    assert sent_rows(platform) == before


def sent_rows(platform):
    return [row for row in rows_of(platform.projections) if not row[0].startswith("found")]


def test_what_is_new_of_a_known_section_is_published(platform):
    platform.says("section.updated", "s", restaurantId="R", name="records know better")
    platform.says("table.created", "t1", sectionId="s", number=1)
    found = {"restaurantId": "elsewhere", "name": "x", "width": 5, "tables": [{"id": "t1", "number": 9}, {"id": "t2"}]}
    messages = platform.says("section.found", "s", **found)
    assert messages.keys() == {PLAN}
    assert messages[PLAN].type == "section.updated"
    assert messages[PLAN].data == {
        "sectionId": "s",
        "restaurantId": "R",
        "name": "records know better",
        "width": 5,
        "tables": [{"tableId": "t2", "sectionId": "s"}],
    }
    assert platform.outcome.reparented == (PLAN, "restaurant:elsewhere:tables"), "where others may have sent it"
    assert platform.says("section.found", "s", **found) == {}
    assert len(platform.outcome.reparented) == 2


def test_a_section_whose_restaurant_is_found(platform):
    platform.says("section.updated", "s", name="Patio")
    platform.says("table.created", "t1", sectionId="s")
    messages = platform.says("section.found", "s", restaurantId="R")
    assert (messages[PLAN].type, messages[PLAN].data["tables"]) == (
        "section.updated",
        [{"tableId": "t1", "sectionId": "s"}],
    )


def test_tables_that_are_deleted_or_elsewhere_stay_so(platform):
    platform.says("table.created", "t1", sectionId="s")
    platform.says("table.deleted", "t1")
    platform.says("table.created", "t2", sectionId="elsewhere")
    messages = platform.says("section.found", "s", restaurantId="R", tables=[{"id": "t1"}, {"id": "t2"}, {"id": "t3"}])
    assert [table["tableId"] for table in messages[PLAN].data["tables"]] == ["t3"]
    assert platform.projections.entities["table"].alive["t2"]["sectionId"] == "elsewhere"


def test_a_section_of_no_restaurant_says_nothing(platform):
    assert platform.says("section.found", "s", name="x") == {}
    assert platform.outcome.reason == Disposition.BACKFILLED
    assert missing_parent(event("table.created", "t", sectionId="s"), platform.projections) == "section:s"


def test_who_owns_a_restaurant_is_found_and_said_to_nobody(platform):
    subscription = event("subscription.created", "sub", restaurantId="R")
    assert missing_parent(subscription, platform.projections) == "restaurant:R"
    assert platform.says("restaurant.found", "R", ownerId="u", name="x") == {}
    assert platform.outcome.reason == Disposition.BACKFILLED
    assert missing_parent(subscription, platform.projections) is None
    assert list(platform.receives(subscription)) == ["user:u:notifications"]
    assert not platform.projections.entities["restaurant"].knows("R"), "no record has named it"


def test_records_know_better_who_owns_a_restaurant(platform):
    platform.says("restaurant.created", "R", ownerId="u")
    platform.says("restaurant.found", "R", ownerId="u2")
    assert platform.projections.owner("R") == "u"
    platform.says("owner_upgrade.status_changed", "q", status="APPROVED", assignedRestaurantId="R2", userId="u")
    platform.says("restaurant.found", "R2", ownerId="u2")
    assert platform.projections.owner("R2") == "u"
    platform.says("restaurant.found", "R3", ownerId="u3")
    platform.says("restaurant.status_changed", "R3", status="SUSPENDED")
    assert platform.projections.owner("R3") == "u3", "what a record leaves out is filled in"


# In the stream

NOW = 1_800_000_000_000
TABLES, OWN = Partition(topic_of("tables"), 0), Partition(PARENTS_TOPIC, 0)


class Stream:
    """A feed of tables, and of what is found; with two sources, or with one as the embedded log has."""

    def __init__(self, *, embedded):
        self.wanted = []
        self.feed = a_feed(request_parent=self.wanted.append)
        self._embedded = embedded
        extents = {partition: OffsetRange(0, 0, "id") for partition in (TABLES, OWN)}
        self.feed.ingest(LogMetadata(extents, {None: 0} if embedded else dict.fromkeys(extents, 0)), NOW)
        self.take(NOW)

    def receive(self, kind, id, *, after=0, **data):
        one = record(kind, id, timestamp=NOW + after, **data)
        self.feed.ingest(Records(None if self._embedded else Partition(one.topic, 0), [one], 0), NOW + after)
        self.take(NOW + after)

    def take(self, now):
        for _ in self.feed.process(now):
            pass

    def decoded(self):
        messages = [orjson.loads(payload_of(one.frame)) for _, one in self.feed.window._order]
        return [(message["type"], message["channel"]) for message in messages]


def test_who_waits_for_a_section_is_released_by_it():
    stream = Stream(embedded=False)
    stream.receive("table.updated", "t", sectionId="s", number=5)
    assert (set(stream.wanted), stream.decoded()) == ({"section:s"}, [])
    assert stream.feed.known.is_missing("section:s")
    stream.receive("section.found", "s", after=200, restaurantId="R", tables=[{"id": "t2"}])
    assert stream.decoded() == [("section.created", PLAN), ("table.updated", PLAN)]
    assert not stream.feed.known.is_missing("section:s")


@pytest.mark.parametrize("embedded", [False, True])
def test_who_could_not_wait_is_published_with_it(embedded):
    stream = Stream(embedded=embedded)
    stream.receive("table.updated", "t", sectionId="s", number=5)
    stream.take(NOW + 2000)
    assert (set(stream.wanted), stream.decoded()) == ({"section:s"}, [])
    stream.receive("section.found", "s", after=3000, restaurantId="R", tables=[{"id": "t2"}])
    assert stream.decoded() == [("section.created", PLAN)]
    snapshot = stream.feed.states.snapshot(parse_channel(PLAN))
    assert [table["tableId"] for table in written(snapshot)["tables"]] == ["t", "t2"]
    assert not snapshot.complete, "no record has named the restaurant"
    stream.receive("section.found", "s", after=3001, restaurantId="R", tables=[{"id": "t2"}])
    assert len(stream.decoded()) == 1, "other instances may have asked, too"


def test_those_without_a_parent_that_can_be_named_want_none():
    stream = Stream(embedded=True)
    stream.receive("table.updated", "t", number=5)
    stream.receive("image.created", "i", entityId="unknown")
    assert stream.wanted == ["part:unknown"], "which nobody can be asked for"
