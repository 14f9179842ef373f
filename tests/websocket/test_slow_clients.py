"""A client that stops reading, among others: what it costs, that it holds up nobody, and what it learns in the end."""

from contextlib import asynccontextmanager

import orjson
import pytest
import trio

from mesaya_ws.core.event_log import Batch, Extent, Partition, Record, Sources, topic_of
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.hub import Hub
from mesaya_ws.core.session import Limits
from mesaya_ws.core.window import Window
from mesaya_ws.metrics import Metrics
from mesaya_ws.settings import Settings
from mesaya_ws.websocket.connection import Surroundings
from tests.websocket.client import PATIENCE
from tests.websocket.clients import Clients
from tests.wire import TEXT

NOW = 1_800_000_000_000
CHANNEL = "restaurant:r1:tables"
SECTIONS, TABLES = Partition(topic_of("sections"), 0), Partition(topic_of("tables"), 0)
OUTBOX_BYTES = 20_000
NOTE = "x" * 1000


class Restaurant:
    """A gateway's feed about one restaurant with two tables, and clients on sockets with small buffers."""

    def __init__(self, nursery, mode):
        settings = Settings(outbox_bytes=OUTBOX_BYTES, slow_tables=mode, close_timeout=PATIENCE)
        self.feed = Feed(Hub(), Window(300, 1 << 24), 1.0)
        self.feed.hear(Sources({SECTIONS: Extent(0, 0, "a"), TABLES: Extent(0, 0, "b")}, {None: 0}), NOW)
        limits = Limits(settings.auth, settings.max_subscriptions, fold=mode == "fold")
        self.around = Surroundings(settings, limits, self.feed, Metrics(), lambda session: None, lambda session: None)
        self.next = dict.fromkeys((SECTIONS, TABLES), 0)
        self.frame_bytes = 0
        self.clients = Clients(nursery, self.around)
        self.says(SECTIONS, "created", "s1", restaurantId="r1")

    def says(self, partition, what, id, **data):
        """Take a record, and write what it becomes; this is done when it returns, whoever reads or not."""
        value = {"event_type": what, "entity_id": id, "data": data}
        self.feed.hear(Batch(None, [Record(*partition, self.next[partition], NOW, None, orjson.dumps(value))], 0), NOW)
        self.next[partition] += 1
        before = self.feed.window.bytes
        for _ in self.feed.take(NOW):
            list(self.feed.hub.fan_out())
        self.frame_bytes = max(self.frame_bytes, self.feed.window.bytes - before)

    def table(self, id, status):
        self.says(TABLES, "updated", id, sectionId="s1", status=status, notes=NOTE)

    async def client(self, **fields):
        """Return a client that is subscribed, its connection, and the answer."""
        known = set(self.around.connections)
        client = self.clients.connect()
        await client.be_greeted()
        [connection] = self.around.connections - known
        return client, connection, await client.ask(type="subscribe", channel=CHANNEL, **fields)


@asynccontextmanager
async def restaurant(mode):
    async with trio.open_nursery() as nursery:
        world = Restaurant(nursery, mode)
        with world.clients.open():
            yield world
        nursery.cancel_scope.cancel()


def waiting(connection):
    return connection.session.outbox.waiting_bytes


async def events(client, count):
    """Return the next events of a client as (table, status)."""
    messages = [await client.message() for _ in range(count)]
    return [(message["data"]["tableId"], message["data"]["status"]) for message in messages]


@pytest.mark.parametrize(("mode", "bound"), [("close", OUTBOX_BYTES), ("fold", 0)])
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
        assert (stopped in here.around.connections) is (mode == "fold")


async def test_who_was_too_slow_is_sent_away_and_resumes():
    async with restaurant("close") as here:
        slow, _, answer = await here.client()
        position, received, number = answer["position"], [], 0
        while here.around.connections:
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
        assert (answer["recovered"], answer["replayed"]) == (True, number + 1 - len(received))
        received += [status for _, status in await events(back, answer["replayed"])]
        here.table("t0", "live")
        assert await events(back, 1) == [("t0", "live")]
        assert received == [*map(str, range(number)), "while it was away"]


async def test_who_was_slow_and_folds_knows_the_newest_of_each_table_and_is_live_again():
    async with restaurant("fold") as here:
        slow, connection, _ = await here.client()
        for number in range(200):
            here.table(f"t{number % 2}", str(number))
        received = []
        while ("t1", "199") not in received:
            received += await events(slow, 1)
        assert received[-2:] == [("t0", "198"), ("t1", "199")]
        assert len(received) < 50, "what it did not read in time was folded"
        assert received == sorted(received, key=lambda event: int(event[1]))
        await trio.testing.wait_all_tasks_blocked()
        assert waiting(connection) == 0
        here.table("t0", "live")
        assert await events(slow, 1) == [("t0", "live")]
