"""How large the messages are that clients are sent: measured, for the documentation."""

import math
import uuid
from collections import Counter
from pathlib import Path

import orjson

from mesaya_ws.core.access.channels import KINDS, parse_channel
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import Records
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.envelope import Event, decode
from mesaya_ws.core.recovery.window import Window

SAMPLE = Path(__file__).parent.parent / "mesaya_ws" / "samples" / "captured.jsonl"
MANY = 1000
"""How many entities a large restaurant has of each kind, and how many restaurants a large platform."""

LISTED = {
    "tables": ("table", "tables"),
    "reservations": ("reservation", "reservations"),
    "menu": ("dish", "dishes"),
    "reviews": ("review", "reviews"),
    "info": ("image", "images"),
    "restaurants": ("restaurant", "restaurants"),
}
"""What the snapshot of a channel lists most of: the kind of entity, and what many of them are called."""


class Played:
    """A feed that takes records, and the largest event and snapshot of each kind of channel since it began."""

    def __init__(self):
        self.feed = Feed(Hub(), Window(math.inf, 1 << 30), 0)
        self.events, self.snapshots = Counter(), Counter()
        self._next = Counter()

    def play(self, lines):
        """Take records, of which each is `topic` and `value`."""
        before = self.feed.window.serial
        for line in lines:
            topic = line["topic"]
            record = Record(topic, 0, self._next[topic], 0, None, value_of(line))
            self._next[topic] += 1
            self.feed.ingest(Records(None, [record], 0), 0)
            list(self.feed.process(0))
        for name in self.feed.window.channels:
            kind = parse_channel(name).kind.name
            for publication in self.feed.window.after(name, {}, before):
                self.events[kind] = max(self.events[kind], len(publication.frame))

    def look(self):
        """Take note of how large the snapshots are now."""
        for name in self.feed.window.channels:
            channel = parse_channel(name)
            snapshot = self.feed.states.snapshot(channel)
            list(snapshot.write())
            size = sum(map(len, snapshot.frames()))
            self.snapshots[channel.kind.name] = max(self.snapshots[channel.kind.name], size)


def value_of(line):
    """Return the value of a record as the log holds it."""
    value = line["value"]
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def many_of(line):
    """Return the records that create many entities like the one that a record of the sample creates."""
    value = line["value"]
    for number in range(MANY):
        id = str(uuid.UUID(int=number))
        yield {"topic": line["topic"], "value": value | {"entity_id": id, "data": value["data"] | {"id": id}}}


def size_rows():
    """Return, for each kind of channel, how large messages are in the sample, and how large a snapshot of many is."""
    played, large, created = Played(), Played(), {}
    for line in map(orjson.loads, SAMPLE.read_bytes().splitlines()):
        played.play([line])
        played.look()
        event = decode(Record(line["topic"], 0, 0, 0, None, value_of(line)))
        if isinstance(event, Event) and event.what == "created":
            created.setdefault(event.entity, line)
    large.play(created.values())
    for entity, _ in LISTED.values():
        large.play(many_of(created[entity]))
    large.look()
    for name in KINDS:
        if played.events[name]:
            sizes = kilobytes(played.events[name]), kilobytes(played.snapshots[name])
            many = f"{MANY:,} {LISTED[name][1]}: {kilobytes(large.snapshots[name])}" if name in LISTED else ""
            yield [f"`…:{name}`", *sizes, many]


def kilobytes(size):
    """Return a size in kB, with two digits that count."""
    digits = 1 - math.floor(math.log10(size / 1000))
    return f"{round(size / 1000, digits):.{max(0, digits)}f} kB"
