from datetime import UTC, datetime, timedelta
from time import thread_time
from zoneinfo import ZoneInfo

import orjson
import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed import snapshot as snapshots
from mesaya_ws.core.feed.snapshot import Snapshot, is_known
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.window import PositionEvicted
from mesaya_ws.core.views.contents import LATEST, SnapshotRules
from mesaya_ws.core.wire.frames import FRAGMENT_BYTES, payload_of
from tests.steps import calls
from tests.support.instance import a_feed, a_window, data_of, written
from tests.support.log import NOW, record
from tests.timing import is_long

NOON = round(datetime(2026, 1, 20, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def state(platform):
    """What the snapshot of a channel says."""

    def ask(name, now=NOON, window=None, zone=UTC):
        channel, window = parse_channel(name), window or a_window(seconds=60, max_bytes=1000)
        view = snapshots.view_of(channel, platform.projections, window, now, SnapshotRules(zone))
        return written(Snapshot(channel, snapshots.state(channel, view), "", True, window))

    return ask


def test_a_floor_plan(platform, state):
    platform.says("section.created", "s2", restaurantId="R")
    platform.says("section.created", "elsewhere", restaurantId="R2")
    platform.says("table.created", "t2", sectionId="s2", status="AVAILABLE")
    platform.says("table.created", "orphan", sectionId="unknown")
    platform.says("section_object.created", "so", sectionId="s", objectId="o")
    assert state("restaurant:R:tables") == {
        "sections": [
            {"sectionId": "s", "restaurantId": "R", "name": "Terraza"},
            {"sectionId": "s2", "restaurantId": "R"},
        ],
        "tables": [
            {"tableId": "t", "sectionId": "s", "capacity": 4},
            {"tableId": "t2", "sectionId": "s2", "status": "available"},
        ],
        "sectionObjects": [{"sectionObjectId": "so", "sectionId": "s", "objectId": "o"}],
        "holds": [],
    }


def test_reservations_are_shown_as_their_events_show_them(platform, state):
    published = platform.says("reservation.created", "r", restaurantId="R", userId="u", status="PENDING")
    platform.says("review.created", "v", restaurantId="R2", userId="u", userName="Ana")
    shown = published["restaurant:R:reservations"].data | {"clientName": "Ana"}
    assert state("restaurant:R:reservations") == {"reservations": [shown]}


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("America/Guayaquil", "2026-01-20T05:00:00Z"),
        ("UTC", "2026-01-20T00:00:00Z"),
        ("Asia/Kathmandu", "2026-01-19T18:15:00Z"),
        ("Pacific/Kiritimati", "2026-01-19T10:00:00Z"),
        ("Etc/GMT+12", "2026-01-20T12:00:00Z"),
    ],
)
def test_reservations_from_midnight_at_the_platforms_place(platform, state, zone, begins):
    midnight = datetime.fromisoformat(begins)
    for hours in (-24, -1, 0, 23, 24):
        for minute in (-1, 0):
            when = midnight + timedelta(hours=hours, minutes=minute)
            text = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            platform.says("reservation.created", f"at{hours}.{minute}", restaurantId="R", reservationTime=text)
    platform.says("reservation.created", "some-day", restaurantId="R")

    def ids(now):
        shown = state("restaurant:R:reservations", round(now.timestamp() * 1000), zone=ZoneInfo(zone))
        return {one["reservationId"] for one in shown["reservations"]}

    today = {"at0.0", "at23.-1", "at23.0", "at24.-1", "at24.0", "some-day"}
    assert ids(midnight) == ids(midnight + timedelta(hours=24, milliseconds=-1)) == today
    yesterday = today | {"at-24.0", "at-1.-1", "at-1.0", "at0.-1"}
    assert ids(midnight - timedelta(milliseconds=1)) == yesterday
    assert ids(midnight + timedelta(hours=24)) == {"at24.0", "some-day"}


