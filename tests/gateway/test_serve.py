"""The whole gateway in this process, with a log in memory; the processes of real ones are in `tests/e2e`."""

import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.wire import codes
from mesaya_ws.gateway import serve as gateway
from mesaya_ws.gateway.serve import serve
from mesaya_ws.runtime.file_limits import allow_connections
from mesaya_ws.settings import Settings
from tests.fakes import FakeLog
from tests.server.http.client import read_answer, request
from tests.support.client import PATIENCE, Client
from tests.support.wire import close, frame, handshake

CHANNEL = "global:announcements"


def announced(number):
    """Return the record of an announcement."""
    value = {"timestamp": "2026-01-20T18:00:00.000Z", "event_type": "created", "entity_id": f"a{number}", "data": {}}
    return NewRecord("mesa-ya.announcements.events", json.dumps(value).encode())


class Running:
    """A gateway that runs."""

    def __init__(self, port, stack):
        self.port = port
        self.ended = trio.Event()
        self._stack = stack

    async def connect(self):
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        return await self._stack.enter_async_context(stream)

    async def client(self):
        """Return a client that has been greeted."""
        client = Client(await self.connect())
        await client.send(handshake())
        await client.be_greeted()
        return client

    async def subscribed(self):
        client = await self.client()
        assert (await client.ask(type="subscribe", channel=CHANNEL))["type"] == "subscribed"
        return client

    async def get(self, target):
        stream = await self.connect()
        await stream.send_all(request("GET", target))
        return await read_answer(stream)

    async def until(self, target, is_so):
        """Return an answer that is as it should be, once it is."""
        with trio.fail_after(PATIENCE):
            while True:
                answer = await self.get(target)
                if is_so(answer):
                    return answer


