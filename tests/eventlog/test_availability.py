"""What followers hear of a log that does not answer."""

from mesaya_ws.core.log.events import Available, Unavailable
from mesaya_ws.eventlog.availability import Availability


def test_outage_is_delivered_once_with_its_first_reason_and_once_when_it_ends():
    availability = Availability()
    told = [availability.changes(trouble) for trouble in (None, "locked", "full", None, None, "gone")]
    assert told == [[], [Unavailable("locked")], [], [Available()], [], [Unavailable("gone")]]
    assert availability.is_down
