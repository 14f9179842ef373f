"""Server-sent events (WHATWG HTML, 9.2): how messages are written there, and the one place of all channels of a stream.

A stream shows several channels, and its client keeps one id, that of the last event. So the id holds the position on
every channel, in the order in which the request names them, with dots in between: `IVYDW96tAitD..IVYDX0mtAitE`. One
that is not known is empty.
"""

import re
from collections.abc import Iterator, Sequence

MOST_ID_BYTES = 8192
"""An id is in the head of each request that resumes."""

COMMENT = b":\n\n"
"""What says nothing, but shows proxies and clients that the stream lives."""

UNREADABLE = "-"
"""In the place of a position of an id that is not one of this stream: no position reads so."""

_SEPARATOR = "."
_HEAD = re.compile(rb'\{"type":"([^"\\]+)","channel":"([^"\\]+)"(?:,"position":"([^"\\]*)")?')
_SUBSCRIBED, _SNAPSHOT = b"subscribed", b"snapshot"


class Places:
    """The position of a client on each of its `channels`; at first those of the id `since`, if it brings one."""

    def __init__(self, channels: Sequence[str], since: str | None = None, *, snapshot: bool = False) -> None:
        positions = [""] * len(channels) if since is None else since.split(_SEPARATOR)
        if len(positions) != len(channels):
            positions = [UNREADABLE] * len(channels)
        self._positions = dict(zip(channels, positions, strict=True))
        self._snapshot = snapshot

    def of(self, channel: str) -> str | None:
        """Return the position on a channel; None: the client has none yet."""
        return self._positions[channel] or None

    def note(self, payload: bytes) -> bool:
        """Take note of a message that the client is sent next; return whether its position is another one then.

        An answer that a snapshot follows does not count: who leaves between the two must be sent it again.
        """
        head = _HEAD.match(payload)
        if head is None:
            return False
        kind, channel, position = head[1], head[2].decode(), head[3]
        if position is None or channel not in self._positions:
            return False
        if kind == _SUBSCRIBED and (
            b'"recovered":false' in payload or (self._snapshot and not self._positions[channel])
        ):
            return False
        self._positions[channel] = position.decode()
        return True

    def move(self, positions: dict[str, str]) -> bool:
        """Note that the client has everything up to these positions; return whether they are others than before."""
        before = dict(self._positions)
        self._positions.update(positions)
        return self._positions != before

    @property
    def id(self) -> str:
        """The id of the event that the client was sent last."""
        return _SEPARATOR.join(self._positions.values())


def event(payload: bytes, id: str | None = None, name: str | None = None) -> bytes:
    """Return a message as an event: JSON, which has no line ends; the client keeps the `id`, if there is one."""
    before = b"" if name is None else b"event: %s\n" % name.encode()
    after = b"" if id is None else b"id: %s\n" % id.encode()
    return b"%bdata: %b\n%b\n" % (before, payload, after)


def mark(id: str) -> bytes:
    """Return what makes the client keep another id, and shows it nothing."""
    return b"id: %s\n\n" % id.encode()


def payloads(frames: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield the payloads of whole, unmasked WebSocket frames, and whether each is the last one of its message."""
    at, end = 0, len(frames)
    while at < end:
        size = frames[at + 1]
        start = at + 2
        if size == 126:
            size, start = int.from_bytes(frames[start : start + 2]), start + 2
        elif size == 127:
            size, start = int.from_bytes(frames[start : start + 8]), start + 8
        yield frames[start : start + size], bool(frames[at] & 0x80)
        at = start + size
