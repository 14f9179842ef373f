"""Table holds, while many want one table, and while gateways, their clocks and the broker fail.

The reference is `hold_page`, a second reading of the rules; it reads the log when all is over. What guests were
answered, and what watchers of each gateway received, must be what the log means; and no two ever had the same table.
"""

import json
import os
import signal
from functools import partial
from uuid import uuid4

import pytest
import trio

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import topic_of
from tests.e2e.test_clocks import LIBRARIES, Clock

from .guests import RESTAURANT, Guest, Watcher, connected, guest
from .hold_page import Granted, Reading, read, wrong
from .world import PATIENCE, World, until

pytestmark = pytest.mark.faults

GUESTS, ROUNDS = 200, 20
SECONDS = 15
"""How long a hold lasts that others are to meet in time, also on a busy machine."""


class Scene:
    """A restaurant, gateways, a watcher on each, and all answers that guests were given."""

    def __init__(self, world: World, nursery: trio.Nursery) -> None:
        self.world = world
        self.nursery = nursery
        self.watchers: list[Watcher] = []
        self.guests: list[Guest] = []
        self.answers: list[tuple[str, dict]] = []

    async def open(self) -> None:
        """Let there be a restaurant."""
        data = {"id": RESTAURANT, "name": "A", "ownerId": "o1"}
        value = {
            "timestamp": "2026-01-20T18:00:00.000Z",
            "event_type": "created",
            "entity_id": RESTAURANT,
            "data": data,
        }
        await self.world.log.write([NewRecord(topic_of("restaurants"), json.dumps(value).encode())])
        await self.world.log.settle()

    async def gateway(self, *, watched: bool = True, **settings: str):
        """Start a gateway; unless it is to fail, somebody watches the floor plan there."""
        gateway = await self.world.gateway(**settings)
        if watched:
            watcher = await connected(self.nursery, gateway.port, f"w{len(self.watchers)}", Watcher)
            assert await watcher.watch() == []
            self.watchers.append(watcher)
        return gateway

    async def guest(self, gateway, user: str) -> Guest:
        """Connect a user."""
        who = await connected(self.nursery, gateway.port, user)
        self.guests.append(who)
        return who

    async def select(self, who: Guest, *tables: str, hold: str | None = None, **fields: str) -> dict:
        """Have a guest claim tables, and keep the answer."""
        hold = hold or str(uuid4())
        answer = await who.select(hold, *tables, **fields)
        self.answers.append((hold, answer))
        return answer

    async def verify(self) -> Reading:
        """Compare what was said with what the log means."""
        reading = Reading()

        def is_received() -> bool:
            return all(watcher.events == reading.events for watcher in self.watchers)

        with trio.move_on_after(PATIENCE):
            while True:
                reading = read(await self.world.log.read_back())
                if is_received():
                    break
                await trio.sleep(0.2)
        for watcher in self.watchers:
            assert watcher.events == reading.events
        assert wrong(reading) == []
        for hold, answer in self.answers:
            outcome = reading.outcomes.get(hold)
            if answer["type"] == "selected":
                assert isinstance(outcome, Granted), (hold, answer, outcome)
                assert (answer["token"], set(answer["tableIds"])) == (outcome.token, outcome.tables)
            elif answer["type"] == "error" and outcome is not None:
                assert outcome == answer["code"], (hold, answer, outcome)
            elif answer["type"] == "error":  # it was refused before it was in the log
                assert answer["code"] == "conflict"
        self.world.check_gateways()
        return reading


@pytest.fixture
def any_scene(any_world):
    return partial(_with_scene, any_world)


@pytest.fixture
def kafka_scene(kafka_world):
    return partial(_with_scene, kafka_world)


async def _with_scene(opened, play) -> None:
    async with opened() as world, trio.open_nursery() as nursery:
        scene = Scene(world, nursery)
        await scene.open()
        try:
            await play(scene)
        finally:
            for who in (*scene.guests, *scene.watchers):
                await who.close()
        nursery.cancel_scope.cancel()


