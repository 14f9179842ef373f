"""What befalls the records: some cannot be understood, some are removed under those who have not seen them."""

import json
import signal
from itertools import islice

import pytest

from mesaya_ws.core.platform.topics import topic_of

from .platform import poison
from .proxy import Proxy
from .world import address

pytestmark = pytest.mark.faults


async def test_records_that_nobody_can_understand(any_world):
    async with any_world() as world:
        gateway = await world.gateway()
        await world.found()
        bystanders = await world.subscribe(gateway.url)
        async with world.writing():
            for record in poison():
                await world.received_more(bystanders, 5)
                await world.log.write([record])
            await world.log.write_unreadable()
            await world.received_more(bystanders)
        truth = await world.finish()
        world.report("poison records", f"{len(poison()) + 1} sorts, between good ones", truth, bystanders)


async def test_records_that_retention_removes(any_world):
    async with any_world() as world:
        here, there = world.platform.restaurants
        gateways = [await world.gateway()]
        await world.found()
        proxies = [await world.serve(Proxy(lambda: address(gateways[0]) if gateways else None)) for _ in range(3)]
        # What becomes of these records hangs on none that is removed.
        channels = [f"restaurant:{here}:tables", "global:announcements"]
        connected, briefly_away, long_away = [await world.subscribe(proxy.url, channels) for proxy in proxies]
        quiet = f"restaurant:{here}:reviews"
        in_a_quiet_place = await world.subscribe(proxies[0].url, [quiet])

        async with world.writing():
            await world.received_more([*connected, *briefly_away, *long_away])
            for proxy in proxies[1:]:
                proxy.refusing = True
                proxy.cut()
            await world.log.write([world.platform.review(there) for _ in range(20)])
            await world.received_more(connected)
        await world.all_received(connected)
        await world.all_in_place(proxies[0].url, [*connected, *in_a_quiet_place])
        removed = await world.log.remove(*map(topic_of, ("tables", "announcements", "reviews")))

        # The window of the one that runs still has it; the one that follows has not.
        proxies[1].refusing = False
        await world.all_received(briefly_away)
        await world.all_in_place(proxies[0].url, briefly_away)
        await world.stop(gateways.pop())
        gateways.append(await world.gateway())
        proxies[2].refusing = False
        async with world.writing():
            await world.received_more([*connected, *briefly_away, *long_away])
        truth = await world.finish(removed)
        world.report("retention, seen before", "passed what they had read", truth, connected)
        world.report("retention, in the window", "passed the position of clients that were away", truth, briefly_away)
        world.report("retention, quiet channel", "passed all that came before", truth, in_a_quiet_place)
        world.report("retention, lost", "the same, and the gateway was replaced", truth, long_away, snapshots=4)
        for one in long_away:
            for channel in channels:
                lost, snapshot = [it for it in one.received[channel] if it["type"] in ("gap", "snapshot")]
                assert (lost["data"], snapshot["complete"]) == ("expired", False)


async def test_records_that_retention_removes_before_the_gateway_has_read_them(any_world):
    async with any_world() as world:
        gateway = await world.gateway()
        await world.found()
        channels = [f"restaurant:{world.platform.restaurants[0]}:tables", "global:announcements"]
        connected = await world.subscribe(gateway.url, channels)
        async with world.writing():
            await world.received_more(connected)
        await world.all_received(connected)
        seen = set(await world.log.read_back())
        gateway.send_signal(signal.SIGSTOP)
        # What it had asked Kafka for comes with the first of them; of the others, it receives nothing.
        for _ in range(2):
            await world.log.write(list(islice(world.platform.events(), 50)))
            await world.log.settle()
        removed = await world.log.remove(*map(topic_of, ("tables", "announcements")))
        gateway.send_signal(signal.SIGCONT)
        async with world.writing():
            await world.received_more(connected)
        received = {
            message["data"]["updatedAt"]
            for one in connected
            for its in one.received.values()
            for message in its
            if "updatedAt" in message["data"]
        }
        unread = [record for record in removed if record not in seen and updated_at(record) not in received]
        truth = await world.finish(unread)
        world.report("retention, unread", "passed a gateway that was frozen", truth, connected, snapshots=4)
        for one in connected:
            for channel in channels:
                [lost] = [it for it in one.received[channel] if it["type"] == "gap"]
                assert lost["data"] == "expired"


def updated_at(record):
    """Return what no other record has."""
    return json.loads(record.value)["data"]["updatedAt"]


async def test_a_topic_that_is_created_again(any_world):
    async with any_world() as world:
        gateway = await world.gateway()
        await world.found()
        proxy = await world.proxy(gateway)
        channels = [f"restaurant:{world.platform.restaurants[0]}:tables", "global:announcements"]
        connected = await world.subscribe(gateway.url)
        absent = await world.subscribe(proxy.url, channels)
        async with world.writing():
            await world.received_more([*connected, *absent])
            proxy.refusing = True
            proxy.cut()
            await world.received_more(connected)
        await world.all_received(connected)
        await world.log.recreate(topic_of("tables"))
        async with world.writing():
            await world.received_more(connected)
            proxy.refusing = False
            await world.received_more([*connected, *absent])
        truth = await world.finish()
        gaps = sum(len(one.channels) for one in connected)
        world.report("topic created again, connected", "deleted and created", truth, connected, snapshots=gaps)
        world.report("topic created again, away", "deleted and created meanwhile", truth, absent, snapshots=4)
        assert all({"gap"} <= {it["type"] for it in one.received[channels[0]]} for one in absent)
