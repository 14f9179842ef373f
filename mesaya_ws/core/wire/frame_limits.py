"""The limits of a client's frames, checked from their headers before anything of them is kept."""

from enum import Enum

from attrs import define, field, frozen

SMALL_PIECE = 512
"""Bytes that a receive in the middle of a message usually brings at least: segments have 536 where nobody knows better
(RFC 9293, 3.7.1). How many larger ones there are is bounded by the bytes of the messages."""

PIECES_PER_FRAME = 20
"""Receives that bring less, and no new frame, for each frame that a client may send."""

LARGEST_RECEIVE = 65_536
"""Bytes that a receive brings at most."""

RESERVED = 0x70
"""The bits of a frame's first byte that only extensions may set (RFC 6455, 5.2)."""

BURST_SECONDS = 10
"""So many seconds' worth may come at once."""


class Violation(Enum):
    """What a client did that its connection does not survive; the value names it in metrics and logs."""

    BINARY = "binary"
    TOO_BIG = "message_bytes"
    FRAMES = "messages_per_second"
    BYTES = "bytes_per_second"
    PIECES = "pieces"
    FRAGMENTS = "fragments"
    MESSAGE_TIME = "message_time"


@define
class Bucket:
    """An allowance of so many a second, of which `BURST_SECONDS` can be saved, or `least` of them; it is full at first.

    Times are in seconds by any clock that only goes forward.
    """

    per_second: float
    least: float = 0.0
    _most: float = field(init=False)
    _left: float = field(init=False)
    _updated: float = field(init=False, default=float("-inf"))

    def __attrs_post_init__(self) -> None:
        self._left = self._most = max(self.least, self.per_second * BURST_SECONDS)

    def take(self, now: float, amount: float = 1) -> bool:
        """Take so many; return False, and take none, when less is left."""
        left = self._left + (now - self._updated) * self.per_second
        if left > self._most:
            left = self._most
        self._updated = now
        if left < amount:
            self._left = left
            return False
        self._left = left - amount
        return True


@frozen
class FrameLimits:
    """What one client may send: settings of the same names, but for `messages_per_second`, which counts frames."""

    max_message_bytes: int
    messages_per_second: float
    bytes_per_second: float
    max_fragments: int

    @property
    def most_frames(self) -> float:
        """How many frames may come at once."""
        return self.messages_per_second * BURST_SECONDS

    @property
    def most_bytes(self) -> float:
        """How many bytes may come at once: one message of the largest size, at least."""
        return max(self.bytes_per_second * BURST_SECONDS, self.max_message_bytes + LARGEST_RECEIVE)


@define(weakref_slot=False)
class FrameLimiter:
    """Follows the headers of a client's frames, to enforce limits before anything is buffered.

    It checks sizes in bytes as announced, over all fragments of a message, and how many those are; the bytes and the
    frames over time, and the tiny pieces in which they come: each receive costs a turn of the event loop, however
    little it brings. Whether the frames are valid is not its business: the WebSocket library decides that.
    """

    limits: FrameLimits
    # What is left of frames and bytes, as of one time: two buckets that are filled together, since each number here is
    # memory of an idle client.
    _frames: float = field(init=False)
    _bytes: float = field(init=False)
    _filled_at: float = field(init=False, default=float("-inf"))
    _pieces: Bucket | None = field(init=False, default=None)  # few clients ever need one
    _header: bytes = b""
    _skip: int = 0
    _message_bytes: int = 0
    _fragments: int = 0
    _began_at: float = 0.0

    def __attrs_post_init__(self) -> None:
        self._frames, self._bytes = self.limits.most_frames, self.limits.most_bytes

    def _fill(self, now: float) -> None:
        """Add what has come to be allowed since the last time."""
        limits, seconds = self.limits, now - self._filled_at
        self._frames = min(limits.most_frames, self._frames + seconds * limits.messages_per_second)
        self._bytes = min(limits.most_bytes, self._bytes + seconds * limits.bytes_per_second)
        self._filled_at = now

    @property
    def incomplete_since(self) -> float | None:
        """When the message, or the control frame, began whose end has not come yet; None: nothing is incomplete."""
        return self._began_at if self._fragments or self._skip else None

    def feed(self, data: bytes, now: float) -> Violation | None:
        """Take what has been received of the client at the time `now` (seconds); return the first violation in it."""
        at, end = 0, len(data)
        self._fill(now)
        if self._bytes < end:
            return Violation.BYTES
        self._bytes -= end
        brings_frame = False
        while True:
            if self._skip >= end - at:
                self._skip -= end - at
                return None if brings_frame or end >= SMALL_PIECE else self._check_piece(now)
            at += self._skip
            self._skip = 0
            if self._header:
                data, at = self._header + data[at:], 0
                end, self._header = len(data), b""
            size = self._header_size(data, at, end)
            if size is None:
                self._header = data[at:]
                return None if brings_frame or end >= SMALL_PIECE else self._check_piece(now)
            brings_frame = True
            if violation := self._check_frame(data[at : at + size], now):
                return violation
            at += size

    @staticmethod
    def _header_size(data: bytes, at: int, end: int) -> int | None:
        """Return how long the header at `at` is (RFC 6455, 5.2), or None when not all of it is there."""
        if end - at < 2:
            return None
        second = data[at + 1]
        size = 2 + {126: 2, 127: 8}.get(second & 0x7F, 0) + (4 if second & 0x80 else 0)
        return size if end - at >= size else None

    def _check_frame(self, header: bytes, now: float) -> Violation | None:
        if self._frames < 1:
            return Violation.FRAMES
        self._frames -= 1
        if not self._fragments:
            self._began_at = now
        opcode, final = header[0] & 0x0F, header[0] & 0x80
        self._skip = header[1] & 0x7F
        if self._skip > 125:
            self._skip = int.from_bytes(header[2:4] if self._skip == 126 else header[2:10])
        if opcode & 0x08:  # a control frame; it can stand between the fragments of a message
            return None
        if opcode == 2 and not header[0] & RESERVED:  # with them it is no valid frame, whatever it carries
            return Violation.BINARY
        self._message_bytes += self._skip
        self._fragments += 1
        if self._message_bytes > self.limits.max_message_bytes:
            return Violation.TOO_BIG
        if self._fragments > self.limits.max_fragments:
            return Violation.FRAGMENTS
        if final:
            self._message_bytes = self._fragments = 0
        return None

    def _check_piece(self, now: float) -> Violation | None:
        if self._pieces is None:
            self._pieces = Bucket(self.limits.messages_per_second * PIECES_PER_FRAME)
        return None if self._pieces.take(now) else Violation.PIECES
