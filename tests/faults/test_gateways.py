"""What befalls the gateways: they are killed, replaced one after the other, frozen, and changed by their clients."""

import signal

import pytest
import trio

from mesaya_ws.core.access.channels import kind_of

from .proxy import Balancer, Proxy
from .world import World, address

pytestmark = pytest.mark.faults


async def kill_and_restart(world: World, proxied: list, subscribers: list) -> None:
    """Kill the gateway behind a proxy twice, each time once its clients receive from it, and start another."""
    for _ in range(2):
        await world.received_more(subscribers)
        gateway = proxied.pop()
        await trio.to_thread.run_sync(gateway.kill)
        proxied.append(await world.gateway())
    await world.received_more(subscribers)


async def roll(world: World, balancer: Balancer, replicas: list, subscribers: list) -> None:
    """Replace each of the replicas behind a balancer, as a deployment does: one after the other, never none."""
    for gateway in list(replicas):
        await world.received_more(subscribers)
        successor = await world.gateway(DRAIN_SECONDS="2")
        balancer.addresses.add(address(successor))
        await world.stop(gateway)
        balancer.addresses.discard(address(gateway))
    await world.received_more(subscribers)


def without_history(subscribers: list) -> int:
    """Return how often clients were sent a gap: never where there is a history."""
    gaps = [
        channel
        for one in subscribers
        for channel, received in one.received.items()
        for message in received
        if message["type"] == "gap"
    ]
    assert not any(kind_of(channel).has_history for channel in gaps), gaps
    return len(gaps)


async def test_gateways_that_are_killed_and_replaced(any_world):
    async with any_world(partitions=3) as world:
        replicas = [await world.gateway(DRAIN_SECONDS="2") for _ in range(2)]
        proxied = [await world.gateway()]
        await world.found()
        balancer = await world.serve(Balancer(map(address, replicas)))
        # While its gateway is down, whoever connects is turned away.
        proxy = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))
        moved = [*await world.subscribe(balancer.url), *await world.subscribe(balancer.url)]
        bereft = await world.subscribe(proxy.url)
        async with world.writing(), trio.open_nursery() as nursery:
            nursery.start_soon(kill_and_restart, world, proxied, bereft)
            nursery.start_soon(roll, world, balancer, replicas, moved)
        truth = await world.finish()
        world.report("kill -9 of the gateway", "killed and started again, twice", truth, bereft)
        world.report("rolling restart", "two replicas behind one address, each replaced while it drains", truth, moved)
        assert all(one.closes == [None, None] for one in bereft if one.kind == "websockets")
        assert {code for one in moved if one.kind == "websockets" for code in one.closes} == {1012}


async def test_clients_that_go_to_another_replica(any_world):
    async with any_world(partitions=3) as world:
        one, other = await world.gateway(), await world.gateway(WINDOW_BYTES="300000")
        await world.found()
        proxy = await world.proxy(other)
        changing = await world.subscribe([one.url, other.url])
        ahead = await world.subscribe([one.url, other.url])
        long_away = await world.subscribe(proxy.url)
        # Where the order between partitions counts most.
        world.platform.moving = True
        async with world.writing():
            for _ in range(6):
                await world.received_more(changing)
                for client in changing:
                    client.drop()
            proxy.refusing = True
            proxy.cut()
            # The other one has not read what these have received already: it was frozen.
            other.send_signal(signal.SIGSTOP)
            await world.received_more(ahead, 100)
            for client in ahead:
                client.drop()
            other.send_signal(signal.SIGCONT)
            # Its window is full of other things now.
            for restaurant in 10 * world.platform.restaurants:
                await world.log.write([world.platform.menu(restaurant, 30_000)])
            await world.received_more(ahead)
            proxy.refusing = False
            await world.received_more([*ahead, *changing, *long_away])
        truth = await world.finish()
        moved = "; sections move between restaurants"
        world.report("resume on the other replica", f"changed 6 times between two{moved}", truth, changing)
        # In the end, the window holds nothing of what either of these has missed.
        for name, done, clients in (
            ("resume on a replica that lags", "the other one was frozen meanwhile", ahead),
            ("resume from before the window", "away for longer", long_away),
        ):
            gaps = without_history(clients)
            done = f"{done}; what has no history began anew{moved}"
            world.report(name, done, truth, clients, snapshots=gaps)
        _, _, metrics = await trio.to_thread.run_sync(other.request, "/metrics")
        assert b'mesaya_resumes_total{outcome="recovered",reason="store"}' in metrics
