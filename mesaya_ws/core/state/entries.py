"""What is appended to the state store in one commit: publications, column by column, and then marks.

A commit has thousands of publications. As columns they are a few lists, which the garbage collector passes over at
once, and of which each value goes where it belongs without a call for each publication.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mesaya_ws.core.log.records import Partition


class StoredPublication(NamedTuple):
    """A frame that was published on a channel, and the record that it was made of (see `recovery.window`).

    `serial` counts all entries of the store since it began. `timestamp` is the record's (ms since the epoch).
    """

    channel: str
    serial: int
    partition: Partition
    offset: int
    timestamp: int
    frame: bytes


class StoredPair(NamedTuple):
    """Two records, of which the second depended on the first where a channel was concerned (see `dependencies`)."""

    channel: str
    serial: int
    first: Partition
    first_offset: int
    second: Partition
    second_offset: int
    timestamp: int


class StoredNote(NamedTuple):
    """Anything else that belongs to a channel, or with an empty name to none, and is forgotten with its time."""

    channel: str
    serial: int
    timestamp: int
    value: bytes


Mark = StoredPair | StoredNote
Entry = StoredPublication | Mark

COLUMNS = 5


class Entries:
    """Entries whose serials begin with `first`, without a hole: publications, and after them `marks`.

    `flat` has the `COLUMNS` of each publication, one publication after the other: channel, partition, offset,
    timestamp, frame. The serials that marks come with are replaced. To iterate yields every entry.
    """

    def __init__(self, first: int = 1, flat: Sequence[Any] = (), marks: Iterable[Mark] = ()) -> None:
        self.first = first
        self.flat = flat
        self.published = len(flat) // COLUMNS
        self.marks = [mark._replace(serial=serial) for serial, mark in enumerate(marks, first + self.published)]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Entries":
        """Return entries that are in their order already. Raises `ValueError` when they are not."""
        given = list(entries)
        flat: list[Any] = []
        for each in given:
            if isinstance(each, StoredPublication):
                flat += (each.channel, each.partition, each.offset, each.timestamp, each.frame)
        made = cls(
            given[0].serial if given else 1, flat, [mark for mark in given if not isinstance(mark, StoredPublication)]
        )
        if list(made) != given:
            raise ValueError("serials of entries have no holes, and publications come before marks")
        return made

    def __len__(self) -> int:
        return self.published + len(self.marks)

    def __iter__(self) -> Iterator[Entry]:
        columns = [self.flat[column::COLUMNS] for column in range(COLUMNS)]
        for serial, (channel, partition, offset, timestamp, frame) in enumerate(zip(*columns, strict=True), self.first):
            yield StoredPublication(channel, serial, partition, offset, timestamp, frame)
        yield from self.marks

    @property
    def frames(self) -> Sequence[bytes]:
        """The frames of all publications."""
        return self.flat[COLUMNS - 1 :: COLUMNS]

    @property
    def last(self) -> int:
        """The serial of the last entry; without any, the one before `first`."""
        return self.first + len(self) - 1
