"""What is in the topic of checkpoints, as several instances write and read it."""

import random
from collections.abc import Sequence

import pytest

from mesaya_ws.core.feed.batch_rows import rows_of
from mesaya_ws.core.feed.changelog import Mark, make_mark, part_record
from mesaya_ws.core.feed.checkpoint import PART_BYTES, CorruptCheckpointError, pack
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.rows import Row
from mesaya_ws.core.recovery.coverage import Cut
from mesaya_ws.gateway.checkpoint_topic import PAGE, Checkpoint, CheckpointTopic, is_full
from tests.fakes import FakeLog

STATE = "test.state"


@pytest.fixture
def log() -> FakeLog:
    return FakeLog((STATE,))


def numbered(salt: int, count: int) -> list[Row]:
    """Return rows that take a part each."""
    chance = random.Random(salt)
    return [("t", str(number), chance.randbytes(PART_BYTES).hex()) for number in range(count)]


def whole(rows: list[Row], taken: int = 0) -> Checkpoint:
    parts = [part for part in pack([[row] for row in rows]) if part]
    return Checkpoint(taken, Cut({}, taken, frozenset()), len(rows), parts=parts)


def checkpoint(taken: int, parts: int = 1) -> Checkpoint:
    """Return a checkpoint that has at least so many parts."""
    return whole(numbered(taken, parts), taken)


def rows_in(topic: CheckpointTopic, mark: Mark) -> list[Row]:
    batches = [[part.content for part in topic.changelog.parts(each)] for each in topic.changelog.chain(mark)]
    return [row for piece in rows_of(batches) for row in piece]


async def test_what_one_instance_writes_another_reads(log: FakeLog):
    writer, reader = CheckpointTopic(log, STATE), CheckpointTopic(log, STATE)
    mark = await writer.write(checkpoint(1, parts=PAGE + 1))
    await reader.read_on()
    assert mark.parts > PAGE
    assert reader.changelog.newest() == mark
    assert rows_in(reader, mark) == numbered(1, PAGE + 1)
    assert writer.wrote(mark)
    assert not reader.wrote(mark)


def changes(number: int, rows: int = 1) -> Checkpoint:
    """Return a checkpoint of so many rows that have changed."""
    piece: list[Row] = [("t", f"{number}/{row}", number) for row in range(rows)] + [("t", "gone", None)]
    return Checkpoint(number, Cut({}, number, frozenset()), len(piece), pieces=[piece])


