"""What followers receive of a log that does not answer."""

from mesaya_ws.core.log.events import Available, Unavailable
from mesaya_ws.core.log.interface import LogUnavailableError
from mesaya_ws.eventlog.availability import Availability, when_available


def test_outage_is_delivered_when_it_begins_when_its_reason_changes_and_when_it_ends():
    availability = Availability()
    changed = [availability.changes(trouble) for trouble in (None, "locked", "locked", "full", None, None, "gone")]
    assert changed == [[], [Unavailable("locked")], [], [Unavailable("full")], [Available()], [], [Unavailable("gone")]]


async def test_what_is_read_is_returned_once_the_log_answers_and_the_outage_is_delivered_meanwhile(autojump_clock):
    answers, events = [LogUnavailableError("locked"), LogUnavailableError("locked"), "read"], []

    async def read():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def deliver(event):
        events.append((len(answers), event))

    assert await when_available(read, deliver) == "read"
    assert events == [(2, Unavailable("locked")), (0, Available())]
