"""How many bytes a connection has carried, as the system counts them: nothing is counted for it on the way."""

import socket
import struct
from contextlib import suppress
from typing import Protocol

_SENT_AND_RECEIVED = struct.Struct("@QQ")
_AT = 120
"""Where `tcpi_bytes_acked` and `tcpi_bytes_received` are in Linux's `struct tcp_info` (linux/tcp.h), since 4.1."""


class _Socket(Protocol):
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def carried(connection: _Socket) -> tuple[int, int] | None:
    """Return how many bytes the peer has acknowledged, and how many it has sent; None where the system does not say.

    To be asked before the socket is closed; the peer may be gone.
    """
    if not hasattr(socket, "TCP_INFO"):
        return None
    with suppress(OSError):
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _AT + _SENT_AND_RECEIVED.size)
        if len(info) == _AT + _SENT_AND_RECEIVED.size:
            sent, received = _SENT_AND_RECEIVED.unpack_from(info, _AT)
            return sent, received
    return None
