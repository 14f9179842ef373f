"""How rows are packed for a checkpoint: lines of JSON, compressed together, and cut into parts.

A checkpoint is what all records up to a place in the log mean, kept so that nobody has to read them again. How parts
make one, `changelog` says.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

import orjson

from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.platform.rows import Row, provenance_row

NOT_IN_CHECKPOINTS = (CHAT,)
"""Topics that whoever starts from a checkpoint reads from their beginning, for they say all that counts of them: what
was said in conversations is forgotten when retention has removed it, and texts that were erased lie nowhere else."""

PART_BYTES = 64 * 1024
"""Size of a part; unpacking one takes a few milliseconds."""

ROWS = 500
"""Rows that are taken or packed in one go, which takes a millisecond or two."""

TEXT_BYTES = 128 * 1024
"""Size of the text that is unpacked in one go, likewise."""


class CorruptCheckpointError(Exception):
    """What should be a checkpoint cannot be decoded."""


def in_pieces(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Yield `rows`, some of them at a time."""
    while piece := list(islice(rows, ROWS)):
        yield piece


def pack(pieces: Iterable[list[Row]]) -> Iterator[bytes]:
    """Yield the parts that hold the rows of all `pieces`; in between, whenever others should run, nothing (`b""`)."""
    compressor = zlib.compressobj(1)
    packed = bytearray()
    for piece in pieces:
        for text in _texts(piece):
            packed += compressor.compress(text)
            while len(packed) >= PART_BYTES:
                yield bytes(packed[:PART_BYTES])
                del packed[:PART_BYTES]
            yield b""
    packed += compressor.flush()
    for start in range(0, len(packed), PART_BYTES):
        yield bytes(packed[start : start + PART_BYTES])


def _texts(rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield the lines of `rows`, joined or cut so that none takes long to be packed."""
    text = bytearray()
    for row in rows:
        text += orjson.dumps(row, default=provenance_row, option=orjson.OPT_APPEND_NEWLINE)
        while len(text) >= TEXT_BYTES:
            yield bytes(text[:TEXT_BYTES])
            del text[:TEXT_BYTES]
    yield bytes(text)


def unpack(parts: Iterable[bytes]) -> Iterator[list[Row]]:
    """Yield the rows that were packed, some at a time. Raises `CorruptCheckpointError`."""
    decompressor = zlib.decompressobj()
    rest = b""
    try:
        for part in parts:
            while part:
                *lines, rest = (rest + decompressor.decompress(part, TEXT_BYTES)).split(b"\n")
                part = decompressor.unconsumed_tail
                yield list(map(_row, lines))
        *lines, rest = (rest + decompressor.flush()).split(b"\n")
        yield list(map(_row, lines))
    except (zlib.error, TypeError, ValueError) as error:
        raise CorruptCheckpointError(f"its parts are not what was packed: {error}") from error
    if rest or not decompressor.eof:
        raise CorruptCheckpointError("its last part is missing")


def _row(line: bytes) -> Row:
    name, id, value = orjson.loads(line)
    if type(name) is not str or type(id) is not str:
        raise TypeError("a row begins with its table and its id")
    return name, id, value
