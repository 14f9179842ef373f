"""What befalls the state directory: its writer is killed again and again, and it is deleted, truncated and replaced."""

import os
import random
import re
import shutil
import signal
import sqlite3
from contextlib import closing

import pytest
import trio

from mesaya_ws.core.feed.changelog import Changelog
from mesaya_ws.core.log.records import Record

from .proxy import Proxy
from .sqlite_log import CHECKPOINTS
from .test_gateways import without_history
from .world import World, address, until

pytestmark = pytest.mark.faults

KILLS = int(os.environ.get("STATE_KILLS", "25"))
CHECKPOINT_KILLS = 15


async def restart(world: World, proxied: list, **settings: str) -> None:
    """Kill the gateway behind a proxy, and start another one with the same state."""
    gateway = proxied.pop()
    await trio.to_thread.run_sync(gateway.kill)
    proxied.append(await world.gateway(**settings))


async def test_a_writer_of_the_state_that_is_killed_again_and_again(sqlite_world, tmp_path):
    settings = {"STATE_DIR": str(tmp_path / "state"), "WINDOW_SECONDS": "1"}
    async with sqlite_world() as world:
        proxied = [await world.gateway(**settings)]
        await world.found()
        proxy = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))
        away = await world.subscribe(proxy.url)
        proxy.refusing = True
        proxy.cut()
        draw = random.Random(50)
        async with world.writing():
            for _ in range(KILLS):
                await trio.sleep(draw.uniform(0, 2.8))  # it commits every 2 s
                await restart(world, proxied, **settings)
            # By now, what they have missed has left the window.
            await trio.sleep(2.0)
            proxy.refusing = False
            await world.received_more(away)
        truth = await world.finish()
        done = f"{KILLS} times under load; clients were away meanwhile"
        world.report("writer of the state killed", done, truth, away, snapshots=without_history(away))
        assert any(gateway.logged("goes on with what is on disk") for gateway in world.gateways)
        assert not any(
            gateway.logged("the state on disk was set aside, and is built anew") for gateway in world.gateways
        )


async def test_clients_of_a_gateway_that_is_killed_get_what_they_missed_on_every_channel(any_world, tmp_path):
    settings = {"STATE_DIR": str(tmp_path / "state")}
    async with any_world(partitions=3) as world:
        proxied = [await world.gateway(**settings)]
        await world.found()
        proxy = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))
        clients = await world.subscribe(proxy.url)
        async with world.writing():
            for _ in range(2):
                await world.received_more(clients)
                proxy.refusing = True
                proxy.cut()
                await trio.sleep(3.0)  # it commits every 2 s: what they miss is in the store, but for the end of it
                await restart(world, proxied, **settings)
                proxy.refusing = False
                await world.received_more(clients)
            restarted = proxied[0]
        truth = await world.finish()
        done = "twice, with its state; clients had been away, and had everything on every channel"
        world.report("kill -9 of a gateway with a state", done, truth, clients)
        assert restarted.logged("goes on with what is on disk")
        assert await resumed(restarted, "window")
        assert await resumed(restarted, "store")


async def test_clients_of_a_gateway_that_is_reloaded_get_what_they_missed_on_every_channel(any_world, tmp_path):
    async with any_world(partitions=3) as world:
        gateway = await world.gateway(STATE_DIR=str(tmp_path / "state"), DRAIN_SECONDS="1")
        await world.found()
        proxy = await world.proxy(gateway)
        clients = await world.subscribe(proxy.url)
        async with world.writing():
            for reloads in range(1, 4):
                await world.received_more(clients)
                gateway.send_signal(signal.SIGHUP)
                await until(lambda reloads=reloads: len(gateway.logged("reloaded")) == reloads, "it is reloaded")
                await world.received_more(clients)
        truth = await world.finish()
        world.report("reload (SIGHUP) of a gateway with a state", "3 times, under load", truth, clients)
        # Each second worker takes the folder of the one before the last.
        assert gateway.logged("goes on with what is on disk")
        assert await resumed(gateway, "window")


