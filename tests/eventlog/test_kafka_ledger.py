"""Since when each trouble of Kafka has lasted."""

from mesaya_ws.core.event_log import Hindrance, Trouble
from mesaya_ws.eventlog.kafka.ledger import Ledger, Observed
from mesaya_ws.eventlog.kafka.survey import Finding


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_trouble_lasts_as_long_as_every_look_sees_it():
    clock = Clock()
    ledger = Ledger(clock)
    a, b = (Finding("a", number, Hindrance.UNKNOWN, "why") for number in (0, 1))
    assert ledger.enter([Observed(a)]) == [Trouble(*a[:3], 100.0, "why")]
    clock.now = 103.0
    assert [trouble.since for trouble in ledger.enter([Observed(b), Observed(a)])] == [103.0, 100.0]
    assert ledger.enter([]) == []
    clock.now = 106.0
    assert [trouble.since for trouble in ledger.enter([Observed(a)])] == [106.0]


def test_another_transaction_is_another_trouble():
    clock = Clock()
    ledger = Ledger(clock)
    blocked = Finding("a", 0, Hindrance.BLOCKED, "3 records wait.")
    ledger.enter([Observed(blocked, 3, mark=7)])
    clock.now = 103.0
    (same,) = ledger.enter([Observed(blocked._replace(reason="4 records wait."), 4, mark=7)])
    assert (same.since, same.withheld, same.reason) == (100.0, 4, "4 records wait.")
    (other,) = ledger.enter([Observed(blocked, 1, mark=9)])
    assert other.since == 103.0
