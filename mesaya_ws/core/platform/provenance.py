"""Of which records the state of an entity is made; so a record that comes late changes only what is older than itself.

With several partitions and no keys, records of one entity arrive in any order. Its state is what they say in the order
of (timestamp, partition, offset), whatever the order in which they came: for each field, the latest that tells of it.
Within a partition the order never changes; where a producer's clock stepped back, the time stands still.
"""

from collections.abc import Iterable
from typing import Any

At = tuple[int, int, int]
"""A record of one topic: its timestamp (ms since the epoch), partition and offset. Their order is that of records."""

NEVER: At = (-(2**63), -1, -1)
"""Before all records: what the platform's API tells fills in what no record has told."""


class Mixed:
    """The provenance of a state that more than one record tells of, or only a part of.

    All fields are as the record `base` had it, which was whole (or the end of the entity, or `NEVER`), but for those in
    `fields`, which later records told. `times` holds the latest timestamp of every partition that told of the entity.
    """

    __slots__ = ("base", "fields", "newest", "times")

    def __init__(self, base: At, fields: dict[str, At], newest: At, times: dict[int, int]) -> None:
        self.base = base
        self.fields = fields
        self.newest = newest
        self.times = times


Provenance = At | Mixed
"""Of an entity that a single whole record tells of, which nearly all are, that record alone."""


def newest(provenance: Provenance) -> At:
    """Return the latest of the records of which a state is made."""
    return provenance.newest if isinstance(provenance, Mixed) else provenance


def told_at(provenance: Provenance, field: str) -> At:
    """Return the record that told of `field` as it stands."""
    return provenance.fields.get(field, provenance.base) if isinstance(provenance, Mixed) else provenance


def in_order(at: At, provenance: Provenance | None) -> At:
    """Return `at` with a timestamp that is not before that of what its own partition told of the entity earlier."""
    if provenance is None:
        return at
    if isinstance(provenance, Mixed):
        last = provenance.times.get(at[1], at[0])
    else:
        last = provenance[0] if provenance[1] == at[1] else at[0]
    return at if last <= at[0] else (last, at[1], at[2])


def superseded(provenance: Provenance, at: At) -> Provenance | None:
    """Return of what a state is made after a whole record `at` a place that is the latest; None if it is not so sure.

    So are nearly all records: of all that was told before, only the times stay.
    """
    timestamp, partition, offset = at
    if isinstance(provenance, tuple):
        last, other, _ = provenance
        if other == partition:
            return at if last <= timestamp else (last, partition, offset)
        return Mixed(at, {}, at, {partition: timestamp, other: last}) if provenance < at else None
    times = provenance.times
    if at < provenance.newest or times.get(partition, timestamp) > timestamp:
        return None
    if len(times) == (partition in times):
        return at
    times[partition] = timestamp
    provenance.base = provenance.newest = at
    if provenance.fields:
        provenance.fields = {}
    return provenance


def merge(
    provenance: Provenance | None,
    known: dict[str, Any],
    at: At,
    told: dict[str, Any],
    unknown: Iterable[str],
    *,
    is_whole: bool,
) -> tuple[dict[str, Any], Provenance]:
    """Return the state, and of what it is made, when a record `at` a place tells `told`, and nothing of the `unknown`.

    A whole record tells of all fields: those that it leaves out have no value.
    """
    if provenance is None or (is_whole and at >= newest(provenance)):
        times = {at[1]: at[0]} if not isinstance(provenance, Mixed) else provenance.times | {at[1]: at[0]}
        if isinstance(provenance, tuple) and provenance[1] != at[1]:
            times[provenance[1]] = provenance[0]
        if is_whole:
            return told, at if len(times) == 1 else Mixed(at, {}, at, times)
        return told, Mixed(NEVER, dict.fromkeys((*told, *unknown), at), at, times)
    mixed = (
        provenance
        if isinstance(provenance, Mixed)
        else Mixed(provenance, {}, provenance, {provenance[1]: provenance[0]})
    )
    mixed.times[at[1]] = at[0]
    mixed.newest = max(mixed.newest, at)
    base, fields = mixed.base, mixed.fields
    if at < base:
        return known, mixed
    if is_whole:
        mixed.base, mixed.fields = at, {name: when for name, when in fields.items() if when > at}
        data = {name: value for name, value in told.items() if name not in mixed.fields}
        return data | {name: known[name] for name in mixed.fields if name in known}, mixed
    data = dict(known)
    for name in (*told, *unknown):
        if fields.get(name, base) <= at:
            fields[name] = at
            if name in told:
                data[name] = told[name]
            else:
                data.pop(name, None)
    return data, mixed
