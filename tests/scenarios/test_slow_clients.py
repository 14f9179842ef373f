"""A client that stops reading, among others: what it costs, that it holds up nobody, and what it learns in the end."""

import tracemalloc
from contextlib import asynccontextmanager

import orjson
import pytest
import trio
import trio.testing

from mesaya_ws.core.feed.shared_snapshots import NEW, SharedSnapshots
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.gateway.snapshots import SnapshotRenderer
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.websocket.connection import connection_config
from mesaya_ws.server.websocket.serving import WebSocketServer
from mesaya_ws.settings import Settings
from tests.support.client import PATIENCE, Clients
from tests.support.instance import FakeServices, Instance, a_session
from tests.support.wire import CLOSE, CONTINUATION, PONG, TEXT, frame

NOW = 1_800_000_000_000
CHANNEL = "restaurant:r1:tables"
SECTIONS, TABLES = Partition(topic_of("sections"), 0), Partition(topic_of("tables"), 0)
SEND_QUEUE_BYTES = 20_000
NOTE = "x" * 1000


class Restaurant(Instance):
    """A gateway's feed about one restaurant with two tables, and clients on sockets with small buffers."""

    def __init__(self, nursery, mode, states_bytes):
        settings = Settings(send_queue_bytes=SEND_QUEUE_BYTES, slow_tables=mode, close_timeout=PATIENCE)
        super().__init__(SECTIONS, TABLES, max_bytes=1 << 24)
        limits = {"auth": settings.auth, "most": settings.max_subscriptions, "conflate": mode == "conflate"}
        self.states = SharedSnapshots(states_bytes)
        renderer = SnapshotRenderer(self.feed, self.states)
        nursery.start_soon(renderer.run)
        feed, services = self.feed, FakeServices()
        services.render_snapshot = renderer.request

        def open_session(id, send_queue):
            return a_session(feed, id, send_queue, services, **limits)

        self.settings, self.registry = settings, SessionRegistry()
        server = WebSocketServer(connection_config(settings), open_session, self.registry, Metrics(), Status())
        self.frame_bytes = 0
        self.clients = Clients(nursery, server)
        self.says(SECTIONS, "created", "s1", restaurantId="r1")

    def says(self, partition, what, id, **data):
        """Take a record, and write what it becomes; this is done when it returns, whoever reads or not."""
        before = self.feed.window.bytes
        self.take(self.record(partition, what, id, data))
        self.frame_bytes = max(self.frame_bytes, self.feed.window.bytes - before)

    def table(self, id, status):
        self.says(TABLES, "updated", id, sectionId="s1", status=status, notes=NOTE)

    async def client(self, **fields):
        """Return a client that is subscribed, its connection, and the answer."""
        known = set(self.registry.connections)
        client = self.clients.connect()
        await client.be_greeted()
        [connection] = self.registry.connections - known
        return client, connection, await client.ask(type="subscribe", channel=CHANNEL, **fields)


@asynccontextmanager
async def restaurant(mode, states_bytes=1 << 30):
    async with trio.open_nursery() as nursery:
        world = Restaurant(nursery, mode, states_bytes)
        with world.clients.open():
            yield world
        nursery.cancel_scope.cancel()


def waiting(connection):
    return connection.session.send_queue.waiting_bytes


async def events(client, count):
    """Return the next events of a client as (table, status)."""
    messages = [await client.message() for _ in range(count)]
    return [(message["data"]["tableId"], message["data"]["status"]) for message in messages]


@pytest.mark.parametrize(("mode", "bound"), [("close", SEND_QUEUE_BYTES), ("conflate", 0)])
async def test_who_stops_reading_holds_up_nobody_and_costs_at_most_its_bound(mode, bound):
    async with restaurant(mode) as here:
        others = [(await here.client())[0] for _ in range(5)]
        _, stopped, _ = await here.client()
        most = 0
        for number in range(200):
            here.table(f"t{number % 2}", str(number))
            most = max(most, waiting(stopped))
            for other in others:
                assert await events(other, 1) == [(f"t{number % 2}", str(number))]
        # What has begun to be written is whole, so there is one frame more.
        assert bound < most <= bound + here.frame_bytes
        assert (stopped in here.registry.connections) is (mode == "conflate")


