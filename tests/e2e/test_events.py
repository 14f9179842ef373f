"""Events by HTTP, from real gateways: directly, through nginx as Debian has it, and across cuts."""

import json
import random
import signal
import subprocess
import threading
import time
from http.client import HTTPException

import pytest

from tests.e2e.client import connected
from tests.e2e.event_reader import path_of, reading
from tests.e2e.nginx import free_port, running_nginx
from tests.support.gateway import running
from tests.timing import PATIENCE

TOKEN = "a token of the tests"
NEWS, LISTS = "global:announcements", "global:restaurants"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("events"), PUBLISH_TOKEN=TOKEN, AUTH="on", HANDSHAKES_PER_SECOND="0"
    ) as gateway:
        yield gateway


def titles(messages):
    return [message["data"]["title"] for message in messages if message["type"] == "announcement.created"]


def take(reader, count):
    """Return the next announcements' titles."""
    found = []
    for message in reader:
        found += titles([message])
        if len(found) == count:
            return found
    raise AssertionError(f"the stream has ended after {found}")


def page(gateway, channels, **query):
    status, headers, body = gateway.request(path_of(channels, **query), Accept="application/json")
    assert (status, headers["content-type"]) == (200, "application/json")
    return json.loads(body)


def test_stream_says_what_it_is_at_once(gateway):
    with reading(gateway.port, [NEWS, LISTS]) as reader:
        headers = reader.answer.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-cache, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert reader.answer.readline().startswith(b"retry: ")
        assert reader.answer.readline() == b":\n"


def test_stream_shows_events_and_resumes_where_it_broke_off(gateway):
    with reading(gateway.port, [NEWS, LISTS]) as reader:
        messages = iter(reader)
        assert [next(messages)["type"] for _ in range(3)] == ["welcome", "subscribed", "subscribed"]
        gateway.announce("one")
        assert titles([next(messages)]) == ["one"]
    gateway.announce("two")
    gateway.announce("three")
    with reading(gateway.port, [NEWS, LISTS], reader.id) as again:
        assert take(again, 2) == ["two", "three"]
    with reading(gateway.port, [NEWS, LISTS], since=reader.id) as again:
        assert take(again, 2) == ["two", "three"]


def test_websocket_and_stream_show_the_same(gateway):
    with connected(gateway.url) as client, reading(gateway.port, [NEWS]) as reader:
        client.subscribe(NEWS)
        messages = iter(reader)
        assert [next(messages)["type"] for _ in range(2)] == ["welcome", "subscribed"]
        gateway.announce("the same")
        assert client.receive() == next(messages)


def test_pages_follow_one_another(gateway):
    first = page(gateway, [NEWS])
    assert first["events"] == []
    for title in ("a", "b", "c"):
        gateway.announce(title)
    found, second = [], first
    while len(found) < 3:  # what has been appended may be read later
        second = page(gateway, [NEWS], since=second["position"], wait="8")
        found += titles(second["events"])
    assert found == ["a", "b", "c"]
    threading.Timer(0.5, gateway.announce, ["d"]).start()
    third = page(gateway, [NEWS], since=second["position"], wait="8")
    assert titles(third["events"]) == ["d"]
    assert page(gateway, [NEWS], since=third["position"])["events"] == []


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("Application/JSON", "application/json"),
        ("text/html, application/json;q=0.9", "application/json"),
        ("text/event-stream;q=0, application/json", "application/json"),
        ("application/json;q=0", "text/event-stream"),
        ("application/json;q=0.000", "text/event-stream"),
        ("application/json, text/event-stream", "text/event-stream"),
        ("application/jsonl", "text/event-stream"),
        ("*/*", "text/event-stream"),
    ],
)
def test_what_is_accepted_decides_between_a_page_and_a_stream(gateway, accept, answered):
    _, headers, _ = gateway.request(path_of([NEWS]), method="HEAD", Accept=accept)
    assert headers["content-type"] == answered


