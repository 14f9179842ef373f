import gc
from time import time

import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.runtime.loop_latency import PROBE_SECONDS, watch_loop
from mesaya_ws.runtime.metrics import BOUNDS, DIFFERENCE, LONGEST, Histogram, Metrics
from mesaya_ws.runtime.prometheus import exposition
from tests.support.instance import a_feed


def quiet_feed():
    return a_feed(max_bytes=1000)


def families(metrics, feed=None):
    """Return what a scraper reads, by name."""
    text = exposition(metrics, feed or quiet_feed(), "1.2.3")().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family):
    """Return the samples of a family by the values of their labels, in the order of the labels' names."""
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def full_books():
    return Metrics(
        connections_open=3,
        connections_total=9,
        client_messages={"subscribe": 7, "bad_json": 1},
        records={("mesa-ya.reviews.events", "published"): 6, ("mesa-ya.reviews.events", "not_json"): 2},
        mistyped={("mesa-ya.tables.events", "capacity"): 4},
        messages_out=100,
        bytes_out=20_000,
        closes={("1000", "client"): 2, ("4008", "service"): 1},
        refusals={"bad_version": 8},
        truncations={"mesa-ya.menus.events": 1},
    )


def test_counters_are_exposed():
    scraped = families(full_books())
    assert values(scraped["mesaya_build_info"]) == {("1.2.3",): 1}
    assert values(scraped["mesaya_connections"]) == {(): 3}
    assert values(scraped["mesaya_connections_opened"]) == {(): 9}
    assert values(scraped["mesaya_client_messages"]) == {("subscribe",): 7, ("bad_json",): 1}
    assert values(scraped["mesaya_records"]) == {
        ("published", "mesa-ya.reviews.events"): 6,
        ("not_json", "mesa-ya.reviews.events"): 2,
    }
    assert values(scraped["mesaya_mistyped_fields"]) == {("capacity", "mesa-ya.tables.events"): 4}
    assert values(scraped["mesaya_messages_sent"]) == {(): 100}
    assert values(scraped["mesaya_sent_bytes"]) == {(): 20_000}
    assert values(scraped["mesaya_connections_closed"]) == {("client", "1000"): 2, ("service", "4008"): 1}
    assert values(scraped["mesaya_requests_rejected"]) == {("bad_version",): 8}
    assert values(scraped["mesaya_event_log_up"]) == {(): 1}
    assert values(scraped["mesaya_log_truncations"]) == {("mesa-ya.menus.events",): 1}


def lagging_feed():
    """Return a feed of which the log holds 11 records of one partition and 12 of all others, that have not come."""
    feed = quiet_feed()
    feed.ingest(LogMetadata({}, {Partition("mesa-ya.reviews.events", 1): 11, None: 12}), 0)
    return feed


def test_lag_is_exposed_by_partition():
    scraped = families(Metrics(), lagging_feed())
    assert values(scraped["mesaya_consumer_lag_records"]) == {("1", "mesa-ya.reviews.events"): 11, ("all", "all"): 12}


def test_freshness_is_exposed_as_in_messages():
    feed = quiet_feed()
    scraped = families(Metrics(), feed)
    assert values(scraped["mesaya_live"]) == {(): 0}
    assert "mesaya_as_of_timestamp_seconds" not in scraped, "nothing is known of that"
    now = round(time() * 1000)
    feed.ingest(LogMetadata({}, {}, now), now)
    list(feed.process(now))
    scraped = families(Metrics(), feed)
    assert values(scraped["mesaya_live"]) == {(): 1}
    assert values(scraped["mesaya_as_of_timestamp_seconds"]) == {(): now / 1000}
    assert feed.freshness() == {"live": True, "asOf": now, "lag": 0}


def test_unreadable_parts_are_exposed_and_lag():
    troubles = [
        Trouble("mesa-ya.reviews.events", 1, Hindrance.BLOCKED, 0, "It waits.", 5, 100),
        Trouble("mesa-ya.menus.events", 0, Hindrance.UNKNOWN, 0, "It has no leader.", seconds=101),
        Trouble("mesa-ya.auth.events", None, Hindrance.REFUSED, 0, "We have no right.", 7, 102),
        Trouble("mesa-ya.images.events", None, Hindrance.ABSENT, 0, "It is not there.", seconds=103),
    ]
    books = full_books()
    books.troubles = troubles
    scraped = families(books, lagging_feed())
    seconds = {
        (sample.labels["topic"], sample.labels["partition"], sample.labels["kind"]): sample.value
        for sample in scraped["mesaya_log_trouble_seconds"].samples
    }
    assert seconds == {
        ("mesa-ya.reviews.events", "1", "blocked"): 100,
        ("mesa-ya.menus.events", "0", "unknown"): 101,
        ("mesa-ya.auth.events", "all", "refused"): 102,
        ("mesa-ya.images.events", "all", "absent"): 103,
    }
    assert values(scraped["mesaya_consumer_lag_records"]) == {
        ("1", "mesa-ya.reviews.events"): 16,
        ("all", "all"): 12,
        ("all", "mesa-ya.auth.events"): 7,
    }


