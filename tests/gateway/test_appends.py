"""What clients append to the log: it is in the log, and is answered, whatever the log does."""

import orjson
import pytest
import trio
from attrs import evolve
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.log.events import Records, Truncated
from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord, Partition, Record
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.commands import Command, TooManyAppendsError, Turn, WaitsFor
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.gateway.appends import WOKEN_AT_ONCE, Appends
from tests.fakes import LARGEST, FakeLog
from tests.support.instance import World, a_feed, work
from tests.support.log import NOW

TOPIC = topic_of("announcements")


def answer(result):
    said = {"offset": result.offset} if isinstance(result, Appended) else {"failed": type(result).__name__}
    return text_frame(orjson.dumps(said))


def command(value=b"{}"):
    return Command(NewRecord(TOPIC, value), answer)


class SlowLog(FakeLog):
    """A log that acknowledges a record when it is let go, if its value is in `held`; `begun` are all, in order."""

    def __init__(self):
        super().__init__()
        self.held = {}
        self.begun = []

    def hold(self, value):
        self.held[value] = trio.Event()

    async def append(self, records):
        [record] = records
        assert isinstance(record.value, bytes)
        self.begun.append(record.value)
        if record.value in self.held:
            await self.held[record.value].wait()
        return await super().append(records)


class Clients(World):
    """Clients whose commands are appended to `log`."""

    def __init__(self, **bounds):
        super().__init__()
        self.log = SlowLog()
        self.appends = Appends(self.log, **bounds)
        self.services.append = self.appends.append

    def values(self):
        """Return the values of the records in the log, in its order."""
        return [record.value for record in self.log.appended]


FAILED = [{"failed": LogUnavailableError.__name__}]
REFUSED = [{"failed": TooManyAppendsError.__name__}]