def test_snapshot_comes_before_events(gateway):
    with reading(gateway.port, [LISTS], snapshot="1") as reader:
        messages = iter(reader)
        assert [next(messages)["type"] for _ in range(3)] == ["welcome", "subscribed", "snapshot"]


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/events", {}, 400, "bad_channel"),
        ("/events?channel=nonsense", {}, 400, "bad_channel"),
        ("/events?channel=user:u1:notifications", {}, 403, "private_channel"),
        (f"/events?channel={NEWS}", {"Authorization": "Bearer wrong"}, 401, "bad_token"),
        (f"/events?channel={NEWS}&since=x&wait=600", {"Accept": "application/json"}, 400, "bad_channel"),
        (f"/events?channel={NEWS}&since=x&wait=nan", {"Accept": "application/json"}, 400, "bad_channel"),
        (f"/events?channel={NEWS}&wait=600", {"Accept": "application/json"}, 400, "bad_channel"),
        (f"/events?channel={NEWS}", {"Last-Event-ID": "x" * 8193}, 400, "bad_channel"),
        ("/events?" + "&".join(f"channel=restaurant:r{n}:tables" for n in range(101)), {}, 400, "too_many_channels"),
    ],
)
def test_what_cannot_be_is_refused(gateway, path, headers, status, code):
    answered, _, body = gateway.request(path, **headers)
    assert (answered, json.loads(body)["error"]["code"]) == (status, code)
    # Who asks for the head alone learns nothing else.
    assert gateway.request(path, method="HEAD", **headers)[0] == status


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_head_is_that_of_the_events_and_nobody_reads_them_then(gateway, accept):
    before = gateway.metric("mesaya_event_clients")
    status, headers, body = gateway.request(path_of([NEWS]), method="HEAD", Accept=accept)
    assert (status, headers["content-type"], body) == (200, accept, b"")
    assert "content-length" not in headers
    assert gateway.metric("mesaya_event_clients") == before


def test_who_hangs_up_is_forgotten(gateway):
    with reading(gateway.port, [NEWS]) as reader:
        next(iter(reader))
        assert gateway.metric("mesaya_event_clients") >= 1
    gateway.until(lambda: gateway.metric("mesaya_event_clients") == 0, PATIENCE, "the client is forgotten")


def test_requests_of_an_address_are_limited_as_handshakes_are(start_gateway):
    gateway = start_gateway(HANDSHAKES_PER_SECOND="0.1", PUBLISH_TOKEN=TOKEN)
    codes = [gateway.request(path_of([NEWS]), Accept="application/json")[0] for _ in range(4)]
    assert codes[0] == 200
    assert codes[-1] == 429


def test_streams_are_sent_away_when_the_gateway_ends(start_gateway):
    gateway = start_gateway(DRAIN_SECONDS="2", PUBLISH_TOKEN=TOKEN)
    with reading(gateway.port, [NEWS]) as reader:
        messages = iter(reader)
        assert next(messages)["type"] == "welcome"
        gateway.send_signal(signal.SIGTERM)
        rest = [(message["type"], reader.name) for message in messages]
    assert rest[-2:] == [("going_away", "going_away"), ("close", "close")]
    assert gateway.wait() == 0


class Collector(threading.Thread):
    """Reads announcements until `until_title`, and comes back with its id whatever happens."""

    def __init__(self, port, until_title, chance):
        super().__init__(daemon=True)
        self.port = port
        self.until_title = until_title
        self.chance = chance
        self.seen = []
        self.cuts = 0
        self.begun = threading.Event()
        self.id = None
        self.answers = []

    def run(self):
        while not self.seen or self.seen[-1] != self.until_title:
            try:
                self.read()
            except (OSError, HTTPException, AssertionError):
                time.sleep(0.05)

    def read(self):
        left = self.chance.randint(1, 40) if self.begun.is_set() else 100
        with reading(self.port(), [LISTS, NEWS], self.id, timeout=5) as reader:
            try:
                for message in reader:
                    if message["type"] == "subscribed":
                        self.answers.append(message.get("recovered"))
                        self.begun.set()
                    self.seen += titles([message])
                    left -= 1
                    if left <= 0 or (self.seen and self.seen[-1] == self.until_title):
                        self.cuts += 1
                        return
            finally:
                self.id = reader.id