async def test_who_was_too_slow_is_sent_away_and_resumes():
    async with restaurant("close") as here:
        slow, _, answer = await here.client()
        position, received, number = answer["position"], [], 0
        while here.registry.connections:
            here.table(f"t{number % 2}", str(number))
            number += 1
            await trio.lowlevel.checkpoint()
        while (frame := await slow.frame())[0] == TEXT:
            message = orjson.loads(frame[1])
            position = message["position"]
            received.append(message["data"]["status"])
        assert frame[1] == (4008).to_bytes(2) + b"slow"
        assert len(received) < number
        here.table("t0", "while it was away")
        back, _, answer = await here.client(position=position)
        assert (answer["recovered"], answer["replayed"]) == (True, number + 1 - len(received)), answer
        received += [status for _, status in await events(back, answer["replayed"])]
        here.table("t0", "live")
        assert await events(back, 1) == [("t0", "live")]
        assert received == [*map(str, range(number)), "while it was away"]


async def test_slow_conflating_client_has_the_newest_tables_and_is_live():
    async with restaurant("conflate") as here:
        slow, connection, _ = await here.client()
        for number in range(200):
            here.table(f"t{number % 2}", str(number))
        received = []
        while ("t1", "199") not in received:
            received += await events(slow, 1)
        assert received[-2:] == [("t0", "198"), ("t1", "199")]
        assert len(received) < 50, "what it did not read in time was conflated"
        assert received == sorted(received, key=lambda event: int(event[1]))
        await trio.testing.wait_all_tasks_blocked()
        assert waiting(connection) == 0
        here.table("t0", "live")
        assert await events(slow, 1) == [("t0", "live")]


@asynccontextmanager
async def crowd(count, **bounds):
    """Let so many clients ask for a floor plan of some 4 MB and read nothing; yield the restaurant, and them."""
    async with restaurant("close", **bounds) as here:
        for number in range(4000):
            here.table(f"t{number}", "free")
        clients = []
        for _ in range(count):
            client = here.clients.connect()
            await client.be_greeted()
            await client.send(frame(orjson.dumps({"type": "subscribe", "channel": CHANNEL, "snapshot": True})))
            clients.append(client)
        await until(lambda: all(waiting(it) for it in here.registry.connections))
        yield here, clients


async def until(holds):
    with trio.fail_after(PATIENCE):
        while not holds():
            await trio.lowlevel.checkpoint()


@pytest.mark.slow
async def test_slow_clients_share_one_large_snapshot_and_are_closed():
    tracemalloc.start()
    try:
        async with crowd(0):
            before, _ = tracemalloc.get_traced_memory()
        async with crowd(40) as (here, clients):
            size = here.states.bytes
            assert size > 4_000_000
            held, _ = tracemalloc.get_traced_memory()
            assert held - before < size + 40 * 150_000
            for client in clients:
                await client.send(frame(b"", PONG))
            await trio.testing.wait_all_tasks_blocked()
            now = trio.current_time()
            for moment in (now, now + here.settings.ping_timeout):
                for connection in list(here.registry.connections):
                    connection.check(moment)
            await until(lambda registry=here.registry: not registry.connections)
            here.states.forget(trio.current_time() + NEW)
            await trio.testing.wait_all_tasks_blocked()
            assert here.states.bytes == 0
            after, _ = tracemalloc.get_traced_memory()
            assert after - before < 40 * 100_000, "a frame each, until they are gone"
    finally:
        tracemalloc.stop()


@pytest.mark.slow
async def test_states_of_different_moments_are_bounded_and_the_oldest_give_way():
    async with crowd(1, states_bytes=6_000_000) as (here, [first]):
        here.states.forget(trio.current_time() + NEW)
        second = here.clients.connect()
        await second.be_greeted()
        assert (await second.ask(type="subscribe", channel=CHANNEL, snapshot=True))["type"] == "subscribed"
        assert len((await second.message())["data"]["tables"]) == 4000
        assert here.states.bytes < 6_000_000
        while (got := await first.frame())[0] in (TEXT, CONTINUATION):
            pass
        assert got == (CLOSE, (4008).to_bytes(2) + b"slow")


@pytest.mark.slow
async def test_events_during_a_large_snapshot_follow_it_from_the_window():
    async with crowd(1) as (here, [client]):
        for number in range(100):
            here.table("t0", str(number))
        [connection] = here.registry.connections
        assert waiting(connection) < 2 * 200 * 1100, "a frame of 200 tables, and no event"
        assert (await client.message())["type"] == "subscribed"
        assert len((await client.message())["data"]["tables"]) == 4000
        assert await events(client, 100) == [("t0", str(number)) for number in range(100)]
        await trio.testing.wait_all_tasks_blocked()
        here.table("t1", "live")
        assert await events(client, 1) == [("t1", "live")]
