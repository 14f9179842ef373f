"""An instance and its sessions, with fakes in place of all that has I/O.

Feeds, windows and sessions are built here alone: a constructor that changes is changed in one place.
"""

import orjson

from mesaya_ws.core.feed.checkpoint import in_pieces
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import Gap, LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.history import Retention
from mesaya_ws.core.recovery.stored import read_pages, read_state
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.chat_rules import ChatRules
from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.history import next_history_request, on_history
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.identities import IdentityRules, SessionIdentities
from mesaya_ws.core.session.identity_changes import apply_rights_changes
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.session import Limits, Session
from mesaya_ws.core.state.memory import MemoryState
from mesaya_ws.core.wire.frames import payload_of, text_frame
from tests.support.log import NOW

REVIEWS, TABLES = Partition(topic_of("reviews"), 0), Partition(topic_of("tables"), 0)
RESERVATIONS = Partition(topic_of("reservations"), 0)
CHANNEL = "restaurant:r1:reviews"
KEPT = "restaurant:r1:reservations"
"""A channel that has a history."""


def a_window(seconds=300, max_bytes=1 << 20):
    """Return an empty window; it keeps publications for so many seconds, or for ever (`inf`)."""
    return Window(seconds, max_bytes)


def a_feed(
    report=lambda record, outcome: None,
    *,
    kind=Feed,
    hub=None,
    seconds=300,
    max_bytes=1 << 20,
    parent_timeout=1.0,
    **options,
):
    """Return a feed that has taken nothing yet, with a window of its own, and a hub unless there is one."""
    return kind(hub or Hub(), a_window(seconds, max_bytes), parent_timeout, report, **options)


def a_session(
    feed,
    id="c1",
    send_queue=None,
    services=None,
    *,
    auth=True,
    most=10,
    conflate=False,
    identities=None,
    chat=None,
    presence=None,
    holds=None,
):
    """Return a session of `feed` that shares nothing, unless it is given that; its fakes keep what they are given."""
    return Session(
        id,
        feed,
        FakeSendQueue() if send_queue is None else send_queue,
        Limits(auth, most, conflate),
        FakeServices() if services is None else services,
        identities=session_identities() if identities is None else identities,
        chat=chat_rules() if chat is None else chat,
        presence=a_presence(feed.hub) if presence is None else presence,
        holds=hold_rules() if holds is None else holds,
    )


def session_identities(uniform=lambda first, last: (first + last) / 2, kind=SessionIdentities, **rules):
    """Return who sessions are, of whom nobody has signed in."""
    rules = {"max_per_user": 0, "leeway": 5.0, "required": False, "patience": 10.0} | rules
    return kind(IdentityRules(**rules), uniform)


def chat_rules(attachment_hosts=(), clock=lambda: 0.0, time_ms=lambda: 0):
    """Return the rules of chat for an instance; its time stands still, unless there is a clock."""
    return ChatRules(attachment_hosts, clock, time_ms)


def hold_rules(
    seconds=300.0, replica="replica", clock=lambda: 0.0, time_ms=lambda: 0, propose=lambda _: None, **options
):
    """Return the rules of table holds for an instance; its time stands still, unless there is a clock."""
    rules = HoldRules(seconds, replica, clock, time_ms, **options)
    rules.propose = propose
    return rules


def a_presence(hub, process="", most=10_000, clock=lambda: 0):
    """Return the presence of a process; its time stands still, unless there is a clock."""
    return Presence(hub, process, most, clock)


def work(feed, now=NOW, steady=None):
    """Let a feed process all that it can, and write what it publishes."""
    for _ in feed.process(now, steady):
        for _ in feed.hub.fan_out():
            pass


def commit(feed, store, now=NOW, steady=NOW):
    """Write to a store in memory what a feed has for it."""
    captured = feed.persistent.capture_changes(now, steady)
    changes = captured.encoded()
    store.commit(changes)
    feed.known.stored.view = store
    list(feed.persistent.changes_committed(captured, changes, store.floors))


