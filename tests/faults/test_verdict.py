"""Whether the verdict sees what is wrong: a matrix that cannot fail proves nothing."""

from collections.abc import Sequence
from itertools import islice

import pytest

from tests import oracle

from .log import Held
from .platform import Platform
from .verdict import Truth, Verdict

FOUNDED = 12


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture(params=["one order", "an order in each partition"])
def records(request: pytest.FixtureRequest, platform: Platform) -> list[Held]:
    """The platform's founding, and 60 events."""
    return written(platform, 60, have_one_order=request.param == "one order")


def written(platform: Platform, events: int, *, have_one_order: bool = True) -> list[Held]:
    ends: dict[str, int] = {}
    held = []
    for time, record in enumerate([*platform.founding(), *islice(platform.events(), events)]):
        offset = ends[record.topic] = ends.get(record.topic, -1) + 1
        source = None if have_one_order else (record.topic, 0)
        held.append(Held(record.topic, 0, offset, time, record.value, 0, source))
    return held


@pytest.fixture
def truth(records: list[Held]) -> Truth:
    return Truth(records)


@pytest.fixture
def channel(platform: Platform) -> str:
    return f"restaurant:{platform.restaurants[0]}:tables"


def messages(truth: Truth, channel: str, begin: int = FOUNDED) -> list[dict]:
    """What a subscriber receives that comes after the first records."""
    known = truth.records[:begin]
    return [due.message | {"position": "opaque"} for due in truth.due[channel] if due.record not in known]


def check(truth: Truth, channel: str, received: Sequence[dict]) -> Verdict:
    return truth.check(channel, received, frozenset(truth.records[:FOUNDED]))


def snapshot(truth: Truth, channel: str, count: int) -> dict:
    """The state that the first records have led to."""
    return {"type": "snapshot", "channel": channel, "data": oracle.state(truth.records[:count], channel)}


def test_all_is_as_it_must_be(truth, channel):
    received = messages(truth, channel)
    assert check(truth, channel, received) == Verdict(events=len(received))
    assert len(received) > 10


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_message_that_is_missing(truth, channel, at):
    received = messages(truth, channel)
    missing = received.pop(at)
    verdict = check(truth, channel, received)
    assert verdict.lost == 1
    assert missing["data"]["updatedAt"] in verdict.wrong[0]


def test_a_message_that_comes_twice(truth, channel):
    received = messages(truth, channel)
    verdict = check(truth, channel, [*received[:4], *received[2:]])
    assert verdict.repeated == 2
    assert len(verdict.wrong) == 2


def test_messages_in_another_order(truth, channel):
    received = messages(truth, channel)
    received[3], received[4] = received[4], received[3]
    verdict = check(truth, channel, received)
    assert (verdict.disordered, verdict.lost, verdict.repeated) == (1, 0, 0)
    assert verdict.wrong


@pytest.mark.parametrize("change", [{"type": "table.deleted"}, {"timestamp": None}, {"data": {}}], ids=str)
def test_another_message_than_the_log_gives(truth, channel, change):
    received = messages(truth, channel)
    received[3] |= change
    verdict = check(truth, channel, received)
    assert verdict.lost == 1
    assert any("never in the log" in words for words in verdict.wrong)


def test_the_same_message_as_often_as_the_log_holds_it(records, channel):
    again = records[FOUNDED + 2]
    records.append(again._replace(offset=1000, timestamp=1000))
    truth = Truth(records)
    received = messages(truth, channel)
    assert check(truth, channel, received).wrong == ()
    assert check(truth, channel, received[:-1]).lost + check(truth, channel, received[:-1]).disordered == 1
    assert check(truth, channel, [*received, received[-1]]).repeated == 1


def test_a_snapshot_makes_up_for_what_is_missing_before_it(truth, channel):
    received = messages(truth, channel)
    state, after = snapshot(truth, channel, 40), messages(truth, channel, 40)
    lost = {"type": "gap", "channel": channel, "data": "expired"}
    verdict = check(truth, channel, [*received[:3], lost, state, *after])
    assert verdict == Verdict(events=3 + len(after), snapshots=1)
    assert truth.check(channel, [state, *after], None).wrong == ()


def test_a_snapshot_does_not_make_up_for_what_comes_after_it(truth, channel):
    state, after = snapshot(truth, channel, 40), messages(truth, channel, 40)
    assert truth.check(channel, [state, *after[1:]], None).wrong
    assert truth.check(channel, [state, *after[:2], *after[3:]], None).lost == 1
    assert truth.check(channel, [state, after[0], *after], None).repeated == 1
    assert truth.check(channel, [state], None).wrong


def test_without_a_snapshot_nothing_makes_up_for_what_is_missing(truth, channel):
    received = messages(truth, channel)
    lost = {"type": "gap", "channel": channel, "data": "expired"}
    assert check(truth, channel, [*received[:3], lost, *received[6:]]).lost == 3


def test_a_snapshot_of_another_state(truth, channel):
    state, after = snapshot(truth, channel, 40), messages(truth, channel, 40)
    state["data"]["tables"][0]["status"] = "exploded"
    (wrong,) = truth.check(channel, [state, *after], None).wrong
    assert "another state" in wrong


def test_a_snapshot_of_notifications_may_lack_older_ones_if_it_says_so(truth, platform):
    channel, shown = f"user:{platform.guest}:notifications", 5
    state, after = snapshot(truth, channel, 60), messages(truth, channel, 60)
    everything = state["data"]["events"]
    assert len(everything) > shown
    assert truth.check(channel, [state, *after], None).wrong == ()
    state["data"]["events"] = everything[-shown:]
    assert truth.check(channel, [state, *after], None).wrong
    state["complete"] = False
    assert truth.check(channel, [state, *after], None).wrong == ()
    state["data"]["events"] = everything[-shown - 1 : -1]
    assert truth.check(channel, [state, *after], None).wrong


def test_a_snapshot_of_notifications_that_says_that_there_are_no_more_is_complete(platform):
    truth, channel = Truth(written(platform, 200)), f"user:{platform.guest}:notifications"
    state, after = snapshot(truth, channel, 190), messages(truth, channel, 190)
    assert state["data"]["more"]
    assert truth.check(channel, [state, *after], None).wrong == ()
    state["data"]["more"] = False
    assert truth.check(channel, [state, *after], None).wrong
    state["complete"] = False
    assert truth.check(channel, [state, *after], None).wrong == ()


def test_a_snapshot_that_another_one_follows_must_have_been_the_state_somewhere(truth, channel):
    first, second, after = snapshot(truth, channel, 30), snapshot(truth, channel, 40), messages(truth, channel, 40)
    gap = {"type": "gap", "channel": channel, "data": "expired"}
    received = [*messages(truth, channel)[:2], gap, first, gap, second, *after]
    assert check(truth, channel, received).wrong == ()
    first["data"]["tables"][0]["status"] = "exploded"
    has_one_order = len({record.source for record in truth.records}) == 1
    assert bool(check(truth, channel, received).wrong) == has_one_order


def test_the_order_between_partitions_does_not_bind(truth, channel, records):
    """The reading of one order, of several: founding a section and its tables are records of two topics."""
    received = messages(truth, channel, 0)
    topics = [due.record.topic for due in truth.due[channel]]
    assert len(set(topics)) == 2
    swapped = sorted(received, key=lambda message: message["type"].startswith("section"))
    verdict = truth.check(channel, swapped, frozenset())
    assert bool(verdict.disordered) == (records[0].source is None)
    assert bool(verdict.wrong) == (records[0].source is None)
