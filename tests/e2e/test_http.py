"""The HTTP side of a real gateway: which pages may use it, how it is, and what it has counted."""

import json
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from tests.e2e.client import connected
from tests.e2e.raw import raw
from tests.support.gateway import running
from tests.support.wire import handshake
from tests.timing import PATIENCE

SEED = Path(__file__).with_name("seed.env").read_text()
ALLOWED, FOREIGN = ("http://localhost:4200", "http://localhost:3000"), "http://localhost:5000"
NOWHERE = "127.0.0.1:9"
REFUSED = "pages of this origin may not connect (ALLOWED_ORIGINS)"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """One for all tests here."""
    with running(tmp_path_factory.mktemp("http"), PUBLISH_TOKEN="a token of the tests", AUTH="on") as gateway:
        yield gateway


def may_fetch(gateway, origin):
    """Return whether a page of `origin` would be shown an answer."""
    return gateway.request("/health", Origin=origin)[1].get("access-control-allow-origin") in (origin, "*")


def may_connect(gateway, origin):
    """Return whether a page of `origin` may open a WebSocket."""
    try:
        with connected(gateway.url, origin=origin):
            return True
    except InvalidStatus as refusal:
        return refusal.response.status_code != 403


def test_pages_of_allowed_origins_may_fetch_and_connect(gateway):
    for origin in ALLOWED:
        assert may_fetch(gateway, origin)
        assert may_connect(gateway, origin)


def test_pages_of_other_origins_may_not(gateway):
    for origin in (FOREIGN, "https://localhost:4200", "http://localhost:4200.evil.example", "null"):
        assert not may_fetch(gateway, origin)
        assert not may_connect(gateway, origin)


def test_its_own_pages_may_connect(gateway):
    assert may_connect(gateway, f"http://127.0.0.1:{gateway.port}")


def test_the_origin_that_is_refused_is_in_the_log(gateway):
    assert not may_connect(gateway, "http://unlisted.example")
    [entry] = [entry for entry in gateway.logged(REFUSED) if entry["origin"] == "http://unlisted.example"]
    assert entry["host"] == f"127.0.0.1:{gateway.port}"
    assert not may_connect(gateway, "http://unlisted.example")
    assert gateway.output.count("unlisted.example") == 1


def test_without_auth_only_this_machine_and_its_pages_are_served(start_gateway):
    gateway = start_gateway(AUTH="off", HOST="")
    assert gateway.event("listening")["host"] == "127.0.0.1"
    for origin in ("http://localhost:5173", "https://127.0.0.1", "http://[::1]:4200"):
        assert may_fetch(gateway, origin)
        assert may_connect(gateway, origin)
    with raw(gateway.port) as client:
        client.send(handshake({b"Host": b"rebound.example:8080", b"Origin": b"http://rebound.example:8080"}))
        assert client.refusal() == (403, "origin_not_allowed")


def test_other_origins_can_be_allowed(start_gateway):
    gateway = start_gateway(ALLOWED_ORIGINS=f"{FOREIGN},null", AUTH="on")
    for origin in (FOREIGN, "null"):
        assert may_fetch(gateway, origin)
        assert may_connect(gateway, origin)
    assert not may_fetch(gateway, ALLOWED[0])
    assert not may_connect(gateway, ALLOWED[0])
    # No token is set here, so nobody can publish.
    status, _, body = gateway.request("/publish", method="POST", body={}, Authorization="Bearer ")
    assert (status, json.loads(body)["error"]["code"]) == (403, "publish_disabled")


# The seed's .env, beside an environment that keeps it from meeting others on this machine


def test_the_env_file_of_the_seed_works_while_kafka_is_missing(start_gateway, tmp_path):
    (tmp_path / ".env").write_text(SEED)
    gateway = start_gateway(ready=False, HOST="", AUTH="on", KAFKA_BROKERS=NOWHERE)
    assert gateway.event("listening")["host"] == "0.0.0.0"
    assert gateway.request("/health")[0] == 200
    assert gateway.request("/health/ready")[0] == 503
    [reason] = gateway.health()["reasons"]
    assert reason.startswith(("The event log does not answer: ", "The history in the event log is still being read."))
    assert may_fetch(gateway, ALLOWED[0])
    assert not may_connect(gateway, FOREIGN)
    with connected(gateway.url) as client:
        assert client.welcome["live"] is False
        started = time.monotonic()
        answer = client.ask(type="subscribe", channel="global:announcements", id=7)
        assert (answer["type"], answer["id"], answer["live"]) == ("pending", 7, False)
        assert time.monotonic() - started < 20


