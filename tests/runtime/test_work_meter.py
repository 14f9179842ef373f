from time import thread_time

import pytest
import trio

from mesaya_ws.runtime.work_meter import WorkMeter, counted, metered


def burn(seconds: float = 0.05) -> str:
    until = thread_time() + seconds
    while thread_time() < until:
        pass
    return "done"


async def in_thread() -> None:
    assert await trio.to_thread.run_sync(counted(burn)) == "done"


async def test_meter_counts_threads_of_the_tasks_that_are_started_in_its_context():
    meter = WorkMeter()
    async with trio.open_nursery() as nursery:
        with metered(meter):
            nursery.start_soon(in_thread)
        nursery.start_soon(in_thread)
    assert 0.05 <= meter.seconds < 0.09


async def test_meter_counts_what_fails():
    def fail() -> None:
        burn()
        raise ValueError("no")

    meter = WorkMeter()
    with metered(meter), pytest.raises(ValueError, match="no"):
        counted(fail)()
    assert meter.seconds >= 0.05
