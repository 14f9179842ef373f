"""What is in the state topic, as several instances write and read it."""

import pytest

from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.gateway.state_topic import PAGE, Checkpoint, StateTopic
from tests.fakes import FakeLog

STATE = "test.state"


@pytest.fixture
def log() -> FakeLog:
    return FakeLog((STATE,))


def checkpoint(taken: int, parts: int = 1) -> Checkpoint:
    return Checkpoint(taken, Cut({}, taken, frozenset()), 0, [b"%d.%d" % (taken, number) for number in range(parts)])


async def test_what_one_instance_writes_another_reads(log: FakeLog):
    writer, reader = StateTopic(log, STATE), StateTopic(log, STATE)
    marker = await writer.write(checkpoint(1, parts=PAGE + 1))
    await reader.read_on()
    assert reader.slots.newest() == marker
    assert list(reader.slots.parts(marker)) == checkpoint(1, parts=PAGE + 1).parts
    assert writer.wrote(marker)
    assert not reader.wrote(marker)


async def test_the_newest_is_not_written_over(log: FakeLog):
    one, other = StateTopic(log, STATE), StateTopic(log, STATE)
    slots = []
    for taken, writer in enumerate((one, other, one, other)):
        await writer.look()
        slots.append((await writer.write(checkpoint(taken))).slot)
    assert slots == [0, 1, 0, 1]


async def test_reading_markers_keeps_no_parts(log: FakeLog):
    topic = StateTopic(log, STATE)
    marker = await topic.write(checkpoint(1))
    await topic.look()
    assert topic.slots.newest() == marker
    assert list(topic.slots.parts(marker)) == [b""]


async def test_what_has_been_read_is_not_read_again(log: FakeLog, monkeypatch: pytest.MonkeyPatch):
    topic, read, places = StateTopic(log, STATE), log.read, []

    async def noted(partition, start, limit):
        places.append(start)
        return await read(partition, start, limit)

    monkeypatch.setattr(log, "read", noted)
    for taken in range(3):
        await topic.write(checkpoint(taken))
        await topic.read_on()
    assert places == [0, 1, 2, 3, 4], "but for the last record that was read before"


async def test_a_topic_that_was_created_anew_is_read_from_its_beginning(log: FakeLog):
    topic = StateTopic(log, STATE)
    await topic.write(checkpoint(1, parts=3))
    await topic.read_on()
    log.replace(STATE)
    marker = await StateTopic(log, STATE).write(checkpoint(2))
    await topic.read_on()
    assert topic.slots.newest() == marker


async def test_a_topic_that_has_lost_its_end_is_read_from_its_beginning(log: FakeLog):
    topic = StateTopic(log, STATE)
    kept = await topic.write(checkpoint(1, parts=3))
    await topic.read_on()
    lost = await topic.write(checkpoint(2, parts=3))
    await topic.read_on()
    assert topic.slots.newest() == lost
    log.lose_end(STATE, 2)
    await topic.read_on()
    assert topic.slots.whole() == [kept]
    newest = await topic.write(checkpoint(3, parts=2))
    await topic.read_on()
    assert topic.slots.whole() == [newest, kept]


async def test_a_log_that_does_not_answer_is_reported(log: FakeLog):
    topic = StateTopic(log, STATE)
    with log.failing():
        with pytest.raises(LogUnavailableError):
            await topic.read_on()
        with pytest.raises(LogUnavailableError):
            await topic.write(checkpoint(1))


async def test_topic_written_past_its_lost_end_is_read_from_its_beginning(log: FakeLog):
    topic = StateTopic(log, STATE)
    kept = await topic.write(checkpoint(1, parts=3))
    await topic.read_on()
    await topic.write(checkpoint(2, parts=3))
    await topic.read_on()
    log.lose_end(STATE, 4)
    other = StateTopic(log, STATE)
    await other.read_on()
    newest = await other.write(checkpoint(3, parts=6))
    await topic.read_on()
    assert topic.slots.whole() == [newest, kept]
