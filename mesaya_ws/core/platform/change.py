"""What was known of an entity before an event, and what is known of it after that: all that a rule decides by."""

from collections.abc import Mapping
from typing import NamedTuple

from mesaya_ws.core.platform.entity import Data

_NONE: Mapping[str, Mapping[str, Data]] = {}


class Before(NamedTuple):
    """What was known right before an event was applied.

    `data` is the entity as it was, None if it did not exist. Of a restaurant, `is_open` says whether its channels were
    in use (see `Projections.is_open`), and `owner` who owned it. `parts` are the parts of a floor plan that may end
    with the entity, by their kind and id.
    """

    data: Data | None
    is_open: bool = True
    owner: str | None = None
    parts: Mapping[str, Mapping[str, Data]] = _NONE


class Backfilled(NamedTuple):
    """What the platform's API says that no record has said: of a section `itself`, and of which of its `tables`."""

    itself: bool
    tables: list[str]


class After(NamedTuple):
    """What an event has made of an entity: its `data` as it stands, or if it does not exist (any more), the last known.

    An event is late when another one that has been applied already counts as later (see `provenance`). `backfilled` is
    set only by what the platform's API says.
    """

    data: Data
    is_late: bool
    exists: bool
    backfilled: Backfilled | None = None
