"""What is written of the window, so that a process that starts goes on with it."""

import pytest

from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.window_copy import MAX_NOTES, StoredWindow, WindowCopy
from mesaya_ws.core.recovery.window_notes import moved_row, pair_row, rows_in, waiting_row
from mesaya_ws.core.state.entries import Entries
from tests.support.instance import a_window

TABLES, SECTIONS = Partition(topic_of("tables"), 0), Partition(topic_of("sections"), 0)
CHANNEL = "restaurant:r:tables"


class Instance:
    """A window, and its copy, as a feed uses them."""

    def __init__(self, seconds=300, max_bytes=1 << 20):
        self.cursor = Cursor()
        self.cursor.found({at: OffsetRange(0, 0, "id") for at in (TABLES, SECTIONS)})
        self.window = a_window(seconds, max_bytes)
        self.copy = WindowCopy(self.cursor, self.window)
        self.made_at = 0

    def publish(self, *offsets, partition=TABLES, frame=b"frame"):
        for offset in offsets:
            self.cursor.advance(partition, offset + 1)
            self.window.add(CHANNEL, partition, offset, self.made_at, frame)

    def commit(self, ahead=0):
        taken = self.copy.take(ahead)
        changes = taken.changes()
        self.copy.committed(taken, changes)
        return changes


def offsets(entries):
    return [each.offset for each in entries]


@pytest.fixture
def instance():
    return Instance()


def test_what_is_published_is_taken_once_with_serials_that_increase(instance):
    instance.publish(3, 4)
    assert instance.copy.pending == 2
    first = instance.commit()
    assert first.anew, "whatever a store may have had is not of this window"
    assert [(each.serial, each.offset, each.frame) for each in first.publications] == [
        (1, 3, b"frame"),
        (2, 4, b"frame"),
    ]
    instance.publish(5)
    second = instance.commit()
    assert not second.anew
    assert [each.serial for each in second.publications] == [3]
    assert list(instance.commit().publications) == []


def test_times_are_those_of_a_clock_that_another_process_has_too(instance):
    instance.made_at = 7
    instance.publish(0)
    assert [each.timestamp for each in instance.commit(ahead=1_000_000).publications] == [1_000_007]


def test_what_has_a_history_is_not_in_it(instance):
    instance.publish(0)
    instance.window.add("restaurant:r:reservations", TABLES, 1, 0, b"other")
    instance.publish(2)
    assert offsets(instance.commit().publications) == [0, 2]
    instance.window.add("restaurant:r:reservations", TABLES, 3, 0, b"other")
    assert offsets(instance.commit().publications) == []
    instance.publish(4)
    assert offsets(instance.commit().publications) == [4]


def test_what_has_left_the_window_is_forgotten_with_the_next_commit(instance):
    instance.publish(0, 1)
    assert instance.commit().keep_from == 1
    instance.made_at = 1000
    instance.publish(2)
    assert instance.commit().keep_from == 1
    instance.window.expire(300_500)
    assert instance.commit().keep_from == 3, "two of three have gone"
    instance.window.expire(400_000)
    assert instance.commit().keep_from == 4


def test_what_is_forgotten_of_a_commit_is_what_has_left_the_window_of_it(instance):
    instance.publish(*range(10))
    instance.commit()
    for _ in instance.window.clear():
        break
    instance.publish(10)
    assert instance.commit().keep_from <= 11, "never what the window has"


def test_floors_are_those_of_the_window(instance):
    instance.publish(0, 1)
    instance.window.raise_floor(SECTIONS, 5)
    instance.commit()
    assert instance.copy.floors() == {TABLES: 0, SECTIONS: 5}
    instance.window.expire(10**6)
    assert instance.copy.floors() == {TABLES: 2, SECTIONS: 5}


def test_what_cannot_be_committed_is_taken_again_before_what_came_since(instance):
    instance.publish(0)
    instance.copy.note(pair_row(CHANNEL, SECTIONS, 4, TABLES, 0))
    taken = instance.copy.take()
    instance.publish(1)
    again = instance.commit()
    assert offsets(again.publications) == [0, 1]
    assert [each.serial for each in again.publications] == [1, 2]
    assert list(again.notes) == list(taken.notes) == [1]
    assert again.anew
    assert instance.commit().notes == {}
    instance.window.expire(10**6)
    assert instance.commit().keep_from == 3


