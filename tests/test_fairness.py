"""How many have their turn together, by how long turns take."""

import trio

from mesaya_ws.fairness import LONG_TURN, Share, fair_share

MOST = 8


def test_there_are_fewer_after_long_turns_but_one_at_least():
    shares = [MOST]
    for _ in range(5):
        shares.append(fair_share(shares[-1], 2 * LONG_TURN, MOST))
    assert shares == [8, 4, 2, 1, 1, 1]


def test_there_are_more_again_after_short_turns():
    shares = [1]
    while shares[-1] < MOST:
        shares.append(fair_share(shares[-1], LONG_TURN, MOST))
    assert shares == list(range(1, MOST + 1))
    assert fair_share(MOST, 0, MOST) == MOST


async def test_only_turns_that_follow_each_other_are_timed(autojump_clock):
    share = Share(MOST)
    assert share.next(follows=False) == MOST
    await trio.sleep(2 * LONG_TURN)
    assert share.next(follows=True) == MOST // 2
    await trio.sleep(3600)
    assert share.next(follows=False) == MOST // 2
    await trio.sleep(LONG_TURN / 2)
    assert share.next(follows=True) == MOST // 2 + 1
