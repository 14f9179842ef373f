"""What holds for all that is served by HTTP: which paths there are, and which pages may use them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesaya_ws import __version__
from tests.server.http.client import ask, request
from tests.server.http.service import TOKEN, Service

ORIGIN = "http://localhost:4200"


async def test_the_root_says_what_this_is_and_where_to_go(service):
    answer = await service.get("/")
    assert answer.status == 200
    assert answer.json == {
        "service": "mesaya-ws",
        "version": __version__,
        "auth": "on",
        "websocket": "/ws",
        "events": "/events",
        "health": "/health",
        "metrics": "/metrics",
        "protocol": "/asyncapi.json",
        "client": "/client/mesaya-ws.js",
        "console": "/console",
    }
    assert (await Service(auth=False).get("/")).json["auth"] == "off"


async def test_metrics_are_those_of_prometheus(service):
    service.metrics.connections_open = 7
    answer = await service.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
    assert values["mesaya_connections"] == 7


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/health/x", 404, "not_found"),
        ("GET", "/%00%ff", 404, "not_found"),
        ("GET", "*", 400, "bad_request"),
        ("CONNECT", "example.com:443", 400, "bad_request"),
        ("GET", "//[", 404, "not_found"),
        ("BREW", "/health", 501, "unknown_method"),
        ("get", "/health", 501, "unknown_method"),
        ("TRACE", "/health", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("GET", "/publish", 405, "method_not_allowed"),
        ("DELETE", "/broadcast", 405, "method_not_allowed"),
        ("GET", "/ws", 426, "upgrade_required"),
    ],
)
async def test_what_there_is_not_is_said_in_json(service, method, target, status, code):
    answer = await ask(service.app, request(method, target), method=method)
    assert (answer.status, answer.error) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.sentence.endswith(".")


@pytest.mark.parametrize(
    "target",
    ["/health/", "/%68ealth", "/%68e%61lth/", "http://other.example/health", "HTTPS://other.example:1/health/?x#"[:-1]],
)
async def test_a_path_may_be_written_in_several_ways(service, target):
    """RFC 9112, 3.2.2 and RFC 3986, 6.2.2.2; and a slash at the end, as proxies add it."""
    assert (await service.get(target)).json["live"] is True


@pytest.mark.parametrize("target", ["/", "*", "/metrics", "/ws", "http://gateway.example"])
async def test_options_is_answered_with_the_methods(service, target):
    """RFC 9110, 9.3.7; some proxies check the health of a service by this."""
    answer = await ask(service.app, request("OPTIONS", target), method="OPTIONS")
    assert (answer.status, answer.body, answer.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS")


async def test_the_methods_that_there_are_and_the_protocol_to_use_are_named(service):
    assert (await service.get("/publish")).headers["allow"] == "POST"
    assert (await service.get("/ws")).headers["upgrade"] == "websocket"


async def test_a_fault_of_ours_is_answered_and_logged_without_its_details(service, logged):
    service.metrics.records = {"broken": "books"}
    answer = await service.get("/metrics")
    assert (answer.status, answer.error) == (500, "internal")
    assert "broken" not in answer.body.decode()
    [event] = [event for event in logged() if event["level"] == "error"]
    assert event["logger"] == "hypercorn.error"
    assert event["exception"]
    assert service.metrics.requests == {("/metrics", "GET", "500"): 1}


@pytest.mark.parametrize("target", ["/health", "/metrics", "/", "/nothing"])
async def test_pages_of_allowed_origins_may_read(service, target):
    answer = await service.get(target, ("Origin", ORIGIN))
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", ["http://localhost:5000", "https://localhost:4200", "null", ""])
async def test_pages_of_other_origins_may_not(service, origin):
    answer = await service.get("/health", ("Origin", origin))
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("auth", "verdict"), [(True, False), (False, True)])
async def test_pages_of_this_machine_may_read_from_any_port_without_auth(auth, verdict):
    answer = await Service(auth=auth).get("/health", ("Origin", "http://localhost:5173"))
    assert (answer.headers.get("access-control-allow-origin") == "http://localhost:5173") is verdict


async def test_all_may_when_all_are_allowed():
    answer = await Service(allowed_origins=("*",)).get("/health", ("Origin", "http://anywhere.example"))
    assert answer.headers["access-control-allow-origin"] == "*"


async def preflight(service, origin, method, path):
    asked = (("Origin", origin), ("Access-Control-Request-Method", method))
    headers = ("Access-Control-Request-Headers", "authorization, content-type")
    return await ask(service.app, request("OPTIONS", path, *asked, headers), method="OPTIONS")


@pytest.mark.parametrize(("method", "path"), [("POST", "/publish"), ("DELETE", "/holds/h1")])
async def test_pages_ask_before_they_write(service, method, path):
    answer = await preflight(service, ORIGIN, method, path)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert {"authorization", "content-type"} <= {
        name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")
    }


async def test_page_that_asks_for_what_nobody_may_hears_what_it_may(service):
    answer = await preflight(service, ORIGIN, "PUT", "/publish")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"


async def test_page_of_another_origin_is_refused_by_an_error_like_all_others(service):
    answer = await preflight(service, "http://evil.example", "DELETE", "/holds/h1")
    assert (answer.status, answer.error) == (403, "origin_not_allowed")
    assert answer.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in answer.headers


async def test_configuration_is_what_the_gateway_says_of_it(service):
    answer = await service.get("/configuration")
    assert (answer.status, answer.error) == (401, "unauthorized"), "there is a token"
    answer = await service.get("/configuration", ("Authorization", f"Bearer {TOKEN}"))
    assert (answer.status, answer.json) == (200, {})
    answer = await Service(token="").get("/configuration")
    assert (answer.status, answer.json) == (200, {})
