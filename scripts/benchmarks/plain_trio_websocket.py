"""The library as it comes: trio-websocket, which lets clients in and answers their subscriptions; nothing is published.

The garbage collector is set as in this service: otherwise it would be half of a handshake, and what is measured.

Arguments: the port of the clients, the port of the feed, from which nothing is taken.
"""

import json
import sys

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from mesaya_ws.runtime.gc_tuning import tuned_gc


async def handle(request: WebSocketRequest) -> None:
    """Serve one client."""
    connection = await request.accept()
    try:
        while True:
            message = json.loads(await connection.get_message())
            if message["type"] == "subscribe":
                await connection.send_message(json.dumps({"type": "subscribed", "channel": message["channel"]}))
    except ConnectionClosed:
        pass


async def feed(stream: trio.SocketStream) -> None:
    """Wait for the end of the feed."""
    async for _ in stream:
        pass


async def main(port: int, feed_port: int) -> None:
    """Serve until killed."""
    async with tuned_gc(), trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_tcp, feed, feed_port)
        await serve_websocket(handle, "127.0.0.1", port, ssl_context=None)


trio.run(main, *map(int, sys.argv[1:]))
