"""How the window is filled from its copy at the start."""

from mesaya_ws.core.log.records import OffsetRange, Partition, PartitionPosition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.coverage import Coverage, Cut
from mesaya_ws.core.recovery.history import History, Retention
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.window_copy import StoredWindow
from mesaya_ws.core.recovery.window_filling import FILLED_AT_ONCE, fill
from mesaya_ws.core.recovery.window_notes import pair_row
from mesaya_ws.core.state.entries import Entries
from tests.support.instance import a_window

TABLES, SECTIONS = Partition(topic_of("tables"), 0), Partition(topic_of("sections"), 0)
CHANNEL = "restaurant:r:tables"
NOW, STEADY = 1_800_000_000_000, 5_000_000


def published(first, *places):
    """Return publications of such offsets, made so many seconds ago."""
    flat = [each for offset, ago in places for each in (CHANNEL, TABLES, offset, NOW - ago * 1000, b"%d" % offset)]
    return Entries(first, flat)


class Instance:
    def __init__(self, stored, seconds=300, max_bytes=1 << 20):
        self.cursor, self.window = Cursor(), a_window(seconds, max_bytes)
        self.history = History(Retention(1, 1 << 20), self.cursor, self.window)
        self.coverage = Coverage(self.cursor, self.window, self.history)
        places = {at: PartitionPosition("id", 1_000_000, None) for at in (TABLES, SECTIONS)}
        self.coverage.begin(Cut(places, NOW, frozenset()), stored.floors)
        self.cursor.found({at: OffsetRange(0, 1_000_000, "id") for at in places})
        filling = fill(self.window, self.history.window_copy, self.coverage, stored, NOW, STEADY)
        self.steps = sum(1 for _ in filling)

    def offsets(self):
        return [each.offset for each in self.window.after(CHANNEL, {})]


def test_the_window_has_what_it_had_and_promises_the_same():
    instance = Instance(StoredWindow({TABLES: 4, SECTIONS: 7}, [published(9, (3, 20), (4, 10), (6, 5))], {}))
    assert instance.offsets() == [4, 6], "the first one had left it"
    assert instance.window.holds([TABLES, SECTIONS], {TABLES: 4, SECTIONS: 7})
    assert not instance.window.holds([TABLES], {TABLES: 3})
    assert not instance.window.holds([SECTIONS], {SECTIONS: 6})


def test_what_is_too_old_by_now_is_left_out_and_not_promised():
    instance = Instance(StoredWindow({TABLES: 0}, [published(1, (3, 301), (4, 299))], {}))
    assert instance.offsets() == [4]
    assert instance.window.floor(TABLES) == 4
    assert not instance.window.expire(STEADY + 1000)
    assert not instance.window.expire(STEADY + 1001)
    assert instance.offsets() == [], "it is as old as it was"


def test_a_clock_that_was_set_back_makes_nothing_younger_than_now():
    instance = Instance(StoredWindow({TABLES: 0}, [published(1, (3, -10_000))], {}))
    assert instance.offsets() == [3]
    instance.window.expire(STEADY + 300_001)
    assert instance.offsets() == []


def test_a_smaller_window_has_the_last_of_it():
    instance = Instance(StoredWindow({TABLES: 0}, [published(1, (10, 3), (11, 2), (12, 1))], {}), max_bytes=4)
    assert instance.offsets() == [11, 12]
    assert instance.window.floor(TABLES) == 11


def test_it_is_filled_in_pieces_and_so_are_notes():
    parts = [published(1 + 100 * part, *((100 * part + at, 1) for at in range(100))) for part in range(35)]
    rows = [pair_row(CHANNEL, SECTIONS, at, TABLES, at) for at in range(2 * FILLED_AT_ONCE)]
    instance = Instance(StoredWindow({TABLES: 0, SECTIONS: 0}, parts, {1: rows}))
    assert len(instance.window) == 3500
    assert instance.steps >= 5
    assert instance.history.window_copy.take().first == 3501