async def resumed(gateway, source: str) -> bool:
    """Return whether clients have been sent what they missed from memory (`window`), or from disk (`store`)."""
    _, _, metrics = await trio.to_thread.run_sync(gateway.request, "/metrics")
    return bool(re.search(rf'mesaya_resumes_total{{[^}}]*reason="{source}"'.encode(), metrics))


def written(file) -> tuple[Changelog, list]:
    """Return what the topic of checkpoints says, and its records."""
    changelog = Changelog()
    with closing(sqlite3.connect(file)) as db:
        rows = db.execute(
            "SELECT place, key, value FROM record JOIN topic ON topic.id = topic WHERE name = ? ORDER BY place",
            (CHECKPOINTS,),
        ).fetchall()
    for place, key, value in rows:
        changelog.take(Record(CHECKPOINTS, 0, place, 0, key, value))
    return changelog, rows


async def test_a_writer_of_checkpoints_that_is_killed_again_and_again(sqlite_world, tmp_path):
    """Each begins with an empty disk, and so with what the one before it has left in the topic.

    Of every four, clients come to three: what they had before is then older than any checkpoint.
    """

    def settings(number: int) -> dict[str, str]:
        state = str(tmp_path / f"state-{number}")
        return {"STATE_DIR": state, "WINDOW_SECONDS": "1", "CHECKPOINT_TOPIC": CHECKPOINTS}

    async with sqlite_world() as world:
        proxied = [await world.gateway(**settings(0))]
        await world.found()
        proxy = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))
        clients = await world.subscribe(proxy.url)
        draw, lengths = random.Random(12), set()
        async with world.writing():
            for number in range(1, CHECKPOINT_KILLS + 1):
                await trio.sleep(draw.uniform(0.2, 4.5))  # it writes every 1 to 1.25 s
                proxy.refusing = number % 4 == 0
                await restart(world, proxied, **settings(number))
                changelog, _ = written(world.log.file)
                if (newest := changelog.newest()) is not None:
                    lengths.add(len(newest.after))
            await world.received_more(clients)
        truth = await world.finish()
        gaps = sum(
            message["type"] == "gap" for one in clients for received in one.received.values() for message in received
        )
        done = f"{CHECKPOINT_KILLS} times under load, each time with an empty disk"
        world.report("writer of checkpoints killed", done, truth, clients, snapshots=gaps)
        assert gaps > 0
        assert sum(bool(gateway.logged("restored from a checkpoint")) for gateway in world.gateways) > 5
        assert max(lengths) > 0, "what has changed is written by itself"
        changelog, rows = written(world.log.file)
        assert changelog.whole()
        left = [key for _, key, value in rows if value is not None]
        assert len(left) < 60, "what no checkpoint is made of is deleted"


@pytest.mark.parametrize("fault", ["deleted", "truncated", "of another instance"])
async def test_a_state_that_is_of_no_use_is_built_anew_from_the_log(sqlite_world, tmp_path, fault):
    state = tmp_path / "state"
    settings = {"STATE_DIR": str(state), "WINDOW_SECONDS": "1"}
    async with sqlite_world() as world:
        proxied = [await world.gateway(**settings)]
        await world.found()
        proxy = await world.serve(Proxy(lambda: address(proxied[0]) if proxied else None))
        away = await world.subscribe(proxy.url)
        other = await world.gateway(STATE_DIR=str(tmp_path / "other"), WINDOW_SECONDS="1")
        proxy.refusing = True
        proxy.cut()
        async with world.writing():
            await trio.sleep(4.0)
            await trio.to_thread.run_sync(proxied.pop().kill)
            match fault:
                case "deleted":
                    shutil.rmtree(state)
                case "truncated":
                    with (state / "0" / "state.mdb").open("r+b") as file:
                        file.truncate(random.Random(1).randrange(4096, file.seek(0, 2)))
                case _:
                    await trio.to_thread.run_sync(other.kill)
                    shutil.copy(tmp_path / "other" / "0" / "state.mdb", state / "0" / "state.mdb")
            proxied.append(await world.gateway(**settings))
            await trio.sleep(2.0)
            proxy.refusing = False
            await world.received_more(away)
        truth = await world.finish()
        world.report(f"state {fault}", "while clients were away", truth, away, snapshots=without_history(away))
