"""No record takes long in one go, whatever it concerns: what grows with it is the number of steps."""

import gc
from functools import partial
from itertools import pairwise
from math import inf
from time import thread_time

import orjson
import pytest
import trio

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.broadcaster import COPIED_AT_ONCE
from mesaya_ws.core.feed.router import is_wide
from mesaya_ws.core.interactions.chat_records import (
    GUEST,
    RESTAURANT,
    ConversationKey,
    Edited,
    ReadUpTo,
    Said,
    chat_record,
)
from mesaya_ws.core.interactions.hold_records import Claim, hold_record
from mesaya_ws.core.log.events import Records, TopicRecreated
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.envelope import decode
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE
from mesaya_ws.core.platform.provenance import NEVER
from mesaya_ws.core.platform.topics import PARENTS_TOPIC
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.wire.frames import payload_of
from mesaya_ws.gateway.snapshots import between_records
from tests.steps import calls, most_calls_in_a_step
from tests.support.instance import a_feed, a_session, ask, written
from tests.support.log import LATER, NOW, OVER, Log
from tests.timing import is_long

MOST_CALLS = 8000
"""Calls of a step that takes some milliseconds."""


class Scene:
    """What the log says of a platform, and a feed that has processed it."""

    def __init__(self):
        self.log, self.feed = Log(), a_feed(seconds=inf, max_bytes=1 << 30, parent_timeout=0.0)
        self.log.feed_into(self.feed)

    def known(self, *said):
        """Let the feed know what is said."""
        for kind, id, data in said:
            self.log.says(kind, id, **data)
        records, self.log.records = self.log.records, []
        self._receive(records)
        list(self.feed.process(OVER))
        list(self.feed.hub.fan_out())
        return self

    def steps(self, kind, id, metadata=None, **data):
        """Return the steps in which the feed takes one more record, and what it has published then."""
        self._receive([self.log.says(kind, id, metadata, **data)])
        self.log.records.clear()
        return self.feed.process(OVER)

    def _receive(self, records):
        for record in records:
            self.feed.ingest(Records(Partition(record.topic, record.partition), [record], 0), LATER)

    def sent(self, channel, serial=0):
        return [orjson.loads(payload_of(one.frame)) for one in self.feed.window.after(channel, {}, serial)]


def catalogue(count):
    """Return a piece of furniture that stands in so many restaurants."""
    said = [("object.created", "o", {"name": "chair"})]
    for n in range(count):
        said.append(("restaurant.created", f"r{n}", {"name": "x"}))
        said.append(("section.created", f"s{n}", {"restaurantId": f"r{n}"}))
        said.append(("section_object.created", f"p{n}", {"sectionId": f"s{n}", "objectId": "o"}))
    return Scene().known(*said)


def large_section(count):
    """Return a section with so many tables, each with four images."""
    said = [("restaurant.created", id, {"name": "x"}) for id in ("r", "q")]
    said.append(("section.created", "s", {"restaurantId": "r"}))
    for n in range(count):
        said.append(("table.created", f"t{n}", {"sectionId": "s", "number": n}))
        said += [("image.created", f"i{n}-{m}", {"entityId": f"t{n}", "url": "u"}) for m in range(4)]
    return Scene().known(*said)


def menu(count):
    return Scene().known(*(("image.created", f"i{n}", {"entityId": f"d{n}"}) for n in range(count)))


def closed(count):
    """Return a restaurant that has been deleted, though so many reservations have come since."""
    said = [("restaurant.created", "r", {"name": "x"}), ("restaurant.deleted", "r", {})]
    said += [
        ("reservation.created", f"v{n}", {"restaurantId": "r", "userId": "u", "timestamp": NOW + 1})
        for n in range(count)
    ]
    return Scene().known(*said)


def reopened(count):
    """Return a deleted restaurant about whose floor plan and menu much has been said since."""
    said = [("restaurant.created", "r", {"name": "x"}), ("restaurant.deleted", "r", {})]
    later = {"restaurantId": "r", "timestamp": NOW + 1}
    for n in range(count):
        said.append(("section.created", f"s{n}", later))
        said.append(("table.created", f"t{n}", {"sectionId": f"s{n}", "timestamp": NOW + 1}))
        said.append(("menu.created", f"m{n}", later))
        said.append(("image.created", f"i{n}", {"entityId": f"m{n}", "url": "u", "timestamp": NOW + 1}))
    return Scene().known(*said)


CASES = {
    "an object that changes": (catalogue, ("object.updated", "o", {"name": "stool"})),
    "an object that is deleted": (catalogue, ("object.deleted", "o", {})),
    "a section that moves": (large_section, ("section.updated", "s", {"restaurantId": "q"})),
    "a section that is deleted": (large_section, ("section.deleted", "s", {})),
    "a large restaurant that is there again": (
        reopened,
        ("restaurant.created", "r", {"name": "x", "timestamp": NOW + 2}),
    ),
    "a restaurant that is there again": (closed, ("restaurant.created", "r", {"name": "x", "timestamp": NOW + 2})),
}


