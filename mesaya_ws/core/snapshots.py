"""The state of a channel, as of a position: what a client starts from, before the events that change it.

A state can be large. What belongs to it is noted at once, which is quick, since nothing that is known is ever changed
(`shelf.Shelf.put`); it is written down bit by bit, while the log goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import orjson
from attrs import frozen

from mesaya_ws.core.belongings import belongings, imaged_parts
from mesaya_ws.core.channels import Channel
from mesaya_ws.core.fields import PRIVATE
from mesaya_ws.core.frames import FINAL, FRAGMENT_BYTES, fragment, payload_of, text_frame
from mesaya_ws.core.projections import Projections
from mesaya_ws.core.protocol import encode
from mesaya_ws.core.reservations import is_before, show_reservation
from mesaya_ws.core.window import Overtaken, Window

LATEST = 20
"""How many announcements or notifications a snapshot holds."""

WRITTEN_AT_ONCE = 200
"""How many entities are written down in one go: a millisecond of work, at most."""

State = dict[str, Any]


@frozen
class _Derived:
    """A list of a state, of which each is still to be derived from an entity as it is known; None is left out."""

    entities: list[State]
    derive: Callable[[State], State | None]


class Snapshot:
    """The state of `channel` as of `position`, which lies behind the publication `serial` of the window's `era`.

    It is to be written (`write`); then `frames` are the same for every client, but for the first. `complete` says
    whether the log has told all of it.
    """

    def __init__(self, channel: Channel, state: State, position: str, complete: bool, window: Window) -> None:
        self.channel = channel
        self.position = position
        self.complete = complete
        self.serial, self.era = window.serial, window.era
        self._state = state
        self._frames: list[bytes] = []
        self._rest = b""
        self._revoked = False

    @property
    def size(self) -> int:
        """The bytes of what is shared by all clients, as far as it is written; 0 when each has its own single frame."""
        return sum(map(len, self._frames))

    def continues_in(self, window: Window) -> bool:
        """Return whether it can still be handed out, and all that was published after it is at hand, in `window`."""
        return not self._revoked and self.era == window.era and self.serial >= window.evicted

    def write(self) -> Iterator[None]:
        """Write the state down; yield after every few entities, or when they are large after each."""
        frames, gathered = self._frames, list[bytes]()
        size = 0
        for part in self._parts():
            gathered.append(part)
            size += len(part)
            if size >= FRAGMENT_BYTES:
                frames.append(fragment(b"".join(gathered)))
                gathered, size = [], 0
            yield
        gathered.append(b"}")  # of the message
        rest = b"".join(gathered)
        if frames:
            frames.append(fragment(rest, last=True))
        else:
            self._rest = rest
        self._state = {}

    def _parts(self) -> Iterator[bytes]:
        """Write the state as JSON, a few entities at a time."""
        before = b"{"
        for name, part in self._state.items():
            yield b'%b"%b":' % (before, name.encode())
            before = b","
            if isinstance(part, list | _Derived):
                comma = b"["
                for piece in _pieces(part):
                    yield comma + piece if piece else b""
                    comma = b"," if piece else comma
                yield b"]" if comma == b"," else b"[]"
            else:
                yield orjson.dumps(part)
        yield b"}"

    def frames(self, **loss: object) -> Iterator[bytes]:
        """Yield the frames of the message for a client, which may bring a `loss`: one, or several if it is large.

        Each is to be taken when there is room for it. Raises `Overtaken` when the state was revoked meanwhile.
        """
        head = encode("snapshot", channel=self.channel.name, position=self.position, **loss, complete=self.complete)
        head = head[:-1] + b',"data":'
        if self._rest:
            yield text_frame(head + self._rest)
            return
        yield (frame := fragment(head, first=True))
        for frame in self._frames:
            yield frame
        if not frame[0] & FINAL:
            raise Overtaken

    def revoke(self) -> None:
        """Let go of what was written; clients that have not taken all of it get no more."""
        self._revoked = True
        self._frames.clear()  # clients hold the list


def _pieces(part: list[State] | _Derived) -> Iterator[bytes]:
    """Write the members of a list, separated by commas, a few at a time."""
    entities = part if isinstance(part, list) else part.entities
    for first in range(0, len(entities), WRITTEN_AT_ONCE):
        written, size = list[bytes](), 0
        for entity in entities[first : first + WRITTEN_AT_ONCE]:
            shown = part.derive(entity) if isinstance(part, _Derived) else entity
            if shown is None:
                continue
            written.append(orjson.dumps(shown))
            size += len(written[-1])
            if size >= FRAGMENT_BYTES:
                yield b",".join(written)
                written, size = [], 0
        yield b",".join(written)


def is_large(channel: Channel, projections: Projections) -> bool:
    """Return whether to write the state of a channel takes so long that others should run meanwhile."""
    return _size(channel, projections) > WRITTEN_AT_ONCE


def _size(channel: Channel, projections: Projections) -> int:
    """Return how many entities must be looked at for the state of a channel; a few more or less do not matter."""
    shelves, own = projections.shelves, channel.subject or ""
    match channel.kind.name:
        case "restaurants":
            return len(shelves["restaurant"].alive)
        case "tables" | "info":
            sections = shelves["section"].under("restaurantId", own)
            standing = [shelves[name] for name in ("table", "section_object")]
            size = len(sections) + sum(len(shelf.under("sectionId", id)) for shelf in standing for id in sections)
            if channel.kind.name == "tables":
                return size
            size += _offered(own, projections)
            if size > WRITTEN_AT_ONCE:
                return size
            return size + sum(len(shelves["image"].under("entityId", part)) for part in imaged_parts(own, projections))
        case "menu":
            return _offered(own, projections)
        case "reservations" | "reviews":
            return len(shelves[channel.kind.name.removesuffix("s")].under("restaurantId", own))
    return LATEST


def _offered(restaurant: str, projections: Projections) -> int:
    return sum(len(projections.shelves[name].under("restaurantId", restaurant)) for name in ("menu", "dish"))


def state(channel: Channel, projections: Projections, window: Window, now: int) -> State:
    """Return the state of a channel, in the shapes that its events have; `now` in milliseconds since the epoch.

    `:tables` has all `tables`, `sections` and `sectionObjects`; `:reservations` those of today (in whatever time zone)
    and later; `:menu` its `menus` and `dishes`; `:reviews` its `reviews`; `:info` the `restaurant` and the `images` of
    it and of its parts; `global:restaurants` all `restaurants`; announcements and notifications the latest ones.
    """
    build = _STATES[channel.kind.name]
    return build(channel, projections, window, now)


def is_known(channel: Channel, projections: Projections) -> bool:
    """Return whether the restaurant of a channel has been told of by the log; true for channels of none."""
    return not channel.name.startswith("restaurant:") or projections.shelves["restaurant"].knows(channel.subject or "")


def _contents(channel: Channel, projections: Projections, _: Window, __: int) -> State:
    # Of a restaurant that is deleted, nobody is told any more what becomes of its parts.
    own = channel.subject or ""
    known = belongings(channel.kind.name, own if projections.is_open(own) else "", projections)
    return dict(known)


def _reservations(channel: Channel, projections: Projections, window: Window, now: int) -> State:
    # The earliest "today" there is: UTC-12.
    today = (datetime.fromtimestamp(now / 1000, UTC) - timedelta(hours=12)).date().isoformat()

    def derive(data: State) -> State | None:
        return None if is_before(data, today) else show_reservation(data, projections.names)

    known = _contents(channel, projections, window, now)
    return {"reservations": _Derived(known["reservations"], derive)}


def _public(restaurant: Mapping[str, Any]) -> State:
    return {name: value for name, value in restaurant.items() if name not in PRIVATE}


def _info(channel: Channel, projections: Projections, window: Window, now: int) -> State:
    restaurant = projections.shelves["restaurant"].alive.get(channel.subject or "")
    shown = None if restaurant is None else _public(restaurant)
    return {"restaurant": shown, **_contents(channel, projections, window, now)}


def _restaurants(_: Channel, projections: Projections, __: Window, ___: int) -> State:
    return {"restaurants": _Derived(list(projections.shelves["restaurant"].alive.values()), _public)}


def _announcements(_: Channel, projections: Projections, __: Window, ___: int) -> State:
    latest = list(islice(reversed(projections.shelves["announcement"].alive.values()), LATEST))
    return {"announcements": latest[::-1]}


def _notifications(channel: Channel, _: Projections, window: Window, __: int) -> State:
    latest = window.latest(channel.name, LATEST)
    return {"events": [orjson.Fragment(payload_of(publication.frame)) for publication in latest]}


_STATES: Mapping[str, Callable[[Channel, Projections, Window, int], State]] = {
    "tables": _contents,
    "reservations": _reservations,
    "menu": _contents,
    "reviews": _contents,
    "info": _info,
    "restaurants": _restaurants,
    "announcements": _announcements,
    "notifications": _notifications,
}
