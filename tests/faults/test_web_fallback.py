"""What befalls the JavaScript client where WebSockets do not pass, or only now and then."""

from functools import partial

import pytest
import trio

from .conftest import ON_EITHER_LOG
from .proxy import Balancer, Proxy
from .test_gateways import kill_and_restart, roll
from .test_web_clients import SECRET, cut_and_strand, stop_and_wake
from .web_subscribers import Host, WebSubscriber
from .world import address, until

pytestmark = pytest.mark.faults


async def without_websockets(world, proxy):
    """Serve a proxy which no WebSocket passes."""
    proxy.pass_websockets(passing=False)
    return await world.serve(proxy)


async def let_websockets_pass_and_not(world, proxy, gateway, switching):
    """Let WebSockets pass, and not, in turn, until the client has gone to and fro."""
    for passing in (True, False, True):
        await world.received_more(switching)
        before = len(switching[0].closes)
        proxy.pass_websockets(passing=passing)
        if passing:
            await until(lambda: gateway.metric("mesaya_event_clients") == 0, "the client has gone back to a WebSocket")
        else:
            await until(lambda before=before: len(switching[0].closes) > before, "the WebSocket is cut")
            await until(lambda: gateway.metric("mesaya_event_clients") == 1, "the client reads events by HTTP")
    await world.received_more(switching)


async def renew(world, signed_in):
    """Let tokens be renewed twice, each before its end."""
    await until(lambda: all(one.asked.count("expiring") > 1 for one in signed_in), "tokens are renewed, twice")
    await world.received_more(signed_in)


@ON_EITHER_LOG
async def test_javascript_client_that_reads_by_http_under_faults(any_world, browser):
    async with any_world(partitions=3) as world:
        host = await world.start(Host(browser=browser))
        gateway, other = await world.gateway(), await world.gateway()
        guarded = await world.gateway(
            AUTH="on", JWT_SECRET=SECRET, AUTH_REQUIRED="on", JWT_LEEWAY="0", ALLOWED_ORIGINS="*"
        )
        replicas = [await world.gateway(DRAIN_SECONDS="4") for _ in range(2)]
        proxied = [await world.gateway()]
        await world.found()
        cut, stranded, private = [
            await without_websockets(world, Proxy(partial(address, one))) for one in (gateway, gateway, guarded)
        ]
        balancer = await without_websockets(world, Balancer(map(address, replicas)))
        bereaved = await without_websockets(world, Proxy(lambda: address(proxied[0]) if proxied else None))
        fickle = await without_websockets(world, Proxy(partial(address, other)))

        kinds = [partial(WebSubscriber, host, fallback=True)]
        cut_off = await world.subscribe(cut.url, kinds=kinds)
        left_alone = await world.subscribe(stranded.url, kinds=kinds)
        moved = await world.subscribe(balancer.url, kinds=kinds)
        bereft = await world.subscribe(bereaved.url, kinds=kinds)
        switching = await world.subscribe(fickle.url, kinds=kinds)
        source = {"secret": SECRET, "seconds": 60}  # of which half is left when they are renewed
        signed_in = await world.subscribe(
            private.url, kinds=[partial(WebSubscriber, host, token=source, fallback=True)]
        )
        closed = [len(one.closes) for one in moved]
        async with world.writing(), trio.open_nursery() as nursery:
            nursery.start_soon(cut_and_strand, world, cut, cut_off, stranded, left_alone)
            nursery.start_soon(roll, world, balancer, replicas, moved)
            nursery.start_soon(kill_and_restart, world, proxied, bereft)
            nursery.start_soon(let_websockets_pass_and_not, world, fickle, other, switching)
            nursery.start_soon(renew, world, signed_in)
        truth = await world.finish()
        where = f"{host.kind} by HTTP: "
        world.report(where + "TCP cut in mid-event", "cut 3 times", truth, cut_off)
        world.report(where + "half-open peer", "both directions silent, nobody notified", truth, left_alone)
        world.report(where + "rolling restart", "two replicas, each replaced while it drains", truth, moved)
        world.report(where + "kill -9 of the gateway", "killed and started again, twice", truth, bereft)
        world.report(where + "to a WebSocket and back", "which passed, did not, and passed again", truth, switching)
        world.report(where + "renewed token", "twice, each on another stream", truth, signed_in)
        # Who moves when its gateway says that it is going away has no interruption.
        assert [len(one.closes) for one in moved] == closed
        assert [one.signed_out for one in signed_in] == [[]]


async def test_javascript_client_that_is_stopped_while_it_reads_by_http(sqlite_world, browser):
    async with sqlite_world() as world:
        host = await world.start(Host(browser=browser))
        gateway = await world.gateway(SEND_QUEUE_BYTES="65536", SEND_QUEUE_MESSAGES="64", PING_TIMEOUT="5")
        other = await world.gateway()
        await world.found()
        narrow = await without_websockets(world, Proxy(partial(address, gateway), narrow=16_384))
        stranded = await without_websockets(world, Proxy(partial(address, other)))
        menus = [f"restaurant:{restaurant}:menu" for restaurant in world.platform.restaurants]
        kinds = [partial(WebSubscriber, host, fallback=True)]
        slow = await world.subscribe(narrow.url, menus, kinds=kinds)
        asleep = await world.subscribe(stranded.url, kinds=kinds)
        await stop_and_wake(world, host, stranded, asleep, lambda: gateway.metric("mesaya_event_clients") == 0)
        truth = await world.finish()
        where = f"{host.kind} by HTTP: "
        world.report(where + "slow reader", "stopped, took nothing, was sent away", truth, slow)
        world.report(where + "sleep", "stopped for 20 s, and its connection half open then", truth, asleep)