@pytest.mark.parametrize("case", CASES)
def test_a_record_that_concerns_much_is_taken_in_steps_that_do_not_grow_with_it(case):
    build, (kind, id, data) = CASES[case]
    few, many = build(1000), build(3000)
    most = [most_calls_in_a_step(scene.steps(kind, id, **data)) for scene in (few, many)]
    assert max(most) < MOST_CALLS
    assert most[1] <= 1.1 * most[0] + 100


GUESTS = [ConversationKey("r", f"u{n}") for n in range(100)]
SAID = [Said(key, "m", GUEST, key.guest, "Is there a table on the terrace?") for key in GUESTS]
BROUGHT_IN = {
    "messages": (SAID, SAID),
    "edits": (SAID, [Edited(key, "m", GUEST, "Is there one inside?") for key in GUESTS]),
    "read marks": (SAID, [ReadUpTo(key, RESTAURANT, 1000) for key in GUESTS]),
    "claims": ([], [Claim(f"h{n}", "r", (f"t{n}",), None, f"u{n}", 300_000, "a", n) for n in range(100)]),
    "claims that are refused": (
        [Claim("h", "r", ("t",), None, "u", 300_000, "a", 0)],
        [Claim(f"h{n}", "r", ("t",), None, f"u{n}", 300_000, "a", n) for n in range(100)],
    ),
}
"""Records of what clients bring in, and others that come before them."""


@pytest.mark.parametrize("case", BROUGHT_IN)
def test_what_many_clients_bring_in_at_once_is_taken_in_steps(case):
    feed, offset = Scene().known(("restaurant.created", "r", {"name": "x", "ownerId": "o"})).feed, 0
    feed.progress.rights_changes.clear()
    before, said = BROUGHT_IN[case]
    for some in (before, said if said is not before else [one._replace(id="m2") for one in said]):
        new = [hold_record(one) if isinstance(one, Claim) else chat_record(one, "2026-01-20T18:00:00Z") for one in some]
        records = [Record(one.topic, 0, offset + n, NOW, one.key, one.value) for n, one in enumerate(new)]
        offset += len(records)
        if records:
            feed.ingest(Records(Partition(records[0].topic, 0), records, 0), LATER)
        most = most_calls_in_a_step(feed.process(OVER))
        list(feed.hub.fan_out())
    assert most < MOST_CALLS


@pytest.mark.parametrize(("count", "wide"), [(PARTS_AT_ONCE, False), (PARTS_AT_ONCE + 1, True)])
def test_restaurant_that_returns_with_many_reservations_is_processed_in_steps(count, wide):
    scene = closed(count)
    returns = decode(scene.log.says("restaurant.created", "r", name="x", timestamp=NOW + 2))
    assert is_wide(returns, scene.feed.known.projections) is wide


def longest(steps):
    """Return the processor time of the longest step, without what the garbage collector takes."""
    gc.collect()
    gc.disable()
    try:
        return _longest(steps)
    finally:
        gc.enable()


def _longest(steps):
    most = 0.0
    while True:
        start = thread_time()
        over = next(steps, steps) is steps
        most = max(most, thread_time() - start)
        if over:
            return most


@pytest.mark.parametrize("case", CASES)
def test_a_record_that_concerns_much_takes_no_step_longer_than_any_other(case):
    build, (kind, id, data) = CASES[case]
    scenes = [build(2500), build(2500)]
    assert not is_long(min(longest(scene.steps(kind, id, **data)) for scene in scenes))


@pytest.mark.parametrize("kind", ["tables", "info", "menu"])
@pytest.mark.slow
def test_what_a_snapshot_shows_is_found_with_as_many_calls_however_much_it_is(kind):
    channel = parse_channel(f"restaurant:r:{kind}")

    def find(feed):
        assert feed.states.is_large(channel)
        feed.states.snapshot(channel)

    few, many = (calls(partial(find, reopened(count).feed)) for count in (300, 900))
    assert many == few


def put(scene, kind, count, parent):
    """Let so many entities be known, each with a parent of its own."""
    table = scene.feed.known.projections.entities[kind]
    field, parents = parent
    for n in range(count):
        table.keep(f"{kind}{n}", {f"{kind}Id": f"{kind}{n}", field: parents.format(n)}, NEVER)


def full_house(*more):
    """Return a restaurant of 50,000 sections, with a table each, with an image each, which came after what is said."""
    scene, count = Scene().known(("restaurant.created", "r", {"name": "x", "ownerId": "o"}), *more), 50_000
    put(scene, "section", count, ("restaurantId", "r"))
    put(scene, "table", count, ("sectionId", "section{}"))
    put(scene, "image", count, ("entityId", "table{}"))
    return scene