@pytest.mark.kafka
def test_the_env_file_of_the_seed_works_with_kafka(start_gateway, platform_topics, tmp_path):
    (tmp_path / ".env").write_text(SEED)
    gateway = start_gateway(HOST="", KAFKA_BROKERS=platform_topics, PUBLISH_TOKEN="a token of the tests")
    with connected(gateway.url, origin=ALLOWED[1]) as client:
        client.subscribe("global:announcements")
        assert gateway.announce("through Kafka") == 201
        assert client.receive()["data"]["title"] == "through Kafka"


# Health and metrics


def test_health_says_live_and_ready(gateway):
    with connected(gateway.url):
        status, headers, body = gateway.request("/health")
    report = json.loads(body)
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "application/json", "no-store")
    assert report.pop("uptime_seconds") > 0
    assert report.pop("version")
    assert report["log"].pop("asOf") > 1_700_000_000_000
    assert report == {
        "status": "ok",
        "live": True,
        "ready": True,
        "reasons": [],
        "log": {"up": True, "since": None, "lag": 0, "troubles": []},
        "connections": 1,
    }
    assert gateway.request("/health/ready")[0] == 200


def test_metrics_are_those_that_are_promised(gateway):
    with connected(gateway.url) as client:
        client.subscribe("global:announcements")
        client.ask(type="shout")
        assert gateway.announce("one") == 201
        client.receive()
        status, headers, body = gateway.request("/metrics")
    assert (status, headers["content-type"].split(";")[0]) == (200, "text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    announcements = ("topic", "mesa-ya.announcements.events")
    assert samples["mesaya_connections",] == 1
    assert samples["mesaya_connections_opened_total",] >= 1
    assert samples["mesaya_subscriptions",] == samples["mesaya_channels",] == 1
    assert samples["mesaya_client_messages_total", ("type", "subscribe")] >= 1
    assert samples["mesaya_client_messages_total", ("type", "unknown_type")] >= 1
    assert samples["mesaya_records_total", ("outcome", "published"), announcements] >= 1
    assert samples["mesaya_messages_sent_total",] >= 1
    assert samples["mesaya_sent_bytes_total",] >= 100
    assert samples["mesaya_event_log_up",] == 1
    assert samples["mesaya_consumer_lag_records", ("partition", "all"), ("topic", "all")] == 0
    assert samples["mesaya_delivery_seconds_bucket", ("le", "+Inf")] >= 1
    assert 0 < samples["mesaya_delivery_seconds_sum",] < 60
    assert samples["mesaya_loop_lag_seconds_count",] >= 1
    assert samples["mesaya_window_bytes",] >= 100
    assert samples["process_resident_memory_bytes",] > 1_000_000
    assert (samples["mesaya_ready",], samples["mesaya_draining",]) == (1, 0)
    assert samples["mesaya_log_bytes",] > 4096
    assert 0 <= samples["mesaya_newest_record_age_seconds",] < 60
    assert samples["mesaya_limit", ("setting", "SEND_QUEUE_BYTES")] == 1024 * 1024
    published = ("method", "POST"), ("path", "/publish"), ("status", "201")
    assert samples["mesaya_http_requests_total", *published] >= 1
    closed = "mesaya_connections_closed_total"
    before = gateway.metric(closed, code="1000")
    with connected(gateway.url):
        pass
    gateway.until(lambda: gateway.metric(closed, code="1000") == before + 1, PATIENCE, "the close is counted")


def test_a_record_is_explained_as_it_is_then_published(gateway):
    record = {
        "topic": "mesa-ya.announcements.events",
        "value": {"event_type": "created", "entity_id": "explained", "data": {"title": "Hola"}},
    }
    status, explanation = gateway.publish(record, "/explain")
    assert status == 200
    [explained] = explanation["messages"]
    with connected(gateway.url) as client:
        client.ask(type="subscribe", channel="global:announcements")
        gateway.publish(record)
        published = client.receive()
    assert (published["type"], published["data"]) == (explained["type"], explained["data"])
