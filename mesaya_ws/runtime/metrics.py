"""What the service counts.

Counting is plain arithmetic on the attributes of `Metrics`, cheap enough for the hot path; `prometheus` builds the
metric families at a scrape.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from time import monotonic, time

from attrs import Factory, define

from mesaya_ws.core.log.skew import Skews
from mesaya_ws.core.log.trouble import Trouble
from mesaya_ws.core.state.interface import Size

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of histogram buckets, in seconds."""

LONGEST, DIFFERENCE = 3600.0, 1.0
"""The longest plausible duration between times of two clocks, and the most by which the clocks may differ, in seconds.
Anything else is an error of a clock, or a record without a time."""


Counts = Counter[str]


@define
class Histogram:
    """Durations in seconds, by bucket; the last bucket has no bound. `absurd` counts implausible ones."""

    counts: list[int] = Factory(lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0
    absurd: int = 0

    def observe(self, seconds: float, count: int = 1) -> None:
        """Count `count` equal durations; slightly negative ones, from clocks that differ, count as 0."""
        if not -DIFFERENCE <= seconds <= LONGEST:
            self.absurd += count
            return
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(BOUNDS, seconds)] += count
        self.sum += seconds * count


@define(slots=True, eq=False)
class Metrics:
    """The counters of one process. Counters with labels have words or tuples as keys."""

    connections_open: int = 0
    event_clients_open: int = 0
    connections_total: int = 0
    client_messages: Counts = Factory(Counter)
    """By type, or by the error code of the answer."""
    records: Counter[tuple[str, str]] = Factory(Counter)
    """By topic and outcome (`core.platform.envelope.Disposition`)."""
    mistyped: Counter[tuple[str, str]] = Factory(Counter)
    """Fields of records that were left out since their values are of a wrong type, by topic and field."""
    messages_out: int = 0
    bytes_out: int = 0
    closes: Counter[tuple[str, str]] = Factory(Counter)
    """By close code, and by who closed: `client`, `service` or `nobody`."""
    refusals: Counts = Factory(Counter)
    """Requests rejected before they reached WebSocket or HTTP, by error code."""
    violations: Counts = Factory(Counter)
    """Connections closed since the client broke a limit, by which (`core.wire.frame_limits.Violation`)."""
    requests: Counter[tuple[str, str, str]] = Factory(Counter)
    """HTTP requests answered, by path, method and status."""
    log_up: bool = True
    troubles: Sequence[Trouble] = ()
    """The parts of the log that cannot be read at present."""
    skews: Skews = Factory(Skews)
    """By how much records were ahead of our clock when they arrived, by topic."""
    truncations: Counts = Factory(Counter)
    """How often the log has lost an end that had been read, by topic."""
    delivery: Histogram = Factory(Histogram)
    """From the append of a record to the write of its message to a client."""
    loop_lag: Histogram = Factory(Histogram)
    gc_pauses: tuple[Histogram, ...] = Factory(lambda: (Histogram(), Histogram(), Histogram()))
    """Pauses of the garbage collector, by generation; their number is that of the collections."""
    presence_sent: int = 0
    """Messages about presence, and about who is typing."""
    presence_left_out: int = 0
    """How often others were not informed of a channel, since there was no room (`PRESENCE_CHANNELS`)."""
    questions: Counts = Factory(Counter)
    """Requests to the platform's API, by outcome: `answered`, `unknown` or `failed`."""
    tokens: Counts = Factory(Counter)
    """By what came of them: `accepted`, `unavailable`, or what is wrong with them (`core.access.tokens.Flaw`)."""
    key_readings: Counts = Factory(Counter)
    """Of the issuer's key set, by what came of them: `read` or `failed`."""
    keys: int = 0
    """How many keys of the issuer are in use."""
    keys_read_at: float | None = None
    """When they were read last, in seconds of the clock that nobody sets; None: never."""
    checkpoint: str | None = None
    """The id of the newest complete checkpoint; None without one."""
    checkpoint_since: float = 0.0
    """When that was captured, in seconds of the monotonic clock."""
    checkpoint_rows: int = 0
    checkpoint_failures: int = 0
    state: Size | None = None
    """What the state store holds, as of its last commit; None: there was none."""
    state_committed: float = 0.0
    """When that was, in seconds of the clock that nobody sets."""
    state_failures: int = 0
    state_reads: int = 0
    """Looks at the state store, each for all clients that waited."""
    entity_reads: int = 0
    """Entities that were not in memory when a record or a client needed them, as of the last commit."""
    entity_hits: int = 0
    """How often one was, as of then."""
    flushes: Histogram = Factory(Histogram)
    """Commits to the state store."""

    def note_state(self, size: Size, seconds: float) -> None:
        """Take note of a commit to the state store, which took so many seconds, and of what that holds now."""
        self.state, self.state_committed = size, monotonic()
        self.flushes.observe(seconds)

    def note_checkpoint(self, id: str, taken: float, rows: int) -> None:
        """Note the newest checkpoint, `taken` at that time of day (s).

        Its age is computed from both clocks once, and then counted; if the other clock was ahead, it begins at 0.
        """
        if self.checkpoint != id:
            self.checkpoint, self.checkpoint_since = id, monotonic() - max(0.0, time() - taken)
        self.checkpoint_rows = rows
