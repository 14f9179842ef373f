"""What a snapshot is made of: the entities that a channel is about, in the shapes of its events."""

from collections.abc import Callable, Iterable
from datetime import UTC, tzinfo
from itertools import chain
from operator import methodcaller
from typing import Any, NamedTuple

from attrs import frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.inbox import Latest
from mesaya_ws.core.recovery.window import Window

LATEST = 20
"""How many announcements a snapshot holds."""

INBOX_EVENTS = 50
"""How many notifications it holds, by default."""

_values = methodcaller("values")

State = dict[str, Any]
"""What a channel shows, by the names of its parts: JSON, but for lists that are `Derived`."""


@frozen
class Derived:
    """A list of a state or a message, each still to be derived from an entity as it is known; None is left out."""

    entities: list[Any]
    derive: Callable[[Any], State | None]


@frozen
class SnapshotRules:
    """What can be set of snapshots: the time `zone` in which a day begins, and how many `inbox_events` it has."""

    zone: tzinfo = UTC
    inbox_events: int = INBOX_EVENTS


class View(NamedTuple):
    """What a snapshot is taken of: a channel, about `subject`, at the time `now` (ms since the epoch).

    The subject is "" where a channel is about nothing in particular, or no longer: a deleted restaurant shows nothing.
    Of a user's notifications, the `inbox` has the latest.
    """

    channel: Channel
    subject: str
    projections: Projections
    window: Window
    now: int
    rules: SnapshotRules = SnapshotRules()
    inbox: Latest | None = None


def alive_under(kind: str, field: str, parents: Iterable[str], projections: Projections) -> list[Data]:
    """Return the entities of a kind whose `field` names one of the `parents`."""
    entities = projections.entities[kind]
    # Of tens of thousands, in a few milliseconds: so they are copied as they stand, and rendered later.
    return list(chain.from_iterable(map(_values, entities.under_each(field, parents))))


def count_under(kind: str, restaurant: str, projections: Projections) -> int:
    """Return how many entities of a kind name a restaurant."""
    return len(projections.entities[kind].under("restaurantId", restaurant))
