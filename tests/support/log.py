"""Short ways to write down what the log says, and to ask what became of it."""

from collections.abc import Iterable
from typing import Any

import orjson

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.router import process
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import OffsetRange, Partition, Record
from mesaya_ws.core.platform.envelope import FOUND, Event, decode
from mesaya_ws.core.platform.outcome import Message, Outcome
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, TOPICS, topic_of

TIME = "2026-01-20T15:00:00.000Z"
NOW = 1_800_000_000_000
LATER = NOW + 60_000
OVER = LATER + 1000
"""When what was received `LATER` has waited for its parent long enough."""

_DOMAINS = {
    "restaurant": "restaurants",
    "section": "sections",
    "table": "tables",
    "object": "objects",
    "section_object": "section-objects",
    "menu": "menus",
    "dish": "menus",
    "review": "reviews",
    "image": "images",
    "reservation": "reservations",
    "payment": "payments",
    "subscription": "subscriptions",
    "plan": "subscriptions",
    "owner_upgrade": "owner-upgrade",
    "announcement": "announcements",
}


def record(
    kind: str,
    id: str,
    metadata: dict[str, Any] | None = None,
    *,
    partition: int = 0,
    offset: int = 0,
    timestamp: int = 0,
    **data: Any,
) -> Record:
    """Return a record of the kind `<entity>.<what>`, in the current envelope."""
    entity, _, what = kind.partition(".")
    if what == "found":
        what = FOUND
    value = {"timestamp": TIME, "event_type": what, "entity_id": id, "data": data, "metadata": metadata}
    if what == FOUND or entity in ("menu", "dish", "subscription", "plan"):
        value["entity_subtype"] = entity
    topic = PARENTS_TOPIC if what == FOUND else topic_of(_DOMAINS[entity])
    return Record(topic, partition, offset, timestamp, None, orjson.dumps(value))


def event(kind: str, id: str, metadata: dict[str, Any] | None = None, **data: Any) -> Event:
    """Understand a record of the kind `<entity>.<what>`."""
    understood = decode(record(kind, id, metadata, **data))
    assert isinstance(understood, Event), understood
    return understood


def user_record(id: str, first: str = "", last: str = "", roles: tuple[str, ...] = ()) -> Record:
    payload = {"userId": id, "firstName": first, "lastName": last, "roles": roles, "email": "a@example.com"}
    value = {"type": "user.updated", "payload": payload}
    return Record(topic_of("auth"), 0, 0, 0, None, orjson.dumps(value))


def user(id: str, first: str = "", last: str = "", roles: tuple[str, ...] = ()) -> Event:
    understood = decode(user_record(id, first, last, roles))
    assert isinstance(understood, Event), understood
    return understood


class Platform:
    """What the log has said so far, and what became of the last of it."""

    def __init__(self) -> None:
        self.projections = Projections()
        self.outcome = Outcome((), None)

    def says(self, kind: str, id: str, metadata: dict[str, Any] | None = None, **data: Any) -> dict[str, Message]:
        """Return the messages that a record becomes, by channel."""
        return self.receives(event(kind, id, metadata, **data))

    def receives(self, understood: Event) -> dict[str, Message]:
        self.outcome = process(understood, self.projections)
        messages = {message.channel: message for message in self.outcome.messages}
        assert len(messages) == len(self.outcome.messages), "two messages on one channel"
        return messages


class Log:
    """Records in their partitions, and what a follower receives of them; each partition is a source of its own.

    `records` are in the order in which they came, `begins` is what retention has left.
    """

    def __init__(self, partitions: int = 1) -> None:
        self.records: list[Record] = []
        self.ends = {Partition(topic, number): 0 for topic in (*TOPICS, PARENTS_TOPIC) for number in range(partitions)}
        self.begins: dict[Partition, int] = {}
        self.ids: dict[str, str] = {}

    def says(
        self,
        kind: str,
        id: str,
        metadata: dict[str, Any] | None = None,
        *,
        partition: int = 0,
        timestamp: int = NOW,
        **data: Any,
    ) -> Record:
        said = record(kind, id, metadata, partition=partition, timestamp=timestamp, **data)
        place = Partition(said.topic, partition)
        said = said._replace(offset=self.ends[place])
        self.ends[place] += 1
        self.records.append(said)
        return said

    def sources(self) -> LogMetadata:
        """Return a look at the log, by a follower that has received everything."""
        extents = {
            place: OffsetRange(self.begins.get(place, 0), end, self.ids.get(place.topic, "id"))
            for place, end in self.ends.items()
        }
        return LogMetadata(extents, dict.fromkeys(extents, 0))

    def feed_into(self, feed: Feed, records: Iterable[Record] | None = None) -> Feed:
        """Give a feed what the log holds, or just some records, one after the other; let it process all of it."""
        feed.ingest(self.sources(), LATER)
        list(feed.process(OVER))
        for said in self.records if records is None else records:
            place = Partition(said.topic, said.partition)
            if said.offset >= self.begins.get(place, 0):
                feed.ingest(Records(place, [said], 0), LATER)
                list(feed.process(OVER))
        return feed
