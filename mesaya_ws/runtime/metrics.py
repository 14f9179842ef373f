"""What the service counts, and its form for Prometheus.

Counting is plain arithmetic on the attributes of `Metrics`, cheap enough for the hot path; the families are only built
when somebody scrapes.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from time import monotonic, time

from attrs import Factory, define

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.log.skew import Skews
from mesaya_ws.core.log.trouble import Trouble

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of histogram buckets, in seconds."""

LONGEST, DIFFERENCE = 3600.0, 1.0
"""Seconds up to which a duration is believed that two clocks have measured, and by which they may differ. What lies
beyond says something about a clock, or about a record that bears no time."""


Counts = Counter[str]


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
    client_messages: Counts = Factory(Counter)
    """By type, or by the code of the error that they were answered with."""
    records: Counter[tuple[str, str]] = Factory(Counter)
    """By topic and outcome (`core.platform.envelope.Disposition`)."""
    mistyped: Counter[tuple[str, str]] = Factory(Counter)
    """Fields of records that were left out since their values are of a wrong type, by topic and field."""
    messages_out: int = 0
    bytes_out: int = 0
    closes: Counter[tuple[str, str]] = Factory(Counter)
    """By close code, and by who closed: `client`, `service` or `nobody`."""
    refusals: Counts = Factory(Counter)
    """Requests refused before any protocol took them, by the code of the error."""
    violations: Counts = Factory(Counter)
    """Connections closed since the client broke a limit, by which (`core.wire.frame_limits.Violation`)."""
    requests: Counter[tuple[str, str, str]] = Factory(Counter)
    """Requests that HTTP has answered, by path, method and status."""
    log_up: bool = True
    troubles: Sequence[Trouble] = ()
    """What cannot be read of the log at present."""
    skews: Skews = Factory(Skews)
    """By how much records were ahead of our clock when they arrived, by topic."""
    truncations: Counts = Factory(Counter)
    """How often a log has lost its end after that had been read, by topic."""
    delivery: Histogram = Factory(Histogram)
    """From the moment the log took a record to the moment its message was written to a client."""
    loop_lag: Histogram = Factory(Histogram)
    gc_pauses: tuple[Histogram, ...] = Factory(lambda: (Histogram(), Histogram(), Histogram()))
    """Of the garbage collector, by generation; how many there are says how often each was collected."""
    questions: Counts = Factory(Counter)
    """To the platform's API, by what came of them: `answered`, `unknown` or `failed`."""
    tokens: Counts = Factory(Counter)
    """By what came of them: `accepted`, `unavailable`, or what is wrong with them (`core.access.tokens.Flaw`)."""
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
