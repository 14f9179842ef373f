"""Guests who want tables, and people who watch the floor plan, on connections that share no code with the package."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, TypeVar

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.timing import PATIENCE

RESTAURANT = "r1"
PLAN = f"restaurant:{RESTAURANT}:tables"

_numbers = count()
AnyGuest = TypeVar("AnyGuest", bound="Guest")


class Guest:
    """A user on one connection. `notices` are the messages that answer nothing."""

    def __init__(self, user: str, websocket: WebSocketConnection, stream: trio.SocketStream) -> None:
        self.user = user
        self.notices: list[dict[str, Any]] = []
        self._websocket = websocket
        self._stream = stream
        self._answers: dict[str, dict[str, Any]] = {}
        self._came = trio.Event()

    async def listen(self) -> None:
        """Take what comes, until the connection ends."""
        with suppress(ConnectionClosed):
            await self._listen()

    async def _listen(self) -> None:
        while True:
            message = json.loads(await self._websocket.get_message())
            if isinstance(message.get("id"), str):
                self._answers[message["id"]] = message
            else:
                self.notices.append(message)
            self._came.set()
            self._came = trio.Event()

    async def close(self) -> None:
        """End the connection, as one does who leaves the house."""
        await trio.aclose_forcefully(self._stream)

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a message, and return its answer."""
        id = f"a{next(_numbers)}"
        await self._websocket.send_message(json.dumps({"type": kind, "id": id, **fields}))
        with trio.fail_after(PATIENCE):
            while id not in self._answers:
                await self._came.wait()
        return self._answers.pop(id)

    async def select(self, hold: str, *tables: str, **fields: Any) -> dict[str, Any]:
        """Claim tables; again with the same id as long as the answer is that it cannot be done now."""
        while True:
            answer = await self.ask("table.select", restaurantId=RESTAURANT, tableIds=tables, holdId=hold, **fields)
            if answer.get("code") not in ("unavailable", "rate_limited", "unknown_restaurant"):
                return answer
            await trio.sleep(answer.get("retryIn", 0.2))

    async def release(self, hold: str) -> dict[str, Any]:
        """End a hold; again as long as that cannot be done now."""
        while True:
            answer = await self.ask("table.release", holdId=hold)
            if answer.get("code") not in ("unavailable", "rate_limited"):
                return answer
            await trio.sleep(answer.get("retryIn", 0.2))

    async def receives(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return a notice with these fields, once it has come."""
        with trio.fail_after(PATIENCE):
            while True:
                for message in self.notices:
                    if message["type"] == kind and fields.items() <= message.items():
                        return message
                await self._came.wait()


class Watcher(Guest):
    """Somebody who looks at the floor plan."""

    async def watch(self) -> dict[str, Any]:
        """Subscribe, and return the snapshot's holds."""
        await self.ask("subscribe", channel=PLAN, snapshot=True)
        return (await self.receives("snapshot"))["data"]["holds"]

    @property
    def events(self) -> list[tuple[str, tuple[str, ...], str | None]]:
        """What was received of holds, as `hold_page.Reading.events` has it."""
        received = []
        for message in self.notices:
            if message["type"] in ("table.selecting", "table.released"):
                data = message["data"]
                received += [("released", tuple(each["tableIds"]), each["reason"]) for each in data.get("released", ())]
                received.append((message["type"].removeprefix("table."), tuple(data["tableIds"]), data.get("reason")))
        return received


async def connected(nursery: trio.Nursery, port: int, user: str, kind: type[AnyGuest] = Guest) -> AnyGuest:
    """Connect a user; `close` is to be called before the nursery ends."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    made = kind(user, await wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", "/ws"), stream)
    nursery.start_soon(made.listen)
    assert (await made.ask("auth", user=user))["type"] == "authenticated"
    return made


@asynccontextmanager
async def guest(port: int, user: str, kind: type[AnyGuest] = Guest) -> AsyncIterator[AnyGuest]:
    """Connect a user, and disconnect at the end of the context."""
    async with trio.open_nursery() as nursery:
        made = await connected(nursery, port, user, kind)
        try:
            yield made
        finally:
            await made.close()
        nursery.cancel_scope.cancel()
