"""What befalls those who read events by HTTP, and the gateways behind them."""

from functools import partial

import pytest
import trio

from .event_subscribers import EventSubscriber
from .proxy import Balancer, Proxy
from .test_gateways import kill_and_restart, roll
from .world import address, until

pytestmark = pytest.mark.faults

KINDS = [EventSubscriber]


async def cut_and_strand(world, own, cut, cut_off, stranded, left_alone):
    """End some streams, cut others in the middle of an event, three times each, and leave others half open."""
    await world.received_more(left_alone)
    stranded.strand()
    for _ in range(3):
        await world.received_more([*own, *cut_off])
        for one in own:
            one.drop()
        cut.cut()
    await world.received_more([*own, *cut_off, *left_alone])


async def test_streams_of_events_under_faults(any_world):
    async with any_world(partitions=3) as world:
        gateway, other = await world.gateway(), await world.gateway()
        narrowed = await world.gateway(SEND_QUEUE_BYTES="65536", SEND_QUEUE_MESSAGES="64", PING_TIMEOUT="5")
        replicas = [await world.gateway(DRAIN_SECONDS="2") for _ in range(2)]
        proxied = [await world.gateway()]
        await world.found()
        cut, stranded = [await world.serve(Proxy(partial(address, gateway))) for _ in range(2)]
        narrow = await world.serve(Proxy(partial(address, narrowed), narrow=16_384))
        balancer = await world.serve(Balancer(map(address, replicas)))
        bereaved = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))
        own = await world.subscribe(gateway.url, kinds=KINDS)
        cut_off = await world.subscribe(cut.url, kinds=KINDS)
        left_alone = await world.subscribe(stranded.url, kinds=KINDS)
        changing = await world.subscribe([gateway.url, other.url], kinds=KINDS)
        moved = await world.subscribe(balancer.url, kinds=KINDS)
        bereft = await world.subscribe(bereaved.url, kinds=KINDS)
        menus = [f"restaurant:{restaurant}:menu" for restaurant in world.platform.restaurants]
        slow = await world.subscribe(narrow.url, menus, kinds=KINDS)
        async with world.writing():
            for one in slow:
                one.paused = True
            for restaurant in 30 * world.platform.restaurants:
                await world.log.write([world.platform.menu(restaurant, 30_000)])
            await until(lambda: narrowed.metric("mesaya_event_clients") == 0, "the slow client has been sent away")
            for one in slow:
                one.paused = False
            late = await world.subscribe(gateway.url, kinds=KINDS, snapshot=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut_and_strand, world, own, cut, cut_off, stranded, left_alone)
                nursery.start_soon(roll, world, balancer, replicas, moved)
                nursery.start_soon(kill_and_restart, world, proxied, bereft)
                for _ in range(6):
                    await world.received_more(changing)
                    for one in changing:
                        one.drop()
        truth = await world.finish()
        where = "GET /events: "
        world.report(where + "own disconnect", "dropped 3 times", truth, own)
        world.report(where + "TCP cut in mid-event", "cut 3 times", truth, cut_off)
        world.report(where + "half-open peer", "both directions silent, nobody notified", truth, left_alone)
        world.report(where + "resume on the other replica", "changed 6 times between two", truth, changing)
        world.report(where + "rolling restart", "two replicas, each replaced while it drains", truth, moved)
        world.report(where + "kill -9 of the gateway", "killed and started again, twice", truth, bereft)
        world.report(where + "slow reader", "stopped reading, was sent away", truth, slow)
        world.report(where + "late client", "came under load, and asked for the state", truth, late)
        assert {code for one in moved for code in one.closes} == {1012}