async def test_changes_are_put_together_while_they_are_few(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    newest = await topic.write(whole([("t", str(n), n) for n in range(1000)] + [("t", "gone", 1)]))
    sizes = []
    for number in range(1, 41):
        await topic.look()
        newest = await topic.write(changes(number), newest)
        await topic.look()
        sizes.append([mark.rows for mark in topic.changelog.chain(newest)][1:])
    assert max(map(len, sizes)) <= 4
    assert sum(sizes[-1]) <= 40 + len(sizes[-1])
    reader = CheckpointTopic(log, STATE)
    await reader.read_on()
    rows = rows_in(reader, newest)
    assert ("t", "gone", 1) not in rows
    assert sorted(row[1] for row in rows[1000:]) == sorted(f"{number}/0" for number in range(1, 41))


async def test_large_batches_of_changes_are_left_as_they_are(log: FakeLog):
    topic = CheckpointTopic(log, STATE, max_merged=10)
    newest = await topic.write(checkpoint(0))
    for number in range(1, 4):
        await topic.look()
        newest = await topic.write(changes(number, rows=8), newest)
    await topic.look()
    assert [mark.rows for mark in topic.changelog.chain(newest)][1:] == [9, 9, 9]


async def test_changes_that_cannot_be_put_together_since_a_part_has_gone_are_damaged(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    first = await topic.write(checkpoint(0))
    await topic.look()
    newest = await topic.write(changes(1), first)
    await topic.look()
    await log.remove_before(Partition(STATE, 0), len(log.appended))
    with pytest.raises(CorruptCheckpointError):
        await topic.write(changes(2), newest)


async def test_what_is_not_kept_is_deleted_but_for_what_may_be_being_written(log: FakeLog):
    topic, other = CheckpointTopic(log, STATE), CheckpointTopic(log, STATE)
    marks = [await topic.write(checkpoint(number)) for number in range(3)]
    await log.append([part_record(STATE, "other.1", 0, b"part")])
    await topic.look()
    await topic.delete_others(marks[1:])
    await other.read_on()
    assert other.changelog.whole() == marks[:0:-1]
    assert other.changelog.unfinished() == {"other.1"}
    await topic.look()
    await topic.delete_others(marks[1:])
    await other.read_on()
    assert other.changelog.unfinished() == set(), "whoever wrote it has ended"
    assert rows_in(other, marks[2])


@pytest.mark.parametrize(
    ("sizes", "rows", "full"), [([10], 10, False), ([10], 11, True), ([10, 8], 3, True), ([10**9] + [1] * 40, 1, True)]
)
def test_all_that_is_known_is_written_when_as_much_has_changed_or_in_too_many_batches(sizes, rows, full):
    chain = [make_mark("id", 1, size, 0, Cut({}, 0, frozenset())) for size in sizes]
    assert is_full(chain, rows) == full


async def test_reading_marks_keeps_no_contents(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    mark = await topic.write(checkpoint(1))
    await topic.look()
    assert topic.changelog.newest() == mark
    assert {part.content for part in topic.changelog.parts(mark)} == {None}


class NotingLog(FakeLog):
    """Notes from where it is read."""

    def __init__(self, topics: Sequence[str]) -> None:
        super().__init__(topics)
        self.places: list[int] = []

    async def read(self, partition: Partition, start: int, limit: int = 500) -> list[Record]:
        self.places.append(start)
        return await super().read(partition, start, limit)


async def test_what_has_been_read_is_not_read_again():
    log = NotingLog((STATE,))
    topic = CheckpointTopic(log, STATE)
    for taken in range(3):
        await topic.write(whole([], taken))
        await topic.read_on()
    assert log.places == [0, 1, 2, 3, 4], "but for the last record that was read before"


async def test_a_topic_that_was_created_anew_is_read_from_its_beginning(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    await topic.write(checkpoint(1, parts=3))
    await topic.read_on()
    log.replace(STATE)
    marker = await CheckpointTopic(log, STATE).write(checkpoint(2))
    await topic.read_on()
    assert topic.changelog.newest() == marker


async def test_a_topic_that_has_lost_its_end_is_read_from_its_beginning(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    kept = await topic.write(checkpoint(1, parts=3))
    await topic.read_on()
    lost = await topic.write(checkpoint(2, parts=3))
    await topic.read_on()
    assert topic.changelog.newest() == lost
    log.lose_end(STATE, 2)
    await topic.read_on()
    assert topic.changelog.whole() == [kept]
    newest = await topic.write(checkpoint(3, parts=2))
    await topic.read_on()
    assert topic.changelog.whole() == [newest, kept]


async def test_a_log_that_does_not_answer_is_reported(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    with log.failing():
        with pytest.raises(LogUnavailableError):
            await topic.read_on()
        with pytest.raises(LogUnavailableError):
            await topic.write(checkpoint(1))


async def test_topic_written_past_its_lost_end_is_read_from_its_beginning(log: FakeLog):
    topic = CheckpointTopic(log, STATE)
    kept = await topic.write(checkpoint(1, parts=3))
    await topic.read_on()
    await topic.write(checkpoint(2, parts=3))
    await topic.read_on()
    log.lose_end(STATE, 4)
    other = CheckpointTopic(log, STATE)
    await other.read_on()
    newest = await other.write(checkpoint(3, parts=6))
    await topic.read_on()
    assert topic.changelog.whole() == [newest, kept]
