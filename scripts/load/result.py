"""What came of a run."""

from attrs import frozen

from load.histogram import Histogram
from load.totals import Moment

BUSY = 0.85
"""The share of a core from which on a client process is what limits, rather than the server."""

FULL = 0.9
"""The share of all cores from which on nobody gets as much of them as they would take."""


@frozen(kw_only=True)
class Result:
    """What a run has shown. Durations in seconds, latencies in microseconds, memory in bytes; None: not seen.

    A storm lasts until all have been answered; then those who missed much are still `catching_up`, while events are
    replayed. `load_cpu` is how many cores the load test kept busy, `others_cpu` those of what is neither it nor the
    server, `machine_share` the part of all cores that was busy; `lag` is how late the load test itself was at what was
    due.
    """

    connections: int
    connections_per_second: float
    opening: Histogram
    events: int
    deliveries: int
    deliveries_per_second: float
    expected: int
    lost: int
    late: int
    duplicates: int
    misrouted: int
    latency: Histogram
    server_cpu: float | None
    cpu_per_delivery: float | None
    deliveries_per_write: float | None
    writes_per_second: float | None
    cpu_share: float | None
    memory_per_connection: float | None
    cpu_per_connection: float | None
    records_per_second: float | None
    cpu_per_record: float | None
    client_cpu_share: float
    feed_cpu_share: float
    load_cpu: float
    others_cpu: float
    machine_share: float
    cuts: int
    cuts_planned: int
    failures: dict[str, int]
    recovered: int
    unrecovered: int
    replayed: int
    storm_seconds: float | None
    storm_latency: Histogram
    storm_opening: Histogram
    replay_latency: Histogram
    bystander_storm_latency: Histogram
    bystander_replay_latency: Histogram
    catching_up: Histogram
    calm_latency: Histogram
    stopped_latency: Histogram
    expiring_latency: Histogram
    lag: Histogram
    calm_lag: Histogram
    expiring_lag: Histogram
    renewed: int
    lapsed: int
    memory_per_stopped: float | None
    moments: list[Moment]

    @property
    def client_limits(self) -> bool:
        """Whether the load test itself was too busy for its figures to be the server's."""
        return max(self.client_cpu_share, self.feed_cpu_share) > BUSY

    @property
    def machine_limits(self) -> bool:
        """Whether the server, the load test and all others had to share cores that were too few for them."""
        return self.machine_share > FULL
