"""What the service counts, and its form for Prometheus.

Counting is plain arithmetic on the attributes of `Metrics`, cheap enough for the hot path; the families are only built
when somebody scrapes.
"""

import gc
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from time import monotonic, perf_counter, time
from typing import Any

import prometheus_client
import trio
from attrs import Factory, define
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from mesaya_ws.core.closing import CLOSE_CODES
from mesaya_ws.core.event_log import Trouble
from mesaya_ws.core.feed import Feed
from mesaya_ws.core.skew import Skews

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The format that every scraper reads; our names need no newer one."""

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of histogram buckets, in seconds."""

LONGEST, DIFFERENCE = 3600.0, 1.0
"""Seconds up to which a duration is believed that two clocks have measured, and by which they may differ. What lies
beyond says something about a clock, or about a record that bears no time."""

PROBE_SECONDS = 0.1
"""How often the loop's lag is looked at."""

_CODES = {*CLOSE_CODES, 1001, 1005}
"""Close codes that are counted each for itself: those that we send, and with which browsers leave (RFC 6455, 7.4.1)."""

Counts = dict[str, int]


@define
class Histogram:
    """Durations in seconds, by bucket; the last bucket has no bound. `absurd` is how many were not believed."""

    counts: list[int] = Factory(lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0
    absurd: int = 0

    def observe(self, seconds: float, count: int = 1) -> None:
        """Enter `count` equal durations; a little less than none, as clocks that differ may tell, is none."""
        if not -DIFFERENCE <= seconds <= LONGEST:
            self.absurd += count
            return
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(BOUNDS, seconds)] += count
        self.sum += seconds * count


@define(slots=True, eq=False)
class Metrics:
    """The books of one process. Counts by several names have tuples or words as keys."""

    connections_open: int = 0
    connections_total: int = 0
    client_messages: Counts = Factory(dict)
    """By type, or by the code of the error that they were answered with."""
    records: dict[tuple[str, str], int] = Factory(dict)
    """By topic and outcome (`core.records.Reason`)."""
    mistyped: dict[tuple[str, str], int] = Factory(dict)
    """Fields of records that were left out since their values are of a wrong type, by topic and field."""
    messages_out: int = 0
    bytes_out: int = 0
    closes: dict[tuple[str, str], int] = Factory(dict)
    """By close code, and by who closed: `client`, `service` or `nobody`."""
    refusals: Counts = Factory(dict)
    """Requests refused before any protocol took them, by the code of the error."""
    requests: dict[tuple[str, str, str], int] = Factory(dict)
    """Requests that HTTP has answered, by path, method and status."""
    log_up: bool = True
    troubles: Sequence[Trouble] = ()
    """What cannot be read of the log at present."""
    skews: Skews = Factory(Skews)
    """By how much records were ahead of our clock when they arrived, by topic."""
    truncations: Counts = Factory(dict)
    """How often a log has lost its end after that had been read, by topic."""
    delivery: Histogram = Factory(Histogram)
    """From the moment the log took a record to the moment its message was written to a client."""
    loop_lag: Histogram = Factory(Histogram)
    gc_pauses: tuple[Histogram, ...] = Factory(lambda: (Histogram(), Histogram(), Histogram()))
    """Of the garbage collector, by generation; how many there are says how often each was collected."""
    questions: Counts = Factory(dict)
    """To the platform's API, by what came of them: `answered`, `unknown` or `failed`."""
    checkpoint: str | None = None
    """The id of the newest whole checkpoint that is known; None: there is none."""
    checkpoint_since: float = 0.0
    """When that was taken, in seconds of the clock that nobody sets."""
    checkpoint_rows: int = 0
    checkpoint_failures: int = 0

    def note_checkpoint(self, id: str, taken: float, rows: int) -> None:
        """Take note of the newest checkpoint, `taken` at that time of day (s).

        Its age is told by the clocks once, and then counted; where the other clock was ahead, it begins at 0.
        """
        if self.checkpoint != id:
            self.checkpoint, self.checkpoint_since = id, monotonic() - max(0.0, time() - taken)
        self.checkpoint_rows = rows


