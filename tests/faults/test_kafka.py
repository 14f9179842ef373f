"""What befalls Kafka itself."""

import pytest
import trio

from mesaya_ws.core.platform.topics import topic_of

from .world import until

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@pytest.mark.parametrize(
    ("fault", "seconds"), [("stop", 20), ("kill", 4), ("freeze", 7)], ids=["stopped", "killed", "frozen"]
)
async def test_outages(kafka_world, kafka_broker, fault, seconds):
    async with kafka_world() as world:
        gateway = await world.gateway()
        await world.found()
        loyal, returning = await world.subscribe(gateway.url), await world.subscribe(gateway.url)
        async with world.writing():
            await world.received_more([*loyal, *returning])
            await trio.to_thread.run_sync(getattr(kafka_broker, fault))
            over_at = trio.current_time() + seconds
            try:
                for one in returning:
                    one.drop()
                newcomers = await world.subscribe(gateway.url, snapshot=True)
                second = await world.gateway(ready=False)
                held = await world.subscribe(second.url, snapshot=True, settled=False)
                await trio.sleep_until(over_at)
                assert not any(one.subscribed for one in held)
            finally:
                await trio.to_thread.run_sync(kafka_broker.thaw if fault == "freeze" else kafka_broker.start)
            await until(lambda: all(one.subscribed for one in held), "who came in the outage is answered")
            await world.received_more([*loyal, *returning, *newcomers, *held])
        truth = await world.finish()
        done = {"stop": "stopped", "kill": "killed (-9)", "freeze": "frozen (SIGSTOP)"}[fault]
        world.report(f"broker {done}", f"for {seconds} s", truth, loyal)
        world.report(f"broker {done}, resume", "clients come back meanwhile", truth, returning)
        world.report(f"broker {done}, new clients", "who come meanwhile", truth, newcomers)
        world.report(f"broker {done}, new gateway", "and clients that come to it meanwhile", truth, held)


async def test_a_topic_that_is_created_late(kafka_world):
    tables = topic_of("tables")
    async with kafka_world(without=[tables]) as world:
        gateway = await world.gateway()
        founding = list(world.platform.founding())
        await world.log.write([record for record in founding if record.topic != tables])
        await world.log.settle()
        early = await world.subscribe(gateway.url)
        await world.log.create(tables)
        await world.log.write([record for record in founding if record.topic == tables])
        async with world.writing():
            await world.received_more(early)
        truth = await world.finish()
        world.report("topic created late", "after gateway and clients had begun", truth, early)


async def test_partitions_that_are_added(kafka_world):
    async with kafka_world() as world:
        gateway = await world.gateway()
        await world.found()
        clients, returning = await world.subscribe(gateway.url), await world.subscribe(gateway.url)
        async with world.writing():
            await world.received_more(clients)
            more = {topic_of(domain): 3 for domain in ("tables", "reservations", "announcements")}
            await world.log.administer(lambda admin: admin.create_partitions(more))
            for _ in range(3):
                await world.received_more([*clients, *returning])
                for one in returning:
                    one.drop()
        truth = await world.finish()
        world.report("partitions added", "1 to 3, under load", truth, clients)
        world.report("partitions added, resume", "the same, with positions from before and after", truth, returning)
        assert {record.partition for record in truth.records} == {0, 1, 2}
