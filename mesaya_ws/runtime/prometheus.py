"""The metrics in Prometheus' text format."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from time import monotonic, time
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.log.trouble import Trouble
from mesaya_ws.core.wire.codes import CLOSE_CODES
from mesaya_ws.runtime.metrics import BOUNDS, Counts, Histogram, Metrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The format that every scraper reads; our names do not need a newer one."""


_CODES = {*CLOSE_CODES, 1001, 1005}
"""Close codes with a series of their own: those that we send, and those of leaving browsers (RFC 6455, 7.4.1)."""


class _Collector(Collector):
    def __init__(self, metrics: Metrics, feed: Published, version: str) -> None:
        self._metrics = metrics
        self._feed = feed
        self._hub = feed.hub
        self._window = feed.window
        self._version = version

    def collect(self) -> Iterator[Metric]:
        m = self._metrics
        yield _labelled(GaugeMetricFamily, "build_info", "The version that runs.", ("version",), {(self._version,): 1})
        yield GaugeMetricFamily("mesaya_connections", "Open WebSocket connections.", m.connections_open)
        yield GaugeMetricFamily("mesaya_event_clients", "Open requests for /events.", m.event_clients_open)
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
        yield CounterMetricFamily(
            "mesaya_presence_messages_sent", "Messages about presence, and about who is typing.", m.presence_sent
        )
        yield CounterMetricFamily(
            "mesaya_presence_left_out", "Times that PRESENCE_CHANNELS had no room for a channel.", m.presence_left_out
        )
        yield _labelled(
            CounterMetricFamily,
            "connections_closed",
            "Connections ended, by close code and by who closed.",
            ("code", "by"),
            _known_codes(m.closes),
        )
        yield _by("requests_rejected", "Requests refused before any protocol took them.", "code", m.refusals)
        yield _by("limits_exceeded", "WebSockets closed since the client broke a limit.", "reason", m.violations)
        yield _labelled(
            CounterMetricFamily,
            "http_requests",
            "HTTP requests answered; not those that were refused before.",
            ("path", "method", "status"),
            m.requests,
        )
        yield GaugeMetricFamily("mesaya_event_log_up", "Whether the event log answers.", int(m.log_up))
        yield _labelled(
            GaugeMetricFamily,
            "consumer_lag_records",
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
        yield _by("platform_api_requests", "Questions to the platform's API, by outcome.", "outcome", m.questions)
        yield _by("tokens", "Tokens of clients, by outcome.", "outcome", m.tokens)
        yield _by("key_readings", "Readings of the issuer's key set, by outcome.", "outcome", m.key_readings)
        if m.keys_read_at is not None:
            age = monotonic() - m.keys_read_at
            yield GaugeMetricFamily("mesaya_keys", "Keys of the issuer that are in use.", m.keys)
            yield GaugeMetricFamily("mesaya_keys_age_seconds", "Time since they were read.", age)
        if m.checkpoint is not None:
            age = monotonic() - m.checkpoint_since
            yield GaugeMetricFamily("mesaya_checkpoint_age_seconds", "Age of the newest checkpoint.", age)
            yield GaugeMetricFamily("mesaya_checkpoint_rows", "Entities and names in it.", m.checkpoint_rows)
        yield CounterMetricFamily(
            "mesaya_checkpoint_failures", "Checkpoints that could not be written.", m.checkpoint_failures
        )
        yield from _state(m)
        yield GaugeMetricFamily("mesaya_window_messages", "Publications kept for resuming.", len(self._window))
        yield GaugeMetricFamily("mesaya_window_bytes", "Bytes of those.", self._window.bytes)


def _state(metrics: Metrics) -> Iterator[Metric]:
    """Yield what the state store holds, and how it is written."""
    if (size := metrics.state) is not None:
        sizes = {
            ("publications",): size.entry_bytes,
            ("entities",): size.entity_bytes,
            ("window",): size.window_bytes,
        }
        yield _labelled(GaugeMetricFamily, "state_bytes", "Bytes in the state store.", ("what",), sizes)
        counts = {("publications",): size.entries, ("entities",): size.entities}
        yield _labelled(GaugeMetricFamily, "state_entries", "How many of them there are.", ("what",), counts)
        age = monotonic() - metrics.state_committed
        yield GaugeMetricFamily("mesaya_state_age_seconds", "Time since the last commit to the state store.", age)
        if size.oldest is not None:
            age = max(0.0, time() - size.oldest / 1000)
            yield GaugeMetricFamily("mesaya_history_seconds", "Age of the oldest publication there.", age)
    yield _histogram("state_commit_seconds", "Commits to the state store.", metrics.flushes)
    yield CounterMetricFamily("mesaya_state_reads", "Looks at the state store.", metrics.state_reads)
    yield CounterMetricFamily(
        "mesaya_state_entity_reads", "Entities that were needed and not in memory.", metrics.entity_reads
    )
    yield CounterMetricFamily(
        "mesaya_state_entity_hits", "Lookups of entities that were in memory.", metrics.entity_hits
    )
    yield CounterMetricFamily(
        "mesaya_state_failures", "Tries to use the state directory that failed.", metrics.state_failures
    )


def _part(trouble: Trouble) -> tuple[str, str]:
    return trouble.topic, "all" if trouble.number is None else str(trouble.number)


def _lags(feed: Published, metrics: Metrics) -> Counter[tuple[str, str]]:
    """Return the records known and not published, including those that cannot be read."""
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
    """Count all other codes as one: clients must not be able to create series."""
    known: Counter[tuple[str, str]] = Counter()
    for (code, by), count in closes.items():
        known[code if int(code) in _CODES else "other", by] += count
    return known


def _histogram(name: str, text: str, *histograms: Histogram, label: str = "") -> Metric:
    """Return a family of one histogram, or of several, numbered by `label`."""
    family = HistogramMetricFamily(f"mesaya_{name}", text, labels=[label] if label else [])
    for number, histogram in enumerate(histograms):
        cumulative = accumulate(histogram.counts)
        buckets = list(zip((*map(str, BOUNDS), "+Inf"), cumulative, strict=True))
        family.add_metric([str(number)] if label else [], buckets, histogram.sum)
    return family


def exposition(metrics: Metrics, feed: Published, version: str, *more: Collector) -> Callable[[], bytes]:
    """Return a function that renders `metrics`, the state of `feed`, `more` collectors, and metrics of the process.

    Its result has the type `CONTENT_TYPE`.
    """
    registry = CollectorRegistry()
    for collector in (_Collector(metrics, feed, version), *more):
        registry.register(collector)
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    return partial(generate_latest, registry)
