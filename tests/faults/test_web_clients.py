"""What befalls the JavaScript client, in Node and in a real browser."""

import signal
from functools import partial

import pytest
import trio

from .conftest import ON_EITHER_LOG
from .proxy import Balancer, Proxy
from .test_clients import closes
from .test_gateways import kill_and_restart, roll
from .web_subscribers import Host, WebSubscriber
from .world import address, until

pytestmark = pytest.mark.faults

SECRET = "a secret of thirty-two bytes or more"


async def cut_and_strand(world, cut, cut_off, stranded, left_alone):
    """Cut some connections in the middle of a frame, three times, and leave others half open."""
    await world.received_more(left_alone)
    stranded.strand()
    for _ in range(3):
        await world.received_more(cut_off)
        cut.cut()
    # The client asks after 30 s of silence, and waits for 5 s.
    await world.received_more([*cut_off, *left_alone])


async def lose_and_find_tokens(world, signed_in):
    """Let tokens run out, and their source fail until the gateway has closed the connection."""
    await world.received_more(signed_in, 100)  # several tokens
    for one in signed_in:
        await one.sign(is_signing=False)
    await until(lambda: all(4401 in one.closes for one in signed_in), "clients are closed with 4401")
    for one in signed_in:
        await one.sign(is_signing=True)
    await world.received_more(signed_in)


async def stop_and_wake(world, host, stranded, asleep, is_slow_one_gone):
    """Stop a host while much is written, its connections half open, until the slow client is sent away; wake it."""
    async with world.writing():
        await world.received_more(asleep)
        host.send_signal(signal.SIGSTOP)
        stranded.strand()
        for restaurant in 30 * world.platform.restaurants:
            await world.log.write([world.platform.menu(restaurant, 30_000)])
        await until(is_slow_one_gone, "the slow client has been sent away")
        await trio.sleep(20)  # as long as a machine sleeps at the least, for its client to notice
        host.send_signal(signal.SIGCONT)
        woken = trio.current_time()
        await world.received_more(asleep)
        assert trio.current_time() - woken < 29, "a client that wakes does not wait for 30 s of silence"
    for restaurant in world.platform.restaurants:
        await world.log.write([world.platform.menu(restaurant, 1)])


@ON_EITHER_LOG
async def test_javascript_client_under_faults_of_the_network_and_of_gateways(any_world, browser):
    async with any_world(partitions=3) as world:
        host = await world.start(Host(browser=browser))
        gateway = await world.gateway()
        guarded = await world.gateway(
            AUTH="on", JWT_SECRET=SECRET, AUTH_REQUIRED="on", JWT_LEEWAY="0", ALLOWED_ORIGINS="*"
        )
        replicas = [await world.gateway(DRAIN_SECONDS="4") for _ in range(2)]
        proxied = [await world.gateway()]
        await world.found()
        cut, stranded = [await world.serve(Proxy(partial(address, gateway))) for _ in range(2)]
        balancer = await world.serve(Balancer(map(address, replicas)))
        bereaved = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))

        kinds = [partial(WebSubscriber, host)]
        cut_off = await world.subscribe(cut.url, kinds=kinds)
        left_alone = await world.subscribe(stranded.url, kinds=kinds)
        moved = await world.subscribe(balancer.url, kinds=kinds)
        bereft = await world.subscribe(bereaved.url, kinds=kinds)
        source = {"secret": SECRET, "seconds": 10}
        signed_in = await world.subscribe(guarded.url, kinds=[partial(WebSubscriber, host, token=source)])
        async with world.writing(), trio.open_nursery() as nursery:
            nursery.start_soon(cut_and_strand, world, cut, cut_off, stranded, left_alone)
            nursery.start_soon(roll, world, balancer, replicas, moved)
            nursery.start_soon(kill_and_restart, world, proxied, bereft)
            nursery.start_soon(lose_and_find_tokens, world, signed_in)
        truth = await world.finish()
        where = f"{host.kind}: "
        world.report(where + "TCP cut in mid-frame", "cut 3 times", truth, cut_off)
        world.report(where + "half-open peer", "both directions silent, nobody notified", truth, left_alone)
        world.report(where + "rolling restart", "two replicas, each replaced while it drains", truth, moved)
        world.report(where + "kill -9 of the gateway", "killed and started again, twice", truth, bereft)
        world.report(where + "expired token", "no token to be had; closed with 4401", truth, signed_in)
        # Who moves when its gateway says that it is going away has no interruption.
        assert [one.closes for one in moved] == [[]]
        assert {reason for one in signed_in for reason in one.signed_out} == {"expired"}


async def test_javascript_client_that_is_stopped(sqlite_world, browser):
    async with sqlite_world() as world:
        host = await world.start(Host(browser=browser))
        gateway = await world.gateway(SEND_QUEUE_BYTES="65536", SEND_QUEUE_MESSAGES="64", CLOSE_TIMEOUT="1")
        await world.found()
        narrow = await world.serve(Proxy(partial(address, gateway), narrow=16_384))
        stranded = await world.serve(Proxy(partial(address, gateway)))
        menus = [f"restaurant:{restaurant}:menu" for restaurant in world.platform.restaurants]
        kinds = [partial(WebSubscriber, host)]
        slow = await world.subscribe(narrow.url, menus, kinds=kinds)
        asleep = await world.subscribe(stranded.url, kinds=kinds)
        await stop_and_wake(world, host, stranded, asleep, lambda: closes(gateway, 4008) >= 1)
        truth = await world.finish()
        where = f"{host.kind}: "
        world.report(where + "slow reader", "stopped, was closed with 4008", truth, slow)
        world.report(where + "sleep", "stopped for 20 s, and its connection half open then", truth, asleep)


@pytest.mark.parametrize("browser", ["chromium"], indirect=True)
async def test_page_that_has_no_network_for_a_while(sqlite_world, browser):
    async with sqlite_world() as world:
        host = await world.start(Host(browser=browser))
        gateway = await world.gateway()
        await world.found()
        proxy = await world.serve(Proxy(partial(address, gateway)))
        offline = await world.subscribe(proxy.url, kinds=[partial(WebSubscriber, host)])
        async with world.writing():
            await world.received_more(offline)
            for one in offline:
                await one.disconnect(is_offline=True)
            proxy.refusing = True
            proxy.cut()
            await until(lambda: all("offline" in one.statuses for one in offline), "the page shows it")
            await trio.sleep(15)
            proxy.refusing = False
            for one in offline:
                await one.disconnect(is_offline=False)
            back = trio.current_time()
            await world.received_more(offline)
            assert trio.current_time() - back < 15, "the pause is over when there is a network"
        truth = await world.finish()
        world.report(f"{host.kind}: no network", "for some seconds, as the browser says", truth, offline)
