"""What cannot be read of Kafka, since when, and who is not waited for because of it; without a broker."""

from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.eventlog.kafka.ledger import Ledger, Observed, observe, sort_out
from mesaya_ws.eventlog.kafka.metadata import Finding, Metadata
from mesaya_ws.eventlog.kafka.timings import DEFAULTS

A, B = Partition("a", 0), Partition("b", 0)
NOT_ALLOWED, UNKNOWN_ERROR, WEDNESDAY, HOUR = 29, -1, 1_800_000_000.0, 3600.0
AFTER = DEFAULTS.unreadable_after


class Clocks:
    """A time of day that anybody may set, and another one."""

    day = WEDNESDAY
    steady = 7.0

    def ledger(self) -> Ledger:
        return Ledger(lambda: self.day, lambda: self.steady)

    def pass_by(self, seconds: float) -> None:
        self.day += seconds
        self.steady += seconds


def test_trouble_lasts_while_each_refresh_observes_it():
    clocks = Clocks()
    ledger = clocks.ledger()
    a, b = (Finding("a", number, Hindrance.UNKNOWN, "why") for number in (0, 1))
    assert ledger.enter([Observed(a)]) == [Trouble("a", 0, Hindrance.UNKNOWN, WEDNESDAY, "why")]
    clocks.pass_by(3)
    assert [(it.since - WEDNESDAY, it.seconds) for it in ledger.enter([Observed(b), Observed(a)])] == [(3, 0), (0, 3)]
    assert ledger.enter([]) == []
    clocks.pass_by(3)
    assert [(it.since - WEDNESDAY, it.seconds) for it in ledger.enter([Observed(a)])] == [(6, 0)]


def test_trouble_does_not_age_when_the_clock_is_set():
    clocks = Clocks()
    ledger = clocks.ledger()
    finding = Finding("a", 0, Hindrance.UNKNOWN, "why")
    ledger.enter([Observed(finding)])
    clocks.pass_by(2)
    for step in (HOUR, -3 * HOUR):
        clocks.day += step
        assert [trouble.seconds for trouble in ledger.enter([Observed(finding)])] == [2]


def test_trouble_with_another_mark_is_a_new_one():
    clocks = Clocks()
    ledger = clocks.ledger()
    blocked = Finding("a", 0, Hindrance.BLOCKED, "3 records wait.")
    ledger.enter([Observed(blocked, 3, mark=7)])
    clocks.pass_by(3)
    (same,) = ledger.enter([Observed(blocked._replace(reason="4 records wait."), 4, mark=7)])
    assert (same.seconds, same.withheld, same.reason) == (3, 4, "4 records wait.")
    (other,) = ledger.enter([Observed(blocked, 1, mark=9)])
    assert other.seconds == 0


def kinds(metadata: Metadata, failing: dict[Partition, int]) -> list[tuple[str, int | None, Hindrance]]:
    extents = metadata.extents
    return [(*it.finding[:2], it.finding.kind) for it in observe(metadata, extents, failing, {"ours"})]


def test_partition_is_in_one_trouble_at_most():
    extents = {A: OffsetRange(0, 9, "id"), B: OffsetRange(0, 9, "id")}
    refused = Finding("a", None, Hindrance.REFUSED, "why")
    blocked = Metadata(extents, {A: 5, B: 5}, findings=[refused])
    assert kinds(blocked, {A: NOT_ALLOWED}) == [("a", None, Hindrance.REFUSED), ("b", 0, Hindrance.BLOCKED)]
    assert kinds(blocked, {B: UNKNOWN_ERROR}) == [("a", None, Hindrance.REFUSED), ("b", 0, Hindrance.UNKNOWN)]
    assert kinds(blocked, {B: NOT_ALLOWED}) == [("a", None, Hindrance.REFUSED), ("b", 0, Hindrance.REFUSED)]


def test_missing_topic_of_our_own_is_no_trouble():
    findings = [Finding(topic, None, Hindrance.ABSENT, "why") for topic in ("ours", "theirs")]
    assert kinds(Metadata(findings=findings), {}) == [("theirs", None, Hindrance.ABSENT)]


def test_blocked_partition_has_its_withheld_records_and_mark():
    metadata = Metadata({A: OffsetRange(0, 9, "id")}, {A: 5})
    ((finding, withheld, mark),) = observe(metadata, metadata.extents, {}, ())
    assert (withheld, mark) == (4, 5)
    assert "4 records of partition 0 of a" in finding.reason


def trouble(kind: Hindrance, number: int | None = 0, seconds: float = 0, withheld: int = 0) -> Trouble:
    return Trouble("a", number, kind, WEDNESDAY, "why", withheld, seconds)


def test_refused_partition_is_not_waited_for():
    for number in (0, None):
        lags, (remaining,) = sort_out([trouble(Hindrance.REFUSED, number)], {A: 3, B: 4}, (), AFTER)
        assert (lags, remaining.withheld) == ({B: 4}, 3)


def test_unreachable_partition_is_waited_for_a_while():
    recent, old = (trouble(Hindrance.UNKNOWN, seconds=AFTER + more) for more in (0, 0.1))
    assert sort_out([recent], {A: 3, B: 4}, {A}, AFTER) == ({A: 3, B: 4}, [recent])
    assert sort_out([old], {A: 3, B: 4}, {A}, AFTER) == ({B: 4}, [old._replace(withheld=3)])
    assert sort_out([old], {A: 3, B: 4}, (), AFTER) == ({A: 3, B: 4}, [old]), "its records come all the same"


def test_records_before_an_open_transaction_are_waited_for():
    blocked = trouble(Hindrance.BLOCKED, seconds=HOUR, withheld=2)
    assert sort_out([blocked], {A: 3}, (), AFTER) == ({A: 3}, [blocked])