async def test_of_two_hundred_guests_on_two_gateways_one_has_the_table_in_each_round(any_scene):
    async def play(scene: Scene) -> None:
        gateways = [await scene.gateway() for _ in range(2)]
        guests: list[Guest] = []

        async def connect(number: int) -> None:
            guests.append(await scene.guest(gateways[number % 2], f"u{number}"))

        for number in range(GUESTS):
            await connect(number)
        tokens: list[int] = []
        ends: set[str] = set()
        for number in range(ROUNDS):
            answers: dict[Guest, dict] = {}

            async def rush(who: Guest, answers: dict = answers) -> None:
                answers[who] = await scene.select(who, "t1")

            async with trio.open_nursery() as nursery:
                for who in guests:
                    nursery.start_soon(rush, who)
            [winner] = [who for who, answer in answers.items() if answer["type"] == "selected"]
            others = [answer for who, answer in answers.items() if who is not winner]
            assert {answer["code"] for answer in others} == {"conflict"}
            # A gateway that has not read the end of the round before refuses by that.
            assert {answer["until"] for answer in others} <= {answers[winner]["expiresAt"], *ends}
            ends = {answers[winner]["expiresAt"]}
            tokens.append(answers[winner]["token"])
            assert (await winner.release(answers[winner]["holdId"]))["reason"] == "released", number
        assert tokens == sorted(set(tokens))
        reading = await scene.verify()
        assert len(reading.granted) == ROUNDS
        assert reading.claims < GUESTS * ROUNDS, "some were refused before the log"

    await any_scene(play)


async def test_gateway_that_is_frozen_past_the_end_of_its_guests_hold_ends_nothing_twice(any_scene):
    async def play(scene: Scene) -> None:
        frozen, other = [await scene.gateway(HOLD_SECONDS=str(SECONDS)) for _ in range(2)]
        holder, rival = await scene.guest(frozen, "u1"), await scene.guest(other, "u2")
        assert (await scene.select(holder, "t1"))["type"] == "selected"
        os.kill(frozen.pid, signal.SIGSTOP)
        refused = await scene.select(rival, "t1")
        assert (refused["code"], refused["expiresIn"] <= SECONDS) == ("conflict", True)
        await scene.watchers[1].receives("table.released")
        taken = await scene.select(rival, "t1")
        assert taken["type"] == "selected"
        await trio.sleep(1)
        os.kill(frozen.pid, signal.SIGCONT)
        assert (await holder.receives("released"))["reason"] == "expired"
        late = await scene.select(holder, "t1")
        assert (late["code"], late["until"]) == ("conflict", taken["expiresAt"])
        await rival.receives("released", reason="expired")
        reading = await scene.verify()
        assert [one.user for one in reading.granted] == ["u1", "u2"]

    await any_scene(play)


async def test_hold_of_a_gateway_that_is_killed_lasts_to_its_end_and_its_user_may_end_it_elsewhere(any_scene):
    async def play(scene: Scene) -> None:
        settings = {"HOLD_SECONDS": str(SECONDS), "HOLD_RECONNECT": "1"}
        killed, other = await scene.gateway(watched=False, **settings), await scene.gateway(**settings)
        rival = await scene.guest(other, "u2")
        async with guest(killed.port, "u1") as holder, guest(killed.port, "u3") as second:
            mine = await scene.select(holder, "t1")
            assert mine["type"] == (await scene.select(second, "t2"))["type"] == "selected"
            await trio.to_thread.run_sync(killed.kill)
        for table in ("t1", "t2"):
            assert (await scene.select(rival, table))["code"] == "conflict"
        back = await scene.guest(other, "u1")
        again = await scene.select(back, "t1", hold=mine["holdId"])
        assert (again["type"], again["token"]) == ("selected", mine["token"])
        assert (await back.release(mine["holdId"]))["reason"] == "released"
        assert (await scene.select(rival, "t1"))["type"] == "selected"
        await scene.watchers[0].receives("table.released")
        await until(lambda: ("released", ("t2",), "expired") in scene.watchers[0].events, "the other hold has expired")
        assert (await scene.select(rival, "t2"))["type"] == "selected"
        await scene.verify()

    await any_scene(play)


