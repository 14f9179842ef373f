"""How many have their turn together, by how long turns take."""

import trio

from mesaya_ws.server.fairness import LONG_TURN, AdaptiveBatch

MOST = 8


async def shares(share, turns, took):
    """Return the shares of turns that follow each other and take so many seconds each."""
    seen = []
    for _ in range(turns):
        await trio.sleep(took)
        seen.append(share.next(follows=True))
    return seen


async def test_there_are_fewer_while_turns_are_long_and_more_again_after_short_ones(autojump_clock):
    share = AdaptiveBatch(MOST, 1, LONG_TURN)
    assert share.next(follows=False) == MOST
    assert await shares(share, 5, 2 * LONG_TURN) == [4, 2, 1, 1, 1]
    assert await shares(share, 9, LONG_TURN / 2) == [2, 3, 4, 5, 6, 7, 8, 8, 8]


async def test_there_are_as_many_as_there_must_be(autojump_clock):
    share = AdaptiveBatch(MOST, 3, LONG_TURN)
    share.next(follows=False)
    assert await shares(share, 3, 2 * LONG_TURN) == [4, 3, 3]


async def test_a_wait_is_no_long_turn(autojump_clock):
    share = AdaptiveBatch(MOST, 1, LONG_TURN)
    share.next(follows=False)
    await trio.sleep(3600)
    assert share.next(follows=False) == MOST