def test_reservations_of_the_past_are_not_looked_at_however_many_they_are():
    feed = a_feed()
    feed.ingest(LogMetadata({}, {}), NOW)
    ingest(feed, record("restaurant.created", "r", name="Bar"))
    topic = topic_of("reservations")

    def book(name, first, days):
        number = 0
        for day in days:
            said = []
            for _ in range(1000):
                when = (first + timedelta(days=day)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                said.append(record("reservation.created", f"{name}{number}", restaurantId="r", reservationTime=when))
                number += 1
            feed.ingest(Records(Partition(topic, 0), said, 0), NOW)
            list(feed.process(NOW))

    now = datetime.fromtimestamp(NOW / 1000, UTC)
    channel = parse_channel("restaurant:r:reservations")
    book("coming", now + timedelta(days=1), [0])
    few = calls(lambda: (feed.states.is_large(channel), feed.states.snapshot(channel)))
    book("past", now - timedelta(days=200), range(10))
    assert calls(lambda: (feed.states.is_large(channel), feed.states.snapshot(channel))) <= few + 20, (
        "with 10,000 of the past"
    )
    assert len(state_of(feed, channel.name)["reservations"]) == 1000


def test_menus_and_reviews(platform, state):
    platform.says("menu.created", "m", restaurantId="R", dishes=[{"dishId": "d"}])
    platform.says("dish.created", "elsewhere", restaurantId="R2")
    platform.says("review.created", "v", restaurantId="R", rating=5)
    platform.says("review.created", "w", restaurantId="R")
    platform.says("review.deleted", "w")
    assert state("restaurant:R:menu") == {
        "menus": [{"menuId": "m", "restaurantId": "R", "dishes": [{"dishId": "d"}]}],
        "dishes": [{"dishId": "d", "restaurantId": "R"}],
    }
    assert state("restaurant:R:reviews") == {"reviews": [{"reviewId": "v", "restaurantId": "R", "rating": 5}]}


def test_a_restaurant_and_the_images_of_all_its_parts(platform, state):
    platform.says("menu.created", "m", restaurantId="R", dishes=[{"dishId": "d"}])
    platform.says("dish.created", "elsewhere", restaurantId="R2")
    for part in ("R", "s", "t", "m", "d", "elsewhere", "unknown"):
        platform.says("image.created", f"of-{part}", entityId=part, url="u", storagePath="p")
    said = state("restaurant:R:info")
    assert said["restaurant"] == {"restaurantId": "R", "status": "active"}, "and nothing of its owner's affairs"
    assert [image["imageId"] for image in said["images"]] == ["of-R", "of-s", "of-t", "of-m", "of-d"]
    assert all("storagePath" not in image for image in said["images"])


def test_all_restaurants(platform, state):
    assert state("global:restaurants") == {
        "restaurants": [{"restaurantId": "R", "status": "active"}, {"restaurantId": "R2", "status": "active"}]
    }


def test_the_latest_announcements(platform, state):
    for number in range(LATEST + 2):
        platform.says("announcement.created", f"a{number}", offset=number, text="…")
    platform.says("announcement.deleted", f"a{LATEST}", offset=LATEST + 2)
    ids = [one["announcementId"] for one in state("global:announcements")["announcements"]]
    latest = [f"a{number}" for number in range(1, LATEST + 2) if number != LATEST]
    assert ids == latest
    platform.says("announcement.updated", "a0", offset=LATEST + 3, text="!")
    ids = [one["announcementId"] for one in state("global:announcements")["announcements"]]
    assert ids == [*latest[1:], "a0"], "what was named last"


@pytest.mark.parametrize("count", [3, 4])
def test_the_latest_notifications_and_whether_there_are_more(count):
    feed = a_feed(rules=SnapshotRules(inbox_events=3))
    feed.ingest(LogMetadata({}, {}), NOW)
    list(feed.process(NOW))
    ingest(feed, *[record("owner_upgrade.created", f"y{n}", userId="u") for n in range(count)])
    shown = state_of(feed, "user:u:notifications")
    assert [event["data"]["requestId"] for event in shown["events"]] == [f"y{n}" for n in range(count)][-3:]
    assert shown["more"] is (count > 3)
    assert state_of(feed, "user:another:notifications") == {"events": [], "more": False}


@pytest.mark.parametrize("kind", ["tables", "reservations", "menu", "reviews", "info"])
def test_of_an_unknown_restaurant_there_is_nothing(state, kind):
    assert not any(state(f"restaurant:unknown:{kind}").values())


@pytest.mark.parametrize("kind", ["tables", "reservations", "menu", "reviews", "info"])
def test_a_deleted_restaurant_has_no_state_whatever_is_said_of_it_afterwards(platform, state, kind):
    platform.says("menu.created", "m", restaurantId="R")
    platform.says("restaurant.deleted", "R")
    platform.says("section.created", "late", restaurantId="R")
    platform.says("table.created", "t2", sectionId="late")
    platform.says("dish.created", "d", restaurantId="R")
    platform.says("review.created", "v", restaurantId="R")
    platform.says("reservation.created", "r", restaurantId="R")
    platform.says("image.created", "i", entityId="R")
    assert not any(state(f"restaurant:R:{kind}").values())


def test_what_the_log_has_spoken_of_is_known(platform):
    platform.says("section.created", "s2", restaurantId="seeded")
    platform.says("restaurant.deleted", "R2")
    known = {
        name: is_known(parse_channel(name), platform.projections)
        for name in ("restaurant:R:menu", "restaurant:R2:menu", "restaurant:seeded:tables", "global:restaurants")
    }
    assert list(known.values()) == [True, True, False, True]


# States that are written bit by bit

MANY = 7


def published():
    """Return a feed that knows a restaurant with many of each."""
    feed = a_feed(parent_timeout=0.0)
    records = [record("restaurant.created", "r", name="Casa", ownerId="o")]
    records += [record("restaurant.created", f"r{n}", name="Bar", ownerId="o") for n in range(MANY)]
    records += [record("section.created", f"s{n}", restaurantId="r", name="Patio") for n in range(MANY)]
    records += [record("table.created", f"t{n}", sectionId=f"s{n}", number=n) for n in range(MANY)]
    records += [record("object.created", "o"), record("image.created", "i", entityId="r", url="/i")]
    records += [record("section_object.created", f"x{n}", sectionId=f"s{n}", objectId="o") for n in range(MANY)]
    records += [record("menu.created", f"m{n}", restaurantId="r", name="Menu") for n in range(MANY)]
    records += [record("dish.created", f"d{n}", restaurantId="r", name="Dish") for n in range(MANY)]
    records += [record("image.created", f"i{n}", entityId=f"t{n}", url="/i") for n in range(MANY)]
    records += [record("review.created", f"v{n}", restaurantId="r", userId="u", rating=n) for n in range(MANY)]
    records += [
        record(
            "reservation.created", f"b{n}", restaurantId="r", userId="u", reservationTime=f"20{n * 10:02}-01-20T19:00Z"
        )
        for n in range(MANY)
    ]
    records += [record("announcement.created", f"a{n}", title="Hola") for n in range(MANY)]
    feed.ingest(LogMetadata({}, {}), NOW)
    ingest(feed, *records)
    return feed


def ingest(feed, *records):
    for each in records:
        feed.ingest(Records(Partition(each.topic, 0), [each], 0), NOW)
        list(feed.process(NOW))


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
    return written(feed.states.snapshot(parse_channel(name)))


@pytest.mark.parametrize("name", CHANNELS)
def test_in_however_many_steps_it_is_written_it_is_the_same(name):
    feed = published()
    whole = state_of(feed, name)
    count = sum(len(part) for part in whole.values() if isinstance(part, list))
    for at_once in (1, 2, MANY):
        feed.states.written_at_once = at_once
        assert state_of(feed, name) == whole
        assert sum(1 for _ in feed.states.snapshot(parse_channel(name)).write()) >= count / at_once


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("restaurant:r:tables", 3 * MANY),
        ("restaurant:r:reservations", 4),  # that are to come
        ("restaurant:r:menu", 2 * MANY),
        ("restaurant:r:reviews", MANY),
        ("restaurant:r:info", 6 * MANY + 1),
        ("restaurant:unknown:tables", 0),
        ("global:restaurants", MANY + 1),
    ],
)
def test_what_is_large_is_known_before_it_is_written(name, size):
    feed, channel = published(), parse_channel(name)
    assert not feed.states.is_large(channel)
    feed.states.written_at_once = size
    assert not feed.states.is_large(channel)
    feed.states.written_at_once = size - 1
    assert feed.states.is_large(channel)


