import math

import trio
import trio.testing

from mesaya_ws.cli import demo
from mesaya_ws.core.interactions.topics import CHAT
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import TOPICS, topic_of
from mesaya_ws.demo.evening import Evening
from mesaya_ws.demo.town import build_town
from tests.fakes import FakeLog


async def play(log, seconds, interval=0.5, **options):
    """Play a demo into a log for some seconds of the test's clock; return after how many it had begun."""
    began = []
    with trio.move_on_after(seconds):
        start = trio.current_time()
        evening = Evening(build_town(1, 3))

        def begin():
            began.append(trio.current_time() - start)

        await demo._demo(log.open, evening, interval, begin, False, **options)
    return began


def by_topic(log, domain):
    return [record for record in log.appended if record.topic == topic_of(domain)]


async def test_demo_begins_at_once_and_keeps_its_rate(autojump_clock):
    log = FakeLog((*TOPICS, CHAT), clock=trio.current_time)
    assert await play(log, 30.2) == [0]
    begun = [record for record in log.appended if record.timestamp < 500]
    assert len(by_topic(log, "restaurants")) == 3
    assert len(log.appended) - len(begun) == 60


async def test_demo_continues_what_the_log_holds(autojump_clock):
    log = FakeLog((*TOPICS, CHAT), clock=trio.current_time)
    await play(log, 60)
    count, ids = len(log.appended), {record.key for record in log.appended}
    await play(log, 60)
    assert len(by_topic(log, "restaurants")) == 3
    assert len(log.appended) <= 2 * count
    new = [record for record in by_topic(log, "reservations") if b'"event_type":"created"' in record.value]
    assert len({record.key for record in new}) == len(new)
    assert ids & {record.key for record in log.appended[count:]}, "nothing that was begun has gone on"


async def test_demo_waits_for_a_log_that_does_not_answer_and_does_not_hurry_afterwards(autojump_clock, capsys):
    log = FakeLog((*TOPICS, CHAT), clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, log, 300)
        await trio.sleep(10.1)
        before = len(log.appended)
        log.fail("the log is away")
        await trio.sleep(100)
        assert len(log.appended) == before
        log.recover()
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert len(log.appended) - before <= 21
    assert capsys.readouterr().err == "mesaya-ws: the log is away; still trying.\n"


async def test_demo_reads_back_the_end_of_a_long_log_only(autojump_clock):
    log = FakeLog((*TOPICS, CHAT), clock=trio.current_time)
    await log.append([NewRecord(topic_of("restaurants"), b"not of the demo")] * 10)
    offsets = []
    read = log.read

    async def noting(partition, start, limit=500):
        offsets.append(start)
        return await read(partition, start, limit)

    log.read = noting
    await play(log, 1, read_back=3)
    assert offsets == [7]


async def test_demo_ends_when_its_parent_has_ended(autojump_clock):
    log, parents = FakeLog((*TOPICS, CHAT), clock=trio.current_time), iter([10, 10, 10, 1])
    with trio.fail_after(math.inf):
        await demo._demo(log.open, Evening(build_town(1, 1)), 1, lambda: None, True, parent=lambda: next(parents))
    assert next(parents, None) is None


def test_demo_names_what_it_cannot_do(run):
    assert run("demo", "--rate", "0").exit_code == 2
    assert run("demo", "--restaurants", "0").exit_code == 2