@pytest.mark.slow
def test_every_event_comes_once_and_in_order_whatever_is_cut(tmp_path):
    settings = {"PUBLISH_TOKEN": TOKEN, "HANDSHAKES_PER_SECOND": "0", "PORT": str(free_port())}
    with running(tmp_path, name="first", **settings) as first:
        wanted = [f"news {number}" for number in range(400)]
        collectors = [Collector(lambda: first.port, wanted[-1], random.Random(seed)) for seed in range(4)]
        for collector in collectors:
            collector.start()
        assert all(collector.begun.wait(PATIENCE) for collector in collectors)
        for title in wanted[:200]:
            assert first.announce(title) == 201
        first.kill()
        with running(tmp_path, name="second", **settings) as second:
            for title in wanted[200:]:
                assert second.announce(title) == 201
            for collector in collectors:
                collector.join(PATIENCE)
                assert not collector.is_alive(), collector.seen[-3:]
    for collector in collectors:
        assert collector.seen == wanted
        assert collector.cuts > 3
        assert False not in collector.answers


@pytest.fixture
def nginx(gateway, tmp_path):
    """Run nginx in front of the gateway."""
    with running_nginx(tmp_path, gateway.port) as nginx:
        yield nginx


@pytest.mark.parametrize("is_http2", [False, True])
def test_events_pass_nginx_one_by_one(gateway, nginx, is_http2):
    url = f"https://127.0.0.1:{nginx.tls}" if is_http2 else f"http://127.0.0.1:{nginx.plain}"
    options = ["--http2", "--insecure"] if is_http2 else []
    command = ["curl", "--silent", "--no-buffer", "--compressed", "--include", *options, url + path_of([NEWS])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        guard = threading.Timer(PATIENCE, curl.kill)
        guard.start()
        try:
            head = curl.stdout.readline()
            assert head.startswith("HTTP/2 200" if is_http2 else "HTTP/1.1 200")
            lines = iter(curl.stdout.readline, "")
            next(line for line in lines if '"subscribed"' in line)
            for number in range(3):
                began = time.monotonic()
                gateway.announce(f"through nginx {number}")
                next(line for line in lines if f"through nginx {number}" in line)
                assert time.monotonic() - began < 15
        finally:
            guard.cancel()
            curl.kill()
    gateway.until(lambda: gateway.metric("mesaya_event_clients") == 0, PATIENCE, "nginx hangs up, too")


def test_pages_pass_nginx(gateway, nginx):
    answers = []
    for id in (None, "last"):
        query = {} if id is None else {"since": answers[-1]["position"], "wait": "10"}
        if id is not None:
            threading.Timer(0.5, gateway.announce, ["a page"]).start()
        command = ["curl", "--silent", "--compressed", "--header", "Accept: application/json"]
        done = subprocess.run(
            [*command, f"http://127.0.0.1:{nginx.plain}" + path_of([NEWS], **query)],
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
        answers.append(json.loads(done.stdout))
    assert titles(answers[1]["events"]) == ["a page"]


def test_pages_of_anybody_read_nothing_that_is_open_without_tokens(tmp_path):
    paths = [path_of(["restaurant:r1:reservations"]), "/connections"]
    with running(tmp_path, AUTH="off") as gateway:
        for path in paths:
            status, _, body = gateway.request(path, Accept="application/json", Host="evil.example")
            assert (status, json.loads(body)["error"]["code"]) == (403, "host_not_allowed")
            assert gateway.request(path, Accept="application/json", Host=f"gateway:{gateway.port}")[0] == 200
        assert gateway.request("/health", Host="evil.example")[0] == 200