def resume(feed, store, now=NOW, steady=None):
    """Have a feed begin where a store in memory stands; return the places from which its log is to be read."""
    feed.known.stored.view = store
    stored = read_state(store)
    list(feed.persistent.resume_stored(stored, in_pieces(iter(stored.rows)), now, steady))
    return stored.head.cut.places


class FakeSendQueue:
    """Keeps what it is offered; tests say when it is backlogged."""

    def __init__(self):
        self.backlogged = self.deferred = False
        self.viewer = None
        self.closed = None
        self.frames = []

    def disconnect(self, code):
        self.closed = self.closed or code

    def defer(self):
        self.backlogged = self.deferred = True

    def stream(self, frames):
        """Take all frames of a message at once."""
        parts = list(frames)
        assert [part[0] for part in parts] == [0x01, *[0x00] * (len(parts) - 2), 0x80]
        self.frames.append(text_frame(b"".join(map(payload_of, parts))))

    def offer(self, data, messages):
        count = 0
        while data:
            size = (
                data[1]
                if data[1] < 126
                else int.from_bytes(data[2:4])
                if data[1] == 126
                else int.from_bytes(data[2:10])
            )
            end = size + {126: 4, 127: 10}.get(data[1], 2)
            self.frames.append(data[:end])
            data, count = data[end:], count + 1
        assert count == messages

    def said(self):
        """Return the messages since the last call."""
        frames, self.frames = self.frames, []
        return [orjson.loads(payload_of(frame)) for frame in frames]


class Owner:
    """Stands where a connection stands: whose a session is."""

    def __init__(self, session):
        self.session = session


class FakeServices:
    """Keeps what sessions ask for; tests do it, or do not."""

    def __init__(self):
        self.waiting = []
        self.reading = []
        self.rendering = []
        self.commands = []
        self.authenticating = []

    def wait_for_feed(self, session):
        self.waiting.append(session)

    def read_history(self, delivery):
        self.reading.append(delivery)

    def render_snapshot(self, delivery):
        self.rendering.append(delivery)

    def append(self, session, command):
        self.commands.append((session, command))

    def authenticate(self, session, message):
        self.authenticating.append((session, message))


class Instance:
    """A feed that follows a log whose `partitions` have one order, as the embedded one has; all else is as of a feed.

    `next` are the offsets that records to come will have.
    """

    def __init__(self, *partitions, **feed):
        self.next = dict.fromkeys(partitions, 0)
        self.feed = a_feed(**feed)
        self.refresh()

    def refresh(self):
        """Let it know all that the log holds."""
        extents = {partition: OffsetRange(0, end, "id") for partition, end in self.next.items()}
        self.feed.ingest(LogMetadata(extents, {None: 0}), NOW)
        work(self.feed)

    def record(self, partition, what, id, data, **envelope):
        """Append a record."""
        value = {"event_type": what, "entity_id": id, "data": data, **envelope}
        offset = self.next[partition]
        self.next[partition] += 1
        return Record(*partition, offset, NOW, None, orjson.dumps(value))

    def take(self, *records):
        """Take records in one go, so that what they become is written together."""
        self.feed.ingest(Records(None, records, 0), NOW)
        work(self.feed)


