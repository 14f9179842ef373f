import pytest

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.state.entries import Entries, StoredNote, StoredPublication

A = Partition("a", 0)


def test_serials_are_consecutive_and_marks_come_after_publications():
    entries = Entries(5, ["c", A, 1, 7, b"one", "d", A, 2, 8, b"two"], [StoredNote("c", 0, 9, b"note")])
    assert list(entries) == [
        StoredPublication("c", 5, A, 1, 7, b"one"),
        StoredPublication("d", 6, A, 2, 8, b"two"),
        StoredNote("c", 7, 9, b"note"),
    ]
    assert (len(entries), entries.last, entries.frames) == (3, 7, [b"one", b"two"])
    assert list(Entries.of(entries)) == list(entries)


def test_without_any_the_last_serial_is_the_one_before():
    assert (len(Entries(5)), Entries(5).last) == (0, 4)


@pytest.mark.parametrize(
    "given",
    [
        [StoredNote("", 1, 0, b""), StoredPublication("c", 2, A, 1, 0, b"")],
        [StoredPublication("c", 1, A, 1, 0, b""), StoredPublication("c", 3, A, 2, 0, b"")],
    ],
)
def test_entries_in_another_order_or_with_holes_are_refused(given):
    with pytest.raises(ValueError, match="no holes"):
        Entries.of(given)
