"""What a snapshot is made of: the entities that a channel is about, in the shapes of its events."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, tzinfo
from itertools import chain, islice
from operator import methodcaller
from typing import Any, NamedTuple

from attrs import frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.notifications import Latest
from mesaya_ws.core.recovery.window import Window

LATEST = 20
"""How many announcements a snapshot holds."""

INBOX_EVENTS = 50
"""How many notifications it holds, by default."""

READ_AT_ONCE = 4000
"""How many entities are read in one go: a millisecond or two of work, with those among which they are looked for."""

COUNTED = 1000
"""How many entities on disk are counted at most to know whether there are many."""

COSTLY = 4
"""How many entities in memory are read in the time in which one is that may be on disk."""

_values = methodcaller("values")

ChannelState = dict[str, Any]
"""What a channel shows, by the names of its parts: JSON, but for lists that are `Derived` or `Unread`."""


@frozen
class Derived:
    """A list of a state or a message, each still to be derived from an entity as it is known; None is left out."""

    entities: list[Any]
    derive: Callable[[Any], ChannelState | None]


@frozen
class SnapshotRules:
    """What can be set of snapshots: the time `zone` in which a day begins, and how many `inbox_events` it has."""

    zone: tzinfo = UTC
    inbox_events: int = INBOX_EVENTS


@frozen
class Unread:
    """A list of a state that is being read: what is known must not change before `reading` is over.

    Each of its steps appends some of the `entities`, and yields how many were looked at.
    """

    entities: list[Data] | Derived
    reading: Iterator[int]


Contents = Mapping[str, list[Data] | Derived | Unread]
"""All that belongs to a restaurant on one of its channels, by the names of the lists."""


class View(NamedTuple):
    """What a snapshot is taken of: a channel, about `subject`, at the time `now` (ms since the epoch).

    The subject is "" where a channel is about nothing in particular, or no longer: a deleted restaurant shows nothing.
    Of a user's notifications, the `notifications` has the latest. `log_now` is the log's own time (ms since 1970).
    """

    channel: Channel
    subject: str
    projections: Projections
    window: Window
    now: int
    rules: SnapshotRules = SnapshotRules()
    notifications: Latest | None = None
    log_now: int = 0


def alive_under(kind: str, field: str, parents: Iterable[str], projections: Projections) -> list[Data]:
    """Return the entities of a kind whose `field` names one of the `parents`."""
    entities = projections.entities[kind]
    # Of tens of thousands, in a few milliseconds: so they are copied as they stand, and rendered later.
    return list(chain.from_iterable(map(_values, entities.children.under_each(field, parents))))


def read_under(kind: str, field: str, parents: Iterable[str], projections: Projections) -> Unread:
    """Return what `alive_under` does, still to be read: of many parents, in steps."""
    found: list[Data] = []

    def read() -> Iterator[int]:
        entities, rest = projections.entities[kind], iter(parents)
        while some := list(islice(rest, READ_AT_ONCE)):
            looked_at = len(some)
            children = chain.from_iterable(map(_values, entities.children.under_each(field, some)))
            while more := list(islice(children, READ_AT_ONCE)):
                found.extend(more)
                yield looked_at + len(more)
                looked_at = 0
            yield looked_at

    return Unread(found, read())


def read_derived(entities: Iterator[Data], derive: Callable[[Data], ChannelState | None]) -> Unread:
    """Return a list that is still to be read from an iterator, in steps, and then to be derived.

    What is on disk may take several microseconds each.
    """
    found: list[Data] = []

    def read() -> Iterator[int]:
        while more := list(islice(entities, READ_AT_ONCE // COSTLY)):
            found.extend(more)
            yield len(more) * COSTLY

    return Unread(Derived(found, derive), read())


def count_under(kind: str, restaurant: str, projections: Projections) -> int:
    """Return how many entities of a kind name a restaurant."""
    return len(projections.entities[kind].children.under("restaurantId", restaurant))
