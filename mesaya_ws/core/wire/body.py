"""The body of a request, taken out of the bytes that follow the head (RFC 9112, 6 and 7)."""

import re
from typing import Protocol

LONGEST_LINE = 1024
"""Bytes of the line before a chunk, with its extensions, which mean nothing to us (RFC 9112, 7.1.1)."""

MOST_TRAILER_BYTES = 8192
"""Bytes of all the fields after the last chunk; they are thrown away (RFC 9112, 7.1.2)."""

_CRLF = b"\r\n"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00\r\n]*)?\r\n")


class BodyError(Exception):
    """What follows a head is not the body that it announces; the message is a sentence."""


class Body(Protocol):
    """A body that comes piece by piece; it `is_complete` when nothing of it is missing."""

    is_complete: bool

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the connection, and return what of the body is in them. Raises `BodyError`."""
        ...


def body_of(size: int | None) -> Body:
    """Return the body of a request, given how many bytes it has; None means that it comes in chunks."""
    return ChunkedBody() if size is None else SizedBody(size)


class SizedBody:
    """A body whose length was announced; what follows it is ignored."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self.is_complete = size == 0

    def feed(self, data: bytes) -> bytes:
        """Return as much of `data` as belongs to the body."""
        part = data[: self._missing]
        self._missing -= len(part)
        self.is_complete = self._missing == 0
        return part


class ChunkedBody:
    """A body in chunks (RFC 9112, 7.1): `4;extension CRLF data CRLF`, and so on up to `0 CRLF trailers CRLF`.

    However it is cut, no more than one line of it is kept.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._missing = 0  # of the chunk, and the line end after it
        self._trailer_bytes: int | None = None
        self.is_complete = False

    def feed(self, data: bytes) -> bytes:
        """Return what `data` holds of the chunks. Raises `BodyError` when they are none."""
        data = self._rest + data if self._rest else data
        parts: list[bytes] = []
        at = 0
        while not self.is_complete:
            after = self._take_trailer(data, at) if self._trailer_bytes is not None else self._take(data, at, parts)
            if after is None:
                break
            at = after
        self._rest = b"" if self.is_complete else data[at:]
        return b"".join(parts)

    def _take(self, data: bytes, at: int, parts: list[bytes]) -> int | None:
        """Take a piece of a chunk, or the line before one; return where it ends, None when more is needed."""
        if self._missing > len(_CRLF):
            part = data[at : at + self._missing - len(_CRLF)]
            parts.append(part)
            self._missing -= len(part)
            return at + len(part) if part else None
        if self._missing:
            if not data.startswith(_CRLF[: len(data) - at], at):
                raise BodyError("A chunk of the body is longer than it says.")
            if len(data) - at < len(_CRLF):
                return None
            self._missing = 0
            return at + len(_CRLF)
        line = _CHUNK.match(data, at, at + LONGEST_LINE)
        if line is not None:
            size, start = int(line[1], 16), line.end()
            if not size:
                self._trailer_bytes = 0
            elif data.startswith(_CRLF, start + size):  # all of it is there: one step, where small ones take the most
                parts.append(data[start : start + size])
                return start + size + len(_CRLF)
            else:
                self._missing = size + len(_CRLF)
            return start
        if data.find(_CRLF, at) >= 0 or len(data) - at >= LONGEST_LINE:
            raise BodyError("The body should come in chunks, and one does not say how long it is.")
        return None

    def _take_trailer(self, data: bytes, at: int) -> int | None:
        """Pass over the next line of the trailers, of which an empty one is the last."""
        assert self._trailer_bytes is not None  # noqa: S101 - that is when this is called
        end = data.find(_CRLF, at)
        waiting = (len(data) if end < 0 else end) - at
        if self._trailer_bytes + waiting > MOST_TRAILER_BYTES:
            raise BodyError("The trailers after the body are too large.")
        if end < 0:
            return None
        self._trailer_bytes += waiting + len(_CRLF)
        self.is_complete = end == at
        return end + len(_CRLF)
