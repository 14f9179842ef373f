"""Decompression in small steps: a few kilobytes can stand for gigabytes.

A record batch is compressed as a whole; for the codecs' numbers see
https://kafka.apache.org/documentation/#recordbatch.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping

import lz4.frame  # type: ignore[import-untyped]
import snappy  # type: ignore[import-untyped]
import zstandard

Read = Callable[[int], bytes]
"""Returns the next bytes, at most so many; empty at the end. Raises what the codec raises."""

WINDOW_BYTES = 128 * 1024 * 1024
"""The largest window of zstd, that of its highest level. Only the part that has been unpacked takes memory."""

FED_BYTES = 16 * 1024
"""Compressed bytes passed to a codec at a time: the rest of them is copied for each frame, and a frame may have only 11
bytes."""

_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEAD = 16


class TooLargeError(Exception):
    """The unpacked data would be larger than allowed."""


def reader(codec: int, data: bytes, most: int) -> Read:
    """Return a function that reads compressed `data`. Raises `KeyError` when the codec is unknown.

    The function raises `TooLargeError` when a block that can only be unpacked as a whole exceeds `most` bytes.
    """
    return _READERS[codec](data, most)


def _plain(data: bytes, _: int) -> Read:
    return _joined(iter([data]))


def _fed(data: bytes) -> Iterator[bytes]:
    return (data[at : at + FED_BYTES] for at in range(0, len(data), FED_BYTES))


def _gzip(data: bytes, _: int) -> Read:
    unpacker, fed, rest = zlib.decompressobj(wbits=31), _fed(data), b""

    def read(size: int) -> bytes:
        nonlocal unpacker, rest
        while True:
            rest = rest or next(fed, b"")
            if unpacker.eof:
                if not rest:
                    return b""
                # Members may follow one another (RFC 1952, 2.2), padded with zeros.
                rest = rest.lstrip(b"\0")
                if not rest:
                    continue
                unpacker = zlib.decompressobj(wbits=31)
            some, was_all = unpacker.decompress(rest, size), not rest
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if some:
                return some
            if was_all and not unpacker.eof:
                raise EOFError("The packed data ends too early.")

    return read


def _lz4(data: bytes, _: int) -> Read:
    unpacker, fed, rest = lz4.frame.LZ4FrameDecompressor(), _fed(data), b""

    def read(size: int) -> bytes:
        nonlocal unpacker, rest
        while True:
            if unpacker.eof:
                rest = unpacker.unused_data or next(fed, b"")
                if not rest:
                    return b""
                unpacker = lz4.frame.LZ4FrameDecompressor()
            elif unpacker.needs_input:
                rest = next(fed, b"")
                if not rest:
                    raise EOFError("The packed data ends too early.")
            some: bytes = unpacker.decompress(rest, size)
            rest = b""  # it keeps what it has not used
            if some:
                return some

    return read


def _zstd(data: bytes, _: int) -> Read:
    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
    return unpacker.stream_reader(data, read_across_frames=True).read


def _snappy(data: bytes, most: int) -> Read:
    return _joined(_snappy_blocks(data, most))


def _snappy_blocks(data: bytes, most: int) -> Iterator[bytes]:
    if not (data.startswith(_XERIAL) and len(data) > _XERIAL_HEAD):
        yield _snappy_block(data, most)
        return
    at = _XERIAL_HEAD
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        at += 4
        yield _snappy_block(data[at : at + size], most)
        at += size


def _snappy_block(block: bytes, most: int) -> bytes:
    # A block begins with its unpacked size, a varint of at most 5 bytes; snappy allocates that much memory.
    size = 0
    for number, byte in enumerate(block[:5]):
        size |= (byte & 127) << (7 * number)
        if byte < 128:
            break
    if size > most:
        raise TooLargeError(f"It has {size} bytes, unpacked.")
    unpacked: bytes = snappy.decompress(block)
    return unpacked


def _joined(parts: Iterator[bytes]) -> Read:
    """Return a function that reads the parts one after another."""
    part, at = b"", 0

    def read(size: int) -> bytes:
        nonlocal part, at
        while at >= len(part):
            following = next(parts, None)
            if following is None:
                return b""
            part, at = following, 0
        some = part[at : at + size]
        at += len(some)
        return some

    return read


_READERS: Mapping[int, Callable[[bytes, int], Read]] = {0: _plain, 1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}
