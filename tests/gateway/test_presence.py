"""Processes on one log, each with the tasks that exchange presence; time is trio's."""

import sqlite3
from contextlib import closing
from itertools import repeat
from math import inf

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.interactions.presence_pace import FALL, OFTEN
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.session.authenticating import identify
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.eventlog import open_presence_log
from mesaya_ws.gateway.presence import SWEEP, PresenceExchange, in_turns, process_name
from mesaya_ws.runtime.clocks import steady
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings
from tests.fakes import FakeLog
from tests.kafka_broker import topic_configs
from tests.steps import counted_task_steps
from tests.support.instance import a_feed, a_session, ask, work
from tests.support.log import NOW
from tests.support.presence import sent, subscribe, typing
from tests.timing import PATIENCE

TABLES, CHAT = "restaurant:r1:tables", "restaurant:r1:chat:u1"
SECOND = 1000


class Process:
    """One process, with its clients."""

    def __init__(self, log, nursery, name=None):
        self.metrics = Metrics()
        self.feed = a_feed()
        self.presence = Presence(self.feed.hub, name or process_name(), 100, steady)
        self.exchange = PresenceExchange(log, self.presence, self.metrics)
        self.presence.on_due = self.exchange.wake
        self.scope = trio.CancelScope()
        self.feed.ingest(LogMetadata({}, {}), NOW)
        work(self.feed)
        nursery.start_soon(self.run)

    async def run(self):
        with self.scope:
            await self.exchange.run()

    def viewer(self, *, asks=True):
        session = a_session(self.feed, auth=False, presence=self.presence)
        subscribe(session, TABLES, presence=asks)
        return session

    def talker(self, user):
        session = a_session(self.feed, auth=False, presence=self.presence)
        identify(session, Identity(user, ("ADMIN",)), 0)
        ask(session, channel=CHAT)
        return session


@pytest.fixture
def log():
    return FakeLog((PRESENCE,))


def arrival(client, number):
    """Return what is set when a client is sent that number."""
    arrived, offer = trio.Event(), client.send_queue.offer

    def note(data, messages):
        offer(data, messages)
        if sent(client, TABLES)[-1:] == [number]:
            arrived.set()

            client.send_queue.offer = offer

    client.send_queue.offer = note
    return arrived


async def passes(milliseconds):
    await trio.sleep(milliseconds / 1000)
    await wait_all_tasks_blocked()


async def test_processes_count_together_and_say_when_they_end(log, nursery, autojump_clock):
    here, there = Process(log, nursery), Process(log, nursery)
    client = here.viewer()
    there.viewer(asks=False)
    await passes(3 * OFTEN)
    assert sent(client, TABLES) == [1, 2]
    await there.exchange.end()
    there.scope.cancel()
    assert log.appended[-1].value is None
    await passes(FALL + OFTEN)
    assert sent(client, TABLES) == [1]
    assert here.metrics.presence_sent == 3
    before = len(log.appended)
    await passes(60 * SECOND)
    assert len(log.appended) - before == 12, "what is so is said every five seconds"


async def test_nothing_is_appended_while_nobody_asks(log, nursery, autojump_clock):
    Process(log, nursery).viewer(asks=False)
    await passes(60 * SECOND)
    assert log.appended == []


async def test_client_that_comes_or_goes_wakes_no_task_before_something_is_due(log, nursery, autojump_clock):
    here = Process(log, nursery)
    client = here.viewer()
    await passes(FALL)
    with counted_task_steps() as steps:
        for _ in range(3):
            here.viewer(asks=False).leave()
            here.viewer()
        await wait_all_tasks_blocked()
    assert steps.taken == 1, "of this task"
    await passes(3 * OFTEN)
    assert sent(client, TABLES) == [1, 4]


async def test_typing_that_is_said_once_reaches_others_though_nobody_asks_who_is_there(log, nursery, autojump_clock):
    here, there = Process(log, nursery), Process(log, nursery)
    guest, owner = here.talker("u1"), there.talker("o1")
    await passes(OFTEN)
    ask(guest, "typing", channel=CHAT, typing=True)
    await passes(OFTEN)
    assert typing(guest) == typing(owner) == [("guest", True)]


