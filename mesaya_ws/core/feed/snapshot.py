"""The state of a channel, as of a position: what a client starts from, before the events that change it.

A state can be large. What belongs to it is noted at once, which is quick, since nothing that is known is ever changed
(`shelf.EntityTable.put`); it is written down bit by bit, while the log goes on.
"""

from collections.abc import Iterator

import orjson

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.window import PositionEvicted, Window
from mesaya_ws.core.views.belongings import imaged_parts
from mesaya_ws.core.views.state import LATEST, State, _Derived
from mesaya_ws.core.wire.frames import FINAL, FRAGMENT_BYTES, fragment, text_frame
from mesaya_ws.core.wire.messages import encode

WRITTEN_AT_ONCE = 200
"""How many entities are written down in one go: a millisecond of work, at most."""


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

        Each is to be taken when there is room for it. Raises `PositionEvicted` when the state was revoked meanwhile.
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
            raise PositionEvicted

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
