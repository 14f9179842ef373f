"""What followers receive of a log that does not answer."""

from mesaya_ws.core.log.events import Available, Unavailable
from mesaya_ws.eventlog.availability import Availability


def test_outage_is_delivered_when_it_begins_when_its_reason_changes_and_when_it_ends():
    availability = Availability()
    changed = [availability.changes(trouble) for trouble in (None, "locked", "locked", "full", None, None, "gone")]
    assert changed == [[], [Unavailable("locked")], [], [Unavailable("full")], [Available()], [], [Unavailable("gone")]]
