"""What is counted and logged of what the log says of itself, and of its records."""

from time import time

import pytest

from mesaya_ws.core.log.events import Available, LogMetadata, PollResult, Records, Unavailable
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.log.trouble import Hindrance, Trouble
from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.gateway.log_reports import LogReports, report_outcome
from mesaya_ws.runtime.log_limiter import LogLimiter
from mesaya_ws.runtime.logs import LINES
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from tests.support.instance import a_feed

STAYS, GOES = Partition("a", 0), Partition("b", 0)


def test_what_cannot_be_read_is_logged_when_it_begins_and_when_it_ends(logged):
    feed, metrics = a_feed(max_bytes=1000), Metrics()
    reports = LogReports(feed, metrics, Status())
    absent = [Trouble(topic, None, Hindrance.ABSENT, 0, f"There is no {topic}.") for topic in ("c", "d")]
    unknown = [
        Trouble("a", number, Hindrance.UNKNOWN, 0, f"{number} has no leader.", seconds=60) for number in range(30)
    ]
    passing = Trouble("b", 0, Hindrance.BLOCKED, 0, "It waits.", 3, 1.0)
    for troubles in ([*absent, *unknown, passing], [*absent, *unknown], unknown[:29], []):
        reports.received(LogMetadata({}, {}, None, troubles))
        assert metrics.troubles == troubles
    lines = [event for event in logged() if "parts of the event log" in event["event"]]
    assert [(event["level"], event.get("kind") or event["was"], len(event["parts"])) for event in lines] == [
        ("warning", "absent", 2),
        ("warning", "unknown", 21),
        ("info", "absent", 2),
        ("info", "unknown", 1),
        ("info", "unknown", 21),
    ]
    assert lines[0]["parts"] == ["c", "d"]
    assert (lines[1]["parts"][0], lines[1]["parts"][-1], lines[1]["reason"]) == (
        "a/0",
        "and 10 more",
        "0 has no leader.",
    )


def test_an_outage_has_its_present_reason_and_lasts_since_it_began(logged):
    feed, metrics, status, clock = a_feed(max_bytes=1000), Metrics(), Status(), iter((10.0, 30.0))
    reports = LogReports(feed, metrics, status, clock=lambda: next(clock))
    said = []
    for event in (Unavailable("nothing listens there."), Unavailable("its certificate has expired."), Available()):
        reports.received(event)
        said.append((status.outage, status.since, metrics.log_up))
    assert said == [
        ("nothing listens there.", 10.0, False),
        ("its certificate has expired.", 10.0, False),
        (None, 30.0, True),
    ]
    lines = [event["reason"] for event in logged() if event["event"] == "the event log does not answer"]
    assert lines == ["nothing listens there.", "its certificate has expired."]


async def test_records_of_a_wrong_clock_are_logged_by_topic_and_difference(logged):
    feed, metrics = a_feed(max_bytes=1000), Metrics()
    reports = LogReports(feed, metrics, Status())
    hour = round(time() * 1000) + 3_600_000
    ahead, fine = (Records(at, [Record(*at, 0, when, None, None)], 0) for at, when in ((STAYS, hour), (GOES, 1)))
    reports.received(PollResult([ahead, fine]))
    reports.received(ahead)
    [event] = [event for event in logged() if "clock" in event["event"]]
    assert event["event"].startswith("records' times are ahead of this machine's clock")
    assert (event["level"], event["topic"], event["partition"], event["offset"]) == ("warning", "a", 0, 0)
    assert event["seconds"] == pytest.approx(3600, abs=60)
    assert metrics.skews.seconds["a"] == pytest.approx(3600, abs=60)


def test_records_that_cannot_be_decoded_do_not_fill_the_log(logged):
    metrics, limiter = Metrics(), LogLimiter()
    outcome = Outcome([], Disposition.UNKNOWN_TOPIC, "No rule says what this topic's records mean.")
    for offset in range(5000):
        report_outcome(metrics, limiter, Record("strange", 0, offset, 0, None, b"{}"), outcome)
    lines = [event for event in logged() if event["event"] == "record skipped"]
    assert len(lines) == LINES
    assert metrics.records == {("strange", Disposition.UNKNOWN_TOPIC): 5000}
