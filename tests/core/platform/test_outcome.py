from mesaya_ws.core.platform.envelope import Reason
from mesaya_ws.core.platform.outcome import Message, Outcome, outcome_of

MESSAGE = Message("global:announcements", "announcement.created", "", {})


def test_what_is_a_message_was_sent_and_what_is_none_has_a_reason():
    assert outcome_of([MESSAGE]) == Outcome([MESSAGE], Reason.PUBLISHED)
    assert outcome_of([]) == Outcome([], Reason.ORPHAN)
    assert outcome_of([], Reason.UNPLACED).reason == Reason.UNPLACED
    assert outcome_of([MESSAGE], Reason.UNPLACED).reason == Reason.PUBLISHED


def test_what_changes_for_channels_is_kept_though_nothing_is_sent():
    assert outcome_of([], reparented=iter(["restaurant:R:tables"])).reparented == ("restaurant:R:tables",)
