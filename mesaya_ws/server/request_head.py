"""Reading the head of a request from a socket: bounded in bytes and in time."""

import os
from contextlib import suppress

import trio

from mesaya_ws.core.wire import http_errors
from mesaya_ws.core.wire.handshake import END, Head, HeadError, parse_head

RECEIVE = 16_384
"""Bytes that are received at once, at most."""

_LINE_END = b"\r\n"


async def read_request(
    stream: trio.SocketStream, max_bytes: int, seconds: float, too_late: HeadError
) -> tuple[Head, bytes] | None:
    """Return the head of a client's request, and what came after it already; None when the client leaves before that.

    Raises `too_late` when the head has not come within so many seconds, and `HeadError` when it is larger than
    `max_bytes`, or is none: at once when no request begins so, as with TLS, whose clients would wait for all that time.
    """
    data = _received_already(stream)
    end = _end_of_head(data)
    if end < 0 and len(data) <= max_bytes and not _is_no_request(data):
        with trio.move_on_after(seconds) as deadline:
            data = await _read_head(stream, data, max_bytes)
        if deadline.cancelled_caught:
            raise too_late
        if not data:
            return None
        end = _end_of_head(data)
    if end < 0 and _is_no_request(data):
        raise _NO_REQUEST
    if not 0 <= end <= max_bytes:
        raise _TOO_LARGE
    return parse_head(data[:end].lstrip(_LINE_END)), data[end + len(END) :]


def _received_already(stream: trio.SocketStream) -> bytes:
    """Return what can be read without waiting: of many who come at once, the whole head, for some 40 µs less."""
    with suppress(OSError):  # nothing came, or a fault that is raised again where more is waited for
        return os.read(stream.socket.fileno(), RECEIVE)
    return b""


def _end_of_head(data: bytes | bytearray, searched: int = 0) -> int:
    """Return where the head ends, or -1; before `searched` it does not.

    Empty lines before it do not belong to it (RFC 9112, 2.2); old clients send one after a body.
    """
    if data.startswith(_LINE_END):
        searched = max(searched, len(data) - len(data.lstrip(_LINE_END)))
    return data.find(END, max(0, searched - len(END) + 1))


def _is_no_request(data: bytes | bytearray) -> bool:
    """Tell by the first byte: methods are visible ASCII (RFC 9110, 9.1), and only empty lines may come before one."""
    return bool(data) and not 0x20 < data[0] < 0x7F and data[0] not in _LINE_END


async def _read_head(stream: trio.SocketStream, received: bytes, max_bytes: int) -> bytes:
    """Return what came up to the end of the head, more than `max_bytes` of it, or what begins no request.

    It is nothing when the client leaves.
    """
    head = bytearray(received)
    searched = 0
    while _end_of_head(head, searched) < 0 and len(head) <= max_bytes and not _is_no_request(head):
        searched = len(head)
        data = await stream.receive_some(RECEIVE)
        if not data:
            return b""
        head += data
    return bytes(head)


_TOO_LARGE = HeadError(http_errors.HEAD_TOO_LARGE, "The head of the request is too large (MAX_HEAD_BYTES).")
_NO_REQUEST = HeadError(http_errors.BAD_REQUEST, "The request does not begin with an HTTP/1.1 request line.")
