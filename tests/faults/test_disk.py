"""What befalls the disk of the state directory, while the gateway runs: full, read-only, gone; and its clock jumps.

The gateway goes on from memory, says so, and goes on with what is on disk when that can be used again. What came
meanwhile is in it then: who was away all the time misses nothing where there is a history.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from mesaya_ws.core.interactions.topics import CHAT
from tests.e2e.client import connected
from tests.e2e.test_clocks import DAY, LIBRARIES, Clock
from tests.support.gateway import Gateway

from .disk import filled, read_only, small_disk
from .proxy import Proxy
from .talkers import Talker, check, has_received_all, messages
from .test_chat import founded, knows, until_over
from .test_gateways import without_history
from .world import PATIENCE, World, address, until

pytestmark = pytest.mark.faults

WINDOW = "4"
"""Seconds: clients that are cut come back within them."""

SAID = "the state directory cannot be used: what is published is kept in memory alone"
AGAIN = "the state directory can be used again"


async def reasons(gateway: Gateway) -> list[str]:
    """Return why the gateway is not well, as `/health` has it."""
    health = await trio.to_thread.run_sync(gateway.health)
    return health.get("reasons", [])


async def says_so(gateway: Gateway, why: str = "") -> None:
    """Return when the gateway has said in the log, a metric and `/health` that its disk cannot be used, and `why`."""
    await until(lambda: gateway.logged(SAID), "the log says that the disk cannot be used")
    with trio.fail_after(PATIENCE):
        # What is waited for happens in another process.
        while not any("directory cannot be used" in reason and why in reason for reason in await reasons(gateway)):  # noqa: ASYNC110
            await trio.sleep(0.1)
    assert await trio.to_thread.run_sync(gateway.metric, "mesaya_state_failures_total")


async def recovers(gateway: Gateway) -> None:
    """Return when the gateway has said that its disk can be used again."""
    await until(lambda: gateway.logged(AGAIN), "the log says that the disk can be used again")
    assert not any("state directory" in reason for reason in await reasons(gateway))


@asynccontextmanager
async def away_and_back(world: World, gateway: Gateway, fault: str, done: str) -> AsyncIterator[None]:
    """Have clients that are away for the time of the context, and others that come back in it, while all is written.

    Who was away comes back when what was published before has left the window; and again, what was published is to be
    received once and in order.
    """
    proxy = await world.serve(Proxy(lambda: address(gateway)))
    away = await world.subscribe(proxy.url)
    others = await world.proxy(gateway)
    coming = await world.subscribe(others.url)
    proxy.refusing = True
    proxy.cut()
    async with world.writing():
        await world.received_more(coming)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cut_now_and_then, others)
            yield
            nursery.cancel_scope.cancel()
        await trio.sleep(float(WINDOW) + 2)  # and one commit
        proxy.refusing = False
        await world.received_more(away)
        await world.received_more(coming)
    truth = await world.finish()
    world.report(fault, done, truth, away, snapshots=without_history(away))
    # By a clock that has gone ahead, what has just been written has left the window.
    gaps = without_history(coming)
    world.report(f"{fault}, resume", "clients come back meanwhile", truth, coming, snapshots=gaps)


async def _cut_now_and_then(proxy: Proxy) -> None:
    while True:
        await trio.sleep(1.5)
        proxy.cut()


async def test_a_disk_that_is_full_for_a_while(sqlite_world, tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        async with sqlite_world() as world:
            gateway = await world.gateway(STATE_DIR=str(disk / "state"), WINDOW_SECONDS=WINDOW)
            await world.found()
            async with away_and_back(world, gateway, "disk full", "no byte free; then some are"):
                with filled(disk):
                    await says_so(gateway, "(0 KiB are free)")
                    await trio.sleep(3)
                await recovers(gateway)
            assert not gateway.logged("the state on disk was set aside, and is built anew")
            await trio.to_thread.run_sync(gateway.kill)


def said_in(gateway: Gateway, channel: str) -> list[tuple[str, str]]:
    """Return the ids and texts of what a gateway knows of a conversation."""
    with connected(gateway.url) as client:
        client.ask(type="auth", user="owner", roles=["OWNER"])
        answer = client.ask(type="history", channel=channel, limit=100)
    return [(each["messageId"], each["text"]) for each in answer["messages"]]


async def test_conversations_go_on_while_the_disk_is_full_and_are_known_after_a_restart(sqlite_world, tmp_path):
    channel = "restaurant:r1:chat:guest"
    with small_disk(tmp_path / "disk") as disk:
        async with sqlite_world() as world:
            state = str(disk / "state")
            gateway = await world.gateway(STATE_DIR=state)
            await world.log.write([founded("r1", "owner")])
            await world.log.settle()
            await until(partial(knows, gateway, "r1"), "the restaurant is known")
            both = [await world.start(Talker(gateway.url, user, [channel])) for user in ("owner", "guest")]
            over = trio.Event()

            async def talk_on() -> None:
                before = [len(one.acknowledged) for one in both]
                reached = partial(map, lambda one, count: len(one.acknowledged) > count + 1, both, before)
                await until(lambda: all(reached()), "both are answered")

            async with trio.open_nursery() as nursery:
                for one in both:
                    nursery.start_soon(one.talk, "r1", until_over(over, "guest"))
                await talk_on()
                with filled(disk):
                    await says_so(gateway, "(0 KiB are free)")
                    await talk_on()
                await recovers(gateway)
                await talk_on()
                over.set()
            said = messages(await world.log.read_topic(CHAT))
            for one in both:
                await until(partial(has_received_all, one, said), f"{one.user} has received all")
                verdict = check(one, said)
                assert not verdict.wrong, verdict.wrong
            assert not gateway.logged("the state on disk was set aside, and is built anew")
            await trio.to_thread.run_sync(gateway.kill)
            again = await world.gateway(STATE_DIR=state)
            assert await trio.to_thread.run_sync(said_in, again, channel) == said[channel]
            await trio.to_thread.run_sync(again.kill)


async def test_a_disk_that_is_read_only_for_a_while(sqlite_world, tmp_path):
    state = tmp_path / "state"
    async with sqlite_world() as world:
        gateway = await world.gateway(STATE_DIR=str(state), WINDOW_SECONDS=WINDOW)
        await world.found()
        async with away_and_back(
            world, gateway, "disk read-only", "in the place of the state directory; then it is back"
        ):
            with read_only(state):
                await says_so(gateway, "Read-only file system")
                await trio.sleep(3)
            await recovers(gateway)
        assert not gateway.logged("the state on disk was set aside, and is built anew")


async def test_a_gateway_starts_on_a_read_only_disk_and_uses_it_when_it_can(sqlite_world, tmp_path):
    state = tmp_path / "state"
    async with sqlite_world() as world:
        with read_only(state):
            gateway = await world.gateway(STATE_DIR=str(state), WINDOW_SECONDS=WINDOW)
            await says_so(gateway)
            await world.found()
        async with away_and_back(world, gateway, "disk read-only at the start", "then it can be written"):
            await recovers(gateway)


async def test_a_state_directory_that_is_removed_is_made_anew(sqlite_world, tmp_path):
    state = tmp_path / "state"
    async with sqlite_world() as world:
        gateway = await world.gateway(STATE_DIR=str(state), WINDOW_SECONDS=WINDOW)
        await world.found()
        proxy = await world.proxy(gateway)
        clients = await world.subscribe(proxy.url)
        async with world.writing():
            await world.received_more(clients)
            shutil.rmtree(state)
            await says_so(gateway)
            await recovers(gateway)
            proxy.cut()
            await world.received_more(clients)
            # It is this process's again.
            second = await world.gateway(ready=False, STATE_DIR=str(state))
            assert await trio.to_thread.run_sync(second.wait)
            assert "is used by another process" in second.output
        truth = await world.finish()
        world.report("state directory removed", "under the running gateway", truth, clients)


@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is missing: apt-get install faketime")
async def test_clocks_that_jump_forget_nothing(sqlite_world, tmp_path):
    clock = Clock(tmp_path)
    settings = {"STATE_DIR": str(tmp_path / "state"), "WINDOW_SECONDS": WINDOW, **clock.environment}
    async with sqlite_world() as world:
        gateway = await world.gateway(**settings)
        await world.found()
        async with away_and_back(world, gateway, "clock jumps", "9 days forward, 18 back, and to where it was"):
            for days in (9, -9, 0):
                clock.set(days * DAY)
                await trio.sleep(2.5)
