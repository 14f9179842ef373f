"""Records that are appended and are to be read back: whether the feed has processed them since their append began.

They are known by what they say, and not by their offsets alone. A log that has lost its end, and a topic that was
created again, give out offsets again: the feed may have processed what was there before, and know nothing of the loss.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from mesaya_ws.core.log.records import Appended, NewRecord, Record, TooLarge


@define(eq=False)
class ReadBack:
    """Where, by partition and offset, records have been processed that say what one says that is being appended."""

    _places: set[tuple[int, int]] = field(factory=set)

    def note(self, record: Record) -> None:
        """Note that such a record has been processed."""
        self._places.add((record.partition, record.offset))

    def has(self, place: Appended) -> bool:
        """Return whether it has been processed where the log has put it."""
        return (place.partition, place.offset) in self._places


class ReadBacks:
    """All records that are being appended."""

    def __init__(self) -> None:
        self._expected: dict[NewRecord, list[ReadBack]] = {}

    @contextmanager
    def expect(self, record: NewRecord) -> Iterator[ReadBack]:
        """Note for the time of the context whether a record has been processed; it begins before the append does."""
        read_back = ReadBack()
        self._expected.setdefault(record, []).append(read_back)
        try:
            yield read_back
        finally:
            waiting = self._expected[record]
            waiting.remove(read_back)
            if not waiting:
                del self._expected[record]

    def on_record(self, record: Record) -> None:
        """Take note of a record that has been processed."""
        if self._expected and not isinstance(record.value, TooLarge):
            for read_back in self._expected.get(NewRecord(record.topic, record.value, record.key), ()):
                read_back.note(record)
