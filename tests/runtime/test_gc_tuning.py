import gc
import sys

from mesaya_ws.runtime.gc_tuning import SWITCH_INTERVAL, THRESHOLDS, keep, tuned_gc


async def test_gc_settings_hold_within_the_context_only():
    before = gc.get_threshold(), sys.getswitchinterval()
    async with tuned_gc():
        assert (gc.get_threshold(), sys.getswitchinterval()) == (THRESHOLDS, SWITCH_INTERVAL)
        there = gc.get_freeze_count()
        assert there > 0
        more = [[] for _ in range(1000)]
        keep()
        assert gc.get_freeze_count() >= there + len(more)
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
    assert gc.get_freeze_count() == 0
