"""What befalls a client and its connection."""

import pytest

from .world import until

pytestmark = pytest.mark.faults


def closes(gateway, code):
    """Return how many connections a gateway has closed with a code."""
    return gateway.metric("mesaya_connections_closed_total", code=str(code))


async def test_clients_and_connections(any_world):
    async with any_world() as world:
        gateway = await world.gateway(
            PING_INTERVAL="1", PING_TIMEOUT="2", SEND_QUEUE_BYTES="65536", SEND_QUEUE_MESSAGES="64", CLOSE_TIMEOUT="1"
        )
        await world.found()
        own = await world.subscribe(gateway.url)
        cut, half_open, refused, thin = [await world.proxy(gateway) for _ in range(4)]
        narrow = await world.proxy(gateway, narrow=16_384)
        cut_off = await world.subscribe(cut.url)
        left_alone = await world.subscribe(half_open.url)
        turned_away = await world.subscribe(refused.url)
        afar = await world.subscribe(thin.url)
        thin.pace = 30_000
        menus = [f"restaurant:{restaurant}:menu" for restaurant in world.platform.restaurants]
        slow = await world.subscribe(narrow.url, menus)
        late = []
        async with world.writing():
            for turn in range(3):
                await world.received_more(own)
                for one in own:
                    one.drop()
                cut.cut()
                if turn == 0:
                    half_open.strand()
                    refused.refusing = True
                    refused.cut()
                    for one in slow:
                        one.paused = True
                    for restaurant in 20 * world.platform.restaurants:
                        await world.log.write([world.platform.menu(restaurant, 30_000)])
                if turn == 1:
                    refused.refusing = False
                    late = await world.subscribe(gateway.url, snapshot=True)
            await until(lambda: closes(gateway, 4008) >= 2, "slow clients have been sent away")
            for one in slow:
                one.paused = False
            await world.received_more([*cut_off, *left_alone, *turned_away, *afar])
        truth = await world.finish()
        world.report("own disconnect", "dropped 3 times", truth, own)
        world.report("TCP cut in mid-frame", "cut 3 times", truth, cut_off)
        world.report("half-open peer", "both directions silent, nobody notified", truth, left_alone)
        world.report("refused", "cut, and refused for some seconds", truth, turned_away)
        world.report("slow network", "30 kB a second", truth, afar)
        world.report("slow reader", "stopped reading, was closed with 4008", truth, slow)
        world.report("late client", "came under load, and asked for the state", truth, late)
        assert closes(gateway, 4009) >= 2