def test_window_is_exposed():
    feed = quiet_feed()
    for channel, subscriber in (("a", object()), ("a", object()), ("b", object())):
        feed.hub.subscribe(channel, subscriber)
    feed.window.add("a", Partition("t", 0), 0, 0, b"12345")
    scraped = families(Metrics(), feed)
    assert values(scraped["mesaya_subscriptions"]) == {(): 3}
    assert values(scraped["mesaya_channels"]) == {(): 2}
    assert values(scraped["mesaya_window_messages"]) == {(): 1}
    assert values(scraped["mesaya_window_bytes"]) == {(): 5}


@pytest.mark.parametrize("books", [Metrics(), full_books()], ids=["empty", "full"])
def test_metric_names_and_types_follow_prometheus(books):
    scraped = {name: family for name, family in families(books).items() if name.startswith("mesaya_")}
    assert len(scraped) > 15
    for name, family in scraped.items():
        assert family.documentation.endswith(".")
        match family.type:
            case "counter":
                assert {sample.name for sample in family.samples} <= {f"{name}_total"}
            case "histogram":
                assert name.endswith("_seconds")
            case "gauge":
                assert not name.endswith("_total")
            case other:
                raise AssertionError(other)


def test_process_and_python_are_exposed():
    scraped = families(Metrics())
    assert values(scraped["process_open_fds"])[()] > 0
    assert "python_info" in scraped


def test_unknown_close_codes_share_one_series():
    counted = {("1000", "client"): 1, ("1011", "client"): 2, ("1011", "service"): 3, ("3999", "client"): 4}
    closes = families(Metrics(closes={**counted, ("4999", "client"): 5}))["mesaya_connections_closed"]
    assert values(closes) == {
        ("client", "1000"): 1,
        ("client", "1011"): 2,
        ("service", "1011"): 3,
        ("client", "other"): 9,
    }


def test_histogram_bucket_includes_its_bound():
    histogram = Histogram()
    for seconds, count in ((-0.9, 1), (0.0005, 2), (0.0006, 1), (10.0, 1), (11.0, 3)):
        histogram.observe(seconds, count)
    assert (histogram.counts[0], histogram.counts[1], histogram.counts[-2], histogram.counts[-1]) == (3, 1, 1, 3)
    assert histogram.sum == pytest.approx(0.001 + 0.0006 + 10 + 33)


def test_implausible_durations_are_counted_apart():
    """A record without a time, or of a producer whose clock is a day off, would be most of a mean."""
    metrics = Metrics()
    metrics.delivery.observe(0.004, 1000)
    for seconds in (1_800_000_000.001, 86_400.0, LONGEST + 1, -DIFFERENCE - 0.1, -86_400.0):
        metrics.delivery.observe(seconds, 10)
    assert metrics.delivery.sum == pytest.approx(4)
    assert sum(metrics.delivery.counts) == 1000
    assert values(families(metrics)["mesaya_deliveries_unmeasured"]) == {(): 50}


def test_histograms_are_cumulative():
    metrics = Metrics()
    metrics.delivery.observe(0.003, 5)
    metrics.delivery.observe(100, 2)
    metrics.gc_pauses[2].observe(0.2)
    scraped = families(metrics)
    buckets = {s.labels["le"]: s.value for s in scraped["mesaya_delivery_seconds"].samples if "le" in s.labels}
    assert len(buckets) == len(BOUNDS) + 1
    assert (buckets["0.0025"], buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (0, 5, 5, 7)
    rest = {s.name: s.value for s in scraped["mesaya_delivery_seconds"].samples if "le" not in s.labels}
    assert rest == {"mesaya_delivery_seconds_count": 7, "mesaya_delivery_seconds_sum": pytest.approx(200.015)}
    counts = {
        s.labels["generation"]: s.value for s in scraped["mesaya_gc_pause_seconds"].samples if s.name.endswith("_count")
    }
    assert counts == {"0": 0, "1": 0, "2": 1}


async def test_loop_lag_is_measured(nursery, autojump_clock):
    metrics = Metrics()
    nursery.start_soon(watch_loop, metrics)
    await trio.sleep(3.5 * PROBE_SECONDS)
    assert metrics.loop_lag.counts == [3] + [0] * len(BOUNDS)


async def test_collections_are_timed_only_while_watched():
    metrics = Metrics()
    before = list(gc.callbacks)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop, metrics)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        gc.collect(0)
        nursery.cancel_scope.cancel()
    assert gc.callbacks == before
    youngest, _, oldest = (sum(pause.counts) for pause in metrics.gc_pauses)
    assert youngest >= 1
    assert oldest >= 1