async def watch_loop(metrics: Metrics) -> None:
    """Measure, for ever, how late the loop wakes a task that is due, and how long the garbage collector stops it."""
    with _timed_collections(metrics.gc_pauses):
        while True:
            due = trio.current_time() + PROBE_SECONDS
            await trio.sleep_until(due)
            metrics.loop_lag.observe(trio.current_time() - due)


@contextmanager
def _timed_collections(pauses: tuple[Histogram, ...]) -> Iterator[None]:
    started = 0.0

    def note(phase: str, info: Mapping[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = perf_counter()
        else:
            pauses[info["generation"]].observe(perf_counter() - started)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


class _Books(Collector):
    def __init__(self, metrics: Metrics, feed: Feed, version: str) -> None:
        self._metrics = metrics
        self._feed = feed
        self._hub = feed.hub
        self._window = feed.window
        self._version = version

    def collect(self) -> Iterator[Metric]:
        m = self._metrics
        yield _labelled(GaugeMetricFamily, "build_info", "The version that runs.", ("version",), {(self._version,): 1})
        yield GaugeMetricFamily("mesaya_connections", "Open WebSocket connections.", m.connections_open)
        yield CounterMetricFamily("mesaya_connections_opened", "WebSocket connections so far.", m.connections_total)
        yield GaugeMetricFamily("mesaya_subscriptions", "Subscriptions of all connections.", self._hub.subscriptions)
        yield GaugeMetricFamily("mesaya_channels", "Channels with at least one subscription.", self._hub.channels)
        yield _by("client_messages", "Messages of clients, by type or error code.", "type", m.client_messages)
        yield _labelled(
            CounterMetricFamily, "records", "Records read, by topic and outcome.", ("topic", "outcome"), m.records
        )
        yield _labelled(
            CounterMetricFamily,
            "mistyped_fields",
            "Fields of records that were left out, since their values are of a wrong type.",
            ("topic", "field"),
            m.mistyped,
        )
        yield CounterMetricFamily("mesaya_messages_sent", "Event messages handed to clients.", m.messages_out)
        yield CounterMetricFamily("mesaya_sent_bytes", "Bytes of those.", m.bytes_out)
        yield _labelled(
            CounterMetricFamily,
            "closes",
            "Connections ended, by close code and by who closed.",
            ("code", "by"),
            _known_codes(m.closes),
        )
        yield _by("refusals", "Requests refused before any protocol took them.", "code", m.refusals)
        yield _labelled(
            CounterMetricFamily,
            "http_requests",
            "HTTP requests answered; not those that were refused before.",
            ("path", "method", "status"),
            m.requests,
        )
        yield GaugeMetricFamily("mesaya_log_up", "Whether the event log answers.", int(m.log_up))
        yield _labelled(
            GaugeMetricFamily,
            "log_lag_records",
            "Records known but not published; of the embedded log, all together.",
            ("topic", "partition"),
            _lags(self._feed, m),
        )
        freshness = self._feed.freshness()
        yield GaugeMetricFamily("mesaya_live", "Whether the history in the event log has been read.", freshness["live"])
        if freshness["asOf"] is not None:
            yield GaugeMetricFamily(
                "mesaya_as_of_timestamp_seconds",
                "Time up to which all that happened has been published.",
                freshness["asOf"] / 1000,
            )
        yield _labelled(
            GaugeMetricFamily,
            "log_trouble_seconds",
            "For how long a part of the event log cannot be read.",
            ("topic", "partition", "kind"),
            {(*_part(each), each.kind): each.seconds for each in m.troubles},
        )
        yield _by(
            "log_truncations", "Times that a topic lost its end after that had been read.", "topic", m.truncations
        )
        yield _labelled(
            GaugeMetricFamily,
            "clock_ahead_seconds",
            "By how much the time of a topic's last record was ahead of our clock when it arrived.",
            ("topic",),
            {(topic,): seconds for topic, seconds in m.skews.seconds.items()},
        )
        yield _histogram("delivery_seconds", "From the log's append to the write to a client.", m.delivery)
        yield CounterMetricFamily(
            "mesaya_deliveries_unmeasured",
            "Deliveries of records whose time cannot be right: more than an hour old, or from the future.",
            m.delivery.absurd,
        )
        yield _histogram("loop_lag_seconds", "How late the event loop wakes a task.", m.loop_lag)
        yield _histogram("gc_pause_seconds", "Pauses of the garbage collector.", *m.gc_pauses, label="generation")
        yield _by("platform_questions", "Questions to the platform's API, by outcome.", "outcome", m.questions)
        if m.checkpoint is not None:
            age = monotonic() - m.checkpoint_since
            yield GaugeMetricFamily("mesaya_checkpoint_age_seconds", "Age of the newest checkpoint.", age)
            yield GaugeMetricFamily("mesaya_checkpoint_rows", "Entities and names in it.", m.checkpoint_rows)
        yield CounterMetricFamily(
            "mesaya_checkpoint_failures", "Checkpoints that could not be written.", m.checkpoint_failures
        )
        yield GaugeMetricFamily("mesaya_window_messages", "Publications kept for resuming.", len(self._window))
        yield GaugeMetricFamily("mesaya_window_bytes", "Bytes of those.", self._window.bytes)


def _part(trouble: Trouble) -> tuple[str, str]:
    return trouble.topic, "all" if trouble.number is None else str(trouble.number)


def _lags(feed: Feed, metrics: Metrics) -> Counter[tuple[str, str]]:
    """Return what is known and not published, whether it can be had or not."""
    lags = Counter(
        {(source[0], str(source[1])) if source else ("all", "all"): lag for source, lag in feed.lags().items()}
    )
    for trouble in metrics.troubles:
        if trouble.withheld:
            lags[_part(trouble)] += trouble.withheld
    return lags


def _labelled(family: type[Any], name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    made: Metric = family(f"mesaya_{name}", text, labels=labels)
    for key, value in values.items():
        made.add_metric([str(part) for part in key], value)  # type: ignore[attr-defined]  # families have it
    return made


def _by(name: str, text: str, label: str, counts: Counts) -> Metric:
    return _labelled(CounterMetricFamily, name, text, (label,), {(key,): count for key, count in counts.items()})


def _known_codes(closes: Mapping[tuple[str, str], int]) -> Mapping[tuple[str, str], int]:
    """Put codes of the clients' own making together: they must not make up series."""
    known: Counter[tuple[str, str]] = Counter()
    for (code, by), count in closes.items():
        known[code if int(code) in _CODES else "other", by] += count
    return known


def _histogram(name: str, text: str, *histograms: Histogram, label: str = "") -> Metric:
    """Return a family of one histogram, or of several, which `label` numbers."""
    family = HistogramMetricFamily(f"mesaya_{name}", text, labels=[label] if label else [])
    for number, histogram in enumerate(histograms):
        cumulative = accumulate(histogram.counts)
        buckets = list(zip((*map(str, BOUNDS), "+Inf"), cumulative, strict=True))
        family.add_metric([str(number)] if label else [], buckets, histogram.sum)
    return family


def exposition(metrics: Metrics, feed: Feed, version: str, *more: Collector) -> Callable[[], bytes]:
    """Return what renders these books, what `feed` holds now, `more`, and what Prometheus tells of the process.

    What is rendered is of the type `CONTENT_TYPE`.
    """
    books = CollectorRegistry()
    for collector in (_Books(metrics, feed, version), *more):
        books.register(collector)
    prometheus_client.ProcessCollector(registry=books)
    prometheus_client.PlatformCollector(registry=books)
    return partial(generate_latest, books)
