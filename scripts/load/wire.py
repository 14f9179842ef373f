"""The client's side of the WebSocket protocol (RFC 6455), as little of it as a load needs.

The same bytes reach many clients, so they are understood once (`decode`), and looked up after that.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

CLOSE = 0x8
PING = 0x9

PONG = b"\x8a\x80\0\0\0\0"
"""An empty, masked pong frame."""

STAMP = re.compile(rb'"stamp":"(\d+)\.(\d+)\.(\d+)"')
"""What an event carries: its channel's number, its own number there, when it was due (ns since the epoch)."""

POSITION = re.compile(rb'"position":"([\w-]+)"')
TIMESTAMP = re.compile(rb'"timestamp":"([^"]+)"')

_SIZES = {126: 2, 127: 8}
_SNAPSHOT = b'{"type":"snapshot"'


def handshake(host: str, path: str, token: str = "") -> bytes:
    """Return the opening request (RFC 6455, 4.1). The key is a constant: whether it is a server is not in doubt."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{authorization}"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZCB0ZXN0IGNsaWVudA==\r\n\r\n"
    ).encode()


def masked(payload: bytes) -> bytes:
    """Return a masked text frame. The mask is zero, which every server must take, and costs nothing."""
    size = len(payload)
    header = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
    return header + b"\0\0\0\0" + payload


def split(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Return the (opcode, payload) of all whole frames in `data`, and where the first one begins that is not whole."""
    frames: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while end - at >= 2:
        size = data[at + 1]
        start = at + 2
        if size > 125:
            start += _SIZES[size]
            if start > end:
                break
            size = int.from_bytes(data[at + 2 : start])
        if start + size > end:
            break
        frames.append((data[at] & 0x0F, data[start : start + size]))
        at = start + size
    return frames, at


class Stamp(NamedTuple):
    """What an event says of itself; `due` in ns since the epoch."""

    channel: int
    number: int
    due: int


def stamps(data: bytes) -> Iterator[Stamp]:
    """Return the stamps of the events in `data`, in their order."""
    return (Stamp(int(match[1]), int(match[2]), int(match[3])) for match in STAMP.finditer(data))


class Chunk:
    """What some bytes that begin with a frame say, and by how many clients they were received, at which times.

    `plain` ones are whole frames of events of one channel, with consecutive numbers, and nothing else. `arrivals`
    counts by time, in units of 2**TICK ns; those at `bystanders` are apart.
    """

    __slots__ = ("arrivals", "bystanders", "channel", "data", "first", "others", "plain", "position", "rest", "stamps")

    def __init__(self, data: bytes) -> None:
        self.data = data
        frames, self.rest = split(data)
        self.stamps: list[Stamp] = []
        self.others: list[tuple[int, bytes]] = []
        self.arrivals: dict[int, int] = {}
        self.bystanders: dict[int, int] = {}
        self.position: bytes | None = None
        for opcode, payload in frames:
            found = [] if payload.startswith(_SNAPSHOT) else list(stamps(payload))
            if found:
                self.stamps += found
                if position := POSITION.search(payload):
                    self.position = position[1]
            else:
                self.others.append((opcode, payload))
        self.channel, self.first = (self.stamps[0].channel, self.stamps[0].number) if self.stamps else (-1, -1)
        self.plain = (
            bool(self.stamps)
            and not self.others
            and self.rest == len(data)
            and all(
                stamp.channel == self.channel and stamp.number == self.first + index
                for index, stamp in enumerate(self.stamps)
            )
        )


TICK = 16
"""Arrivals are distinguished to 2**16 ns, 66 µs."""
