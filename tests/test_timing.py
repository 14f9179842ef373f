"""How steps are measured: a slower machine may take longer, and what takes long is noticed on every machine."""

import gc
from itertools import repeat

import pytest
import trio

from tests.timing import KNOWN, LONGEST, Steps, _work, check_best_of, is_long, slowness


@pytest.mark.parametrize(
    ("took", "slower", "long"),
    [
        (LONGEST, 1.0, False),
        (LONGEST * 1.01, 1.0, True),
        (LONGEST * 1.01, 0.2, True),
        (LONGEST * 1.99, 2.0, False),
        (LONGEST * 2.01, 2.0, True),
        (LONGEST * 0.99, 0.2, False),
    ],
)
def test_limit_grows_with_what_a_machine_is_slower_and_never_shrinks(took, slower, long):
    assert is_long(took, slower=lambda: slower) is long


def test_limit_that_is_kept_needs_no_comparison_of_machines():
    assert is_long(LONGEST / 2, slower=pytest.fail) is False


@pytest.mark.slow
def test_slowness_is_how_much_longer_the_same_work_takes():
    def twice():
        _work()
        _work()

    assert min(slowness(twice) / slowness() for _ in range(5)) < 2.5
    assert max(slowness(twice) / slowness() for _ in range(5)) > 1.6
    assert gc.isenabled()


def steps_of(*works):
    """Return a task that works so often in each of its steps."""

    async def run():
        for work in works:
            await trio.lowlevel.checkpoint()
            for _ in repeat(None, work):
                _work()
        await trio.lowlevel.checkpoint()

    return run


@pytest.mark.slow
async def test_step_that_is_three_times_too_long_fails_on_every_machine():
    long = round(3 * LONGEST / KNOWN)
    with Steps() as steps:
        await steps_of(1, long, 1)()
    with pytest.raises(AssertionError, match="A step of"):
        steps.check()
    with pytest.raises(AssertionError, match="A step of"):
        await check_best_of(steps_of(1, long, 1), times=3)


@pytest.mark.slow
async def test_short_steps_that_are_long_together_pass_on_every_machine():
    await check_best_of(steps_of(*repeat(round(LONGEST / KNOWN / 4), 12)))


@pytest.mark.slow
async def test_step_that_is_long_once_passes():
    works = iter((round(3 * LONGEST / KNOWN), 1))
    await check_best_of(lambda: steps_of(next(works))(), times=2)


async def test_collector_is_as_it_was_after_the_steps():
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with Steps():
        assert gc.get_threshold() != before
        assert gc.get_freeze_count() > frozen
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
