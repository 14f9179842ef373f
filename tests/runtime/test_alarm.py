"""What is logged of a condition that lasts."""

from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.logs import get_logger


def alarm(ended="over"):
    return Alarm(get_logger("test"), "begun", ended)


def test_condition_that_lasts_is_logged_when_it_begins_and_when_it_ends(logged):
    condition = alarm()
    for reason in ("first", "second", "third"):
        condition.set(reason=reason)
    assert condition.is_raised
    condition.clear(after=3)
    condition.clear(after=4)
    assert not condition.is_raised
    assert [(entry["event"], entry["level"]) for entry in logged()] == [("begun", "warning"), ("over", "info")]
    assert (logged()[0]["reason"], logged()[1]["after"]) == ("first", 3)


def test_condition_that_begins_again_is_logged_again(logged):
    condition = alarm()
    for _ in range(2):
        condition.set()
        condition.clear()
    assert [entry["event"] for entry in logged()] == ["begun", "over"] * 2


def test_condition_that_never_held_is_not_logged(logged):
    alarm().clear()
    assert logged() == []


def test_alarm_without_a_sentence_for_the_end_logs_only_the_beginning(logged):
    condition = alarm(ended=None)
    condition.set()
    condition.clear()
    condition.set()
    assert [entry["event"] for entry in logged()] == ["begun", "begun"]