async def test_process_that_crashed_is_dropped_and_its_record_removed(log, nursery, autojump_clock):
    here, there = Process(log, nursery), Process(log, nursery, "there")
    client = here.viewer()
    there.viewer()
    await passes(2 * OFTEN)
    there.scope.cancel()
    await passes(20 * SECOND)
    assert sent(client, TABLES)[-1] == 1
    await passes(SWEEP[1] * SECOND)
    last = [record for record in log.appended if record.key == b"there/0"][-1]
    assert last.value is None


async def test_outage_is_logged_once_and_over_when_something_is_appended(log, nursery, autojump_clock, logged):
    here, there = Process(log, nursery), Process(log, nursery)
    client = here.viewer()
    there.viewer()
    await passes(2 * OFTEN)
    with log.failing():
        await passes(60 * SECOND)
    await passes(30 * SECOND)
    assert set(sent(client, TABLES)) <= {1, 2}
    assert here.presence.level(TABLES).number == 2
    events = [line["event"] for line in logged()]
    assert events.count("others are not informed of presence") == 2
    assert events.count("others are informed of presence again") == 2


async def test_record_that_says_nothing_is_logged_and_harms_nothing(log, nursery, autojump_clock, logged):
    here = Process(log, nursery)
    client = here.viewer()
    await log.append([NewRecord(PRESENCE, b"nonsense", b"x/0")])
    await passes(OFTEN)
    assert sent(client, TABLES) == [1]
    assert [line["event"] for line in logged() if line["level"] == "warning"] == [
        "a record of the topic of presence cannot be understood"
    ]


async def test_end_does_not_wait_for_a_log_that_is_away(log, nursery, autojump_clock):
    here = Process(log, nursery)
    here.viewer()
    await passes(OFTEN)
    began = trio.current_time()
    with log.failing():
        await here.exchange.end()
    assert trio.current_time() - began <= 2


def test_names_of_processes_differ():
    assert process_name() != process_name()
    assert "/" not in process_name()


@pytest.mark.slow
async def test_presence_in_the_embedded_log_keeps_one_record_of_each_process(tmp_path):
    settings = Settings(event_log_file=tmp_path / "log.sqlite3")
    async with open_presence_log(settings) as one, open_presence_log(settings) as other, trio.open_nursery() as tasks:
        here, there = Process(one, tasks, "here"), Process(other, tasks, "there")
        client = here.viewer()
        for number in (2, 3, 4):
            there.viewer()
            with trio.fail_after(PATIENCE):
                await arrival(client, number).wait()
        tasks.cancel_scope.cancel()
    with closing(sqlite3.connect(settings.event_log_file)) as db:
        [(appended,)] = db.execute("SELECT next FROM topic WHERE name = ?", (PRESENCE,)).fetchall()
        kept = [key for (key,) in db.execute("SELECT key FROM record")]
    assert len(kept) == len(set(kept)) <= 2 < appended


@pytest.mark.parametrize(("turn", "turns_of_others"), [(0, 10), (inf, 0)])
async def test_steps_are_done_together_until_their_turn_is_over(turn, turns_of_others):
    async def count():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    turns = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await trio.lowlevel.checkpoint()
        before = turns
        await in_turns(repeat(None, 10), turn)
        assert turns_of_others - 1 <= turns - before <= turns_of_others
        nursery.cancel_scope.cancel()


async def test_no_log_of_presence_is_opened_where_it_is_off():
    async with open_presence_log(Settings(presence_channels=0)) as log:
        assert log is None


@pytest.mark.kafka
async def test_presence_in_kafka_is_compacted_and_has_the_times_of_the_log(kafka_brokers):
    settings = Settings(kafka_brokers=(kafka_brokers,))
    async with open_presence_log(settings) as one, open_presence_log(settings) as other, trio.open_nursery() as tasks:
        here, there = Process(one, tasks, "here"), Process(other, tasks, "there")
        client = here.viewer()
        there.viewer(asks=False)
        with trio.fail_after(PATIENCE):
            await arrival(client, 2).wait()
        with trio.fail_after(PATIENCE):
            await there.exchange.end()
        tasks.cancel_scope.cancel()
    configs = topic_configs(kafka_brokers, PRESENCE)
    assert configs["cleanup.policy"] == "compact,delete"
    assert configs["message.timestamp.type"] == "LogAppendTime"
