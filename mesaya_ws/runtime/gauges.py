"""Metrics that are read only at a scrape: they cost nothing in between."""

from collections.abc import Callable, Iterator, Mapping
from time import time

from attrs import frozen
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mesaya_ws.core.feed.published import Published
from mesaya_ws.runtime.readiness import Status


@frozen
class Waiting:
    """What waits in the send queues: `bytes` in all, for so many `clients`."""

    bytes: int
    clients: int


@frozen(eq=False)
class Gauges(Collector):
    """The present state of a gateway; `log_bytes` returns None when the log is not a file of ours."""

    feed: Published
    status: Status
    limits: Mapping[str, float]
    """The numeric settings in effect, by name."""
    waiting: Callable[[], Waiting]
    log_bytes: Callable[[], int | None]
    kept: Mapping[str, Callable[[], int]]
    """Bytes of what is kept for clients that ask for the same, by name."""

    def collect(self) -> Iterator[Metric]:
        """Return the metrics as they are now."""
        waiting, tally, log_bytes = self.waiting(), self.feed.tally, self.log_bytes()
        yield GaugeMetricFamily("mesaya_ready", "Whether clients should be sent here.", int(self.status.ready))
        yield GaugeMetricFamily("mesaya_draining", "Whether it is on its way out.", int(self.status.draining))
        yield GaugeMetricFamily("mesaya_waiting_bytes", "Bytes that wait for clients to take them.", waiting.bytes)
        yield GaugeMetricFamily("mesaya_waiting_clients", "Clients for which something waits.", waiting.clients)
        kept = GaugeMetricFamily(
            "mesaya_kept_bytes", "Bytes of what is kept for all clients that ask for it.", labels=["what"]
        )
        for name, size in self.kept.items():
            kept.add_metric([name], size())
        yield kept
        if self.feed.progress.time > 0:
            age = max(0.0, time() - self.feed.progress.time / 1000)
            yield GaugeMetricFamily("mesaya_newest_record_age_seconds", "Age of the last record taken.", age)
        if log_bytes is not None:
            yield GaugeMetricFamily("mesaya_log_bytes", "Size of the embedded log's files.", log_bytes)
        limits = GaugeMetricFamily("mesaya_limit", "Settings that are numbers, as in effect.", labels=["setting"])
        for name, value in self.limits.items():
            limits.add_metric([name], value)
        yield limits
        text = "Subscriptions with a position, and streams that began anew, by what came of them."
        resumes = CounterMetricFamily("mesaya_resumes", text, labels=["outcome", "reason"])
        for (outcome, reason), count in tally.resumes.items():
            resumes.add_metric([outcome, str(reason)], count)
        yield resumes
        yield CounterMetricFamily("mesaya_snapshots", "Snapshots sent to clients.", tally.snapshots)
