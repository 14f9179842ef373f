import pytest

from mesaya_ws.core.status import Status

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