def test_lists_are_written_in_their_order_and_without_what_is_derived_to_nothing():
    feed = published()
    feed.states.written_at_once = 2
    tables = state_of(feed, "restaurant:r:tables")["tables"]
    assert [table["tableId"] for table in tables] == [f"t{n}" for n in range(MANY)]
    reservations = state_of(feed, "restaurant:r:reservations")["reservations"]
    assert [reservation["date"][:4] for reservation in reservations] == ["2030", "2040", "2050", "2060"]
    restaurants = state_of(feed, "global:restaurants")["restaurants"]
    assert len(restaurants) == 1 + MANY
    assert not any("ownerId" in restaurant for restaurant in restaurants)


def test_what_happens_while_it_is_written_is_not_in_it():
    feed = published()
    feed.states.written_at_once = 1
    snapshot = feed.states.snapshot(parse_channel("restaurant:r:tables"))
    steps = snapshot.write()
    next(steps)
    last = MANY - 1
    ingest(feed, record("table.updated", f"t{last}", number=100), record("table.deleted", "t0"))
    ingest(feed, record("table.created", "new", sectionId="s0"))
    list(steps)
    tables = data_of(snapshot)["tables"]
    assert [(table["tableId"], table["number"]) for table in tables] == [(f"t{n}", n) for n in range(MANY)]


