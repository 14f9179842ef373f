"""What cannot be read of Kafka, since when, and who is not waited for because of it: from one look to the next."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from time import monotonic, time
from typing import NamedTuple

from kafka.errors import AuthorizationError, for_code

from mesaya_ws.core.log.records import OffsetRange, Partition, Source
from mesaya_ws.core.log.trouble import Hindrance, Parts, Trouble, of_kind
from mesaya_ws.eventlog.kafka.metadata import Finding, Metadata, not_allowed

WAITED_FOR = 5.0
"""Seconds in which a partition that cannot be read now is waited for by the others. A change of leaders is not worth
another order of records; what takes longer must not hold up the others."""


class Observed(NamedTuple):
    """What one look has seen of a part of the log that cannot be read, with so many records `withheld`.

    Trouble that differs in its `mark` is not the same: it began when it was seen first.
    """

    finding: Finding
    withheld: int = 0
    mark: int = 0


def observe(
    survey: Metadata, extents: Mapping[Partition, OffsetRange], failing: Mapping[Partition, int], made: Collection[str]
) -> Iterator[Observed]:
    """Yield everything that cannot be read, each partition in one trouble at most.

    `failing` are those whose fetches the broker answers with an error, by its code. That one of the topics `made` with
    their first record does not exist is no trouble.
    """
    told = set[tuple[str, int | None]]()
    for finding in survey.findings:
        if finding.kind is not Hindrance.ABSENT or finding.topic not in made:
            told.add((finding.topic, finding.number))
            yield Observed(finding)
    for partition, extent in extents.items():
        if partition in told or (partition.topic, None) in told:
            continue
        if (code := failing.get(partition)) is not None:
            yield Observed(_failing(partition, code))
        elif (waiting := extent.end - survey.readable.get(partition, extent.end)) > 0:
            yield Observed(_blocked(partition, waiting), waiting, mark=extent.end - waiting)


class Ledger:
    """Tells since when each trouble has lasted, by `clock` (seconds since the epoch), and for how long, by `steady`."""

    def __init__(self, clock: Callable[[], float] = time, steady: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._began: dict[tuple[str, int | None, Hindrance, int], tuple[float, float]] = {}

    def enter(self, seen: Iterable[Observed]) -> list[Trouble]:
        """Return what a look has seen as troubles; those that it has not seen are over."""
        now, steady = self._clock(), self._steady()
        began, troubles = dict[tuple[str, int | None, Hindrance, int], tuple[float, float]](), list[Trouble]()
        for (topic, number, kind, reason), withheld, mark in seen:
            key = topic, number, kind, mark
            since, start = began[key] = self._began.get(key, (now, steady))
            troubles.append(Trouble(topic, number, kind, since, reason, withheld, steady - start))
        self._began = began
        return troubles


def sort_out(
    troubles: Collection[Trouble], left: Mapping[Partition, int], out_of_reach: Collection[Partition]
) -> tuple[Mapping[Source, int], list[Trouble]]:
    """Return how many of the records that are `left` in each partition are worth waiting for, and what is withheld.

    Of the partitions `out_of_reach`, nothing can be had now: soon or, after `WAITED_FOR`, some time.
    """
    refused = Parts(of_kind(troubles, Hindrance.REFUSED))
    lost = Parts(each for each in of_kind(troubles, Hindrance.UNKNOWN) if each.seconds > WAITED_FOR)
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
    """Return what it means that the broker answers fetches of a partition with an error."""
    topic, number = partition
    error = for_code(code)
    if issubclass(error, AuthorizationError):
        return Finding(topic, number, Hindrance.REFUSED, not_allowed(topic))
    why = error.description or error.__name__
    reason = f"Kafka hands out nothing of partition {number} of {topic}: {why} See the log of the broker that leads it."
    return Finding(topic, number, Hindrance.UNKNOWN, reason)


def _blocked(partition: Partition, waiting: int) -> Finding:
    """Return what it means that acknowledged records cannot be read yet."""
    topic, number = partition
    reason = (
        f"{waiting} records of partition {number} of {topic} wait for the end of a transaction: see which producer "
        "leaves it open (kafka-transactions.sh find-hanging)."
    )
    return Finding(topic, number, Hindrance.BLOCKED, reason)
