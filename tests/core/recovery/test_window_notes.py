"""The notes that come along with the copy of the window."""

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery.dependencies import Dependencies
from mesaya_ws.core.recovery.reparenting import Reparentings
from mesaya_ws.core.recovery.window_notes import (
    apply_rows,
    encoded,
    moved_row,
    pair_row,
    places_of,
    replaced_row,
    rows_in,
    waiting_row,
)
from mesaya_ws.core.state.interface import CorruptStateError
from mesaya_ws.core.wire.frames import text_frame
from tests.support.instance import a_window

TABLES, SECTIONS = Partition(topic_of("tables"), 0), Partition(topic_of("sections"), 0)
PLAN = parse_channel("restaurant:r:tables")
PAIR = pair_row(PLAN.name, SECTIONS, 4, TABLES, 7)
MOVED = moved_row(PLAN.name, SECTIONS, {SECTIONS: 5, TABLES: 6})
WAITING = waiting_row("section:s", {TABLES: 3})
REPLACED = replaced_row(PLAN.name, TABLES, 2, text_frame(b"{}"))


class Instance:
    def __init__(self):
        self.window = a_window()
        self.dependencies, self.reparentings = Dependencies(self.window), Reparentings()

    def apply(self, *rows):
        read = rows_in(encoded(rows))
        assert len(list(apply_rows(read, self.dependencies, self.reparentings, self.window))) == len(rows)
        return self


def test_a_row_matters_to_positions_before_its_places():
    assert places_of(PAIR) == {SECTIONS: 5}
    assert places_of(MOVED) == {SECTIONS: 5, TABLES: 6}
    assert places_of(WAITING) == {TABLES: 4}
    assert places_of(REPLACED) == {TABLES: 3}


def test_positions_are_checked_as_when_it_was_written():
    instance = Instance().apply(PAIR, MOVED)
    assert instance.dependencies.clean(PLAN, {SECTIONS: 5, TABLES: 8})
    assert not instance.dependencies.clean(PLAN, {SECTIONS: 4, TABLES: 8})
    assert instance.reparentings.clean(PLAN, {SECTIONS: 4, TABLES: 6})
    assert not instance.reparentings.clean(PLAN, {SECTIONS: 5, TABLES: 5})


def test_what_was_taken_back_is_another_frame_again():
    instance = Instance()
    instance.window.add(PLAN.name, TABLES, 2, 0, text_frame(b'{"text":"secret"}'))
    instance.window.add(PLAN.name, TABLES, 3, 0, text_frame(b"[]"))
    instance.apply(REPLACED, replaced_row(PLAN.name, TABLES, 9, text_frame(b"gone")))
    assert [each.frame for each in instance.window.after(PLAN.name, {})] == [text_frame(b"{}"), text_frame(b"[]")]
    assert instance.window.bytes == len(text_frame(b"{}")) + len(text_frame(b"[]"))


@pytest.mark.parametrize("value", [b"", b"{", b"1", b"[1]", b'[["other","x"]]', b'[["pair","c",[1],[2]]]'])
def test_a_note_that_cannot_be_read_is_noticed(value):
    with pytest.raises(CorruptStateError):
        rows_in(value)