def test_it_continues_as_long_as_nothing_after_it_has_left_the_window():
    feed = published()
    tables = parse_channel("restaurant:r:tables")
    snapshot = feed.states.snapshot(tables)
    assert snapshot.continues_in(feed.window)
    ingest(feed, record("table.updated", "t0", number=100))
    assert snapshot.continues_in(feed.window)
    ingest(feed, record("review.created", "large", restaurantId="r", userId="u", comment="x" * (1 << 20)))
    assert not snapshot.continues_in(feed.window)
    assert feed.states.snapshot(tables).continues_in(feed.window)


def large(number=2000):
    """Return a feed about a restaurant of which the floor plan takes several frames, and its snapshot."""
    feed = a_feed(seconds=60)
    sections = [record("section.created", "s0", restaurantId="r")]
    tables = [record("table.created", f"t{n}", sectionId="s0", notes="x" * 100) for n in range(number)]
    ingest(feed, record("restaurant.created", "r"), *sections, *tables)
    snapshot = feed.states.snapshot(parse_channel("restaurant:r:tables"))
    list(snapshot.write())
    return snapshot


def test_a_large_state_is_one_message_in_several_frames_that_all_clients_share():
    snapshot = large()
    one, another = list(snapshot.frames()), list(snapshot.frames(recovered=False, reason="expired"))
    assert [frame[0] for frame in one] == [0x01, *[0x00] * (len(one) - 2), 0x80]
    assert all(len(frame) < 2 * FRAGMENT_BYTES for frame in one)
    assert all(mine is theirs for mine, theirs in zip(one[1:], another[1:], strict=True))
    assert snapshot.size == sum(map(len, one[1:]))
    message = orjson.loads(b"".join(map(payload_of, another)))
    assert (message["recovered"], message["reason"], len(message["data"]["tables"])) == (False, "expired", 2000)


def test_a_state_that_is_revoked_is_let_go_at_once_and_goes_no_further():
    snapshot = large()
    frames = snapshot.frames()
    assert [next(frames)[0], next(frames)[0]] == [0x01, 0x00]
    snapshot.revoke()
    assert snapshot.size == 0
    with pytest.raises(PositionEvicted):
        next(frames)
    whole = large()
    frames = whole.frames()
    for frame in frames:
        if frame[0] & 0x80:
            whole.revoke()


def test_a_state_that_has_nothing_is_rendered_whole():
    feed = a_feed(seconds=60)
    ingest(feed)
    assert written(feed.states.snapshot(parse_channel("restaurant:r:tables"))) == {
        "sections": [],
        "tables": [],
        "sectionObjects": [],
        "holds": [],
    }


def test_the_many_images_of_a_part_are_large():
    feed = published()
    ingest(feed, *(record("image.created", f"n{n}", entityId="m0", url="/i") for n in range(snapshots.WRITTEN_AT_ONCE)))
    assert feed.states.is_large(parse_channel("restaurant:r:info"))
    assert not feed.states.is_large(parse_channel("restaurant:r:menu"))


def test_of_many_notifications_the_last_ones_are_known_at_once():
    feed = a_feed(max_bytes=1 << 30, parent_timeout=0.0)
    feed.ingest(LogMetadata({}, {}), NOW)
    list(feed.process(NOW))
    booked = [record("reservation.created", "v", restaurantId="r", userId="u", numberOfGuests=n) for n in range(3000)]
    feed.ingest(
        Records(Partition(booked[0].topic, 0), [one._replace(offset=n) for n, one in enumerate(booked)], 0), NOW
    )
    list(feed.process(NOW))
    channel = parse_channel("user:u:notifications")
    assert calls(lambda: feed.states.snapshot(channel)) < 600
    assert written(feed.states.snapshot(channel))["events"][-1]["data"]["numberOfGuests"] == 2999


def test_large_entities_are_written_in_short_steps():
    feed = a_feed(seconds=60)
    ingest(feed, record("restaurant.created", "r"))
    ingest(feed, *[record("review.created", f"v{n}", restaurantId="r", comment="x" * 500_000) for n in range(60)])
    steps = feed.states.snapshot(parse_channel("restaurant:r:reviews")).write()
    longest, began = 0.0, thread_time()
    for _ in steps:
        longest, began = max(longest, thread_time() - began), thread_time()
    assert not is_long(longest)


def test_snapshot_notes_its_entities_in_constant_work():
    feed = published()
    booked = [record("reservation.created", f"n{n}", restaurantId="r", userId="u") for n in range(1000)]
    few = calls(lambda: feed.states.snapshot(parse_channel("restaurant:r:reservations")))
    ingest(feed, *booked)
    assert calls(lambda: feed.states.snapshot(parse_channel("restaurant:r:reservations"))) <= few + 10, "of 1,000"
