from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of

MESSAGE = Message("global:announcements", "announcement.created", "", {})


def test_what_is_a_message_was_sent_and_what_is_none_has_a_reason():
    assert outcome_of([MESSAGE]) == Outcome([MESSAGE], Disposition.PUBLISHED)
    assert outcome_of([]) == Outcome([], Disposition.ORPHAN)
    assert outcome_of([], Disposition.UNPLACED).reason == Disposition.UNPLACED
    assert outcome_of([MESSAGE], Disposition.UNPLACED).reason == Disposition.PUBLISHED


def test_what_changes_for_channels_is_kept_though_nothing_is_sent():
    assert outcome_of([], reparented=iter(["restaurant:R:tables"])).reparented == ("restaurant:R:tables",)
