"""Nobody sees what is not theirs: clients of all kinds, while the log and the tokens give and take their rights."""

import pytest
import trio

from .rights_story import SETTINGS, Story

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("seed", [1, 2])
async def test_everybody_is_sent_what_is_theirs_and_nothing_else(sqlite_world, seed):
    async with sqlite_world() as world:
        gateways = [await world.gateway(**SETTINGS) for _ in range(2)]
        story = Story(world.log, gateways, seed)
        audit = await trio.to_thread.run_sync(story.run)
        assert not audit.wrong, "\n".join(audit.wrong[:20])
        assert not audit.missing, "\n".join(audit.missing[:20])
        assert min(audit.events, audit.refusals, audit.ends) > 40
