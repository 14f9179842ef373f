"""When a follower of Kafka looks at the whole log, and what it reports when nobody answers; without a broker."""

from collections.abc import Generator
from concurrent.futures import Future
from time import monotonic

import pytest

from mesaya_ws.core.log.events import Available, LogEvent, Unavailable
from mesaya_ws.core.log.trouble import Hindrance
from mesaya_ws.eventlog.kafka.metadata import Finding, Metadata
from mesaya_ws.eventlog.kafka.metadata_refresh import CAUSE_INTERVAL, RETRY_INTERVAL, MetadataRefresh, Outages
from mesaya_ws.eventlog.kafka.timings import DEFAULTS

SURVEY = Metadata()


class Brokers:
    """Looks at brokers that answer when the test lets them."""

    def __init__(self) -> None:
        self.asked: list[Future[Metadata]] = []
        self.outages = Outages(lambda answered_at: f"no answer since {answered_at}", 0, DEFAULTS)
        self.refresh = MetadataRefresh(self._take, self.outages, 0)

    def _take(self) -> Future[Metadata]:
        self.asked.append(Future())
        return self.asked[-1]


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


def outcome(found: Generator[LogEvent, None, Metadata | None]) -> tuple[list[LogEvent], Metadata | None]:
    """Return what is reported, and what is returned."""
    reported = []
    while True:
        try:
            reported.append(next(found))
        except StopIteration as end:
            return reported, end.value


def test_refresh_is_due_after_its_interval_and_never_twice_at_once(brokers: Brokers):
    refresh = brokers.refresh
    assert outcome(refresh.result(0)) == ([], None)
    assert refresh.begin(0)
    assert not refresh.begin(1)
    assert outcome(refresh.result(1)) == ([], None)
    brokers.asked[0].set_result(SURVEY)
    assert outcome(refresh.result(2)) == ([], SURVEY)
    assert outcome(refresh.result(2)) == ([], None), "it is found once"
    assert refresh.began_at == 0
    assert not refresh.begin(2 + DEFAULTS.refresh_interval - 0.01)
    assert refresh.begin(2 + DEFAULTS.refresh_interval)
    assert len(brokers.asked) == 2


def test_expedited_refresh_begins_when_the_present_one_has_ended(brokers: Brokers):
    refresh = brokers.refresh
    refresh.begin(0)
    brokers.asked[0].set_result(SURVEY)
    outcome(refresh.result(1))
    refresh.expedite()
    assert refresh.begin(1)
    refresh.expedite()
    assert not refresh.begin(1)


def test_failed_refresh_is_retried_and_reported_when_that_lasts(brokers: Brokers):
    refresh, now, reported = brokers.refresh, 0.0, list[LogEvent]()
    while now <= DEFAULTS.renew_after:
        assert refresh.begin(now)
        brokers.asked[-1].set_exception(OSError("refused"))
        news, metadata = outcome(refresh.result(now))
        assert metadata is None
        assert bool(reported + news) == (now > DEFAULTS.outage_after)
        reported += news
        now += RETRY_INTERVAL
    assert reported == [Unavailable("no answer since 0")]
    refresh.begin(now)
    brokers.asked[-1].set_exception(OSError("refused"))
    with pytest.raises(OSError, match="refused"):
        outcome(refresh.result(now))


def test_hanging_refresh_is_reported_and_given_up(brokers: Brokers):
    refresh = brokers.refresh
    refresh.begin(0)
    assert outcome(refresh.result(DEFAULTS.outage_after)) == ([], None)
    assert outcome(refresh.result(DEFAULTS.outage_after + 0.1)) == ([Unavailable("no answer since 0")], None)
    assert outcome(refresh.result(DEFAULTS.renew_after)) == ([], None)
    with pytest.raises(TimeoutError):
        outcome(refresh.result(DEFAULTS.renew_after + 0.1))


def test_refresh_of_new_clients_has_the_whole_timeout(brokers: Brokers):
    start = 10 * DEFAULTS.renew_after
    refresh = MetadataRefresh(brokers._take, brokers.outages, start)
    refresh.begin(start + DEFAULTS.renew_after)
    brokers.asked[0].set_exception(OSError("refused"))
    since = start + DEFAULTS.renew_after - DEFAULTS.cause_period
    assert outcome(refresh.result(start + DEFAULTS.renew_after)) == ([Unavailable(f"no answer since {since}")], None)


def test_outage_is_reported_once_when_it_begins_and_once_when_it_ends():
    outages = Outages(lambda answered_at: "nobody there", 0, DEFAULTS)
    assert list(outages.answered(1)) == []
    assert list(outages.no_answer(1 + DEFAULTS.outage_after)) == []
    assert list(outages.no_answer(1.1 + DEFAULTS.outage_after)) == [Unavailable("nobody there")]
    assert list(outages.no_answer(2 + DEFAULTS.outage_after)) == []
    assert list(outages.answered(10)) == [Available()]
    assert list(outages.answered(11)) == []


def test_outage_whose_cause_changes_is_reported_with_the_present_one():
    met = {"there is no answer": 0.0}
    outages = Outages(lambda since: max(cause for cause, at in met.items() if at >= since), 0, DEFAULTS)
    start = 2 * DEFAULTS.outage_after
    met["refused"] = start
    met["unknown authority"] = start
    assert list(outages.no_answer(start)) == [Unavailable("unknown authority")]
    later = start + DEFAULTS.cause_period + 1
    met["refused"] = later
    assert list(outages.no_answer(later)) == [Unavailable("refused")], "what is met no more is no cause any more"
    assert list(outages.no_answer(later + CAUSE_INTERVAL)) == []
    assert list(outages.answered(later + 2)) == [Available()]


def test_cause_of_an_outage_is_not_searched_at_each_poll():
    searched: list[float] = []
    outages = Outages(lambda since: str(searched.append(since)), 0, DEFAULTS)
    for tenth in range(10 * round(DEFAULTS.outage_after), 10 * round(DEFAULTS.outage_after) + 101):
        list(outages.no_answer(tenth / 10))
    assert len(searched) == 10 / CAUSE_INTERVAL


def test_partial_refresh_is_repeated_soon(brokers: Brokers):
    partial = Metadata(findings=[Finding("menus", 0, Hindrance.UNKNOWN, "no leader")])
    refused = Metadata(findings=[Finding("menus", 0, Hindrance.REFUSED, "no right")])
    for metadata, interval in ((partial, RETRY_INTERVAL), (refused, DEFAULTS.refresh_interval)):
        refresh = MetadataRefresh(brokers._take, brokers.outages, 0)
        refresh.begin(0)
        brokers.asked[-1].set_result(metadata)
        assert outcome(refresh.result(1)) == ([], metadata)
        assert not refresh.begin(1 + interval - 0.01)
        assert refresh.begin(1 + interval)


@pytest.mark.parametrize("failed", [False, True])
def test_wait_without_a_refresh_lasts_the_given_time(brokers: Brokers, failed: bool):
    if failed:
        brokers.refresh.begin(0)
        brokers.asked[0].set_exception(OSError("refused"))
        outcome(brokers.refresh.result(0))
    start = monotonic()
    brokers.refresh.wait(0.02)
    assert monotonic() - start >= 0.02


def test_wait_ends_with_the_refresh(brokers: Brokers):
    brokers.refresh.begin(0)
    brokers.asked[0].set_result(SURVEY)
    start = monotonic()
    brokers.refresh.wait(60)
    assert monotonic() - start < 30
