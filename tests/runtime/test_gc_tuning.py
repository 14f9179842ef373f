import gc
import sys

from mesaya_ws.runtime.gc_tuning import SWITCH_INTERVAL, THRESHOLDS, collect_young, freeze, tuned_gc


async def test_gc_settings_hold_within_the_context_only():
    before = gc.get_threshold(), sys.getswitchinterval()
    async with tuned_gc():
        assert (gc.get_threshold(), sys.getswitchinterval()) == (THRESHOLDS, SWITCH_INTERVAL)
        there = gc.get_freeze_count()
        assert there > 0
        more = [[] for _ in range(1000)]
        freeze()
        assert gc.get_freeze_count() >= there + len(more)
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
    assert gc.get_freeze_count() == 0


async def test_looks_bring_no_collection_of_the_whole_heap():
    """Each counts towards one, which takes 0.14 s for a million objects."""
    async with tuned_gc():
        gc.collect()  # from here on, nothing is old
        before, kept = gc.get_stats()[2]["collections"], []
        for _ in range(100_000):
            collect_young()
        kept += ([] for _ in range(10 * THRESHOLDS[0] * THRESHOLDS[1]))
        assert gc.get_stats()[2]["collections"] == before
