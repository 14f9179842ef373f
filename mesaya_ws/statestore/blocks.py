"""Publications that follow one another, as one value of the store: to put a value costs more than what is in it.

    CRC-32 of the head, its size, count, serial of the first one
    head: offsets │ times │ lengths of the frames │ their CRC-32 │ lines, each with its length
    frames

Numbers are written column by column, for many blocks in one go. A frame is checked by itself, together with its serial,
so that to read one of them does not take reading all.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from zlib import crc32

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.statestore.layout import partition_in

BLOCK_BYTES = 8_000
"""Bytes of frames and head that a block should have: two pages, which are copied when one of them is read."""

WINDOW_BLOCK_BYTES = 32_000
"""The same where all of them are read, and forgotten, one after the other."""

HEAD_BYTES = 110
"""Bytes of the head for each publication, about: 24, and the key of its line."""

_START = struct.Struct(">IIIQ")
_LENGTH = struct.Struct(">H")
NAME = _LENGTH.size
"""Bytes of the length before the key of a line."""

_ROW = 24


def per_block(frames: Sequence[bytes], block_bytes: int = BLOCK_BYTES) -> int:
    """Return how many publications of such frames a block should have."""
    return max(1, block_bytes * len(frames) // (sum(map(len, frames)) + HEAD_BYTES * len(frames)))


def named(line: bytes) -> bytes:
    """Return the key of a line, with its length before it."""
    return _LENGTH.pack(len(line)) + line


def blocks(
    first: int,
    lines: Sequence[bytes],
    offsets: Iterable[int],
    times: Iterable[int],
    frames: Sequence[bytes],
    step: int | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield publications as values of `step` of them each, or as many as a block should have, with their first serials.

    Their serials are consecutive from `first` on; `lines` are the `named` keys of the lines that they are on.
    """
    step = step or per_block(frames)
    wide = _bytes("Q", offsets), _bytes("q", times)
    narrow = _bytes("I", map(len, frames)), _bytes("I", map(crc32, frames, count(first)))
    for start in range(0, len(frames), step):
        end, serial = min(start + step, len(frames)), first + start
        head = b"".join(
            [column[8 * start : 8 * end] for column in wide]
            + [column[4 * start : 4 * end] for column in narrow]
            + list(lines[start:end])
        )
        beginning = _START.pack(crc32(head, serial), len(head), end - start, serial)
        yield serial, b"".join((beginning, head, *frames[start:end]))


def _bytes(kind: str, numbers: Iterable[int]) -> bytes:
    column = array(kind, numbers)
    if sys.byteorder == "little":
        column.byteswap()
    return column.tobytes()


class Block:
    """The publications in such a value. Reading raises `CorruptStateError`, if it is not what was written."""

    def __init__(self, value: bytes) -> None:
        try:
            self._check, size, self.count, self.first = _START.unpack_from(value)
        except struct.error as error:
            raise _corrupt() from error
        self.last = self.first + self.count - 1
        self._value = value
        self._frames = _START.size + size

    def frame(self, serial: int) -> tuple[int, bytes]:
        """Return the time and the frame of a publication."""
        count, value = self.count, self._value
        at = serial - self.first
        if not 0 <= at < count:
            raise _corrupt()
        try:
            (time,) = struct.unpack_from(">q", value, _START.size + 8 * (count + at))
            *before, length = struct.unpack_from(f">{at + 1}I", value, _START.size + 16 * count)
            (check,) = struct.unpack_from(">I", value, _START.size + 20 * count + 4 * at)
        except struct.error as error:
            raise _corrupt() from error
        start = self._frames + sum(before)
        frame = value[start : start + length]
        if crc32(frame, serial) != check:
            raise _corrupt()
        return time, frame

    def columns(self) -> "Columns":
        """Return all that the head says."""
        count, value = self.count, self._value
        head = value[_START.size : self._frames]
        if crc32(head, self.first) != self._check or len(head) < _ROW * count:
            raise _corrupt()
        offsets = struct.unpack_from(f">{count}Q", head)
        times = struct.unpack_from(f">{count}q", head, 8 * count)
        lines, at = [], _ROW * count
        while at < len(head):
            (length,) = _LENGTH.unpack_from(head, at)
            lines.append(head[at + NAME : at + NAME + length])
            at += NAME + length
        return Columns(offsets, times, lines)

    def frames(self) -> Iterator[bytes]:
        """Yield all frames."""
        count, value, at = self.count, self._value, self._frames
        try:
            lengths = struct.unpack_from(f">{count}I", value, _START.size + 16 * count)
            checks = struct.unpack_from(f">{count}I", value, _START.size + 20 * count)
        except struct.error as error:
            raise _corrupt() from error
        for serial, length, check in zip(range(self.first, self.first + count), lengths, checks, strict=True):
            frame = value[at : at + length]
            if crc32(frame, serial) != check:
                raise _corrupt()
            at += length
            yield frame

    def after(self, columns: "Columns", count: int) -> bytes:
        """Return the value of what is left without the first `count` publications, of which there are more."""
        first, left = self.first + count, self.count - count
        frames = [self.frame(serial)[1] for serial in range(first, first + left)]
        lines = list(map(named, columns.lines[count:]))
        [(_, value)] = blocks(first, lines, columns.offsets[count:], columns.times[count:], frames, left)
        return value


class Columns:
    """The offsets, times and lines of the publications of a block."""

    __slots__ = ("lines", "offsets", "times")

    def __init__(self, offsets: Sequence[int], times: Sequence[int], lines: Sequence[bytes]) -> None:
        self.offsets = offsets
        self.times = times
        self.lines = lines

    def last_offsets(self, count: int) -> Mapping[bytes, int]:
        """Return the last offsets of the first `count` publications by line, on each of which they increase."""
        return dict(zip(self.lines[:count], self.offsets[:count], strict=True))


def partition_of(line: bytes) -> Partition:
    """Return the partition of a line by its key."""
    return partition_in(line.partition(b"\0")[2])[0]


def _corrupt() -> CorruptStateError:
    return CorruptStateError("The state holds publications that are not what was written.")
