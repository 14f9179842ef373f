"""Several partitions and no keys, as the platform writes: whatever the order of arrival, the state is the same."""

from collections import Counter
from random import Random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.events import Records, TopicRecreated
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.stored import HistoryRequest, read_pages
from mesaya_ws.core.recovery.verdict import NeedsHistory, Recoverable, Unrecoverable
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.wire.frames import payload_of
from tests import oracle
from tests.support.instance import a_feed, commit, resume, written
from tests.support.log import LATER, NOW, Log

PARTITIONS = 3
CHANNELS = [
    *map(
        parse_channel,
        [f"restaurant:{id}:{kind}" for id in "RQ" for kind in ("reservations", "tables", "menu", "reviews", "info")],
    ),
    parse_channel("global:restaurants"),
]
PLURALS = {"dish": "dishes", "section_object": "sectionObjects"}
SINGULARS = {PLURALS.get(kind, f"{kind}s"): kind for kind in oracle.ID_NAMES}


class Screen:
    """What a client of a channel shows, of all that it has received from the beginning."""

    def __init__(self):
        self.shown = {}

    def receive(self, message):
        entity, _, what = message["type"].partition(".")
        data = message["data"]
        for name in ("newStatus", "previousStatus"):
            data.pop(name, None)
        if entity == "restaurant" and not message["channel"].startswith("global"):
            contents = {name: data.pop(name) for name in SINGULARS if name in data and name != "sections"}
            if "sections" in data and message["channel"].endswith(":tables"):
                contents["sections"] = data["sections"]
            if what == "deleted" or contents.keys() - {"images"}:
                self.shown.clear()
            self.put_all(contents)
            if message["channel"].endswith(":info"):
                self.put_all({"restaurants": [] if what == "deleted" else [data]})
            return
        for kind in oracle.ID_NAMES:
            for id in data.pop(f"{oracle.ID_NAMES[kind]}s", ()):
                self.shown.pop((kind, id), None)
        self.put_all({name: data.pop(name) for name in SINGULARS if name in data})
        if message["channel"].endswith(":info") and entity != "image":
            return
        if entity in ("payment", "object"):
            return
        place = entity, data[oracle.ID_NAMES[entity]]
        if what == "deleted":
            self.shown.pop(place, None)
        else:
            self.show(entity, data)

    def put_all(self, contents):
        for name, items in contents.items():
            if name == "holds":  # which nobody has here
                assert items == []
                continue
            kind = SINGULARS[name]
            for item in items:
                self.show(kind, item)

    def show(self, kind, item):
        # What users are called is not only said by reservations; `sections` is said when a restaurant ends.
        known = {name: value for name, value in item.items() if name not in ("clientName", "sections")}
        self.shown[kind, item[oracle.ID_NAMES[kind]]] = known


def screen_of(state):
    screen = Screen()
    screen.put_all({name: held for name, held in state.items() if name != "restaurant"})
    if state.get("restaurant"):
        screen.put_all({"restaurants": [state["restaurant"]]})
    return screen.shown


class Instance:
    def __init__(self, log):
        self.feed = a_feed(self.report, seconds=10**9, max_bytes=1 << 24)
        self.log = log
        self.late = set()

    def report(self, record, outcome):
        if outcome.reason == Disposition.LATE:
            self.late.add((Partition(record.topic, record.partition), record.offset))

    def begin(self):
        self.feed.ingest(self.log.sources(), LATER)
        list(self.feed.process(LATER, LATER + 2000))  # nobody waits any longer
        return self

    def take(self, records):
        for record in records:
            self.feed.ingest(Records(Partition(record.topic, record.partition), [record], 0), LATER)
            list(self.feed.process(LATER, LATER + 2000))  # nobody waits any longer
        return self

    def restarted(self):
        """Return another instance that begins with a checkpoint of this one."""
        cut, pieces = self.feed.persistent.capture()
        rows = orjson.loads(orjson.dumps(list(pieces)))
        other = Instance(self.log)
        for _ in other.feed.persistent.restore(cut, rows):
            pass
        return other.begin()

    def states(self):
        return {channel.name: screen_of(written(self.feed.states.snapshot(channel))) for channel in CHANNELS}

    def screens(self):
        found = {}
        for channel in CHANNELS:
            screen = found[channel.name] = Screen()
            for publication in self.feed.window.after(channel.name, {}):
                screen.receive(orjson.loads(payload_of(publication.frame)))
        return {name: screen.shown for name, screen in found.items()}


