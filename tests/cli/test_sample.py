"""The sample leaves something to see, whenever it is produced."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from mesaya_ws.cli.sample import sample_lines
from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.envelope import Rejected, decode
from mesaya_ws.core.platform.topics import TOPICS
from tests.support.instance import a_feed, written

LA_MESA = "b18ccb5f-6beb-48b0-885a-3eca7d2d552c"
GUEST = "33b89e97-a8d7-4d3e-9bb4-5f33eb164e9e"


def records(now=None):
    for line in sample_lines(now):
        fields = orjson.loads(line)
        yield fields["topic"], fields["value"]


@pytest.fixture(scope="module")
def feed():
    """A feed that has taken the sample."""
    feed, now = a_feed(seconds=1e9, max_bytes=1 << 30, parent_timeout=0.0), datetime.now(UTC).timestamp() * 1000
    feed.ingest(LogMetadata({Partition(topic, 0): OffsetRange(0, 0, topic) for topic in TOPICS}, {None: 0}), now)
    taken = [
        Record(topic, 0, offset, round(now), None, orjson.dumps(value))
        for offset, (topic, value) in enumerate(records())
    ]
    feed.ingest(Records(None, taken, 0), now)
    for _ in feed.process(now):
        pass
    return feed


def shown(feed, channel):
    return written(feed.states.snapshot(parse_channel(channel)))


def test_every_record_is_understood():
    kinds = [decode(Record(topic, 0, 0, 0, None, orjson.dumps(value))) for topic, value in records()]
    assert [kind for kind in kinds if isinstance(kind, Rejected) and kind.detail] == []


@pytest.mark.parametrize("now", [datetime(2027, 3, 1, 0, 0, tzinfo=UTC), datetime(2026, 11, 29, 18, tzinfo=UTC), None])
def test_it_has_just_been_written(now):
    times = [datetime.fromisoformat(value["timestamp"]) for _, value in records(now)]
    now = now or datetime.now(UTC)
    assert timedelta(0) <= now - max(times) < timedelta(days=1)
    assert max(times) - min(times) < timedelta(minutes=1)
    assert times == sorted(times)


def test_its_tables_are_free_taken_and_blocked(feed):
    tables = shown(feed, f"restaurant:{LA_MESA}:tables")["tables"]
    assert len(tables) == 6
    assert {table["status"] for table in tables} == {"available", "occupied", "blocked"}
    assert {table["isAvailable"] for table in tables} == {True, False}


def test_its_guests_have_names_and_are_still_to_come(feed):
    reservations = shown(feed, f"restaurant:{LA_MESA}:reservations")["reservations"]
    assert {reservation["clientName"] for reservation in reservations} == {"Ana Loor", "Luis Zambrano", "María Cedeño"}
    assert {"pending", "confirmed", "checked_in"} <= {reservation["status"] for reservation in reservations}


@pytest.mark.parametrize(
    ("channel", "field", "count"),
    [
        (f"restaurant:{LA_MESA}:menu", "dishes", 3),
        (f"restaurant:{LA_MESA}:reviews", "reviews", 1),
        ("global:restaurants", "restaurants", 2),
        ("global:announcements", "announcements", 1),
        (f"user:{GUEST}:notifications", "events", 8),
    ],
)
def test_something_is_left_on_every_channel(feed, channel, field, count):
    assert len(shown(feed, channel)[field]) >= count


def test_the_restaurant_is_open(feed):
    assert shown(feed, f"restaurant:{LA_MESA}:info")["restaurant"]["status"] == "active"
