"""What comes along with the copy of the window: by what the positions of clients are checked, and what was taken back.

A note is a list of such rows. Each matters to positions that lie before certain places, and to no others. One note has
the last records that later ones may depend on (see `last_records`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.dependencies import Dependencies
from mesaya_ws.core.recovery.last_records import LastRecord
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.reparenting import Reparentings
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.core.wire.frames import payload_of, text_frame

Row = tuple[Any, ...]
"""Its kind, the name that it is about, and places: (topic, number, offset)."""

PAIR, MOVED, WAITING, REPLACED = "pair", "moved", "waiting", "replaced"
FLOORS, RECORD = "floors", "record"


def pair_row(channel: str, first: Partition, first_offset: int, second: Partition, second_offset: int) -> Row:
    """Return a row that a record depended on an earlier one (see `dependencies`)."""
    return PAIR, channel, (*first, first_offset), (*second, second_offset)


def moved_row(channel: str, partition: Partition, cut: Offsets) -> Row:
    """Return a row that the last record of `partition` in the `cut` changed what belongs to a channel."""
    return MOVED, channel, tuple(partition), tuple((*at, offset) for at, offset in cut.items())


def waiting_row(name: str, places: Offsets) -> Row:
    """Return a row that records wait for a parent of that name."""
    return WAITING, name, tuple((*at, offset) for at, offset in places.items())


def replaced_row(channel: str, partition: Partition, offset: int, frame: bytes) -> Row:
    """Return a row that what was published of a record is another frame now."""
    return REPLACED, channel, (*partition, offset), payload_of(frame).decode()


def last_rows(floors: Offsets, records: Iterable[LastRecord]) -> list[Row]:
    """Return the rows of the last records; of those before the `floors`, there are none."""
    places = tuple((*at, offset) for at, offset in floors.items())
    return [(FLOORS, "", places), *((RECORD, name, what, (*at, offset)) for what, name, at, offset in records)]


def last_in(rows: Iterable[Row]) -> tuple[Offsets, list[LastRecord]]:
    """Return the floors in such rows, and the records."""
    floors: Offsets = {}
    records: list[LastRecord] = []
    for row in rows:
        match row:
            case ("floors", _, places):
                floors = _places(places)
            case ("record", name, what, (topic, number, offset)):
                records.append((what, name, Partition(topic, number), offset))
    return floors, records


def places_of(row: Row) -> Offsets:
    """Return the places before which a position must lie for a row to matter, in one of these partitions."""
    match row:
        case ("pair", _, (topic, number, offset), _) | ("replaced", _, (topic, number, offset), _):
            return {Partition(topic, number): offset + 1}
        case ("moved", _, _, cut):
            return _places(cut)
        case ("waiting", _, places):
            return {at: offset + 1 for at, offset in _places(places).items()}
        case ("floors", _, _) | ("record", _, _, (_, _, _)):
            return {}
    raise CorruptStateError("The state holds a note that cannot be read.")


def encoded(rows: Iterable[Row]) -> bytes:
    """Return a note as the store has it."""
    return orjson.dumps(list(rows))


def rows_in(value: bytes) -> list[Row]:
    """Return the rows of a note. Raises `CorruptStateError`."""
    try:
        rows = [tuple(row) for row in orjson.loads(value)]
        for row in rows:
            places_of(row)
    except (orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise CorruptStateError("The state holds a note that cannot be read.") from error
    return rows


def apply_rows(
    rows: Iterable[Row], dependencies: Dependencies, reparentings: Reparentings, window: Window
) -> Iterator[None]:
    """Have positions checked as when these rows were written; yields after each."""
    for row in rows:
        match row:
            case ("pair", channel, (topic, number, offset), (second, its_number, its_offset)):
                dependencies.load_pair(
                    channel, Partition(topic, number), offset, Partition(second, its_number), its_offset
                )
            case ("moved", name, (topic, number), cut):
                if (channel := parse_channel(name)) is not None:
                    reparentings.load(channel, Partition(topic, number), _places(cut))
            case ("waiting", name, places):
                dependencies.load_waiting(name, _places(places))
            case ("replaced", channel, (topic, number, offset), text):
                window.replace(channel, Partition(topic, number), offset, text_frame(text.encode()))
        yield


def _places(places: Iterable[tuple[str, int, int]]) -> Mapping[Partition, int]:
    return {Partition(topic, number): offset for topic, number, offset in places}
