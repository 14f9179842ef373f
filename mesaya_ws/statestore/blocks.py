"""Publications that follow one another, as one value of the store: to put a value costs more than what is in it.

    CRC-32 of the head, its size, count
    head: serials │ offsets │ times │ ends of the frames │ their CRC-32 │ numbers of their lines │ lines
    frames

Numbers are written column by column, which takes one call for all of them. A frame is checked by itself, together with
its serial, so that to read one of them does not take reading all.
"""

import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from zlib import crc32

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.statestore.layout import partition_in

BLOCK_BYTES = 8_000
"""Bytes of frames and head that a block should have: two pages, which are copied when one of them is read."""

HEAD_BYTES = 125
"""Bytes of the head for each publication, about: 34, and the key of its line."""

_START = struct.Struct(">III")
_LENGTH = struct.Struct(">H")
NAME = _LENGTH.size
"""Bytes of the length before the key of a line."""

_WIDE, _NARROW = struct.Struct(">Q"), struct.Struct(">I")
_ROW = 34


def per_block(frames: Sequence[bytes]) -> int:
    """Return how many publications of such frames a block should have."""
    return max(1, BLOCK_BYTES * len(frames) // (sum(map(len, frames)) + HEAD_BYTES * len(frames)))


def named(line: bytes) -> bytes:
    """Return the key of a line, with its length before it."""
    return _LENGTH.pack(len(line)) + line


def block_value(
    lines: Sequence[bytes],
    serials: Sequence[int],
    offsets: Sequence[int],
    times: Sequence[int],
    frames: Sequence[bytes],
) -> bytes:
    """Return publications as one value; `lines` are the `named` keys of the lines that they are on."""
    count = len(frames)
    numbers = dict(zip(dict.fromkeys(lines), range(count), strict=False))
    head = struct.pack(
        f">{count}Q{count}Q{count}q{count}I{count}I{count}H",
        *serials,
        *offsets,
        *times,
        *accumulate(map(len, frames)),
        *map(crc32, frames, serials),
        *map(numbers.__getitem__, lines),
    )
    names = b"".join(numbers)
    check = crc32(names, crc32(head))
    return b"".join((_START.pack(check, len(head) + len(names), count), head, names, *frames))


class Block:
    """The publications in such a value. Reading raises `CorruptStateError`, if it is not what was written."""

    def __init__(self, value: bytes) -> None:
        try:
            self._check, size, self.count = _START.unpack_from(value)
            self.first = _WIDE.unpack_from(value, _START.size)[0]
            self.last = _WIDE.unpack_from(value, _START.size + 8 * (self.count - 1))[0]
        except struct.error as error:
            raise _corrupt() from error
        self._value = value
        self._frames = _START.size + size

    def frame(self, serial: int) -> tuple[int, bytes]:
        """Return the time and the frame of a publication."""
        count, value = self.count, self._value
        at = serial - self.first
        try:
            if self.last - self.first != count - 1:
                at = bisect_left(struct.unpack_from(f">{count}Q", value, _START.size), serial)
            ends = _START.size + 24 * count
            (time,) = struct.unpack_from(">q", value, _START.size + 16 * count + 8 * at)
            start = _NARROW.unpack_from(value, ends + 4 * (at - 1))[0] if at else 0
            (end,) = _NARROW.unpack_from(value, ends + 4 * at)
            (check,) = _NARROW.unpack_from(value, ends + 4 * (count + at))
        except struct.error as error:
            raise _corrupt() from error
        frame = value[self._frames + start : self._frames + end]
        if crc32(frame, serial) != check:
            raise _corrupt()
        return time, frame

    def columns(self) -> "Columns":
        """Return all that the head says."""
        count, value = self.count, self._value
        head = value[_START.size : self._frames]
        if crc32(head) != self._check or len(head) < _ROW * count:
            raise _corrupt()
        numbers = struct.unpack_from(f">{count}Q{count}Q{count}q{count}I{count}I{count}H", head)
        lines, at = [], _ROW * count
        while at < len(head):
            (length,) = _LENGTH.unpack_from(head, at)
            lines.append(head[at + NAME : at + NAME + length])
            at += NAME + length
        columns = [numbers[count * column : count * (column + 1)] for column in range(6)]
        return Columns(columns[0], columns[1], columns[2], [lines[number] for number in columns[5]])

    def after(self, columns: "Columns", count: int) -> bytes:
        """Return the value of what is left without the first `count` publications."""
        serials = columns.serials[count:]
        frames = [self.frame(serial)[1] for serial in serials]
        lines = list(map(named, columns.lines[count:]))
        return block_value(lines, serials, columns.offsets[count:], columns.times[count:], frames)


class Columns:
    """The serials, offsets, times and lines of the publications of a block."""

    __slots__ = ("lines", "offsets", "serials", "times")

    def __init__(
        self, serials: Sequence[int], offsets: Sequence[int], times: Sequence[int], lines: Sequence[bytes]
    ) -> None:
        self.serials = serials
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
