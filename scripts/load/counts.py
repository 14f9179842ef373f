"""What has been seen of a run, by one process for a moment or by all of them up to now."""

from collections import Counter

from attrs import define, field, fields

from load.histogram import Histogram


@define
class Counts:
    """How often what has happened, and how long it took (µs).

    `latency` is that of events at clients that had all that came before; `bystander_latency`, the part of it at those
    that are there all the time. `opening` is the time to the answer, `catching_up` that until all had come that a
    client had missed. `lag` is how late the clients' own process was at what was due: latencies cannot be known more
    exactly than that.
    """

    connected: int = 0
    cuts: int = 0
    deliveries: int = 0
    replayed: int = 0
    recovered: int = 0
    unrecovered: int = 0
    duplicates: int = 0
    misrouted: int = 0
    renewed: int = 0
    lapsed: int = 0
    failures: Counter[str] = field(factory=Counter)
    latency: Histogram = field(factory=Histogram)
    bystander_latency: Histogram = field(factory=Histogram)
    opening: Histogram = field(factory=Histogram)
    catching_up: Histogram = field(factory=Histogram)
    lag: Histogram = field(factory=Histogram)

    def include(self, other: "Counts") -> None:
        """Add what was counted elsewhere."""
        for each in fields(Counts):
            if each.type is int:
                setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
            elif each.type is Histogram:
                getattr(self, each.name).merge(getattr(other, each.name))
        self.failures.update(other.failures)
