"""A gateway of a few lines, which says what a test has written down for it, and the client against it, in no time."""

import json
from contextlib import asynccontextmanager, suppress
from functools import partial
from weakref import WeakKeyDictionary

import trio
from trio_websocket import ConnectionClosed, serve_websocket

from mesaya_ws.client import session
from mesaya_ws.client.timings import Timings

CHANNEL = "restaurant:1:tables"

QUICK = Timings(max_backoff=0.0, token_interval=0.0, retry_interval=0.0)
"""Everything is tried again at once."""

REFUSED = b'{"error": {"code": "origin_not_allowed", "message": "Not you."}}'

connect = partial(session.connect, timings=QUICK)


class Gateway:
    """Serves scripted connections, one after another; keeps what clients said, one list a connection."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.received = []
        self.admits = trio.Event()
        self.admits.set()

    @asynccontextmanager
    async def serving(self):
        """Serve, and give the url."""
        async with trio.open_nursery() as nursery:
            server = await nursery.start(partial(serve_websocket, self._serve, "127.0.0.1", 0, ssl_context=None))
            yield f"ws://127.0.0.1:{server.port}/ws"
            nursery.cancel_scope.cancel()

    async def _serve(self, request):
        if not self.scripts:
            await request.reject(503)
            return
        await self.admits.wait()
        websocket = await request.accept()
        self.received.append([])
        with suppress(ConnectionClosed):
            await self.scripts.pop(0)(websocket, self.received[-1])


async def say(websocket, **message):
    """Say something; what is of a channel comes after the answer to the `subscribe`, which bears the id of that."""
    channel, asked = message.get("channel"), _asked.get(websocket, {})
    if channel in asked and message["type"] not in ("error", "unsubscribed"):
        request = asked.pop(channel)
        if message["type"] == "subscribed":
            message["id"] = request["id"]
        else:
            known = {"position": request["position"], "recovered": True} if "position" in request else {"position": "p"}
            await _send(websocket, {"type": "subscribed", "channel": channel, "id": request["id"], **known})
    await _send(websocket, message)


async def _send(websocket, message):
    await websocket.send_message(json.dumps(message))


async def receive(websocket, received):
    """Receive a message; the id of a `subscribe` is kept for the answer, and not shown to the test."""
    message = json.loads(await websocket.get_message())
    if message["type"] == "subscribe":
        _asked.setdefault(websocket, {})[message["channel"]] = message
    received.append({name: value for name, value in message.items() if (message["type"], name) != ("subscribe", "id")})
    return received[-1]


_asked = WeakKeyDictionary()
"""By connection, the messages by which channels were subscribed that have not been answered."""


def event(number):
    return {"type": "table.updated", "channel": CHANNEL, "timestamp": "t", "position": f"p{number}", "data": number}
