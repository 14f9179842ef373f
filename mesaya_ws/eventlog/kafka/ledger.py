"""Which parts of the log cannot be read, and since when; and for which of them live delivery does not wait."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from time import monotonic, time
from typing import NamedTuple

from kafka.errors import AuthorizationError, for_code

from mesaya_ws.core.log.records import OffsetRange, Partition, Source
from mesaya_ws.core.log.trouble import Hindrance, Parts, Trouble, of_kind
from mesaya_ws.eventlog.kafka.metadata import Finding, Metadata, not_allowed


class Observed(NamedTuple):
    """A part of the log that cannot be read, as one refresh has found it, with the number of records `withheld`.

    The same trouble with another `mark` is a new one: it begins when it is first observed.
    """

    finding: Finding
    withheld: int = 0
    mark: int = 0


def observe(
    metadata: Metadata,
    extents: Mapping[Partition, OffsetRange],
    failing: Mapping[Partition, int],
    made: Collection[str],
) -> Iterator[Observed]:
    """Yield everything that cannot be read, each partition at most once.

    `failing` holds the error codes of partitions whose fetches the broker refuses. That a topic in `made`, which is
    created with its first record, does not exist is no trouble.
    """
    yielded = set[tuple[str, int | None]]()
    for finding in metadata.findings:
        if finding.kind is not Hindrance.ABSENT or finding.topic not in made:
            yielded.add((finding.topic, finding.number))
            yield Observed(finding)
    for partition, extent in extents.items():
        if partition in yielded or (partition.topic, None) in yielded:
            continue
        if (code := failing.get(partition)) is not None:
            yield Observed(_failing(partition, code))
        elif (waiting := extent.end - metadata.readable.get(partition, extent.end)) > 0:
            yield Observed(_blocked(partition, waiting), waiting, mark=extent.end - waiting)


class Ledger:
    """Knows since when each trouble has lasted, by `clock` (s since the epoch), and for how long, by `steady` (s)."""

    def __init__(self, clock: Callable[[], float] = time, steady: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._began: dict[tuple[str, int | None, Hindrance, int], tuple[float, float]] = {}

    def enter(self, observed: Iterable[Observed]) -> list[Trouble]:
        """Return the troubles that a refresh has observed; all others are over."""
        now, steady = self._clock(), self._steady()
        began, troubles = dict[tuple[str, int | None, Hindrance, int], tuple[float, float]](), list[Trouble]()
        for (topic, number, kind, reason), withheld, mark in observed:
            key = topic, number, kind, mark
            since, start = began[key] = self._began.get(key, (now, steady))
            troubles.append(Trouble(topic, number, kind, since, reason, withheld, steady - start))
        self._began = began
        return troubles


def sort_out(
    troubles: Collection[Trouble],
    left: Mapping[Partition, int],
    out_of_reach: Collection[Partition],
    unreadable_after: float,
) -> tuple[Mapping[Source, int], list[Trouble]]:
    """Return how many of the records `left` in each partition are waited for, and the troubles with what they withhold.

    From partitions `out_of_reach`, nothing can be read now; they are waited for up to `unreadable_after` seconds.
    """
    refused = Parts(of_kind(troubles, Hindrance.REFUSED))
    lost = Parts(each for each in of_kind(troubles, Hindrance.UNKNOWN) if each.seconds > unreadable_after)
    lags, withheld = dict[Source, int](), Counter[tuple[str, int | None]]()
    for partition, lag in left.items():
        if partition in refused or (partition in lost and partition in out_of_reach):
            withheld[partition] += lag
            withheld[partition.topic, None] += lag
        else:
            lags[partition] = lag
    return lags, [
        trouble._replace(withheld=trouble.withheld or withheld[trouble.topic, trouble.number]) for trouble in troubles
    ]


def _failing(partition: Partition, code: int) -> Finding:
    """Return the finding for a partition whose fetches the broker answers with an error."""
    topic, number = partition
    error = for_code(code)
    if issubclass(error, AuthorizationError):
        return Finding(topic, number, Hindrance.REFUSED, not_allowed(topic))
    why = error.description or error.__name__
    reason = f"Kafka hands out nothing of partition {number} of {topic}: {why} See the log of the broker that leads it."
    return Finding(topic, number, Hindrance.UNKNOWN, reason)


def _blocked(partition: Partition, waiting: int) -> Finding:
    """Return the finding for acknowledged records that an open transaction withholds."""
    topic, number = partition
    reason = (
        f"{waiting} records of partition {number} of {topic} wait for the end of a transaction: see which producer "
        "leaves it open (kafka-transactions.sh find-hanging)."
    )
    return Finding(topic, number, Hindrance.BLOCKED, reason)