def snapshot_steps(feed, channel):
    """Find, read and write the state of a channel, as the gateway does."""
    assert feed.states.is_large(channel)
    yield
    snapshot = feed.states.snapshot(channel)
    yield
    yield from snapshot.write()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tables", "info"])
def test_what_a_snapshot_shows_of_fifty_thousand_parents_is_read_in_no_long_step(kind):
    feed, channel = full_house().feed, parse_channel(f"restaurant:r:{kind}")
    assert not is_long(min(longest(snapshot_steps(feed, channel)) for _ in range(3)))


@pytest.mark.slow
def test_what_comes_with_a_restaurant_of_fifty_thousand_parts_is_read_in_no_long_step():
    scenes = [full_house(("restaurant.deleted", "r", {})) for _ in range(3)]
    before = scenes[0].feed.window.serial
    assert not is_long(min(longest(scene.steps("restaurant.created", "r", name="x")) for scene in scenes))
    plan, info = (scenes[0].sent(f"restaurant:r:{kind}", before)[0]["data"] for kind in ("tables", "info"))
    assert [len(plan[name]) for name in ("sections", "tables", "sectionObjects")] == [50_000, 50_000, 0]
    assert [image["imageId"] for image in info["images"]] == [f"image{n}" for n in range(50_000)]


def test_rights_follow_a_restaurant_that_is_there_again_when_all_of_it_has_been_published():
    scene = reopened(300)
    changes = scene.feed.progress.rights_changes
    changes.clear()
    for _ in scene.steps("restaurant.created", "r", name="x", ownerId="o", timestamp=NOW + 2):
        assert not changes or scene.sent("restaurant:r:info")
    assert "restaurant:r:reservations" in changes[0].channels


@pytest.mark.slow
def test_a_record_waits_until_the_state_before_it_has_been_read():
    scene, channel = full_house(), parse_channel("restaurant:r:info")
    snapshot = scene.feed.states.snapshot(channel)
    steps = scene.steps("image.created", "later", entityId="table7", url="u")
    while not snapshot.is_read:
        assert scene.feed.window.serial == snapshot.serial
        next(steps)
    list(steps)
    images = [image["imageId"] for image in written(snapshot)["images"]]
    assert images == [f"image{n}" for n in range(50_000)]
    assert [one["data"]["imageId"] for one in scene.sent("restaurant:r:info", snapshot.serial)] == ["later"]


@pytest.mark.slow
def test_a_state_that_is_taken_between_records_has_those_before_it_and_no_other():
    scene, count = full_house(), 200
    for n in range(count):
        scene.log.says("image.created", f"later{n}", entityId=f"table{n}", url="u")
    scene._receive(scene.log.records)
    steps, before = scene.feed.process(OVER), scene.feed.window.serial
    while scene.feed.window.serial == before:
        next(steps)
    snapshot = scene.feed.states.snapshot(parse_channel("restaurant:r:info"))
    assert not snapshot.is_read
    list(steps)
    shown = {image["imageId"] for image in written(snapshot)["images"] if image["imageId"].startswith("later")}
    after = {one["data"]["imageId"] for one in scene.sent("restaurant:r:info", snapshot.serial)}
    assert 0 < len(shown) < count
    assert len(shown) + len(after) == len(shown | after) == count


@pytest.mark.slow
def test_what_is_forgotten_with_a_topic_is_in_the_state_before_that():
    scene = full_house()
    snapshot = scene.feed.states.snapshot(parse_channel("restaurant:r:info"))
    scene.feed.ingest(TopicRecreated("mesa-ya.images.events", "another"), LATER)
    list(scene.feed.process(OVER))
    assert not scene.feed.known.projections.entities["image"].alive
    assert len(written(snapshot)["images"]) == 50_000


def test_a_long_message_is_put_together_in_steps():
    said = [("restaurant.created", "r", {"name": "x"})]
    said += [("table.created", f"t{n}", {"sectionId": "s", "note": "x" * 4000}) for n in range(1000)]
    scene = Scene().known(*said)
    before = scene.feed.window.serial
    steps = sum(1 for _ in scene.steps("section.created", "s", restaurantId="r"))
    [came] = scene.sent("restaurant:r:tables", before)
    assert {table["tableId"] for table in came["data"]["tables"]} == {f"t{n}" for n in range(1000)}
    encoded, copied = 1000 / 16, 4_000_000 / COPIED_AT_ONCE
    assert steps > encoded + copied, "of which a piece holds 64 KiB"


def test_a_large_record_on_many_channels_is_copied_for_one_in_a_step():
    scene = Scene().known(("restaurant.created", "r", {"name": "x"}))
    before = scene.feed.window.serial
    steps = scene.steps("restaurant.deleted", "r", description="x" * (1 << 20))
    at = [before, *(scene.feed.window.serial for _ in steps)]
    assert at[-1] == before + 6
    assert max(later - earlier for earlier, later in pairwise(at)) == 1


