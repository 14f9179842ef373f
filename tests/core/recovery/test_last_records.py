"""The last records that later ones may depend on, for a process that starts."""

from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.last_records import KNOWN, LAST, LastRecords
from mesaya_ws.core.recovery.window_notes import encoded, last_in, last_rows, rows_in

ONE, OTHER = Partition("one", 0), Partition("other", 2)
RECORDS = [(KNOWN, "section:s", ONE, 3), (LAST, "table:t", OTHER, 5), (KNOWN, "section:u", ONE, 4)]


def some(remembered=10):
    last = LastRecords(remembered)
    for record in RECORDS:
        last.add(record)
    return last


def test_they_have_changed_until_they_are_taken():
    last = some()
    assert last.changed
    assert last.take() == RECORDS
    assert not last.changed


def test_of_what_is_too_much_it_is_known_up_to_where_it_was():
    last = some(remembered=1)
    assert last.take() == RECORDS[-1:]
    assert last.floors == {ONE: 4, OTHER: 6}


def test_few_more_are_in_memory_than_are_kept():
    last = LastRecords(10)
    for offset in range(1000):
        last.add((LAST, "table:t", (ONE, OTHER)[offset % 2], offset))
        assert len(last._records) <= 30
        assert last.floors == {} or max(last.floors.values()) + len(last._records) == offset + 1
    assert [offset for _, _, _, offset in last.take()] == list(range(990, 1000))
    assert last.floors == {ONE: 989, OTHER: 990}


def test_another_process_begins_with_what_was_written():
    last, other = some(remembered=2), LastRecords()
    other.load(*last_in(rows_in(encoded(last_rows(last.floors, last.take())))))
    assert other.begin({ONE: 9, OTHER: 9}) == {ONE: 4}
    assert other.take() == RECORDS[1:]


def test_where_nothing_was_written_nothing_is_known_of_what_came_before():
    assert LastRecords().begin({ONE: 9, OTHER: 9}) == {ONE: 9, OTHER: 9}


def test_who_begins_anew_has_none():
    last = some(remembered=1)
    last.restart()
    assert (last.take(), last.floors) == ([], {})
