"""What the service counts, and its form for Prometheus.

Counting is plain arithmetic on the attributes of `Metrics`, cheap enough for the hot path; the families are only built
when somebody scrapes.
"""

import gc
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import prometheus_client
import trio
from attrs import Factory, define
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of histogram buckets, in seconds."""

PROBE_SECONDS = 0.1
"""How often the loop's lag is looked at."""

Counts = dict[str, int]


@define
class Histogram:
    """Durations in seconds, by bucket; the last bucket has no bound."""

    counts: list[int] = Factory(lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def observe(self, seconds: float, count: int = 1) -> None:
        """Enter `count` equal durations."""
        self.counts[bisect_left(BOUNDS, seconds)] += count
        self.sum += seconds * count


@define(slots=True, eq=False)
class Metrics:
    """The books of one process. Counts by several names have tuples or words as keys."""

    connections_open: int = 0
    connections_total: int = 0
    subscriptions: int = 0
    channels: int = 0
    client_messages: Counts = Factory(dict)
    """By type, or by the code of the error that they were answered with."""
    records: dict[tuple[str, str], int] = Factory(dict)
    """By topic and outcome (`core.records.Reason`)."""
    messages_out: int = 0
    bytes_out: int = 0
    closes: Counts = Factory(dict)
    """By close code."""
    refusals: Counts = Factory(dict)
    """Requests refused before any protocol took them, by the code of the error."""
    log_up: bool = True
    lag: dict[tuple[str, str], int] = Factory(dict)
    """Records known to be in the log but not read yet, by topic and partition."""
    delivery: Histogram = Factory(Histogram)
    """From the moment the log took a record to the moment its message was written to a client."""
    loop_lag: Histogram = Factory(Histogram)
    gc_pauses: Histogram = Factory(Histogram)
    window_messages: int = 0
    window_bytes: int = 0

    def time_collections(self) -> None:
        """Have the garbage collector's pauses entered, from now on."""
        started = 0.0

        def note(phase: str, _: Mapping[str, Any]) -> None:
            nonlocal started
            if phase == "start":
                started = perf_counter()
            else:
                self.gc_pauses.observe(perf_counter() - started)

        gc.callbacks.append(note)


async def watch_loop(metrics: Metrics) -> None:
    """Measure, for ever, how late the loop wakes a task that is due."""
    while True:
        due = trio.current_time() + PROBE_SECONDS
        await trio.sleep_until(due)
        metrics.loop_lag.observe(trio.current_time() - due)


class _Books(Collector):
    def __init__(self, metrics: Metrics, version: str) -> None:
        self._metrics = metrics
        self._version = version

    def collect(self) -> Iterator[Metric]:
        m = self._metrics
        yield _labelled(GaugeMetricFamily, "build_info", "The version that runs.", ("version",), {(self._version,): 1})
        yield GaugeMetricFamily("mesaya_connections", "Open WebSocket connections.", m.connections_open)
        yield CounterMetricFamily("mesaya_connections_opened", "WebSocket connections so far.", m.connections_total)
        yield GaugeMetricFamily("mesaya_subscriptions", "Subscriptions of all connections.", m.subscriptions)
        yield GaugeMetricFamily("mesaya_channels", "Channels with at least one subscription.", m.channels)
        yield _by("client_messages", "Messages of clients, by type or error code.", "type", m.client_messages)
        yield _labelled(
            CounterMetricFamily, "records", "Records read, by topic and outcome.", ("topic", "outcome"), m.records
        )
        yield CounterMetricFamily("mesaya_messages_sent", "Event messages handed to clients.", m.messages_out)
        yield CounterMetricFamily("mesaya_sent_bytes", "Bytes of those.", m.bytes_out)
        yield _by("closes", "Connections ended, by close code.", "code", m.closes)
        yield _by("refusals", "Requests refused before any protocol took them.", "code", m.refusals)
        yield GaugeMetricFamily("mesaya_log_up", "Whether the event log answers.", int(m.log_up))
        yield _labelled(
            GaugeMetricFamily, "log_lag_records", "Records known but not read.", ("topic", "partition"), m.lag
        )
        yield _histogram("delivery_seconds", "From the log's append to the write to a client.", m.delivery)
        yield _histogram("loop_lag_seconds", "How late the event loop wakes a task.", m.loop_lag)
        yield _histogram("gc_pause_seconds", "Pauses of the garbage collector.", m.gc_pauses)
        yield GaugeMetricFamily("mesaya_window_messages", "Publications kept for resuming.", m.window_messages)
        yield GaugeMetricFamily("mesaya_window_bytes", "Bytes of those.", m.window_bytes)


def _labelled(family: type[Any], name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, int]) -> Metric:
    made: Metric = family(f"mesaya_{name}", text, labels=labels)
    for key, value in values.items():
        made.add_metric([str(part) for part in key], value)  # type: ignore[attr-defined]  # families have it
    return made


def _by(name: str, text: str, label: str, counts: Counts) -> Metric:
    return _labelled(CounterMetricFamily, name, text, (label,), {(key,): count for key, count in counts.items()})


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(f"mesaya_{name}", text, buckets=buckets, sum_value=histogram.sum)


def exposition(metrics: Metrics, version: str) -> Callable[[], bytes]:
    """Return what renders these books, and what Prometheus tells of processes and of Python, as `CONTENT_TYPE`."""
    books = CollectorRegistry()
    books.register(_Books(metrics, version))
    prometheus_client.ProcessCollector(registry=books)
    prometheus_client.PlatformCollector(registry=books)
    return partial(generate_latest, books)
