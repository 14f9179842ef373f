"""What is proposed waits for the log, within its bounds."""

from itertools import pairwise

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord
from mesaya_ws.gateway.proposals import APPENDED_AT_ONCE, MAX_RECORDS, MAX_TIMERS, Proposals


class Log:
    def __init__(self):
        self.batches, self.errors = [], []

    async def append(self, records):
        await trio.sleep(0.01)
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append([record.value for record in records])
        return [Appended("t", 0, number, 5) for number, _ in enumerate(records)]


def record(number):
    return NewRecord("t", str(number).encode())


async def test_records_are_appended_in_their_order_some_at_a_time(nursery, autojump_clock):
    log, places = Log(), []
    proposals = Proposals(log, "things", lambda *each: places.append(each))
    for number in range(APPENDED_AT_ONCE + 1):
        proposals.propose(record(number))
    nursery.start_soon(proposals.run)
    await trio.sleep(1)
    assert [len(batch) for batch in log.batches] == [APPENDED_AT_ONCE, 1]
    assert [int(value) for batch in log.batches for value in batch] == list(range(APPENDED_AT_ONCE + 1))
    assert len(places) == APPENDED_AT_ONCE + 1
    place, began, ended = places[-1]
    assert (place.timestamp, 9 <= ended - began <= 11) == (5, True)


async def test_records_wait_for_a_log_that_is_away_and_go_with_one_that_rejects_them(nursery, autojump_clock, logged):
    log = Log()
    log.errors = [LogUnavailableError("It is away."), RecordRejectedError("Never.")]
    proposals = Proposals(log, "things")
    nursery.start_soon(proposals.run)
    for number in range(2):
        proposals.propose(record(number))
        await wait_all_tasks_blocked()
    await trio.sleep(5)
    proposals.propose(record(2))
    await trio.sleep(1)
    assert log.batches == [[b"2"]]
    assert [line["event"] for line in logged()] == ["things cannot be proposed", "things are proposed again"]


@pytest.mark.slow
async def test_oldest_records_give_way_and_no_more_timers_are_set_than_there_may_be(autojump_clock):
    proposals = Proposals(Log(), "things")
    for number in range(MAX_RECORDS + 3):
        proposals.propose(record(number))
    assert proposals._records[0] == record(3)
    for _ in range(MAX_TIMERS + 3):
        proposals.call_in(1, lambda: None)
    assert len(proposals._timers) == MAX_TIMERS


@pytest.mark.slow
async def test_records_that_came_while_the_log_did_not_answer_stay_before_older_ones(nursery, autojump_clock):
    log = Log()
    log.errors = [LogUnavailableError("It is away.")]
    proposals = Proposals(log, "things")
    proposals.propose(record(0))
    nursery.start_soon(proposals.run)
    await wait_all_tasks_blocked()
    for number in range(1, MAX_RECORDS + 1):
        proposals.propose(record(number))
    await trio.sleep(60)
    assert [int(value) for batch in log.batches for value in batch] == list(range(1, MAX_RECORDS + 1))


@pytest.mark.slow
async def test_timers_that_are_too_many_are_told_once_until_there_is_room_again(nursery, autojump_clock, logged):
    proposals = Proposals(Log(), "things")
    for _ in range(MAX_TIMERS + 3):
        proposals.call_in(1, lambda: None)
    nursery.start_soon(proposals.run)
    await trio.sleep(2)
    assert [line["event"] for line in logged()] == [
        "too many timers: some things are not proposed",
        "things have timers again",
    ]


async def test_timers_ring_in_the_order_of_their_times(nursery, autojump_clock):
    rung = []
    proposals = Proposals(Log(), "things")
    nursery.start_soon(proposals.run)
    for seconds in (3, 1, 2):
        proposals.call_in(seconds, lambda seconds=seconds: rung.append((seconds, trio.current_time())))
    await trio.sleep(10)
    assert [seconds for seconds, _ in rung] == [1, 2, 3]
    assert all(abs(at - began - 1) < 0.01 for (_, began), (_, at) in pairwise(rung))