async def test_commands_of_each_client_are_appended_in_their_order_and_answered(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    one, other = clients.client(), clients.client()
    for number in range(3):
        one.append(command(b"a%d" % number))
        other.append(command(b"b%d" % number))
    await wait_all_tasks_blocked()
    values = clients.values()
    for client, name in ((one, b"a"), (other, b"b")):
        own = [value for value in values if value.startswith(name)]
        assert own == [name + b"%d" % number for number in range(3)]
        assert client.send_queue.said() == [{"offset": values.index(value)} for value in own]
    assert clients.appends.waiting == 0


async def test_a_slow_append_holds_up_its_client_alone(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    slow, other = clients.client(), clients.client()
    clients.log.hold(b"slow")
    slow.append(command(b"slow"))
    slow.append(command(b"after"))
    for number in range(3):
        other.append(command(b"%d" % number))
    await wait_all_tasks_blocked()
    assert other.send_queue.said() == [{"offset": 0}, {"offset": 1}, {"offset": 2}]
    assert slow.send_queue.said() == []
    assert b"after" not in clients.log.begun
    clients.log.held[b"slow"].set()
    await wait_all_tasks_blocked()
    assert slow.send_queue.said() == [{"offset": 3}, {"offset": 4}]
    assert clients.values()[3:] == [b"slow", b"after"]


async def test_many_slow_appends_of_different_clients_are_under_way_at_once(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    values = [b"%d" % number for number in range(50)]
    for value in values:
        clients.log.hold(value)
        clients.client().append(command(value))
    await wait_all_tasks_blocked()
    assert sorted(clients.log.begun) == sorted(values)


async def test_what_the_log_refuses_is_answered_and_the_next_is_appended(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    client.append(command(b"x" * (LARGEST + 1)))
    client.append(command())
    await wait_all_tasks_blocked()
    assert client.send_queue.said() == [{"failed": RecordRejectedError.__name__}, {"offset": 0}]


async def test_when_the_log_does_not_answer_the_client_is_informed(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    with clients.log.failing():
        client.append(command())
        await wait_all_tasks_blocked()
    client.append(command())
    await wait_all_tasks_blocked()
    assert client.send_queue.said() == [*FAILED, {"offset": 0}]


async def test_append_without_acknowledgement_times_out_with_all_that_waited_as_long(nursery, autojump_clock):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    clients.log.hold(b"1")
    client.append(command(b"1"))
    client.append(command(b"2"))
    await trio.sleep(5)
    client.append(command(b"3"))
    await trio.sleep(4)
    assert client.send_queue.said() == []
    await trio.sleep(2)
    assert client.send_queue.said() == [*FAILED, *FAILED, {"offset": 0}]
    assert clients.log.begun == [b"1", b"3"], "what was not tried in time is not appended"
    assert clients.appends.waiting == 0


async def test_a_client_that_has_too_many_waiting_is_refused_and_others_are_not(nursery):
    clients = Clients(max_per_session=2)
    nursery.start_soon(clients.appends.run)
    client, other = clients.client(), clients.client()
    clients.log.hold(b"0")
    for number in range(3):
        client.append(command(b"%d" % number))
    other.append(command(b"other"))
    assert client.send_queue.said() == REFUSED
    await wait_all_tasks_blocked()
    client.append(command(b"3"))
    assert client.send_queue.said() == REFUSED, "the one that is being appended counts"
    assert other.send_queue.said() == [{"offset": 0}]
    clients.log.held[b"0"].set()
    await wait_all_tasks_blocked()
    client.append(command(b"4"))
    await wait_all_tasks_blocked()
    assert clients.values() == [b"other", b"0", b"1", b"4"]


async def test_all_clients_together_have_only_so_many_waiting():
    clients = Clients(max_waiting=2)
    one, two, three = (clients.client() for _ in range(3))
    for client in (one, two, three):
        client.append(command())
    assert [client.send_queue.said() for client in (one, two, three)] == [[], [], FAILED]


async def test_what_was_accepted_is_appended_although_its_client_has_left(nursery):
    clients = Clients()
    client = clients.client()
    client.append(command(b"1"))
    client.append(command(b"2"))
    client.leave()
    nursery.start_soon(clients.appends.run)
    await wait_all_tasks_blocked()
    assert clients.values() == [b"1", b"2"]


async def test_a_command_from_an_answer_is_appended_after_those_that_wait(nursery):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client = clients.client()

    def answer_and_append(result):
        client.append(command(b"from the answer"))
        return answer(result)

    client.append(Command(NewRecord(TOPIC, b"1"), answer_and_append))
    await wait_all_tasks_blocked()
    assert clients.values() == [b"1", b"from the answer"]
    assert client.send_queue.said() == [{"offset": 0}, {"offset": 1}]
    assert clients.appends.waiting == 0


async def test_a_fault_with_one_command_ends_no_appends(nursery, logged):
    clients = Clients()
    nursery.start_soon(clients.appends.run)
    client, other = clients.client(), clients.client()
    client.append(Command(NewRecord(TOPIC, b"1"), lambda result: result.nonsense))
    client.append(Command(NewRecord(TOPIC, "no bytes, and so a fault in the log"), answer))
    client.append(command(b"2"))
    other.append(command(b"3"))
    await wait_all_tasks_blocked()
    assert sorted(clients.values()) == [b"1", b"2", b"3"]
    said = client.send_queue.said()
    assert [[*each] for each in said] == [["failed"], ["offset"]]
    assert len(other.send_queue.said()) == 1
    assert [event["event"] for event in logged() if event["level"] == "error"] == [
        "an append was not answered by a fault of ours",
        "an append ended by a fault of ours",
    ]


class Waiting:
    """Commands of which each waits until the test says what their turn is, or until `first` has its answer."""

    def __init__(self, then=Turn.DUE):
        self.turn, self.then = WaitsFor("first"), then
        self.asked = 0

    def first(self, value=b"first"):
        def answer_and_decide(result):
            self.turn = self.then
            return answer(result)

        return Command(NewRecord(TOPIC, value), answer_and_decide, key="first")

    def other(self, value, answer=answer):
        def turn():
            self.asked += 1
            return self.turn

        return Command(NewRecord(TOPIC, value), answer, turn=turn)


async def test_command_on_which_another_decides_is_appended_once_that_has_its_answer(nursery):
    clients, waiting = Clients(), Waiting()
    nursery.start_soon(clients.appends.run)
    first, other, third = (clients.client() for _ in range(3))
    clients.log.hold(b"first")
    first.append(waiting.first())
    other.append(waiting.other(b"other"))
    other.append(command(b"after"))
    third.append(command(b"third"))
    await wait_all_tasks_blocked()
    assert clients.log.begun == [b"first", b"third"], "the answer to another one decides nothing"
    clients.log.held[b"first"].set()
    await wait_all_tasks_blocked()
    assert [len(client.send_queue.said()) for client in (first, other, third)] == [1, 2, 1]
    assert clients.log.begun[2:] == [b"other", b"after"]
    assert clients.appends.waiting == 0


async def test_commands_that_wait_are_woken_by_the_one_that_decides_alone_and_a_few_at_a_time(nursery):
    clients, waiting = Clients(), Waiting(Turn.NEEDLESS)
    nursery.start_soon(clients.appends.run)
    clients.log.hold(b"first")
    first = clients.client()
    first.append(waiting.first())
    for number in range(100):
        clients.client().append(waiting.other(b"%d" % number))
    await wait_all_tasks_blocked()
    for number in range(10):
        clients.client().append(command(b"chat %d" % number))
    await wait_all_tasks_blocked()
    assert waiting.asked == 100, "a message of a chat decides on no claim"
    clients.log.held[b"first"].set()
    looks = []
    while waiting.asked < 200:
        before = waiting.asked
        await trio.lowlevel.checkpoint()
        looks.append(waiting.asked - before)
    assert max(looks) <= 2 * WOKEN_AT_ONCE
    assert clients.appends.waiting == 0


@pytest.mark.parametrize("result", [Turn.NEEDLESS, LogUnavailableError("It does not answer.")])
async def test_command_that_is_not_due_once_another_has_decided_is_answered_without_a_record(nursery, result):
    clients, waiting = Clients(), Waiting(result)
    nursery.start_soon(clients.appends.run)
    first, other = clients.client(), clients.client()
    results = []

    def note(result):
        results.append(result)
        return answer(result)

    clients.log.hold(b"first")
    first.append(waiting.first())
    other.append(waiting.other(b"other", note))
    await wait_all_tasks_blocked()
    assert results == []
    clients.log.held[b"first"].set()
    await wait_all_tasks_blocked()
    assert (results, clients.values()) == ([result], [b"first"])


async def test_next_command_of_who_decides_is_appended_before_those_that_wait(nursery):
    clients, waiting = Clients(), Waiting()
    nursery.start_soon(clients.appends.run)
    clients.log.hold(b"first")
    first = clients.client()
    first.append(waiting.first())
    first.append(command(b"next"))
    for _ in range(2 * WOKEN_AT_ONCE):
        clients.client().append(waiting.other(b"other"))
    await wait_all_tasks_blocked()
    clients.log.held[b"first"].set()
    await wait_all_tasks_blocked()
    assert clients.log.begun == [b"first", b"next", *[b"other"] * 2 * WOKEN_AT_ONCE]


async def test_command_that_waits_for_another_one_is_answered_in_time(nursery, autojump_clock):
    clients, waiting = Clients(), Waiting()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    client.append(waiting.other(b"other"))
    await trio.sleep(9)
    assert client.send_queue.said() == []
    await trio.sleep(2)
    assert client.send_queue.said() == FAILED
    assert clients.log.begun == []


async def test_command_that_is_woken_just_before_its_time_is_over_is_not_appended_after_that(nursery, mock_clock):
    clients, waiting = Clients(), Waiting(Turn.NEEDLESS)
    nursery.start_soon(clients.appends.run)
    first, one, other = (clients.client() for _ in range(3))

    def let_time_pass():
        if waiting.turn is Turn.NEEDLESS:
            mock_clock.jump(1)
            waiting.turn = Turn.DUE
            return Turn.NEEDLESS
        return waiting.turn

    clients.log.hold(b"first")
    first.append(waiting.first())
    one.append(evolve(waiting.other(b"one"), turn=let_time_pass))
    other.append(evolve(waiting.other(b"other"), turn=let_time_pass))
    await wait_all_tasks_blocked()
    mock_clock.jump(9.5)
    clients.log.held[b"first"].set()
    await wait_all_tasks_blocked()
    assert [one.send_queue.said(), other.send_queue.said()].count(FAILED) == 1, "the one that was second"
    assert clients.log.begun == [b"first"]


class Readers(Clients):
    """Clients whose commands are answered when the feed has processed their records, of one partition."""

    def __init__(self):
        super().__init__()
        self.appends = Appends(self.log, self.feed)
        self.services.append = self.appends.append

    def new_feed(self, **window):
        return a_feed(lambda record, outcome: self.appends.on_record(record), **window)

    async def say(self, client, value):
        """Have a client append a record that is to be read back."""
        client.append(evolve(command(value), is_read_back=True))
        await wait_all_tasks_blocked()

    async def read(self, *records):
        """Let the feed process records, each an offset and what it says; then let those wake who wait for it."""
        for offset, value in records:
            self.feed.ingest(Records(self.main, [Record(TOPIC, 0, offset, NOW, None, value)], 0), NOW)
        work(self.feed)
        self.appends.progressed()
        await wait_all_tasks_blocked()


async def test_command_that_is_read_back_is_answered_when_the_feed_has_processed_its_record(nursery):
    clients = Readers()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    await clients.say(client, b"1")
    client.append(command(b"2"))
    await clients.read()
    assert client.send_queue.said() == [], "nothing was processed"
    await clients.read((0, b"1"))
    assert client.send_queue.said() == [{"offset": 0}, {"offset": 1}]


async def test_command_is_answered_by_its_own_record_and_not_by_what_had_its_offset_in_an_earlier_life(nursery):
    clients = Readers()
    nursery.start_soon(clients.appends.run)
    await clients.read((0, b"lost"), (1, b"lost"))
    before, during = clients.client(), clients.client()
    await clients.say(before, b"1")
    clients.log.hold(b"2")
    await clients.say(during, b"2")
    await clients.read((2, b"lost"))
    clients.log.held[b"2"].set()
    await clients.read()
    assert before.send_queue.said() == during.send_queue.said() == [], "the feed does not know of the loss"
    clients.feed.ingest(Truncated(Partition(TOPIC, 0), 0), NOW)
    await clients.read((0, b"1"))
    assert before.send_queue.said() == [{"offset": 0}]
    assert during.send_queue.said() == []
    await clients.read((1, b"2"))
    assert during.send_queue.said() == [{"offset": 1}]


async def test_command_that_is_not_read_back_in_time_is_answered_as_unavailable(nursery, autojump_clock):
    clients = Readers()
    nursery.start_soon(clients.appends.run)
    client = clients.client()
    client.append(evolve(command(b"1"), is_read_back=True))
    await trio.sleep(9)
    assert client.send_queue.said() == []
    await trio.sleep(2)
    assert client.send_queue.said() == FAILED
    assert clients.values() == [b"1"]
    await clients.read((0, b"1"))
    assert client.send_queue.said() == []