def whole(kind, **known):
    """Return all fields of a record, those that matter as they are said."""
    shape = oracle.SHAPES[kind]
    made = {str: "x", int: 1, bool: True, list: [], dict: {}}
    data = {name: made[types[0]] for name, types in shape.types.items() if name not in shape.optional}
    return {name: value for name, value in (data | known).items() if name not in oracle.PRIVATE}


def story(log, random, length):
    """Let a log hold two restaurants; clocks differ by more than what lies between."""
    times = iter(sorted(random.sample(range(10**6), 6 * length)))
    pending = []

    def says(kind, id, **data):
        time = next(times) + random.choice([0, 0, 0, -300_000, 300_000]) * 10 + len(pending)
        pending.append((kind, id, random.randrange(PARTITIONS), time, data))

    for restaurant in "RQ":
        says("restaurant.created", restaurant, **whole("restaurant", status="ACTIVE"))
    for _ in range(length):
        what, restaurant = random.choice(["created", "updated"]), random.choice("RQ")
        section = random.choice(["s1", "s2"])
        match random.choices(range(15), [1, 3, 1, 5, 1, 2, 1, 4, 4, 1, 2, 1, 2, 2, 3])[0]:
            case 0:
                says("restaurant.status_changed", restaurant, status=random.choice(["ACTIVE", "SUSPENDED"]))
            case 1:
                says(f"section.{what}", section, **whole("section", restaurantId=restaurant, name=random.choice("ab")))
            case 2:
                says("section.deleted", section)
            case 3:
                number = random.randrange(9)
                says(f"table.{what}", random.choice("tu"), **whole("table", sectionId=section, number=number))
            case 4:
                says("table.deleted", random.choice("tu"))
            case 5:
                says(f"section_object.{what}", "p", **whole("section_object", sectionId=section, objectId="o"))
            case 6:
                says("section_object.deleted", "p")
            case 7:
                says("reservation.created", random.choice("bc"), **whole("reservation", restaurantId=restaurant))
            case 8:
                says("reservation.status_changed", random.choice("bc"), status=random.choice(["CONFIRMED", "REJECTED"]))
            case 9:
                says("reservation.deleted", random.choice("bc"))
            case 10:
                says(f"dish.{what}", "d", **whole("dish", restaurantId=restaurant, price=random.randrange(9)))
            case 11:
                says("dish.deleted", "d")
            case 12:
                says(f"review.{what}", "v", **whole("review", restaurantId=restaurant, rating=random.randrange(5)))
            case 13:
                says("review.updated", "v", comment=random.choice("xyz"))
            case 14:
                says(f"image.{what}", "i", **whole("image", entityId=random.choice(["R", "s1", "t", "d", "none"])))
    for kind, id, partition, time, data in pending:
        log.says(kind, id, partition=partition, timestamp=NOW - 10**7 + time, **data)


def arrivals(records, random):
    """Return records in another order, in which those of each partition keep theirs."""
    disorder = random.choice([0, 3, 10, 1000])
    order = sorted(range(len(records)), key=lambda n: n + random.uniform(0, disorder))
    waiting = {}
    for record in records:
        waiting.setdefault((record.topic, record.partition), []).append(record)
    return [waiting[records[n].topic, records[n].partition].pop(0) for n in order]


def in_order(records):
    """Return records in the order that counts; of one thing's, no partition goes back in time."""
    latest, keyed = {}, []
    for record in sorted(records, key=lambda record: record.offset):
        bind_context = record.topic, record.partition, orjson.loads(record.value)["entity_id"]
        latest[bind_context] = max(latest.get(bind_context, record.timestamp), record.timestamp)
        keyed.append(((latest[bind_context], record.topic, record.partition, record.offset), record))
    return [record for _, record in sorted(keyed)]


def by_their_heads(records):
    """Return records as who reads them from the beginning takes them: of the heads of all partitions the earliest."""
    latest, placed = {}, []
    for record in sorted(records, key=lambda record: record.offset):
        partition = record.topic, record.partition
        latest[partition] = max(latest.get(partition, record.timestamp), record.timestamp)
        placed.append(((latest[partition], *partition, record.offset), record))
    return [record for _, record in sorted(placed)]