@pytest.mark.kafka
@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is missing: apt-get install faketime")
async def test_holds_end_in_time_on_gateways_whose_clocks_are_minutes_wrong(kafka_scene, tmp_path):
    async def play(scene: Scene) -> None:
        gateways = []
        for number, ahead in enumerate((300, -300, 0)):
            folder = tmp_path / f"clock-{number}"
            folder.mkdir()
            clock = Clock(folder)
            clock.set(ahead)
            settings = {} if ahead == 0 else clock.environment
            gateways.append(await scene.gateway(HOLD_SECONDS=str(SECONDS), HOLD_RECONNECT="1", **settings))

        def is_right(left: float, began: float) -> bool:
            """Whether so much is left of a hold that was claimed after a moment."""
            return SECONDS - (trio.current_time() - began) - 0.2 <= left <= SECONDS

        async def hold(number: int) -> None:
            """Let a hold on one gateway be met on the others, as long as it lasts; on a table of its own."""
            here, there, elsewhere = (gateways[(number + each) % 3] for each in range(3))
            table = f"held-{number}"
            holder, rival = await scene.guest(here, f"u{number}"), await scene.guest(there, f"rival-{number}")
            async with guest(elsewhere.port, f"v{number}", Watcher) as late:
                began = trio.current_time()
                mine = await scene.select(holder, table)
                assert (mine["type"], is_right(mine["expiresIn"], began)) == ("selected", True), mine
                refused = await scene.select(rival, table)
                assert (refused["code"], is_right(refused["expiresIn"], began)) == ("conflict", True), refused
                watcher = scene.watchers[gateways.index(elsewhere)]
                await until(lambda: ("selecting", (table,), None) in watcher.events, "its gateway has read the claim")
                [held] = [each for each in await late.watch() if each["tableIds"] == [table]]
                assert is_right(held["expiresIn"], began), held
            assert (await holder.receives("released", holdId=mine["holdId"]))["reason"] == "expired"
            # In minutes, clocks differ.
            assert SECONDS <= trio.current_time() - began <= SECONDS + PATIENCE

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(hold, number)
        async with guest(gateways[0].port, "v") as leaver:
            assert (await scene.select(leaver, "t2"))["type"] == "selected"
        await scene.watchers[1].receives("table.selecting")
        await until(lambda: ("released", ("t2",), "disconnected") in scene.watchers[1].events, "it was noticed")
        await scene.verify()

    await kafka_scene(play)


@pytest.mark.kafka
async def test_claims_in_an_outage_are_unavailable_and_one_who_asks_again_has_the_table(kafka_scene, kafka_broker):
    async def play(scene: Scene) -> None:
        gateways = [await scene.gateway() for _ in range(2)]
        guests = [await scene.guest(gateway, f"u{number}") for number, gateway in enumerate(gateways)]
        for who in guests:
            assert (await scene.select(who, f"before-{who.user}"))["type"] == "selected"
        await trio.to_thread.run_sync(kafka_broker.freeze)
        holds = {who: str(uuid4()) for who in guests}
        for who in guests:
            answer = await who.ask("table.select", restaurantId=RESTAURANT, tableIds=["t1"], holdId=holds[who])
            assert answer["code"] == "unavailable"
        await trio.to_thread.run_sync(kafka_broker.thaw)
        answers = {}
        for who in guests:
            answers[who] = await scene.select(who, "t1", hold=holds[who])
        for who, answer in answers.items():
            if answer["type"] == "released":  # its claim had been taken back before the retry was in the log
                assert answer["reason"] == "abandoned"
                answers[who] = await scene.select(who, "t1")
        [won] = [answer["holdId"] for answer in answers.values() if answer["type"] == "selected"]
        reading = await scene.verify()
        assert [one.id for one in reading.live() if "t1" in one.tables] == [won]

    await kafka_scene(play)
