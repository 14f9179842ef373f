"""WebSocket by bytes (RFC 6455), for tests that say what no library would say."""

from collections.abc import Mapping

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
CONTINUATION = 0x0
MASK = b"\x37\xfa\x21\x3d"

FIELDS = {
    b"Host": b"gateway.test",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


def handshake(changes: Mapping[bytes, bytes | None] | None = None, line: bytes = b"GET /ws HTTP/1.1") -> bytes:
    """Return an opening request, with other header fields than usual; None leaves one out."""
    fields = {**FIELDS, **(changes or {})}
    lines = [b"%s: %s" % field for field in fields.items() if field[1] is not None]
    return b"\r\n".join([line, *lines, b"", b""])


def frame(
    payload: bytes = b"",
    opcode: int = TEXT,
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes | None = MASK,
    announced: int | None = None,
) -> bytes:
    """Return a client's frame; `reserved` are its three reserved bits, `announced` is a length that is not its own."""
    size = len(payload) if announced is None else announced
    first, masked = final << 7 | reserved << 4 | opcode, 0 if mask is None else 0x80
    if size < 126:
        header = bytes((first, masked | size))
    elif size < 65536:
        header = bytes((first, masked | 126)) + size.to_bytes(2)
    else:
        header = bytes((first, masked | 127)) + size.to_bytes(8)
    if mask is None:
        return header + payload
    return header + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def close(code: int) -> bytes:
    """Return a client's close frame."""
    return frame(code.to_bytes(2), CLOSE)


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the (opcode, payload) of all whole frames of a server in `data`, and what is left."""
    frames, at = [], 0
    while len(data) - at >= 2:
        size = data[at + 1]
        start = at + {126: 4, 127: 10}.get(size, 2)
        end = start + (size if size < 126 else int.from_bytes(data[at + 2 : start]))
        if max(start, end) > len(data):
            break
        frames.append((data[at] & 0x0F, data[start:end]))
        at = end
    return frames, data[at:]
