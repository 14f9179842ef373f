"""The limits of a client's frames, told from their headers before anything of them is kept."""

from enum import Enum

from attrs import define


class Violation(Enum):
    """What a client did that its connection does not survive."""

    TOO_BIG = "too_big"
    FLOOD = "flood"
    BINARY = "binary"


@define
class FrameLimiter:
    """Follows the headers of a client's frames, to enforce limits before anything is buffered.

    It judges sizes in bytes as announced, over all fragments of a message, and the number of frames over time (a bucket
    that holds ten seconds' worth). Whether the frames are valid is not its business: the WebSocket library judges that.
    """

    max_message_bytes: int
    frames_per_second: float
    _allowance: float = 0.0
    _updated: float = float("-inf")
    _header: bytes = b""
    _skip: int = 0
    _message_bytes: int = 0

    def feed(self, data: bytes, now: float) -> Violation | None:
        """Take the next bytes of the client, at the time `now` in seconds; return the first violation in them."""
        at, end = 0, len(data)
        while True:
            if self._skip >= end - at:
                self._skip -= end - at
                return None
            at += self._skip
            self._skip = 0
            if self._header:
                data, at = self._header + data[at:], 0
                end, self._header = len(data), b""
            size = self._header_size(data, at, end)
            if size is None:
                self._header = data[at:]
                return None
            if violation := self._judge(data[at : at + size], now):
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

    def _judge(self, header: bytes, now: float) -> Violation | None:
        if not self._admit(now):
            return Violation.FLOOD
        opcode, final = header[0] & 0x0F, header[0] & 0x80
        self._skip = header[1] & 0x7F
        if self._skip > 125:
            self._skip = int.from_bytes(header[2:4] if self._skip == 126 else header[2:10])
        if opcode & 0x08:  # a control frame; it can stand between the fragments of a message
            return None
        if opcode == 2:
            return Violation.BINARY
        self._message_bytes += self._skip
        if self._message_bytes > self.max_message_bytes:
            return Violation.TOO_BIG
        if final:
            self._message_bytes = 0
        return None

    def _admit(self, now: float) -> bool:
        most = self.frames_per_second * 10
        self._allowance = min(most, self._allowance + (now - self._updated) * self.frames_per_second)
        self._updated = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
