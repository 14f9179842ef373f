"""The peer on asyncio: `websockets`, with its `broadcast` to the subscribers of a channel.

Arguments: the port of the clients, the port of the feed (lines of `channel TAB message`).
"""

import asyncio
import json
import sys
from collections import defaultdict

from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection, broadcast, serve

channels: dict[str, set[ServerConnection]] = defaultdict(set)


async def handle(connection: ServerConnection) -> None:
    """Serve one client."""
    subscribed: list[str] = []
    try:
        async for text in connection:
            message = json.loads(text)
            if message["type"] == "subscribe":
                channel = message["channel"]
                channels[channel].add(connection)
                subscribed.append(channel)
                await connection.send(json.dumps({"type": "subscribed", "channel": channel}))
    except ConnectionClosed:
        pass
    finally:
        for channel in subscribed:
            channels[channel].discard(connection)


async def feed(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Send on what comes."""
    async for line in reader:
        channel, _, message = line.decode().rstrip("\n").partition("\t")
        broadcast(channels[channel], message)


async def main(port: int, feed_port: int) -> None:
    """Serve until killed. Nothing is compressed, as with the other peers."""
    async with (
        await asyncio.start_server(feed, "127.0.0.1", feed_port),
        serve(handle, "127.0.0.1", port, compression=None, backlog=4096) as server,
    ):
        await server.serve_forever()


asyncio.run(main(*map(int, sys.argv[1:])))
