"""A small world for the rules of clients: a log of reviews, an instance that follows it, and its clients."""

import orjson

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.history import HistoryRead
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import Gap, LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.session import Limits, Session
from mesaya_ws.core.wire.frames import payload_of, text_frame
from tests.core.events import NOW

REVIEWS, TABLES = Partition(topic_of("reviews"), 0), Partition(topic_of("tables"), 0)
CHANNEL = "restaurant:r1:reviews"


class FakeSendQueue:
    """Keeps what it is offered; tests say when it is backlogged."""

    def __init__(self):
        self.backlogged = self.deferred = False
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

    def read_history(self, session):
        self.reading.append(session)

    def render_snapshot(self, delivery):
        self.rendering.append(delivery)

    def append(self, session, command):
        self.commands.append((session, command))

    def authenticate(self, session, message):
        self.authenticating.append((session, message))


class World:
    """A log with reviews and tables, an instance that follows it, and its clients."""

    def __init__(self, seconds=300, max_bytes=1 << 20, live=True, identities=None):
        self.offsets = {REVIEWS: 0, TABLES: 0}
        self.ids = {REVIEWS: "a", TABLES: "b"}
        self.batches = []
        self.begin = 0
        self.sessions = []
        self.services = FakeServices()
        self.identities = SessionIdentities() if identities is None else identities
        self.feed = Feed(Hub(), Window(seconds, max_bytes), 1.0)
        if live:
            self.look()
            self.work()

    def look(self, *, begin=None, lag=0):
        """Let the instance look at the whole log, which holds `lag` more reviews than it was told of."""
        lags = {REVIEWS: lag, TABLES: 0}
        begin = self.begin if begin is None else begin
        extents = {p: OffsetRange(begin, end + lags[p], self.ids[p]) for p, end in self.offsets.items()}
        self.feed.ingest(LogMetadata(extents, lags), NOW)

    def work(self):
        for _ in self.feed.process(NOW):
            for _ in self.feed.hub.fan_out():
                pass
            gaps, self.feed.gaps = self.feed.gaps, []
            for session in self.sessions:
                for loss in gaps:
                    session.resync(*loss)
            if not self.feed.is_mid_record:
                changes, self.feed.rights_changes = self.feed.rights_changes, []
                list(self.identities.apply(changes))

    def lose(self):
        """Let the log lose a review before anybody has read it, and all before it."""
        first = self.offsets[REVIEWS]
        self.begin = self.offsets[REVIEWS] = first + 1
        self.batches.clear()
        self.feed.ingest(Gap(REVIEWS, first, self.begin), NOW)
        self.look()
        self.work()

    def review(self, number, *, size=0, restaurant="r1", lag=0):
        value = {
            "timestamp": "2027-01-15T08:00:00.000Z",
            "event_type": "created",
            "entity_id": f"v{number}",
            "data": {"id": f"v{number}", "restaurantId": restaurant, "userId": "u1", "comment": "x" * size},
        }
        offset = self.offsets[REVIEWS]
        self.offsets[REVIEWS] += 1
        self.batches.append(Records(REVIEWS, [Record(*REVIEWS, offset, NOW, None, orjson.dumps(value))], lag))
        self.feed.ingest(self.batches[-1], NOW)
        self.work()

    def client(self, *, auth=True, most=3):
        limits, identities = Limits(auth, most), self.identities
        self.sessions.append(Session("c1", self.feed, FakeSendQueue(), limits, self.services, identities=identities))
        return self.sessions[-1]

    def past(self, *names):
        """Return the past of channels up to now, which is still to be read."""
        return HistoryRead([parse_channel(name) for name in names], self.feed, 1.0, 1 << 20)

    def tell(self, past, *, records=None):
        """Tell a past what the log holds, or so many `records` of it."""
        begins = {REVIEWS: self.begin, TABLES: 0}
        past.feed.ingest(
            LogMetadata({p: OffsetRange(begins[p], end, self.ids[p]) for p, end in self.offsets.items()}, {}), NOW
        )
        for batch in self.batches[:records]:
            past.feed.ingest(batch, NOW)
        list(past.feed.process(NOW))


def recall(session, past):
    """Let a session go on with a past that was read."""
    session.on_history(past, [channel for channel in session.history_requests if channel.name in past.names])


def read_on(session):
    """Let a client read all that there is for it."""
    session.send_queue.backlogged = False
    session.resume()
    while session.send_queue.deferred:
        session.send_queue.backlogged = session.send_queue.deferred = False
        session.resume()


def ask(session, kind="subscribe", **fields):
    session.receive(orjson.dumps({"type": kind, **fields}).decode())
    return session.send_queue.said()


def reviews(messages):
    return [message["data"]["reviewId"] for message in messages if message["type"].startswith("review.")]


def written(snapshot):
    """Write a snapshot, and return what it tells."""
    for _ in snapshot.write():
        pass
    return told_by(snapshot)


def told_by(snapshot):
    """Return what a snapshot tells that has been written."""
    return orjson.loads(b"".join(map(payload_of, snapshot.frames())))["data"]