@pytest.fixture
def log(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return FakeLog()


@asynccontextmanager
async def running(log, allow=allow_connections, **settings):
    """Run a gateway on a log; it is cancelled at the end, unless it has ended before."""
    chosen = Settings(**{"host": "127.0.0.1", "port": 0, "drain_seconds": 0} | settings)

    async def run(*, task_status):
        await serve(chosen, open_log=lambda _: log.open(), allow=allow, task_status=task_status)
        running.ended.set()

    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        running = Running(await nursery.start(run), stack)
        yield running
        nursery.cancel_scope.cancel()


async def test_what_the_log_holds_and_gets_arrives(log):
    await log.append([announced(1)])
    async with running(log) as gateway:
        client = await gateway.client()
        answer, snapshot = await client.ask(type="subscribe", channel=CHANNEL, snapshot=True), await client.message()
        assert answer["type"] == "subscribed"
        assert [it["announcementId"] for it in snapshot["data"]["announcements"]] == ["a1"]
        await log.append([announced(2), announced(3)])
        events = [await client.message() for _ in range(2)]
        assert [event["data"]["announcementId"] for event in events] == ["a2", "a3"]


async def test_http_is_served_on_the_same_port(log):
    async with running(log) as gateway:
        assert (await gateway.until("/health/ready", lambda answer: answer.status == 200)).json["ready"]
        await gateway.subscribed()
        assert (await gateway.get("/health")).json["connections"] == 1
        books = (await gateway.get("/metrics")).body.decode()
        assert "\nmesaya_subscriptions 1.0\n" in books


async def test_undecodable_records_are_logged_and_counted_and_the_stream_continues(log, logged):
    topic = "mesa-ya.reviews.events"
    async with running(log) as gateway:
        client = await gateway.subscribed()
        await log.append([NewRecord(topic, b"nonsense"), NewRecord(topic, None), announced(1)])
        assert (await client.message())["data"]["announcementId"] == "a1"
        [event] = [event for event in logged() if event["event"] == "record skipped"]
        assert event.items() >= {"topic": topic, "partition": 0, "offset": 0, "reason": "not_json"}.items()
        books = (await gateway.get("/metrics")).body.decode()
        assert f'mesaya_records_total{{outcome="not_json",topic="{topic}"}} 1.0' in books
        assert f'mesaya_records_total{{outcome="tombstone",topic="{topic}"}} 1.0' in books


@pytest.mark.parametrize(("too_large", "reason"), [(False, "corrupt"), (True, "too_large")])
async def test_records_that_cannot_be_read_are_logged_and_counted_and_the_stream_goes_on(
    log, logged, too_large, reason
):
    topic = "mesa-ya.announcements.events"
    async with running(log) as gateway:
        client = await gateway.subscribed()
        await log.append([announced(1)])
        log.damage(topic, too_large=too_large)
        await log.append([announced(2)])
        assert [(await client.message())["data"]["announcementId"] for _ in range(2)] == ["a1", "a2"]
        [event] = [event for event in logged() if event["event"] == "records skipped"]
        assert event.items() >= {"topic": topic, "partition": 0, "first": 1, "next": 2, "reason": reason}.items()
        books = (await gateway.get("/metrics")).body.decode()
        assert f'mesaya_records_total{{outcome="{reason}",topic="{topic}"}} 1.0' in books


async def test_a_topic_that_is_created_again_is_logged_and_goes_on(log, logged):
    topic = "mesa-ya.announcements.events"
    async with running(log) as gateway:
        client = await gateway.subscribed()
        log.replace(topic)
        snapshot = await client.message()
        assert (snapshot["type"], snapshot["recovered"], snapshot["reason"]) == ("snapshot", False, "topic_recreated")
        assert snapshot["data"] == {"announcements": []}
        await log.append([announced(1)])
        assert (await client.message())["data"]["announcementId"] == "a1"
        [event] = [event for event in logged() if event["event"] == "a topic was deleted and created again"]
        assert event["topic"] == topic


async def test_what_the_log_loses_before_it_was_read_is_announced_to_subscribers(log, logged):
    async with running(log) as gateway:
        client, other = await gateway.subscribed(), await gateway.client()
        await other.ask(type="subscribe", channel="restaurant:r:menu")
        await log.append([announced(1)])
        await client.message()
        log.lose("mesa-ya.announcements.events", 2)
        snapshot = await client.message()
        assert (snapshot["type"], snapshot["recovered"], snapshot["reason"]) == ("snapshot", False, "expired")
        assert [one["announcementId"] for one in snapshot["data"]["announcements"]] == ["a1"]
        assert snapshot["complete"] is False
        await log.append([announced(2)])
        assert (await client.message())["data"]["announcementId"] == "a2"
        assert (await other.ask(type="ping"))["type"] == "pong"
    assert [it["event"] for it in logged()].count("the log lost records before they were read") == 1


async def test_a_log_that_does_not_answer_is_reported_and_waited_for(log, logged):
    async with running(log) as gateway:
        client = await gateway.subscribed()
        log.fail("The cable is out.")
        answer = await gateway.until("/health", lambda answer: answer.json["reasons"])
        assert answer.json["reasons"] == ["The event log does not answer: The cable is out."]
        assert (await gateway.get("/health/ready")).status == 200, (
            "all instances would be taken from the balancer at once"
        )
        assert "\nmesaya_event_log_up 0.0\n" in (await gateway.get("/metrics")).body.decode()
        log.recover()
        await log.append([announced(1)])
        assert (await client.message())["data"]["announcementId"] == "a1"
        answer = await gateway.until("/health", lambda answer: not answer.json["reasons"])
        assert answer.json["log"]["since"]
    lines = [event["event"] for event in logged()]
    assert lines.count("the event log does not answer") == lines.count("the event log answers again") == 1


async def test_a_part_of_the_log_that_is_not_known_at_the_start_is_waited_for_and_named(log):
    log.hide(topic_of("menus"))
    async with running(log) as gateway:
        answer = await gateway.until("/health/ready", lambda answer: len(answer.json["reasons"]) == 2)
        assert (answer.status, answer.json["log"]["up"]) == (503, True)
        assert f"{topic_of('menus')} is unknown." in answer.json["reasons"][1]
        client = await gateway.client()
        await client.send(frame(json.dumps({"type": "subscribe", "channel": CHANNEL}).encode()))
        assert (await client.ask(type="ping"))["type"] == "pong"
        log.show(topic_of("menus"))
        assert (await client.message())["type"] == "subscribed"
        assert (await gateway.get("/health/ready")).json["status"] == "ok"


async def test_partition_that_becomes_unreadable_is_named_and_others_continue(log):
    async with running(log) as gateway:
        client = await gateway.subscribed()
        log.hide(topic_of("menus"))
        await log.append([announced(1)])
        assert (await client.message())["data"]["announcementId"] == "a1"
        answer = await gateway.get("/health/ready")
        assert (answer.status, answer.json["status"], answer.json["log"]["up"]) == (200, "degraded", True)
        assert [trouble["topic"] for trouble in answer.json["log"]["troubles"]] == [topic_of("menus")]


async def test_at_the_start_it_is_not_ready_and_subscriptions_wait(log):
    log.fail()
    async with running(log) as gateway:
        assert (await gateway.get("/health/ready")).status == 503
        client = await gateway.client()
        await client.send(frame(json.dumps({"type": "subscribe", "channel": CHANNEL}).encode()))
        assert (await client.ask(type="ping"))["type"] == "pong"
        log.recover()
        assert (await client.message())["type"] == "subscribed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sends_clients_away_and_ends_it(log, number):
    async with running(log, close_timeout=PATIENCE) as gateway:
        clients = [await gateway.subscribed() for _ in range(5)]
        signal.raise_signal(number)
        for client in clients:
            assert await client.closed_with() == (1012, "service_restart")
            await client.send(close(1012))
            await client.stream.aclose()
        with trio.fail_after(PATIENCE):
            await gateway.ended.wait()
        with pytest.raises(OSError, match="connect"):
            await gateway.connect()


async def test_while_clients_are_sent_away_health_can_be_asked_and_nobody_is_let_in(log):
    async with running(log, drain_seconds=3600) as gateway:
        await gateway.subscribed()
        await gateway.subscribed()
        signal.raise_signal(signal.SIGTERM)
        answer = await gateway.until("/health/ready", lambda answer: answer.status == 503)
        assert answer.json["reasons"] == ["This instance is going away."]
        stream = await gateway.connect()
        await stream.send_all(handshake())
        assert (await read_answer(stream)).error == "draining"


async def test_events_arrive_up_to_the_close(log, monkeypatch):
    leaving, left = trio.Event(), trio.Event()

    async def drain(connections, seconds):
        for connection in connections:
            connection.announce(seconds)
        leaving.set()
        await left.wait()
        for connection in list(connections):
            connection.close(codes.SERVICE_RESTART)

    monkeypatch.setattr(gateway, "drain", drain)
    async with running(log, close_timeout=PATIENCE, drain_seconds=7) as gateway_:
        clients = [await gateway_.subscribed() for _ in range(5)]
        signal.raise_signal(signal.SIGTERM)
        await leaving.wait()
        await log.append([announced(number) for number in range(100)])
        for client in clients:
            assert await client.message() == {"type": "going_away", "closeIn": 7}
            assert (await client.message())["data"]["announcementId"] == "a0"
        left.set()
        for client in clients:
            events = [(await client.message())["data"]["announcementId"] for _ in range(99)]
            assert events == [f"a{number}" for number in range(1, 100)]
            assert await client.closed_with() == (1012, "service_restart")
            await client.stream.aclose()
        with trio.fail_after(PATIENCE):
            await gateway_.ended.wait()


async def test_a_second_signal_ends_it_without_farewell(log):
    async with running(log, drain_seconds=3600) as gateway:
        clients = [await gateway.subscribed() for _ in range(3)]
        signal.raise_signal(signal.SIGTERM)
        await gateway.until("/health/ready", lambda answer: answer.status == 503)
        signal.raise_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            await gateway.ended.wait()
        ends = [await client.frame() for client in clients]
        assert None in ends


async def test_a_client_that_does_not_hang_up_does_not_hold_up_the_end(log):
    async with running(log, close_timeout=0.1) as gateway:
        client = await gateway.subscribed()
        stream = await gateway.connect()
        await stream.send_all(b"half a head")
        signal.raise_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            await gateway.ended.wait()
            assert await stream.receive_some() == b""
        assert await client.closed_with() == (1012, "service_restart")


async def test_a_port_that_is_taken_is_an_error(log, tmp_path):
    async with running(log) as gateway:
        taken = Settings(host="127.0.0.1", port=gateway.port, state_dir=str(tmp_path / "other"))
        with pytest.raises(ExceptionGroup) as caught:
            await serve(taken, open_log=lambda _: log.open())
        assert caught.group_contains(OSError, match="in use")


async def test_more_connections_than_files_can_be_open_are_not_promised(log):
    async with running(log, allow=lambda wanted: 1) as running_gateway:
        await running_gateway.client()
        answer = await running_gateway.get("/")
        assert answer.error == "too_many_connections"
        assert "(ulimit -n)" in answer.sentence


async def test_an_instance_that_is_full_is_alive_and_not_ready(log):
    async with running(log, max_connections=2) as instance:
        clients = [await instance.client(), await instance.client()]
        await instance.until("/health", lambda answer: answer.json["live"])
        health, ready, metrics = [await instance.get(path) for path in ("/health", "/health/ready", "/metrics")]
        assert (health.status, ready.status, metrics.status) == (200, 503, 200)
        assert health.json["reasons"] == [
            "This instance is full: It holds as many connections as it may (MAX_CONNECTIONS)."
        ]
        assert (await instance.get("/")).error == "too_many_connections"
        for client in clients:
            await client.stream.aclose()
        await instance.until("/health/ready", lambda answer: answer.status == 200)


@pytest.mark.parametrize(
    ("wanted", "possible", "is_logged"),
    [(3000, 860, True), (3000, 3000, False), (50_000, 860, False)],
    ids=["somebody set it", "it can be had", "nobody set it"],
)
async def test_a_limit_that_cannot_be_had_is_reported_to_who_has_set_it(log, logged, wanted, possible, is_logged):
    async with running(log, allow=lambda _: possible, max_connections=wanted) as instance:
        await instance.get("/health")
    lines = [event for event in logged() if "MAX_CONNECTIONS" in event["event"]]
    assert bool(lines) is is_logged
    if is_logged:
        assert (lines[0]["level"], lines[0]["wanted"], lines[0]["possible"]) == ("warning", 3000, 860)
        assert "ulimit -Hn" in lines[0]["event"]