def test_what_has_left_the_window_before_it_could_be_committed_is_not_written():
    instance = Instance(max_bytes=3)
    for offset in range(5):
        instance.publish(offset, frame=b"x")
    assert instance.copy.pending == 3
    assert offsets(instance.commit().publications) == [2, 3, 4]
    assert instance.copy.floors()[TABLES] == 2
    assert instance.copy.pending == 0


def test_a_copy_that_begins_anew_promises_nothing_before(instance):
    instance.publish(0)
    instance.commit()
    instance.copy.note(pair_row(CHANNEL, SECTIONS, 4, TABLES, 0))
    instance.publish(1)
    instance.copy.restart()
    assert instance.copy.pending == 0
    instance.publish(2)
    changes = instance.commit()
    assert changes.anew
    assert (offsets(changes.publications), changes.notes) == ([2], {})
    assert instance.copy.floors()[TABLES] == 2
    assert offsets(instance.window.after(CHANNEL, {})) == [0, 1, 2], "memory has it all"


def test_a_copy_that_begins_anew_while_one_is_written_is_written_anew(instance):
    instance.publish(0)
    taken = instance.copy.take()
    instance.copy.restart()
    instance.copy.committed(taken, taken.changes())
    assert instance.commit().anew
    assert not instance.commit().anew


def test_notes_are_forgotten_when_they_matter_to_nobody_who_may_come(instance):
    instance.copy.note(pair_row(CHANNEL, SECTIONS, 4, TABLES, 0))
    instance.copy.note(moved_row(CHANNEL, SECTIONS, {SECTIONS: 3, TABLES: 2}))
    [(number, note)] = instance.commit().notes.items()
    assert len(rows_in(note)) == 2
    instance.window.raise_floor(SECTIONS, 5)
    assert instance.commit().notes == {}
    instance.window.raise_floor(TABLES, 2)
    assert instance.commit().notes == {number: None}
    assert instance.commit().notes == {}


def test_too_many_notes_are_forgotten_and_the_copy_promises_nothing_that_they_could_object_to(instance):
    for offset in range(MAX_NOTES + 2):
        instance.copy.note(waiting_row("reservation:r", {SECTIONS: offset}))
        last = instance.commit()
    assert last.notes[2] is None
    assert instance.copy.floors()[SECTIONS] == 2


def test_of_notes_that_were_forgotten_before_they_could_be_committed_nothing_is_to_be_written(instance):
    """As while the disk is full, which may last."""
    for offset in range(MAX_NOTES + 10):
        instance.copy.note(waiting_row("reservation:r", {SECTIONS: offset}))
        taken = instance.copy.take()
    assert len(taken.notes) == MAX_NOTES
    assert None not in taken.notes.values()
    changes = taken.changes()
    instance.copy.committed(taken, changes)
    instance.copy.note(waiting_row("reservation:r", {SECTIONS: 0}))
    assert list(instance.commit().notes.values()).count(None) == 1, "what was written is to be forgotten there"


def test_a_copy_that_is_gone_on_with_forgets_what_has_left_the_window_since(instance):
    instance.publish(0, 1)
    instance.copy.note(pair_row(CHANNEL, SECTIONS, 4, TABLES, 0))
    taken = instance.commit()
    notes = {number: rows_in(value) for number, value in taken.notes.items()}
    other = Instance()
    other.copy.begin(StoredWindow({TABLES: 0, SECTIONS: 0}, [taken.publications], notes))
    other.window.add(CHANNEL, TABLES, 0, 0, b"frame")
    other.window.add(CHANNEL, TABLES, 1, 0, b"frame")
    other.copy.loaded(2)
    other.publish(2)
    again = other.commit()
    assert not again.anew
    assert (again.publications.first, again.keep_from, again.notes) == (3, 1, {})
    other.window.expire(10**6)
    other.window.raise_floor(SECTIONS, 5)
    again = other.commit()
    assert again.keep_from == 4
    assert again.notes == {1: None}


def test_a_copy_of_which_nothing_is_left_goes_on_with_the_next_serial(instance):
    part = Entries(5, [CHANNEL, TABLES, 0, 0, b"frame"])
    instance.copy.begin(StoredWindow({TABLES: 1}, [part], {}))
    instance.copy.loaded(5)
    instance.publish(1)
    assert instance.commit().publications.first == 6
