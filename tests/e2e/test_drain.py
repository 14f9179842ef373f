"""A gateway that is stopped under load: what its clients receive up to their close, and what they find elsewhere."""

import json
import signal
import time
from contextlib import AsyncExitStack

import orjson
import pytest
import trio

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.settings import Settings
from tests.support.client import Client
from tests.support.wire import CLOSE, PING, PONG, TEXT, close, frame, handshake

CHANNEL = "global:announcements"
CLIENTS = 200
DRAIN_SECONDS = 4.0
"""As long as it takes to write and deliver some records, also on a busy machine."""


class Listener:
    """A client that only listens; it knows when it was asked to move and when it was closed."""

    def __init__(self, client, place):
        self.client = client
        self.place = place
        self.numbers = []
        self.moved = trio.Event()
        self.warned_at = self.closed_at = self.code = None

    async def listen(self):
        while (got := await self.client.frame()) is not None and got[0] in (TEXT, PING):
            if got[0] == PING:  # on a busy machine, it has been silent for so long
                await self.client.send(frame(got[1], PONG))
                continue
            message = orjson.loads(got[1])
            if message["type"] == "going_away":
                assert message["closeIn"] == pytest.approx(DRAIN_SECONDS / 4)
                self.warned_at = time.monotonic()
            else:
                self.numbers.append(message["data"]["number"])
                self.place = message["position"]
                self.moved.set()
        assert got is not None, "the connection ended without a close"
        assert got[0] == CLOSE
        self.code, self.closed_at = int.from_bytes(got[1][:2]), time.monotonic()
        await self.client.send(close(self.code))
        await self.client.stream.aclose()


async def connect(stack, port):
    client = Client(await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port)))
    await client.send(handshake())
    assert (await client.read_answer()).startswith(b"HTTP/1.1 101 ")
    assert (await client.message())["type"] == "welcome"
    return client


async def test_clients_under_load_resume_elsewhere_without_a_gap(start_gateway, tmp_path):
    leaving = start_gateway(DRAIN_SECONDS=str(DRAIN_SECONDS))
    staying = start_gateway()
    settings = Settings(event_log_file=tmp_path / "mesaya-ws.sqlite3")
    async with open_event_log(settings) as log, AsyncExitStack() as stack:
        written = 0

        async def write():
            nonlocal written
            while not stopped:
                value = {"event_type": "created", "entity_id": f"a{written}", "data": {"number": written}}
                await log.append([NewRecord("mesa-ya.announcements.events", json.dumps(value).encode())])
                written += 1

        listeners, stopped = [], False
        for _ in range(CLIENTS):
            client = await connect(stack, leaving.port)
            answer = await client.ask(type="subscribe", channel=CHANNEL)
            listeners.append(Listener(client, answer["position"]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            async with trio.open_nursery() as listening:
                for listener in listeners:
                    listening.start_soon(listener.listen)
                await listeners[0].moved.wait()
                leaving.send_signal(signal.SIGTERM)
            assert await trio.to_thread.run_sync(leaving.wait) == 0
            stopped = True

        for listener in listeners:
            assert listener.code == 1012
            assert listener.warned_at < listener.closed_at
            assert listener.numbers == list(range(len(listener.numbers))), "once each, in order, up to the close"
        # They did not all go at once.
        assert len({len(listener.numbers) for listener in listeners}) > 1
        for listener in listeners[::10]:
            back = await connect(stack, staying.port)
            await back.send(frame(orjson.dumps({"type": "subscribe", "channel": CHANNEL, "position": listener.place})))
            answer = await back.message()
            assert answer["recovered"] is True, answer
            missed = [(await back.message())["data"]["number"] for _ in range(written - len(listener.numbers))]
            assert listener.numbers + missed == list(range(written))
            await back.stream.aclose()
