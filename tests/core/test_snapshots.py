"""States that are written bit by bit. What belongs into them is tested where it comes from (`test_routing`)."""

import orjson
import pytest

from mesaya_ws.core import snapshots
from mesaya_ws.core.channels import parse_channel
from mesaya_ws.core.event_log import Batch, Partition, Sources
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.hub import Hub
from mesaya_ws.core.window import Window

from .events import NOW, record
from .world import written

MANY = 7


def told():
    """Return a feed that knows a restaurant with many of each."""
    feed = Feed(Hub(), Window(300, 1 << 20), 0.0)
    records = [record("restaurant.created", "r", name="Casa", ownerId="o")]
    records += [record("restaurant.created", f"r{n}", name="Bar", ownerId="o") for n in range(MANY)]
    records += [record("section.created", f"s{n}", restaurantId="r", name="Patio") for n in range(MANY)]
    records += [record("table.created", f"t{n}", sectionId=f"s{n}", number=n) for n in range(MANY)]
    records += [record("image.created", f"i{n}", entityId=f"t{n}", url="/i") for n in range(MANY)]
    records += [record("review.created", f"v{n}", restaurantId="r", userId="u", rating=n) for n in range(MANY)]
    records += [
        record(
            "reservation.created", f"b{n}", restaurantId="r", userId="u", reservationTime=f"20{n * 10:02}-01-20T19:00Z"
        )
        for n in range(MANY)
    ]
    records += [record("announcement.created", f"a{n}", title="Hola") for n in range(MANY)]
    feed.hear(Sources({}, {}), NOW)
    tell(feed, *records)
    return feed


def tell(feed, *records):
    for each in records:
        feed.hear(Batch(Partition(each.topic, 0), [each], 0), NOW)
        list(feed.take(NOW))


CHANNELS = [
    "restaurant:r:tables",
    "restaurant:r:reservations",
    "restaurant:r:menu",
    "restaurant:r:reviews",
    "restaurant:r:info",
    "restaurant:unknown:tables",
    "user:u:notifications",
    "global:restaurants",
    "global:announcements",
]


def state_of(feed, name):
    return written(feed.snapshot(parse_channel(name)))


@pytest.mark.parametrize("name", CHANNELS)
def test_in_however_many_steps_it_is_written_it_is_the_same(name, monkeypatch):
    feed = told()
    whole = state_of(feed, name)
    count = sum(len(part) for part in whole.values() if isinstance(part, list))
    for at_once in (1, 2, MANY):
        monkeypatch.setattr(snapshots, "AT_ONCE", at_once)
        assert state_of(feed, name) == whole
        assert sum(1 for _ in feed.snapshot(parse_channel(name)).write()) >= count / at_once


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("restaurant:r:tables", MANY),
        ("restaurant:r:reservations", MANY),
        ("restaurant:r:menu", 0),
        ("restaurant:r:reviews", MANY),
        ("restaurant:r:info", MANY),
        ("restaurant:unknown:tables", 0),
        ("global:restaurants", MANY + 1),
    ],
)
def test_what_is_large_is_known_before_it_is_written(name, size, monkeypatch):
    feed, channel = told(), parse_channel(name)
    assert not feed.is_large(channel)
    monkeypatch.setattr(snapshots, "AT_ONCE", size)
    assert not feed.is_large(channel)
    monkeypatch.setattr(snapshots, "AT_ONCE", size - 1)
    assert feed.is_large(channel)


def test_lists_are_written_in_their_order_and_without_what_is_derived_to_nothing(monkeypatch):
    monkeypatch.setattr(snapshots, "AT_ONCE", 2)
    feed = told()
    tables = state_of(feed, "restaurant:r:tables")["tables"]
    assert [table["tableId"] for table in tables] == [f"t{n}" for n in range(MANY)]
    reservations = state_of(feed, "restaurant:r:reservations")["reservations"]
    assert [reservation["date"][:4] for reservation in reservations] == ["2030", "2040", "2050", "2060"]
    restaurants = state_of(feed, "global:restaurants")["restaurants"]
    assert len(restaurants) == 1 + MANY
    assert not any("ownerId" in restaurant for restaurant in restaurants)


def test_what_happens_while_it_is_written_is_not_in_it(monkeypatch):
    monkeypatch.setattr(snapshots, "AT_ONCE", 1)
    feed = told()
    snapshot = feed.snapshot(parse_channel("restaurant:r:tables"))
    steps = snapshot.write()
    next(steps)
    last = MANY - 1
    tell(feed, record("table.updated", f"t{last}", number=100), record("table.deleted", "t0"))
    tell(feed, record("table.created", "new", sectionId="s0"))
    list(steps)
    tables = orjson.loads(orjson.dumps(snapshot.data))["tables"]
    assert [(table["tableId"], table["number"]) for table in tables] == [(f"t{n}", n) for n in range(MANY)]


def test_it_can_be_gone_on_from_as_long_as_nothing_behind_it_has_left_the_window():
    feed = told()
    tables = parse_channel("restaurant:r:tables")
    snapshot = feed.snapshot(tables)
    assert feed.continues(snapshot)
    tell(feed, record("table.updated", "t0", number=100))
    assert feed.continues(snapshot)
    tell(feed, record("review.created", "large", restaurantId="r", userId="u", comment="x" * (1 << 20)))
    assert not feed.continues(snapshot)
    assert feed.continues(feed.snapshot(tables))