def test_record_processed_in_steps_is_published_as_a_whole():
    scene = large_section(300)
    serial = scene.feed.window.serial
    list(scene.steps("section.updated", "s", restaurantId="q", name="Patio"))
    tables = {f"t{n}" for n in range(300)}
    images = {f"i{n}-{m}" for n in range(300) for m in range(4)}
    [left] = scene.sent("restaurant:r:tables", serial)
    [came] = scene.sent("restaurant:q:tables", serial)
    assert (left["type"], set(left["data"]["tableIds"])) == ("section.deleted", tables)
    assert (came["type"], came["data"]["name"]) == ("section.created", "Patio")
    assert {table["tableId"] for table in came["data"]["tables"]} == tables
    [left] = scene.sent("restaurant:r:info", serial)
    [came] = scene.sent("restaurant:q:info", serial)
    assert set(left["data"]["imageIds"]) == images == {image["imageId"] for image in came["data"]["images"]}


@pytest.fixture
def midway():
    """A feed in the middle of a record that concerns 600 restaurants, and a client that has been there before."""
    scene = catalogue(600)
    session = a_session(scene.feed)
    before = {}
    for name in ("restaurant:r0:tables", "restaurant:r599:tables"):
        [answer] = ask(session, channel=name)
        before[name] = answer["position"]
    steps = scene.steps("object.updated", "o", name="stool")
    published = scene.feed.window.serial
    while scene.feed.window.serial == published:
        next(steps)
    assert scene.feed.is_mid_record
    assert scene.sent("restaurant:r0:tables", published)
    assert not scene.sent("restaurant:r599:tables", published)
    return scene, session, before, steps


def finish(scene, steps):
    for _ in steps:
        list(scene.feed.hub.fan_out())
    list(scene.feed.hub.fan_out())
    assert not scene.feed.is_mid_record


def stools(messages):
    return [one["channel"] for one in messages if one["type"] == "object.updated"]


@pytest.mark.parametrize("resumes", [False, True])
def test_who_comes_in_the_middle_of_a_record_is_answered_after_it(midway, resumes):
    """Or it would receive a place that lies after what it has still to receive."""
    scene, _, before, steps = midway
    session = a_session(scene.feed)
    for name, position in before.items():
        asked = {"channel": name, **({"position": position} if resumes else {})}
        assert ask(session, **asked) == []
    assert session.is_waiting_for_feed
    finish(scene, steps)
    list(retry_waiting(session))
    sent = session.send_queue.said()
    assert [one["channel"] for one in sent if one["type"] == "subscribed"] == list(before)
    assert stools(sent) == (list(before) if resumes else [])


def test_subscriber_gets_a_record_once_and_no_position_within_it(midway):
    scene, session, before, steps = midway
    [pong] = [one for one in ask(session, "ping") if one["type"] == "pong"]
    assert pong["positions"] == {}
    finish(scene, steps)
    assert sorted(stools(session.send_queue.said())) == sorted(before)
    [pong] = ask(session, "ping")
    assert pong["positions"].keys() == before.keys()


def test_a_state_that_is_due_in_the_middle_of_a_record_is_left_to_who_can_wait():
    scene = catalogue(600)
    session = a_session(scene.feed)
    session.send_queue.backlogged = True
    assert ask(session, channel="restaurant:r0:tables", snapshot=True) == []
    steps = scene.steps("object.updated", "o", name="stool")
    next(steps)
    assert scene.feed.is_mid_record
    session.send_queue.backlogged = False
    session.delivery.resume()
    assert session.send_queue.said() == []
    assert session.delivery in session.services.rendering
    finish(scene, steps)


@pytest.mark.slow
async def test_who_can_wait_lets_the_record_pass(midway):
    scene, _, __, steps = midway
    passed = []

    async def wait():
        await between_records(scene.feed)
        passed.append(scene.feed.is_mid_record)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for _ in steps:
            assert not passed
            await trio.lowlevel.checkpoint()
    assert passed == [False]


def test_backfilled_entities_are_forgotten_in_steps():
    scene = Scene()
    scene.known(("restaurant.created", "r", {"name": "x"}))
    found = [("section.found", f"s{n}", {"restaurantId": "r"}) for n in range(3000)]
    scene.known(*found)
    assert len(scene.feed.known.projections.entities["section"].alive) == 3000
    scene.feed.ingest(TopicRecreated(PARENTS_TOPIC, "another"), LATER)
    assert scene.feed.is_mid_record
    assert most_calls_in_a_step(scene.feed.process(OVER)) < MOST_CALLS
    assert not scene.feed.known.projections.entities["section"].alive
