import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.server.http.request_log import RequestLog
from tests.server.http.client import ask, post, request
from tests.server.http.service import TOKEN


def line(logged):
    """Return the one line about a request, without what every line has."""
    [event] = [event for event in logged() if event["event"] == "request answered"]
    return event


async def test_publish_is_logged_with_where_the_record_is(service, logged):
    record = {"timestamp": "2026-01-20T15:00:00.000Z", "event_type": "created", "entity_id": "v1", "data": {"a": 1}}
    answer = await service.post("/publish", {"topic": "mesa-ya.reviews.events", "value": record})
    assert answer.status == 201
    event = line(logged)
    assert (event["level"], event["method"], event["path"], event["status"]) == ("info", "POST", "/publish", 201)
    assert (event["topic"], event["partition"], event["offset"]) == ("mesa-ya.reviews.events", 0, 0)
    assert event["sent_bytes"] == len(answer.body)
    assert event["received_bytes"] > 100
    assert 0 <= event["seconds"] < 10


async def test_refusal_is_logged_with_its_code(service, logged):
    await post(service.app, "/publish", {})
    event = line(logged)
    assert (event["level"], event["status"], event["code"]) == ("info", 401, "unauthorized")


async def test_what_is_asked_every_few_seconds_is_not_logged_as_info(service, logged):
    service.status.draining = True
    assert (await service.get("/health/ready")).status == 503
    assert line(logged)["level"] == "debug"


async def test_line_of_one_request_says_nothing_of_another(service, logged):
    await service.get("/nothing")
    await service.get("/health")
    refusal, health = (event for event in logged() if event["event"] == "request answered")
    assert refusal["code"] == "not_found"
    assert "code" not in health


@pytest.mark.parametrize("target", ["/x" * 4000, "/metrics/x", "/publish2"])
async def test_paths_of_strangers_make_no_series_and_no_long_lines(service, logged, target):
    await service.get(target)
    assert service.metrics.requests == {("other", "GET", "404"): 1}
    assert line(logged)["path"] == "other"


async def test_what_changes_something_is_logged_by_the_path_of_its_route_whatever_its_id(logged):
    async def release(_):
        return Response()

    routes, metrics = [Route("/holds/{holdId}", release, methods=["DELETE"])], Metrics()
    app = RequestLog(Starlette(routes=routes), metrics, routes)
    for id in ("h1", "h2"):
        assert (await ask(app, request("DELETE", f"/holds/{id}"), method="DELETE")).status == 200
    assert metrics.requests == {("/holds/{holdId}", "DELETE", "200"): 2}
    first, _ = (event for event in logged() if event["event"] == "request answered")
    assert (first["level"], first["method"], first["path"]) == ("info", "DELETE", "/holds/{holdId}")


async def test_requests_are_counted_by_path_method_and_status(service):
    await service.get("/health?x=1")
    await service.get("/health")
    await ask(service.app, request("BREW", "/health"))
    assert service.metrics.requests == {("/health", "GET", "200"): 2, ("/health", "other", "501"): 1}


async def test_request_that_breaks_off_has_no_status_and_its_refusal_is_logged(service, logged):
    head = request("POST", "/publish", ("Authorization", f"Bearer {TOKEN}"), ("Transfer-Encoding", "chunked"))
    assert (await ask(service.app, head + b"this is no chunk\r\n", method="POST")).status == 400
    assert service.metrics.requests == {("/publish", "POST", "none"): 1}
    lines = {event["event"]: event for event in logged()}
    assert lines["request refused"].items() >= {"code": "bad_request", "status": 400, "level": "info"}.items()
    assert lines["request answered"]["status"] == "none"
