"""What befalls conversations: gateways that are killed between the append and the answer, slow readers."""

import itertools
import json
import random
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest
import trio

from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import topic_of
from tests.e2e.client import connected
from tests.support.gateway import Gateway

from .proxy import Proxy
from .results import Row
from .talkers import Talker, check, has_received_all, longest_wait, messages
from .verdict import Verdict
from .world import World, address, until

pytestmark = pytest.mark.faults

GUESTS, KILLS = 12, 4

BETWEEN = 0.02
"""Seconds in which a message is appended and answered, more or less."""


async def kill_in_turn(world: World, gateways: list, talkers: list[Talker], over: trio.Event) -> None:
    """Kill one gateway after the other, each when messages are under way, and start another in its place."""
    for talker in talkers[:KILLS]:
        await talker.writing.wait()
        await trio.sleep(random.uniform(0, BETWEEN))
        gateway = gateways.pop(0)
        await trio.to_thread.run_sync(gateway.kill)
        gateways.append(await world.gateway())
    over.set()


def until_over(over: trio.Event, guest: str) -> Iterator[str]:
    """Yield the guest as long as gateways are killed, and some times more."""
    while not over.is_set():
        yield guest
    yield from [guest] * 3


def founded(restaurant: str, owner: str) -> NewRecord:
    data = {"name": "Casa Ana", "ownerId": owner}
    value = {"event_type": "created", "entity_id": restaurant, "timestamp": "2026-01-20T18:00:00.000Z", "data": data}
    return NewRecord(topic_of("restaurants"), json.dumps(value).encode(), restaurant.encode())


def knows(gateway: Gateway, restaurant: str) -> bool:
    with connected(gateway.url) as client:
        state = client.ask(type="subscribe", channel="global:restaurants", snapshot=True)
        while state["type"] != "snapshot":
            state = client.receive()
    return any(each["restaurantId"] == restaurant for each in state["data"]["restaurants"])


async def test_conversations_while_gateways_are_killed_and_readers_are_slow(any_world):
    async with any_world() as world:
        gateways = [await world.gateway() for _ in range(2)]
        narrow = await world.gateway(SEND_QUEUE_MESSAGES="8", SEND_QUEUE_BYTES="16384")
        turn = itertools.count()
        # Each connection is to another replica than the one before: so retries are by another one, too.
        proxy = await world.serve(Proxy(lambda: address(gateways[next(turn) % len(gateways)])))
        slow_way = await world.serve(Proxy(partial(address, narrow), narrow=4096))
        # The topic is shared by all tests of a broker.
        restaurant = f"r-{uuid4().hex[:8]}"
        guests = [f"guest-{number}" for number in range(GUESTS)]
        channels = {guest: f"restaurant:{restaurant}:chat:{guest}" for guest in guests}
        await world.log.write([founded(restaurant, "owner")])
        await world.log.settle()
        for gateway in (*gateways, narrow):
            await until(partial(knows, gateway, restaurant), "the restaurant is known")

        owner = await world.start(Talker(proxy.url, "owner", list(channels.values())))
        slow = await world.start(Talker(slow_way.url, "owner", list(channels.values()), pause=0.05))
        talkers = [await world.start(Talker(proxy.url, guest, [channels[guest]])) for guest in guests]
        with trio.fail_after(180):
            # Guests may not write much to a restaurant that has never answered.
            await owner.talk(restaurant, guests)
            over = trio.Event()
            async with trio.open_nursery() as nursery:
                for talker in (*talkers, owner):
                    guest = guests[0] if talker is owner else talker.user
                    nursery.start_soon(talker.talk, restaurant, until_over(over, guest))
                nursery.start_soon(kill_in_turn, world, gateways, talkers, over)

        records = [held for held in await world.log.read_topic(CHAT) if restaurant.encode() in (held.value or b"")]
        said = messages(records)
        everybody = [owner, slow, *talkers]
        acknowledged = [len(one.acknowledged) for one in everybody]
        assert sum(map(len, said.values())) == sum(acknowledged)
        assert min(acknowledged[2:]) > 3
        for one in everybody:
            await until(partial(has_received_all, one, said), f"{one.user} has received all")
        waited = longest_wait([owner, *talkers])
        for fault, done, some in (
            ("chat: kill -9 of gateways", f"{KILLS} killed while messages are under way", [owner, *talkers]),
            ("chat: slow reader", "behind 4 KiB of buffers, with a queue of 8 messages", [slow]),
        ):
            verdict = sum((check(one, said) for one in some), Verdict())
            gaps = sum(len(one.gaps) for one in some)
            world.enter(Row(fault, world.log.name, done, len(some), verdict, gaps, waited))
            assert not gaps
