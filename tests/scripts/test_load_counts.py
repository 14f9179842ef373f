import pickle

import pytest
from attrs import fields
from load.counts import Counts
from load.received import Sample
from load.totals import Totals

NUMBERS = [each.name for each in fields(Counts) if each.type is int]


def counted(number: int) -> Sample:
    sample = Sample(**dict.fromkeys(NUMBERS, number), open=number)
    sample.failures["reset"] = number
    sample.latency.record(1000 * number)
    sample.opening.record(10 * number)
    sample.lag.record(20 * number)
    sample.bystander_latency.record(30 * number)
    sample.catching_up.record(40 * number)
    sample.behind = number
    return sample


def test_everything_is_added_up():
    counts = Counts()
    counts.include(counted(1))
    counts.include(pickle.loads(pickle.dumps(counted(2))))
    assert len(NUMBERS) == 10
    assert {getattr(counts, name) for name in NUMBERS} == {3}
    assert counts.failures == {"reset": 3}
    assert counts.latency.percentile(100) == pytest.approx(2000, rel=0.05)
    assert counts.opening.percentile(0) == pytest.approx(10, rel=0.05)
    assert counts.lag.percentile(100) == pytest.approx(40, rel=0.05)
    assert counts.bystander_latency.percentile(100) == pytest.approx(60, rel=0.05)
    assert counts.catching_up.percentile(100) == pytest.approx(80, rel=0.05)


def test_lag_is_kept_by_the_part_in_which_it_was():
    totals = Totals()
    totals.add(0, counted(1))
    totals.part = "expiring"
    totals.add(0, counted(2))
    assert totals.lag.total == 2
    assert totals.lag_by_part["expiring"].maximum == 40
    assert not totals.lag_by_part["calm"].total
    assert totals.bystanders_by_part["expiring"].total == totals.opening_by_part["expiring"].total == 1


def test_clients_that_are_behind_are_those_of_the_latest_samples():
    totals = Totals()
    totals.add(0, counted(3))
    totals.add(1, counted(2))
    assert totals.behind_now == 5
    totals.add(0, Sample())
    assert totals.behind_now == 2
