"""Of which records the state of an entity is made; so a record that comes late changes only what is older than itself.

With several partitions and no keys, records of one entity arrive in any order. Its state is what they say in the order
of (timestamp, partition, offset), whatever the order in which they came: for each field, the latest that has it.
Within a partition the order never changes; where a producer's clock stepped back, the time stands still.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

At = tuple[int, int, int]
"""A record of one topic: its timestamp (ms since the epoch), partition and offset. Their order is that of records."""

NEVER: At = (-(2**63), -1, -1)
"""Before all records: what the platform's API says fills in what no record has said."""

Names = frozenset[str]
"""Names of fields."""

_NO_NAMES: Names = frozenset()
_SHAPES = 1024
_LARGEST_SHAPE = 64
_shared: dict[Names, Names] = {}


class Mixed:
    """The provenance of a state that is made of more than one record, or of a part of one.

    Each field is as the latest of these has it: the record `newest`, in the fields `names`; the records `earlier`, the
    latest one first, each in the fields that none after it has; and the whole record `base` (or the end of the entity,
    or `NEVER`) in all others. `others` are the partitions that have records of the entity beside that of `newest`, each
    with the latest timestamp of these.

    Many entities are made of one whole record and one update: so these take no dictionary. None is ever changed.
    """

    __slots__ = ("base", "earlier", "names", "newest", "others")

    def __init__(
        self,
        base: At,
        newest: At,
        names: Names = _NO_NAMES,
        earlier: tuple[tuple[At, Names], ...] = (),
        others: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.base = base
        self.newest = newest
        self.names = names
        self.earlier = earlier
        self.others = others

    def fields(self) -> dict[str, At]:
        """Return the record that each field is of, but for those of `base`."""
        fields = dict.fromkeys(self.names, self.newest)
        for at, names in self.earlier:
            fields.update(dict.fromkeys(names, at))
        return fields

    def times(self) -> dict[int, int]:
        """Return the latest timestamp of every partition that has records of the entity."""
        times = dict(self.others)
        if self.newest != NEVER:
            times[self.newest[1]] = self.newest[0]
        return times


Provenance = At | Mixed
"""Of an entity that is made of a single whole record, which nearly all are, that record alone."""


def mixed(base: At, fields: Mapping[str, At], newest: At, times: Mapping[int, int]) -> Mixed:
    """Return the provenance of a state whose `fields` are of these records, and all others of `base`."""
    layers: dict[At, list[str]] = {}
    for name, at in fields.items():
        layers.setdefault(at, []).append(name)
    names = shared(frozenset(layers.pop(newest, ())))
    earlier = tuple((at, shared(frozenset(layers[at]))) for at in sorted(layers, reverse=True))
    others = tuple((partition, time) for partition, time in times.items() if partition != newest[1])
    return Mixed(base, newest, names, earlier, others)


def shared(names: Names) -> Names:
    """Return the one copy of such names that all entities with these share."""
    known = _shared.get(names)
    if known is not None:
        return known
    if len(names) <= _LARGEST_SHAPE:
        if len(_shared) >= _SHAPES:
            _shared.clear()
        _shared[names] = names
    return names


def newest(provenance: Provenance) -> At:
    """Return the latest of the records of which a state is made."""
    return provenance.newest if isinstance(provenance, Mixed) else provenance


def record_of(provenance: Provenance, field: str) -> At:
    """Return the record that `field` is of, as it stands."""
    if not isinstance(provenance, Mixed):
        return provenance
    if field in provenance.names:
        return provenance.newest
    return next((at for at, names in provenance.earlier if field in names), provenance.base)


def in_order(at: At, provenance: Provenance | None) -> At:
    """Return `at` with a timestamp that is not before that of an earlier record of the entity in its own partition."""
    if provenance is None:
        return at
    latest = provenance.newest if isinstance(provenance, Mixed) else provenance
    if latest[1] == at[1]:
        last = latest[0]
    else:
        last = dict(provenance.others).get(at[1], at[0]) if isinstance(provenance, Mixed) else at[0]
    return at if last <= at[0] else (last, at[1], at[2])


def superseded(provenance: Provenance, at: At) -> Provenance | None:
    """Return of what a state is made after a whole record `at` a place that is the latest; None if it is not so sure.

    So are nearly all records: of all that was before, only the times stay.
    """
    timestamp, partition, offset = at
    if isinstance(provenance, tuple):
        last, other, _ = provenance
        if other == partition:
            return at if last <= timestamp else (last, partition, offset)
        return Mixed(at, at, others=((other, last),)) if provenance < at else None
    if (others := _others_after(provenance, at)) is None:
        return None
    if not others:
        return at
    return Mixed(at, at, _NO_NAMES, (), others)


def updated(provenance: Provenance, at: At, names: Names) -> Mixed | None:
    """Return of what a state is made after a record `at` a place that is the latest has only the fields `names`.

    None if it is not so sure that it is.
    """
    if isinstance(provenance, tuple):
        last, other, _ = provenance
        if at < provenance:
            return None
        return Mixed(provenance, at, names, (), () if other == at[1] else ((other, last),))
    if (others := _others_after(provenance, at)) is None:
        return None
    earlier = provenance.earlier
    if provenance.names is not names or earlier:
        layers = ((provenance.newest, provenance.names), *earlier)
        earlier = tuple((at, shared(left)) for at, known in layers if (left := known - names))
    return Mixed(provenance.base, at, names, earlier, others)


def _others_after(provenance: Mixed, at: At) -> tuple[tuple[int, int], ...] | None:
    """Return the `Mixed.others` after a record `at` a place; None where it is not the latest."""
    latest, partition = provenance.newest, at[1]
    if at < latest:
        return None
    others = provenance.others
    if latest[1] == partition or latest == NEVER:
        return others
    # No other partition has a time that is after that of the newest record.
    return *(other for other in others if other[0] != partition), (latest[1], latest[0])


def merge(
    provenance: Provenance | None,
    known: dict[str, Any],
    at: At,
    given: dict[str, Any],
    unknown: Iterable[str],
    *,
    is_whole: bool,
) -> tuple[dict[str, Any], Provenance]:
    """Return the state, and of what it is made, after a record `at` a place: its fields are `given`, none `unknown`.

    A whole record has all fields: those that it leaves out have no value.
    """
    times = _times(provenance)
    times[at[1]] = at[0]
    if provenance is None:
        if is_whole:
            return given, at
        return given, mixed(NEVER, dict.fromkeys((*given, *unknown), at), at, times)
    latest = newest(provenance)
    if is_whole and at >= latest:
        return given, at if len(times) == 1 else mixed(at, {}, at, times)
    base, fields = (provenance.base, provenance.fields()) if isinstance(provenance, Mixed) else (provenance, {})
    latest = max(latest, at)
    if at < base:
        return known, mixed(base, fields, latest, times)
    if is_whole:
        fields = {name: when for name, when in fields.items() if when > at}
        data = {name: value for name, value in given.items() if name not in fields}
        return data | _only(known, fields), mixed(at, fields, latest, times)
    data = dict(known)
    for name in (*given, *unknown):
        if fields.get(name, base) <= at:
            fields[name] = at
            if name in given:
                data[name] = given[name]
            else:
                data.pop(name, None)
    return data, mixed(base, fields, latest, times)


def after_end(provenance: Mixed, known: dict[str, Any], time: int) -> tuple[dict[str, Any], Mixed]:
    """Return the state, and of what it is made, when an entity with later records ended at `time`, without a record."""
    end = time, sys.maxsize, sys.maxsize
    if end < provenance.base:
        return known, provenance
    fields = {name: at for name, at in provenance.fields().items() if at > end}
    return _only(known, fields), mixed(end, fields, provenance.newest, provenance.times())


def _only(known: dict[str, Any], fields: Mapping[str, At]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name in fields}


def _times(provenance: Provenance | None) -> dict[int, int]:
    if provenance is None:
        return {}
    if isinstance(provenance, Mixed):
        return provenance.times()
    return {} if provenance == NEVER else {provenance[1]: provenance[0]}
