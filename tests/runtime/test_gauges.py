from time import time

from prometheus_client.parser import text_string_to_metric_families

from mesaya_ws.core.feed.tally import LOST, RECOVERED
from mesaya_ws.core.log.events import LogMetadata, Records
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.runtime.gauges import Gauges, Waiting
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.prometheus import exposition
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.settings import Settings, limits_of
from tests.support.instance import a_feed

NOBODY = Waiting(0, 0)


def scraped(gauges):
    """Return the values that a scraper reads of our gauges, by name and labels."""
    text = exposition(Metrics(), gauges.feed, "1", gauges)().decode()
    families = text_string_to_metric_families(text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def quiet_feed():
    return a_feed(max_bytes=1000)


def gauges_of(feed, status=None, limits=(), waiting=NOBODY, log_bytes=None, kept=()):
    return Gauges(feed, status or Status(), dict(limits), lambda: waiting, lambda: log_bytes, dict(kept))


def test_readiness_and_draining_are_those_of_the_status():
    status = Status(caught_up=True)
    gauges = gauges_of(quiet_feed(), status)
    assert (scraped(gauges)[("mesaya_ready",)], scraped(gauges)[("mesaya_draining",)]) == (1, 0)
    status.draining = True
    assert (scraped(gauges)[("mesaya_ready",)], scraped(gauges)[("mesaya_draining",)]) == (0, 1)


def test_limits_are_the_numbers_among_the_settings():
    values = scraped(gauges_of(quiet_feed(), limits=limits_of(Settings(max_connections=7, auth=False))))
    assert values["mesaya_limit", "MAX_CONNECTIONS"] == 7
    assert values["mesaya_limit", "PING_INTERVAL"] == 25.0
    assert not {("mesaya_limit", name) for name in ("PORT", "AUTH", "HOST", "PUBLISH_TOKEN")} & values.keys()


def test_gauges_read_send_queues_and_log_size_at_a_scrape():
    gauges = gauges_of(quiet_feed(), waiting=Waiting(1000, 3), log_bytes=4096)
    values = scraped(gauges)
    assert values[("mesaya_waiting_bytes",)] == 1000
    assert values[("mesaya_waiting_clients",)] == 3
    assert values[("mesaya_log_bytes",)] == 4096


def test_gauges_without_a_value_are_left_out():
    values = scraped(gauges_of(quiet_feed()))
    assert ("mesaya_newest_record_age_seconds",) not in values
    assert ("mesaya_log_bytes",) not in values


def test_age_is_that_of_the_last_record_taken():
    feed, now = quiet_feed(), round(time() * 1000)
    feed.ingest(LogMetadata({}, {None: 0}), now)
    feed.ingest(Records(None, [Record("mesa-ya.reviews.events", 0, 0, now - 60_000, None, None)], 0), now)
    for _ in feed.process(now):
        pass
    assert 60 <= scraped(gauges_of(feed))[("mesaya_newest_record_age_seconds",)] < 70


def test_resumes_and_snapshots_are_those_of_the_feeds_sessions():
    feed = quiet_feed()
    feed.tally.resumes[RECOVERED, "window"] += 2
    feed.tally.resumes[LOST, Unrecoverable.EXPIRED] += 1
    feed.tally.snapshots += 3
    values = scraped(gauges_of(feed))
    assert values["mesaya_resumes_total", "recovered", "window"] == 2
    assert values["mesaya_resumes_total", "lost", "expired"] == 1
    assert values[("mesaya_snapshots_total",)] == 3


def test_gauges_read_kept_bytes_at_a_scrape():
    values = scraped(gauges_of(quiet_feed(), kept={"snapshots": lambda: 7}))
    assert values["mesaya_kept_bytes", "snapshots"] == 7
