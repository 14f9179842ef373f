"""The example of the module, and what the rules make of each of its rows."""

import re

import pytest

from mesaya_ws.core.access.channels import parse_channel
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.recovery import reparenting
from mesaya_ws.core.recovery.position import Cursor
from mesaya_ws.core.recovery.reparenting import Reparentings

SECTIONS, TABLES = (Partition(topic_of(domain), 0) for domain in ("sections", "tables"))
CHANNEL = parse_channel("restaurant:R:tables")
ROWS = re.findall(r"^    \[(\d), (\d)\] +(yes|no) .*?(inconsistent|consistent)", reparenting.__doc__, re.MULTILINE)


@pytest.fixture
def reparentings():
    """What has changed when a section moved, in the record sections 4, after tables 0 to 5 had been taken."""
    cursor = Cursor()
    cursor.found({partition: OffsetRange(0, 9, "id") for partition in (SECTIONS, TABLES)})
    cursor.advance(TABLES, 6)
    cursor.advance(SECTIONS, 5)
    reparentings = Reparentings()
    reparentings.changed(CHANNEL, SECTIONS, cursor)
    return reparentings


@pytest.mark.parametrize(("sections", "tables", "holds_the_move", "verdict"), ROWS)
def test_position_around_a_move_is_what_the_example_says(reparentings, sections, tables, holds_the_move, verdict):
    position = {SECTIONS: int(sections), TABLES: int(tables)}
    assert reparentings.clean(CHANNEL, position) == (verdict == "consistent")
    assert (holds_the_move == "yes") == (int(sections) > 4)


def test_example_has_positions_of_every_sort():
    assert [verdict for *_, verdict in ROWS] == 4 * ["consistent"] + 2 * ["inconsistent"]
