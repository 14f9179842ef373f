import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.feed.findings import IN_USE, KEPT, Findings
from mesaya_ws.core.recovery.verdict import Recoverable
from mesaya_ws.core.recovery.window import PositionEvicted
from tests.core.world import CHANNEL, World, ask

REVIEWS = parse_channel(CHANNEL)


class Found(World):
    """A world whose window holds nothing, and what readings of its log find."""

    def __init__(self):
        super().__init__(max_bytes=1)
        self.start = ask(self.client(), channel=CHANNEL)[0]["position"]
        for number in range(3):
            self.review(number, size=1000)

    def read(self):
        past = self.past(CHANNEL)
        self.tell(past)
        list(past.discard())
        return past


@pytest.fixture
def world():
    return Found()


def test_what_was_found_is_kept_for_a_while_since_it_was_asked_for_last(world):
    findings, past = Findings(1 << 20), world.read()
    list(findings.keep(past, 0.0))
    assert findings.forgets_at(0.0) == KEPT
    assert findings.find(REVIEWS, world.start, KEPT / 2) is past
    list(findings.forget(KEPT))
    assert findings.bytes > 3000
    list(findings.forget(KEPT * 1.5))
    assert findings.bytes == 0
    assert findings.find(REVIEWS, world.start, KEPT * 1.5) is None
    assert findings.forgets_at(KEPT * 1.5) is None


def test_what_a_client_still_receives_is_kept(world):
    findings, past = Findings(1 << 20), world.read()
    list(findings.keep(past, 0.0))
    verdict = past.check_position(REVIEWS, world.start)
    assert isinstance(verdict, Recoverable)
    replay = past.replay(REVIEWS, verdict.vector)
    list(findings.forget(2 * KEPT))
    assert findings.bytes > 3000
    assert findings.forgets_at(2 * KEPT) == 2 * KEPT + IN_USE
    assert len(replay.page()) == 3
    list(findings.forget(3 * KEPT))
    assert findings.bytes == 0


def test_the_oldest_gives_way(world):
    findings, first, second = Findings(5000), world.read(), world.read()
    list(findings.keep(first, 0.0))
    verdict = first.check_position(REVIEWS, world.start)
    replay = first.replay(REVIEWS, verdict.vector)
    assert len(list(findings.keep(second, 1.0))) == 1
    assert 3000 < findings.bytes <= 5000
    with pytest.raises(PositionEvicted):
        replay.page()
    assert findings.find(REVIEWS, world.start, 1.0) is second


def test_what_the_window_has_let_go_of_settles_nothing(world):
    findings, past = Findings(1 << 20), world.read()
    list(findings.keep(past, 0.0))
    world.review(3)
    assert findings.find(REVIEWS, world.start, 0.0) is None


def test_another_channel_is_not_found(world):
    findings = Findings(1 << 20)
    list(findings.keep(world.read(), 0.0))
    assert findings.find(parse_channel("restaurant:r2:reviews"), world.start, 0.0) is None
