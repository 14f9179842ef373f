"""trio-websocket, begun behind the handshake, which it would do with five times the work and memory.

Its public way in is `wrap_server_stream`, which parses a request with h11 and keeps it for as long as the connection
lasts. Here the handshake is done already (`core.head`), so its connection is made upon an open wsproto connection. That
`WebSocketConnection` may be made is documented; that its task is called `_reader_task` is not, and held by a test.
"""

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.connection import Connection, ConnectionType

__all__ = ["ConnectionClosed", "WebSocketConnection", "open_websocket"]


def open_websocket(stream: trio.abc.Stream, nursery: trio.Nursery, max_message_size: int) -> WebSocketConnection:
    """Return a server's WebSocket on `stream`, of which the handshake is over; its reading task lives in `nursery`.

    Larger messages than `max_message_size` (characters) are not taken.
    """
    websocket = WebSocketConnection(
        stream,
        Connection(ConnectionType.SERVER),  # type: ignore[arg-type]  # a WSConnection does just the same when it is open
        message_queue_size=1,
        max_message_size=max_message_size,
    )
    nursery.start_soon(websocket._reader_task)
    return websocket
