import gc

from mesaya_ws.interpreter import THRESHOLDS, keep, short_collections


async def test_collections_are_short_within_the_context_and_as_before_behind_it():
    before = gc.get_threshold()
    async with short_collections():
        assert gc.get_threshold() == THRESHOLDS
        there = gc.get_freeze_count()
        assert there > 0
        more = [[] for _ in range(1000)]
        keep()
        assert gc.get_freeze_count() >= there + len(more)
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
