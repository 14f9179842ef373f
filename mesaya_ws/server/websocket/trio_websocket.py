"""trio-websocket, begun after the handshake, which it would do with five times the work and memory.

Its public way in is `wrap_server_stream`, which parses a request with h11 and keeps it for as long as the connection
lasts. Here the handshake is done already (`core.wire.handshake`), so its connection is made upon an open wsproto
connection. That `WebSocketConnection` may be made is documented; that its task is called `_reader_task`, and what that
does with messages, `_handle_message_event`, is not, and held by tests.
"""

from collections.abc import Callable
from typing import cast

import trio
from trio_websocket import WebSocketConnection
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage

from mesaya_ws.core.session.session import Unfinished


class WebSocket(WebSocketConnection):
    """A server's WebSocket on `stream`, after the handshake; `on_message` is called with each message of the client.

    `stream` lets no binary frame pass, and none that is too large. trio-websocket itself would hand messages to a
    second task, through a channel: a sixth of what a connection costs, in time and memory. Here no more is read before
    a message has been heeded, and others have had their turn.
    """

    def __init__(self, stream: trio.abc.Stream, on_message: Callable[[str], Unfinished | None]) -> None:
        # A WSConnection does just the same as its Connection when it is open.
        super().__init__(stream, Connection(ConnectionType.SERVER), message_queue_size=0)  # type: ignore[arg-type]
        self._on_message = on_message

    run = WebSocketConnection._reader_task
    """Read to the end of the WebSocket, or of its stream; then `closed` says how it ended."""

    async def _handle_message_event(self, event: BytesMessage | TextMessage) -> None:
        parts = cast("list[str]", self._message_parts)
        parts.append(str(event.data))
        if event.message_finished:
            text = "".join(parts)
            parts.clear()
            try:
                unfinished = self._on_message(text)
            except KeyError as error:  # which the reading task would take for a kind of event that it does not know
                raise RuntimeError("a message was not handled") from error
            if unfinished is not None:
                await unfinished()
            await trio.lowlevel.checkpoint()