class World:
    """A log with reviews and tables, an instance that follows it, and its clients."""

    def __init__(self, seconds=300, max_bytes=1 << 20, live=True, identities=None):
        self.offsets = {self.main: 0, TABLES: 0}
        self.ids = {self.main: "a", TABLES: "b"}
        self.begin = 0
        self.sessions = []
        self.services = FakeServices()
        self.identities = session_identities() if identities is None else identities
        self.feed = self.new_feed(seconds=seconds, max_bytes=max_bytes)
        if live:
            self.look()
            self.work()

    main, filler = REVIEWS, "comment"

    def new_feed(self, **window):
        return a_feed(**window)

    def look(self, *, begin=None, lag=0):
        """Let the instance look at the whole log, which holds `lag` more reviews than it has received."""
        lags = {self.main: lag, TABLES: 0}
        begin = self.begin if begin is None else begin
        extents = {p: OffsetRange(begin, end + lags[p], self.ids[p]) for p, end in self.offsets.items()}
        self.feed.ingest(LogMetadata(extents, lags), NOW)

    def work(self):
        for _ in self.feed.process(NOW):
            list(self.feed.hub.fan_out())
            for session in self.sessions:
                for gap in self.feed.progress.gaps:
                    session.resync(*gap)
            self.feed.progress.gaps_announced()
            list(apply_rights_changes(self.identities, self.feed.progress.take_rights_changes()))

    def lose(self):
        """Let the log lose a review before anybody has read it, and all before it."""
        first = self.offsets[self.main]
        self.begin = self.offsets[self.main] = first + 1
        self.feed.ingest(Gap(self.main, first, self.begin), NOW)
        self.look()
        self.work()

    def review(self, number, *, size=0, restaurant="r1", lag=0):
        value = {
            "timestamp": "2027-01-15T08:00:00.000Z",
            "event_type": "created",
            "entity_id": f"v{number}",
            "data": {
                "id": f"v{number}",
                "restaurantId": restaurant,
                "userId": "u1",
                self.filler: "x" * size,
            },
        }
        offset = self.offsets[self.main]
        self.offsets[self.main] += 1
        self.feed.ingest(Records(self.main, [Record(*self.main, offset, NOW, None, orjson.dumps(value))], lag), NOW)
        self.work()

    def client(self, *, auth=True, most=3):
        fakes = {"services": self.services, "identities": self.identities}
        self.sessions.append(a_session(self.feed, auth=auth, most=most, **fakes))
        return self.sessions[-1]


class KeepingWorld(World):
    """The same with reservations, and a store in which what is published on their channels is kept."""

    def __init__(self, seconds=300, max_bytes=1 << 20, hours=100):
        self.store = MemoryState()
        self.hours = hours
        super().__init__(seconds, max_bytes)
        self.commit()

    def new_feed(self, **window):
        return a_feed(**window, retention=Retention(self.hours, 1 << 30))

    main, filler = RESERVATIONS, "tableId"

    def commit(self):
        """Write to the store what is pending."""
        commit(self.feed, self.store)

    def late_client(self, *, commits):
        """Return a client that comes back after a review, which it awaits from the store, and where it has been."""
        start = ask(self.client(auth=False), channel=KEPT)[0]["position"]
        self.review(1)
        if commits:
            self.commit()
        session = self.client(auth=False)
        ask(session, channel=KEPT, position=start)
        return session, start

    def read(self, session):
        """Read the page that a session awaits next."""
        subscription, request = next_history_request(session.delivery)
        on_history(session.delivery, subscription, None if request is None else self.page(request))

    def page(self, request):
        """Return the page that was requested."""
        [page] = read_pages(self.store, [request])
        return page


def read_on(session):
    """Let a client read all that there is for it."""
    session.send_queue.backlogged = False
    session.delivery.resume()
    while session.send_queue.deferred:
        session.send_queue.backlogged = session.send_queue.deferred = False
        session.delivery.resume()


def ask(session, kind="subscribe", **fields):
    handle(session, orjson.dumps({"type": kind, **fields}).decode())
    return session.send_queue.said()


def reservations(messages):
    return [message["data"]["reservationId"] for message in messages if message["type"].startswith("reservation.")]


def reviews(messages):
    return [message["data"]["reviewId"] for message in messages if message["type"].startswith("review.")]


def written(snapshot):
    """Write a snapshot, and return its data."""
    for _ in snapshot.write():
        pass
    return data_of(snapshot)


def data_of(snapshot):
    """Return the data of a snapshot that has been written."""
    return orjson.loads(b"".join(map(payload_of, snapshot.frames())))["data"]
