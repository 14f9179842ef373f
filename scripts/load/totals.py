"""What all processes of a run have seen up to now, together and second by second."""

import time

from attrs import Factory, define, field, frozen

from load.counts import Counts
from load.histogram import Histogram
from load.received import Sample

PARTS = ("calm", "expiring", "stopped", "storm", "replaying")
"""Parts of runs whose latencies are compared, and how late the load test itself was in them."""


def _by_part() -> dict[str, Histogram]:
    return {part: Histogram() for part in PARTS}


@frozen
class Moment:
    """One point of the picture: deliveries and latencies (µs) of about a second, `at` seconds from the start."""

    at: float
    deliveries: float
    p50: int | None
    p99: int | None
    worst: int | None
    open: int


@define
class Totals(Counts):
    """What all swarms have seen up to now."""

    part: str | None = None
    by_part: dict[str, Histogram] = field(factory=_by_part)
    bystanders_by_part: dict[str, Histogram] = field(factory=_by_part)
    opening_by_part: dict[str, Histogram] = field(factory=_by_part)
    lag_by_part: dict[str, Histogram] = field(factory=_by_part)
    open: dict[int, int] = field(factory=dict)
    behind: dict[int, int] = field(factory=dict)
    cpu: dict[int, float] = field(factory=dict)
    moments: list[Moment] = field(factory=list)
    last: float = 0.0
    began: float = Factory(time.time)
    _second: Histogram = field(factory=Histogram)
    _second_deliveries: int = 0
    _second_began: float = Factory(time.time)

    def add(self, swarm: int, sample: Sample) -> None:
        """Add what one swarm has seen."""
        self.include(sample)
        if self.part is not None:
            self.by_part[self.part].merge(sample.latency)
            self.bystanders_by_part[self.part].merge(sample.bystander_latency)
            self.opening_by_part[self.part].merge(sample.opening)
            self.lag_by_part[self.part].merge(sample.lag)
        self.last = max(self.last, sample.last)
        self.open[swarm], self.behind[swarm], self.cpu[swarm] = sample.open, sample.behind, sample.cpu
        self._second.merge(sample.latency)
        self._second_deliveries += sample.deliveries
        if (past := sample.at - self._second_began) >= 1:
            second = self._second
            self.moments.append(
                Moment(
                    round(sample.at - self.began, 2),
                    self._second_deliveries / past,
                    second.percentile(50),
                    second.percentile(99),
                    second.maximum if second.total else None,
                    sum(self.open.values()),
                )
            )
            self._second, self._second_deliveries, self._second_began = Histogram(), 0, sample.at

    @property
    def open_now(self) -> int:
        """How many clients are subscribed at present."""
        return sum(self.open.values())

    @property
    def behind_now(self) -> int:
        """To how many clients events of the past are still to come."""
        return sum(self.behind.values())
