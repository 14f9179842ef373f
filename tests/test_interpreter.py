import gc
import sys

import pytest

from mesaya_ws.interpreter import SWITCH_INTERVAL, THRESHOLDS, keep, keep_in_time, short_pauses


async def test_pauses_are_short_within_the_context_and_as_before_behind_it():
    before = gc.get_threshold(), sys.getswitchinterval()
    async with short_pauses():
        assert (gc.get_threshold(), sys.getswitchinterval()) == (THRESHOLDS, SWITCH_INTERVAL)
        there = gc.get_freeze_count()
        assert there > 0
        more = [[] for _ in range(1000)]
        keep()
        assert gc.get_freeze_count() >= there + len(more)
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(("looks", "kept"), [(THRESHOLDS[2] // 2 - 1, False), (THRESHOLDS[2] // 2, True)])
def test_what_piles_up_is_kept_before_the_collector_looks_at_all_of_it(looks, kept, monkeypatch):
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, looks))
    try:
        keep_in_time()
        assert (gc.get_freeze_count() > 0) is kept
    finally:
        gc.unfreeze()
