"""Commands that come too soon rest, and become one."""

import trio
from attrs import evolve
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.core.session.commands import Command, Delay, TooManyAppendsError
from mesaya_ws.gateway.appends import MAX_PER_SESSION, Appends
from mesaya_ws.gateway.resting_appends import RestingAppends
from tests.fakes import FakeLog

DONE = Appended("t", 0, 7, 0)


class Client:
    """One whose commands are appended; keeps the answers."""

    id = "c1"

    def __init__(self):
        self.answers = []

    def on_appended(self, command, result):
        self.answers.append(command.answer(result))


class Log:
    """Appends at once, and keeps the values."""

    def __init__(self):
        self.values = []
        self.result = DONE

    def __call__(self, session, command):
        assert command.delay is None
        self.values.append(command.record.value)
        session.on_appended(command, self.result)


def mark(rank, purpose="p", seconds=2.0):
    def answer(result):
        return b"%d %s" % (rank, type(result).__name__.encode())

    return Command(NewRecord("t", b"%d" % rank), answer, delay=Delay(purpose, seconds, rank))


async def test_command_that_does_not_rest_is_appended_at_once():
    appended, client = Log(), Client()
    RestingAppends(appended).append(client, evolve(mark(1), delay=None))
    assert appended.values == [b"1"]


async def test_highest_of_those_that_rest_is_appended_and_all_are_answered_once(nursery, autojump_clock):
    appended, one, other = Log(), Client(), Client()
    resting = RestingAppends(appended)
    nursery.start_soon(resting.run)
    await wait_all_tasks_blocked()
    resting.append(one, mark(1))
    await trio.sleep(1)
    resting.append(other, mark(3, seconds=1.0))
    resting.append(one, mark(2, seconds=1.0))
    resting.append(one, mark(9, purpose="another", seconds=5.0))
    assert appended.values == []
    await trio.sleep(1)
    await wait_all_tasks_blocked()
    assert appended.values == [b"3"]
    assert sorted(one.answers) == [b"1 Appended", b"2 Appended"]
    assert other.answers == [b"3 Appended"]
    assert resting.waiting == 1
    appended.result = LogUnavailableError("It is away.")
    await trio.sleep(5)
    await wait_all_tasks_blocked()
    assert appended.values == [b"3", b"9"]
    assert one.answers[-1] == b"9 LogUnavailableError"
    assert resting.waiting == 0


async def test_more_than_may_rest_are_answered_at_once():
    client = Client()
    resting = RestingAppends(Log(), max_waiting=MAX_PER_SESSION)
    for rank in range(MAX_PER_SESSION + 1):
        resting.append(client, mark(rank))
    assert client.answers == [b"%d %s" % (MAX_PER_SESSION, TooManyAppendsError.__name__.encode())]
    resting.append(client, mark(1, purpose="another"))
    assert client.answers[-1] == b"1 LogUnavailableError"


async def test_fault_with_one_of_those_that_are_one_leaves_no_other_without_its_answer(nursery, autojump_clock, logged):
    appended, faulty, one, other = Log(), Client(), Client(), Client()
    resting = RestingAppends(appended)
    nursery.start_soon(resting.run)
    await wait_all_tasks_blocked()
    faulty.answers = None
    for rank, client in enumerate((faulty, one, other)):
        resting.append(client, mark(rank))
    await trio.sleep(3)
    assert (one.answers, other.answers) == ([b"1 Appended"], [b"2 Appended"])
    assert [event["event"] for event in logged()] == ["an append was not answered by a fault of ours"]


async def test_fault_with_one_that_is_refused_ends_nothing(nursery, autojump_clock, logged):
    """The log that is full refuses what has rested, too, in the task that all who rest share."""
    full, faulty, client = Appends(FakeLog(), max_waiting=0), Client(), Client()
    resting = RestingAppends(full.append, max_waiting=2)
    nursery.start_soon(resting.run)
    faulty.answers = None
    for purpose in "pq":
        resting.append(faulty, mark(1, purpose=purpose))
    resting.append(faulty, mark(1, purpose="one too many"))
    await trio.sleep(3)
    for _ in range(MAX_PER_SESSION):
        resting.append(client, mark(1))
    assert resting.waiting == 2
    await trio.sleep(3)
    assert client.answers[-2:] == [b"1 LogUnavailableError"] * 2
    assert [event["event"] for event in logged()] == ["an append was not answered by a fault of ours"] * 3
