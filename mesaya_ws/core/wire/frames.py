"""WebSocket frames (RFC 6455, 5.2): writing the service's own, and watching the headers of a client's.

A frame of a server is not masked, so it is the same for every client: an event is encoded once and shared.
"""

from collections.abc import Generator, Sequence
from io import BytesIO

PING = b"\x89\x00"

FINAL = 0x80
"""In the first byte of a frame: it is the last one of its message."""

CONTROLS = (0x89, 0x8A)
"""First bytes of pings and pongs: they may stand between the frames of one message (RFC 6455, 5.4)."""

CLOSE = 0x88
"""The first byte of a close frame."""


def text_frame(payload: bytes, first: bytes = b"\x81") -> bytes:
    """Return `payload` (UTF-8) as one unmasked, final text frame; another `first` byte makes it another one."""
    size = len(payload)
    if size < 126:
        return first + size.to_bytes() + payload
    if size < 65536:
        return first + b"\x7e" + size.to_bytes(2) + payload
    return first + b"\x7f" + size.to_bytes(8) + payload


def text_frame_of(parts: Sequence[bytes]) -> bytes:
    """Return the text frame of a payload that comes in parts, which are copied once only."""
    size = sum(map(len, parts))
    return text_frame(b"".join(parts)) if size < 65536 else b"".join((b"\x81\x7f" + size.to_bytes(8), *parts))


def text_frame_in_steps(parts: Sequence[bytes], at_once: int) -> Generator[None, None, bytes]:
    """Do the same as `text_frame_of`, yielding whenever so many bytes of a large one have been copied."""
    size = sum(map(len, parts))
    if size <= at_once or size < 65536:
        return text_frame_of(parts)
    head = b"\x81\x7f" + size.to_bytes(8)
    # The system gives memory when it is first written to, which takes longer than the copying: so each step takes only
    # what it fills. `BytesIO` adopts the bytes that nobody else holds, and hands them out again, without a copy.
    frame = BytesIO(bytes(len(head) + size))
    frame.write(head)
    copied = 0
    for part in parts:
        whole = memoryview(part)
        for first in range(0, len(part), at_once):
            copied += frame.write(whole[first : first + at_once])
            if copied >= at_once:
                copied = 0
                yield
    return frame.getvalue()


FRAGMENT_BYTES = 65_536
"""A message that is larger goes out in several frames of at least this size, each when the one before it is taken."""


def fragment(payload: bytes, *, first: bool = False, last: bool = False) -> bytes:
    """Return one of the several frames of a text message (RFC 6455, 5.4): the `first`, the `last`, or one between."""
    return text_frame(payload, (FINAL * last | 0x01 * first).to_bytes())


def payload_of(frame: bytes) -> bytes:
    """Return the payload of a frame that `text_frame` made."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame (RFC 6455, 5.5.1); `reason` is cut to the 123 bytes of UTF-8 that it may have."""
    payload = code.to_bytes(2) + reason.encode()[:123].decode(errors="ignore").encode()
    return CLOSE.to_bytes() + len(payload).to_bytes() + payload