@given(st.integers(0, 2**32))
def test_any_order_of_arrival_ends_in_the_same_state(seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    story(log, random, 25)
    one, other = (Instance(log).begin().take(arrivals(log.records, random)) for _ in range(2))
    expected = one.states()
    assert one.screens() == expected, "a client shows what the state is"
    assert other.states() == expected
    assert other.screens() == expected
    order, until = arrivals(log.records, random), random.randrange(len(log.records))
    again = Instance(log).begin().take(order[:until]).restarted().take(order[until:])
    assert again.states() == expected, "also by way of a checkpoint"
    assert {
        channel.name: screen_of(oracle.state(in_order(log.records), channel.name)) for channel in CHANNELS
    } == expected, "also for who reads it in the order of the rules"


class Follower:
    """A client of one channel: what it shows, and which records it has received."""

    def __init__(self, channel):
        self.channel = channel
        self.screen = Screen()
        self.received = set()

    def receive(self, publications):
        for publication in publications:
            place = publication.partition, publication.offset
            assert place not in self.received, "received twice"
            self.received.add(place)
            self.screen.receive(orjson.loads(payload_of(publication.frame)))

    def copy(self):
        other = Follower(self.channel)
        other.received = set(self.received)
        other.screen.shown = dict(self.screen.shown)
        return other


def published(feed, channel):
    return {(one.partition, one.offset) for one in feed.window.after(channel.name, {})}


def more(log, random, records):
    """Let a log hold what concerns users, too."""
    for _ in range(records):
        time = random.randrange(10**6) + random.choice([0, 0, -3_000_000, 3_000_000])

        def says(kind, id, time=time, **data):
            log.says(kind, id, partition=random.randrange(PARTITIONS), timestamp=NOW - 10**7 + time, **data)

        match random.randrange(7):
            case 0 | 1:
                says("payment.created", random.choice("kl"), reservationId=random.choice("bc"), amount=1)
            case 2:
                says("payment.created", "m", subscriptionId="z", amount=1)
            case 3:
                says("subscription.updated", "z", restaurantId="R")
            case 4:
                says("owner_upgrade.updated", "y", userId="x", status="APPROVED", assignedRestaurantId="R")
            case 5:
                says("object.updated", "o", width=random.randrange(9))
            case 6:
                says("restaurant.updated", "R", ownerId=random.choice(["x", "x2"]))


@given(st.integers(0, 2**32))
def test_client_that_moves_misses_nothing_or_gets_the_reason(seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    story(log, random, 15)
    more(log, random, 10)
    records = arrivals(log.records, random)
    here, there = Instance(log).begin(), Instance(log).begin().take(arrivals(log.records, random))
    channels = [*CHANNELS, parse_channel("user:x:notifications"), parse_channel("user:x2:notifications")]
    followers = [Follower(channel) for channel in channels]
    serial, places = 0, []
    for record in (None, *records):
        if record is not None:
            here.take([record])
        for follower in followers:
            follower.receive(here.feed.window.after(follower.channel.name, {}, serial))
            places.append((follower.copy(), here.feed.position(follower.channel)))
        serial = here.feed.window.serial
    everything = there.states()
    for follower, position in places:
        channel = follower.channel
        verdict = there.feed.coverage.check(channel, position)
        if verdict == Unrecoverable.INCONSISTENT_POSITION:
            continue
        follower.receive(there.feed.window.after(channel.name, verdict.vector))
        if channel.name in everything:
            assert follower.screen.shown == everything[channel.name]
    assert all(
        isinstance(there.feed.coverage.check(*place), Recoverable) for place in last_places(places, len(channels))
    )


def test_records_waiting_in_several_partitions_are_published_with_their_parent():
    # The one that waits last brings an earlier record of its own, in the partition of the one that waited first.
    log = Log(partitions=2)
    restaurant = log.says("restaurant.created", "Q")
    elsewhere = log.says("table.updated", "u", partition=0, timestamp=NOW - 2, **whole("table", sectionId="gone"))
    first = log.says("table.created", "t", partition=0, **whole("table", sectionId="s"))
    last = log.says("table.created", "u", partition=1, **whole("table", sectionId="s"))
    section = log.says("section.created", "s", **whole("section", restaurantId="Q"))
    channel = parse_channel("restaurant:Q:tables")
    one = Instance(log).begin().take([restaurant, section, elsewhere, last])
    other = Instance(log).begin().take([restaurant, elsewhere, first, last, section])
    assert {("table", "t"), ("table", "u")} <= other.states()[channel.name].keys()
    position = one.feed.position(channel)
    assert other.feed.coverage.check(channel, position) == Unrecoverable.INCONSISTENT_POSITION, "`t` is not sent again"
    one.take([first])
    assert isinstance(other.feed.coverage.check(channel, one.feed.position(channel)), Recoverable)


def test_what_moved_away_elsewhere_and_stays_here_has_images_that_may_be_missing():
    log = Log(partitions=2)
    known = [log.says("restaurant.created", id) for id in "RQ"]
    known.append(log.says("image.created", "i", **whole("image", entityId="d")))
    known.append(log.says("dish.created", "d", timestamp=NOW - 3, **whole("dish", restaurantId="Q")))
    away = log.says("dish.updated", "d", timestamp=NOW - 2, **whole("dish", restaurantId="R"))
    back = log.says("dish.updated", "d", partition=1, timestamp=NOW - 1, **whole("dish", restaurantId="Q"))
    channel = parse_channel("restaurant:Q:info")
    one = Instance(log).begin().take([*known, away])
    follower = Follower(channel)
    follower.receive(one.feed.window.after(channel.name, {}))
    assert ("image", "i") not in follower.screen.shown
    other = Instance(log).begin().take([*known, back, away])
    assert other.late
    assert ("image", "i") in other.states()[channel.name]
    assert other.feed.coverage.check(channel, one.feed.position(channel)) == Unrecoverable.INCONSISTENT_POSITION
    one.take([back])
    assert isinstance(other.feed.coverage.check(channel, one.feed.position(channel)), Recoverable)


def test_what_waits_for_one_that_waits_follows_it_to_another_parent():
    log = Log(partitions=1)
    restaurant = log.says("restaurant.created", "R")
    elsewhere = log.says("table.created", "t", **whole("table", sectionId="gone"))
    moved = log.says("table.updated", "t", **whole("table", sectionId="s"))
    section = log.says("section.created", "s", **whole("section", restaurantId="R"))
    image = log.says("image.created", "i", **whole("image", entityId="t"))
    channel = parse_channel("restaurant:R:info")
    one = Instance(log).begin().take([restaurant, elsewhere, moved, section])
    other = Instance(log).begin().take([restaurant, elsewhere, image, moved, section])
    assert ("image", "i") in other.states()[channel.name]
    position = one.feed.position(channel)
    assert other.feed.coverage.check(channel, position) == Unrecoverable.INCONSISTENT_POSITION, "it came with `s`"
    one.take([image])
    assert isinstance(other.feed.coverage.check(channel, one.feed.position(channel)), Recoverable)


def test_images_of_a_parent_known_only_here_were_published_elsewhere():
    log = Log(partitions=1)
    known = [
        log.says("restaurant.created", "R"),
        log.says("section.created", "s1", **whole("section", restaurantId="R")),
    ]
    known.append(log.says("table.created", "t", **whole("table", sectionId="s1")))
    known.append(log.says("image.created", "i", **whole("image", entityId="t")))
    moved = log.says("table.updated", "t", **whole("table", sectionId="s2"))
    section = log.says("section.created", "s2", **whole("section", restaurantId="R"))
    channel = parse_channel("restaurant:R:info")
    one = Instance(log).begin().take([*known, moved])
    assert one.screens()[channel.name].keys() == {("restaurant", "R")}
    other = Instance(log).begin().take([*known, section, moved])
    assert ("image", "i") in other.states()[channel.name]
    position = one.feed.position(channel)
    assert other.feed.coverage.check(channel, position) == Unrecoverable.INCONSISTENT_POSITION
    one.take([section])
    assert isinstance(other.feed.coverage.check(channel, one.feed.position(channel)), Recoverable)


@given(st.integers(0, 2**32))
def test_the_latest_announcements_are_the_same_in_any_order_of_arrival(seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    for _ in range(60):
        word = random.choice(["created", "created", "updated", "deleted"])
        time, partition = NOW + random.randrange(40), random.randrange(PARTITIONS)
        id, text = f"a{random.randrange(40)}", random.choice("xyz")
        log.says(
            f"announcement.{word}",
            id,
            partition=partition,
            timestamp=time,
            **({} if word == "deleted" else {"text": text}),
        )
    channel = parse_channel("global:announcements")

    def shown(instance):
        return written(instance.feed.states.snapshot(channel))

    one, other = (Instance(log).begin().take(arrivals(log.records, random)) for _ in range(2))
    assert shown(other) == shown(one) == oracle.state(in_order(log.records), channel.name)
    order, until = arrivals(log.records, random), random.randrange(len(log.records))
    assert shown(Instance(log).begin().take(order[:until]).restarted().take(order[until:])) == shown(one)


@given(st.integers(0, 2**32))
def test_the_latest_notifications_are_the_same_in_any_order_of_arrival(seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    for number in range(60):
        # Of a reservation each, so that all of them are sent whatever came before.
        time, partition = NOW + random.randrange(40), random.randrange(PARTITIONS)
        if random.randrange(2):
            booked = whole("reservation", restaurantId="R", userId="x")
            log.says("reservation.created", f"b{number}", partition=partition, timestamp=time, **booked)
        else:
            log.says("owner_upgrade.created", f"y{number}", partition=partition, timestamp=time, userId="x")
    channel = parse_channel("user:x:notifications")

    def latest(instance):
        events = written(instance.feed.states.snapshot(channel))["events"]
        return [(event["type"], *event["data"].values()) for event in events]

    one, other = (Instance(log).begin().take(arrivals(log.records, random)) for _ in range(2))
    assert latest(one) == latest(other)
    assert len(latest(one)) == oracle.INBOX


def test_late_record_of_an_unknown_place_makes_positions_inconsistent():
    log = Log(partitions=2)
    known = [log.says("restaurant.created", id) for id in "RQ"]
    known.append(log.says("section.created", "here", restaurantId="R"))
    last = log.says("table.updated", "t", partition=1, timestamp=NOW + 1, **whole("table", sectionId="here"))
    late = log.says("table.created", "t", **whole("table", sectionId="there"))
    section = log.says("section.created", "there", restaurantId="Q")
    channel = parse_channel("restaurant:Q:tables")
    one = Instance(log).begin().take([*known, late, section])
    follower = Follower(channel)
    follower.receive(one.feed.window.after(channel.name, {}))
    assert ("table", "t") in follower.screen.shown
    other = Instance(log).begin().take([*known, last, late, section])
    assert other.late
    assert ("table", "t") not in other.states()[channel.name]
    assert other.feed.coverage.check(channel, one.feed.position(channel)) == Unrecoverable.INCONSISTENT_POSITION
    assert isinstance(other.feed.coverage.check(channel, other.feed.position(channel)), Recoverable)


def next_of(places, record):
    """Return the offset from which on the log of a record's partition is to be read."""
    place = places.get(Partition(record.topic, record.partition))
    return 0 if place is None else place.next


KEEPING = [parse_channel(f"restaurant:{id}:reservations") for id in "RQ"]


class KeepingInstance(Instance):
    """An instance whose window holds hardly anything, and whose store holds what has a history."""

    def __init__(self, log, random):
        super().__init__(log)
        seconds = random.choice([1, 10**9])
        self.feed = a_feed(self.report, seconds=seconds, max_bytes=1, retention=Retention(1e6, 1 << 30))
        self.store = MemoryState()
        self.random = random
        self.steady = LATER

    def take(self, records):
        for record in records:
            super().take([record])
            if self.random.random() < 0.3:
                self.commit()
        return self

    def killed_and_started(self, records):
        """Return an instance that goes on where this one's store stands, in a log that holds `records` by now."""
        other = KeepingInstance(self.log, self.random)
        other.store = self.store
        places = resume(other.feed, self.store)
        records = [each for each in records if each.offset >= next_of(places, each)]
        left = Counter(Partition(record.topic, record.partition) for record in records)
        other.feed.ingest(self.log.sources()._replace(lags=dict(left)), LATER)
        for record in arrivals(records, self.random):
            partition = Partition(record.topic, record.partition)
            left[partition] -= 1
            other.feed.ingest(Records(partition, [record], left[partition]), LATER)
            if self.random.random() < 0.5:
                list(other.feed.process(LATER, LATER + 2000))
        for steady in (2000, 4000):
            list(other.feed.process(LATER, LATER + steady))
        assert other.feed.live
        return other

    def commit(self):
        self.steady += self.random.choice([0, 1000])
        commit(self.feed, self.store, LATER, self.steady)

    def read(self, channel, position):
        """Return what was missed since a position, all of it in the store by now; or why it cannot be sent."""
        self.commit()
        verdict = self.feed.check_position(channel, position, since=0)
        if isinstance(verdict, Recoverable):
            return list(self.feed.window.after(channel.name, verdict.vector))
        if not isinstance(verdict, NeedsHistory):
            return verdict
        [page] = read_pages(self.store, [HistoryRequest(channel, verdict.vector, opens=True)])
        assert page.is_whole
        if not page.is_clean:
            return Unrecoverable.INCONSISTENT_POSITION
        return self.store.since(channel.name, verdict.vector, 1 << 30).publications


@given(st.integers(0, 2**32))
def test_long_absence_is_answered_from_the_store_or_with_a_reason(seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    story(log, random, 12)
    more(log, random, 8)
    records = arrivals(log.records, random)
    here = Instance(log).begin()
    there = KeepingInstance(log, random).begin()
    there.commit()
    taken = arrivals(log.records, random)
    half = random.randrange(len(taken)) if random.random() < 0.7 else 0
    there.take(taken[:half])
    if half:
        there = there.killed_and_started(sorted(taken[:half], key=lambda record: record.offset))
    there.take(taken[half:])
    there.commit()
    for channel in KEEPING:
        kept = [(one.partition, one.offset) for one in there.store.since(channel.name, {}, 1 << 30).publications]
        assert len(kept) == len(set(kept)), "nothing is there twice"
    expected = there.states()
    followers = [Follower(channel) for channel in KEEPING]
    serial = 0
    for record in (None, *records):
        if record is not None:
            here.take([record])
        for follower in followers:
            follower.receive(here.feed.window.after(follower.channel.name, {}, serial))
            missed = there.read(follower.channel, here.feed.position(follower.channel))
            if isinstance(missed, Unrecoverable):
                assert missed is Unrecoverable.INCONSISTENT_POSITION
                continue
            then = follower.copy()
            then.receive(missed)
            assert then.screen.shown == expected[follower.channel.name]
        serial = here.feed.window.serial


@given(st.integers(0, 2**32))
def test_who_comes_back_to_the_instance_where_it_was_reads_all_of_it_in_the_store(seed):
    random = Random(seed)
    log = Log(partitions=PARTITIONS)
    story(log, random, 12)
    more(log, random, 8)
    here = KeepingInstance(log, random).begin()
    here.commit()
    places = []
    for record in arrivals(log.records, random):
        here.take([record])
        places += [(channel, here.feed.position(channel)) for channel in KEEPING]
    here.commit()
    for channel, position in places:
        missed = here.read(channel, position)
        vector = here.feed.cursor.read(position, channel)
        if missed is Unrecoverable.INCONSISTENT_POSITION:
            # Only before what was sent to nobody here: another instance may have sent it.
            assert any(b"untold" in note.value for note in here.store.notes(channel.name))
            continue
        everything = here.store.since(channel.name, {}, 1 << 30).publications
        assert missed == [one for one in everything if one.offset >= vector.get(one.partition, 0)]


def test_recreated_topic_is_the_same_for_old_and_new_instances():
    before, after = Log(), Log()
    for log in (before, after):
        log.says("restaurant.created", "R")
        log.says("section.created", "s", restaurantId="R")
    before.says("review.created", "old", restaurantId="R")
    before.says("table.created", "t1", sectionId="s")
    there = Instance(before).begin().take(before.records)
    reviews, tables = (Partition(topic_of(domain), 0) for domain in ("reviews", "tables"))
    for log in (before, after):
        log.ends[reviews] = log.ends[tables] = 0
        log.ids = {reviews.topic: "again", tables.topic: "again"}
    for partition in (reviews, tables):
        there.feed.ingest(TopicRecreated(partition.topic, "again"), LATER)
    news = [after.says("review.created", "new", restaurantId="R"), after.says("table.created", "t2", sectionId="s")]
    before.ends = dict(after.ends)
    there.begin()
    lost = there.feed.progress.gaps
    there.feed.progress.gaps_announced()
    there.take(news)
    later = Instance(after).begin().take(after.records)
    assert lost == [(reviews.topic, Unrecoverable.TOPIC_RECREATED), (tables.topic, Unrecoverable.TOPIC_RECREATED)]
    assert there.states() == later.states()
    assert {kind_id for shown in there.states().values() for kind_id in shown} >= {("review", "new"), ("table", "t2")}
    again = there.restarted()
    assert again.states() == later.states()


def last_places(places, count):
    return [(follower.channel, position) for follower, position in places[-count:]]
