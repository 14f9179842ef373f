import pytest

from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.runtime.readiness import STATES, Status

READING = "The history in the event log is still being read."
LEAVING = "This instance is going away."
OUTAGE = "The event log does not answer: nobody is there."


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        ({}, [READING]),
        ({"caught_up": True}, []),
        ({"caught_up": True, "draining": True}, [LEAVING]),
        ({"outage": "nobody is there."}, [OUTAGE]),
        ({"caught_up": True, "outage": "nobody is there."}, [OUTAGE]),
        ({"outage": "nobody is there.", "draining": True}, [LEAVING, OUTAGE]),
        ({"draining": True}, [LEAVING, READING]),
    ],
)
def test_why_an_instance_is_not_ready(status, reasons):
    assert Status(**status).reasons == reasons


MENUS = Trouble("mesa-ya.menus.events", 0, Hindrance.UNKNOWN, 1_800_000_000, "No leader.")
MISSING = Trouble("mesa-ya.images.events", None, Hindrance.ABSENT, 1_800_000_000, "No topic.")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"caught_up": False}, "starting"),
        ({"caught_up": False, "outage": "nobody is there."}, "starting"),
        ({"draining": True}, "draining"),
        ({"full": "MAX_CONNECTIONS"}, "full"),
        ({"outage": "nobody is there."}, "outage"),
        ({"troubles": [MENUS]}, "trouble"),
    ],
)
def test_a_setting_says_what_takes_readiness_away(state, word):
    at = {"caught_up": True} | state
    assert not Status(**at, not_ready_when=STATES).ready
    assert Status(**at, not_ready_when=set(STATES) - {word}).ready
    assert Status(**at).ready == (word in ("outage", "trouble")), (
        "what concerns all instances leaves them in the balancer"
    )
    assert len(Status(**at).reasons) == 1


def test_a_topic_that_does_not_exist_is_no_reason():
    assert Status(caught_up=True, troubles=[MISSING]).reasons == []
    assert Status(caught_up=True, troubles=[MISSING], not_ready_when=STATES).ready


def test_unreadable_partitions_are_not_named_during_an_outage():
    assert Status(caught_up=True, outage="nobody is there.", troubles=[MENUS]).reasons == [OUTAGE]
