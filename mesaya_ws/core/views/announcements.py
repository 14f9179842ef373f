"""Announcements: their records, and what `global:announcements` shows."""

from mesaya_ws.core.platform.change import After, Before
from mesaya_ws.core.platform.envelope import Event
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.views.contents import LATEST, ChannelState, View
from mesaya_ws.core.views.status import message_type


def announcement_rule(event: Event, before: Before, after: After, _: Projections) -> Outcome:
    """Return what an announcement says to everybody."""
    if after.is_late and not after.exists:
        return outcome_of(())
    what = message_type(event, before, after)
    return outcome_of([Message("global:announcements", what, event.timestamp, after.data)])


def announcements_state(view: View) -> ChannelState:
    """Return the latest announcements, the latest one last."""
    return {"announcements": view.projections.latest_announcements(LATEST)}
