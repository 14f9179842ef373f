import pytest

from mesaya_ws import __version__
from mesaya_ws.core.event_log import Partition

from .client import ask, request


async def test_an_instance_that_is_ready(service):
    service.metrics.connections_open = 3
    service.metrics.lag = {Partition("a", 0): 2, Partition("a", 1): 5}
    for target in ("/health", "/health/ready"):
        answer = await service.get(target)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "no-store"
        report = answer.json
        assert report.pop("uptime_seconds") >= 0
        assert report == {
            "status": "ok",
            "live": True,
            "ready": True,
            "reasons": [],
            "log": {"up": True, "since": None, "lag": 7},
            "connections": 3,
            "version": __version__,
        }


@pytest.mark.parametrize(
    ("state", "reasons"),
    [
        ({"caught_up": False}, ["The history in the event log is still being read."]),
        ({"outage": "refused."}, ["The event log does not answer: refused."]),
        ({"outage": "refused.", "caught_up": False}, ["The event log does not answer: refused."]),
        ({"draining": True}, ["This instance is going away."]),
        ({"draining": True, "caught_up": False}, ["This instance is going away.", "The history in the event log is…"]),
    ],
)
async def test_an_instance_that_is_not_ready_lives_and_says_why(service, state, reasons):
    for name, value in state.items():
        setattr(service.status, name, value)
    health, ready = await service.get("/health"), await service.get("/health/ready")
    assert (health.status, ready.status) == (200, 503)
    assert (health.json["status"], health.json["live"], health.json["ready"]) == ("not_ready", True, False)
    assert len(health.json["reasons"]) == len(reasons)
    for told, reason in zip(health.json["reasons"], reasons, strict=True):
        assert told.startswith(reason.removesuffix("…"))


async def test_since_when_the_log_does_not_answer(service):
    service.status.outage, service.status.since = "refused.", 1_800_000_000.5
    assert (await service.get("/health")).json["log"] == {"up": False, "since": "2027-01-15T08:00:00+00:00", "lag": 0}


async def test_probes_may_ask_without_wanting_the_answer(service):
    answer = await ask(service.app, request("HEAD", "/health/ready"), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
