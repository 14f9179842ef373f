"""What becomes of table holds: a second reading of docs/holds.md, which shares no code with the first.

It is slow and plain: a list of all holds, and every record compared with all of them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .log import Held

TOPIC = "mesaya-ws.holds"
LONGEST = 15 * 60 * 1000


@dataclass
class Granted:
    """A hold that was granted at the offset `token`; from when to when it was live, by offsets: `end` None, still."""

    id: str
    restaurant: str
    user: str
    tables: set[str]
    slot: tuple[float, float]
    until: int
    token: int
    attached: dict[str, int]
    end: int | None = None
    reason: str | None = None

    def is_in_the_way(self, tables: set[str], slot: tuple[float, float]) -> bool:
        """Whether there is a table in common, and a moment."""
        return bool(self.tables & tables) and self.slot[0] < slot[1] and slot[0] < self.slot[1]


@dataclass
class Reading:
    """What the records of the topic mean."""

    granted: list[Granted] = field(default_factory=list)
    outcomes: dict[str, Granted | str] = field(default_factory=dict)
    """By hold id, what its first claim came to: a hold, or an error."""
    events: list[tuple[str, tuple[str, ...], str | None]] = field(default_factory=list)
    """What every watcher receives, in its order: selecting or released, which tables, and why."""
    claims: int = 0

    def live(self) -> list[Granted]:
        return [one for one in self.granted if one.end is None]

    def end(self, one: Granted, offset: int, reason: str) -> None:
        one.end, one.reason = offset, reason
        self.events.append(("released", tuple(sorted(one.tables)), reason))


def read(held: Iterable[Held]) -> Reading:
    """Read the records of holds among all that a log holds."""
    reading = Reading()
    for one in held:
        if one.topic == TOPIC and one.value is not None:
            _take(reading, one.offset, one.timestamp, json.loads(one.value))
    return reading


def _take(reading: Reading, offset: int, at: int, said: dict[str, Any]) -> None:
    known = reading.outcomes.get(said["holdId"])
    concerned = [known] if isinstance(known, Granted) else []
    if said["type"] == "claim":
        tables, slot = set(said["tables"]), _slot(said)
        concerned += [
            one
            for one in reading.live()
            if one.is_in_the_way(tables, slot) or (one.user == said["user"] and one.restaurant == said["restaurantId"])
        ]
    for one in sorted({one.token: one for one in concerned}.values(), key=lambda one: one.token):
        if one.end is None and at >= one.until:
            reading.end(one, offset, "expired")
    if said["type"] == "claim":
        reading.claims += 1
        _claim(reading, offset, at, said)
        return
    if not isinstance(known, Granted) or known.end is not None:
        return
    match said["type"]:
        case "release" if said["by"] in (None, known.user):
            if "replica" not in said:
                reading.end(known, offset, said["reason"])
            elif known.attached.get(said["replica"]) == said["n"]:
                _detach(reading, known, offset, said, said["reason"])
        case "attach" if said["user"] == known.user:
            known.attached[said["replica"]] = said["n"]
        case "detach" if known.attached.get(said["replica"]) == said["n"]:
            _detach(reading, known, offset, said, "disconnected")
        case "convert":
            reading.end(known, offset, "reserved")


def _claim(reading: Reading, offset: int, at: int, said: dict[str, Any]) -> None:
    id, user, restaurant = said["holdId"], said["user"], said["restaurantId"]
    tables, slot = set(said["tables"]), _slot(said)
    if id in reading.outcomes:
        known = reading.outcomes[id]
        if isinstance(known, Granted) and known.end is None and known.user == user:
            known.attached[said["replica"]] = said["n"]
        return
    others = [one for one in reading.live() if one.is_in_the_way(tables, slot)]
    same = [
        one for one in others if (one.user, one.restaurant, one.tables, one.slot) == (user, restaurant, tables, slot)
    ]
    if same:
        same[0].attached[said["replica"]] = said["n"]
        reading.outcomes[id] = same[0]
    elif others:
        reading.outcomes[id] = "conflict"
    elif sum(one.user == user and one.restaurant == restaurant for one in reading.live()) >= 2:
        reading.outcomes[id] = "too_many"
    else:
        until = at + min(said["lease_ms"], LONGEST)
        attached = {said["replica"]: said["n"]}
        won = Granted(id, restaurant, user, tables, slot, until, offset, attached)
        reading.granted.append(won)
        reading.outcomes[id] = won
        reading.events.append(("selecting", tuple(sorted(tables)), None))


def _detach(reading: Reading, one: Granted, offset: int, said: dict[str, Any], reason: str) -> None:
    del one.attached[said["replica"]]
    if not one.attached:
        reading.end(one, offset, reason)


def _slot(said: dict[str, Any]) -> tuple[float, float]:
    if said["from"] is None:
        return float("-inf"), float("inf")
    return said["from"], said["to"]


def wrong(reading: Reading) -> list[str]:
    """Return the pairs of holds that were live at the same time, and in each other's way."""
    return [
        f"{one.id} and {other.id} both had {one.tables & other.tables}"
        for number, one in enumerate(reading.granted)
        for other in reading.granted[number + 1 :]
        if one.is_in_the_way(other.tables, other.slot) and (one.end is None or one.end > other.token)
    ]
