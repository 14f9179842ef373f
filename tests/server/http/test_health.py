import pytest

from mesaya_ws import __version__
from mesaya_ws.core.log.trouble import NAMED, Hindrance, Trouble
from tests.server.http.client import ask, request


async def test_an_instance_that_is_ready(service):
    service.metrics.connections_open = 3
    service.fresh["lag"] = 7
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
            "log": {"up": True, "since": None, "asOf": 1_800_000_000_000, "lag": 7, "troubles": []},
            "connections": 3,
            "version": __version__,
        }


@pytest.mark.parametrize(
    ("state", "reasons"),
    [
        ({"caught_up": False}, ["The history in the event log is still being read."]),
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
    for answered, reason in zip(health.json["reasons"], reasons, strict=True):
        assert answered.startswith(reason.removesuffix("…"))


async def test_since_when_the_log_does_not_answer_and_clients_are_still_served(service):
    service.status.outage, service.status.since = "refused.", 1_800_000_000.5
    health, ready = await service.get("/health"), await service.get("/health/ready")
    assert (health.status, ready.status) == (200, 200)
    assert health.json["status"] == "degraded"
    assert health.json["reasons"] == ["The event log does not answer: refused."]
    assert health.json["log"] == {
        "up": False,
        "since": "2027-01-15T08:00:00+00:00",
        "asOf": 1_800_000_000_000,
        "lag": 0,
        "troubles": [],
    }


async def test_health_names_an_unreadable_partition_and_stays_ready(service):
    trouble = Trouble("mesa-ya.menus.events", 2, Hindrance.UNKNOWN, 1_800_000_000.5, "It has no leader.", 30)
    service.status.troubles = service.metrics.troubles = [trouble]
    service.fresh["lag"] = 34
    for target in ("/health", "/health/ready"):
        answer = await service.get(target)
        assert (answer.status, answer.json["ready"], answer.json["status"]) == (200, True, "degraded")
        assert answer.json["reasons"] == ["It has no leader. (Since 2027-01-15T08:00:00+00:00.)"]
        assert answer.json["log"] == {
            "up": True,
            "since": None,
            "asOf": 1_800_000_000_000,
            "lag": 34,
            "troubles": [
                {
                    "topic": "mesa-ya.menus.events",
                    "partition": 2,
                    "kind": "unknown",
                    "since": "2027-01-15T08:00:00+00:00",
                    "withheld": 30,
                    "reason": "It has no leader.",
                }
            ],
        }


async def test_of_many_parts_a_few_are_named(service):
    service.status.troubles = [
        Trouble("mesa-ya.menus.events", number, Hindrance.UNKNOWN, 0, f"Of {number}, nothing is known.")
        for number in range(600)
    ]
    report = (await service.get("/health")).json
    assert len(report["log"]["troubles"]) == NAMED
    assert report["reasons"][-1].startswith(f"{600 - NAMED} more parts")
    assert len(report["reasons"]) == NAMED + 1


async def test_a_setting_says_what_takes_readiness_away(service):
    service.status.not_ready_when = ("trouble",)
    service.status.draining = True
    assert (await service.get("/health/ready")).status == 200
    service.status.troubles = [Trouble("mesa-ya.menus.events", None, Hindrance.REFUSED, 0, "No right.")]
    assert (await service.get("/health/ready")).status == 503


async def test_probes_may_ask_without_wanting_the_answer(service):
    answer = await ask(service.app, request("HEAD", "/health/ready"), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


async def test_health_has_the_freshness_of_the_channels(service):
    service.fresh = {"live": False, "asOf": None, "lag": 3}
    report = (await service.get("/health")).json
    assert report["live"] is False
    assert (report["log"]["asOf"], report["log"]["lag"]) == (None, 3)
