"""One client on a real socket, from the answer that opens its WebSocket to the end."""

import gc
import socket
import struct
import time
from contextlib import asynccontextmanager, suppress

import orjson
import pytest
import trio
import trio.testing
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.log.events import LogMetadata
from mesaya_ws.core.log.records import OffsetRange, Partition
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.core.session.handlers import handle
from mesaya_ws.core.session.identities import SessionIdentities
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.gateway.sign_in import SignIn
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.admission import Admitted
from mesaya_ws.server.websocket.connection import Connection, connection_config
from mesaya_ws.server.websocket.keepalive import keep_alive
from mesaya_ws.server.websocket.receiver import RECEIVE_BATCH
from mesaya_ws.server.websocket.serving import WebSocketServer
from mesaya_ws.settings import Settings
from tests.gateway.test_sign_in import StubKeys
from tests.support.client import ANSWER, PATIENCE, Clients
from tests.support.instance import FakeServices, a_feed, a_session, session_identities
from tests.support.wire import BINARY, CLOSE, PING, PONG, TEXT, close, frame

NOW = 1_800_000_000_000
CHANNEL = "restaurant:r1:menu"


class World:
    """A gateway without a log: all that connections share, and clients that are served in `nursery`."""

    def __init__(self, nursery, changed, handle_message=handle):
        self.settings = Settings(**{"close_timeout": PATIENCE, **changed})
        self.metrics = Metrics()
        self.feed = a_feed()
        menus = Partition(topic_of("menus"), 0)
        self.feed.ingest(LogMetadata({menus: OffsetRange(0, 0, "a")}, {menus: 0}), NOW)
        list(self.feed.process(NOW))
        settings, feed = self.settings, self.feed
        self.registry, services = SessionRegistry(), FakeServices()
        services.wait_for_feed = self.registry.wait_for_feed
        self.keys = StubKeys(later={"later": Identity("u1")})
        self.identities = identities = session_identities(
            max_per_user=settings.max_connections_per_user,
            required=settings.auth_required,
            patience=settings.handshake_timeout,
        )
        services.authenticate = SignIn(identities, self.keys, self.metrics).authenticate

        def open_session(id, send_queue):
            limits = {"auth": settings.auth, "most": settings.max_subscriptions}
            return a_session(feed, id, send_queue, services, identities=identities, **limits)

        config = evolve(connection_config(self.settings), handle_message=handle_message)
        self.server = WebSocketServer(config, open_session, self.registry, self.metrics, Status())
        self.nursery = nursery
        self.clients = Clients(nursery, self.server)
        self.connect = self.clients.connect

    async def client(self, early=b""):
        """Return a client that has been greeted."""
        client = self.connect(early)
        await client.be_greeted()
        return client

    async def subscribed(self):
        client = await self.client()
        assert (await client.ask(type="subscribe", channel=CHANNEL))["type"] == "subscribed"
        return client

    @property
    def connection(self) -> Connection:
        """The one connection that there is."""
        [connection] = self.registry.connections
        return connection

    def publish(self, *payloads):
        for serial, payload in enumerate(payloads, 1):
            self.feed.hub.publish(CHANNEL, text_frame(payload), NOW, serial)
        list(self.feed.hub.fan_out())

    async def until_nobody_is_left(self):
        """Wait for the end of all connections, and see that nothing of them is left."""
        with trio.fail_after(PATIENCE):
            for client in self.clients.all:
                await client.ended.wait()
        assert self.metrics.connections_open == self.identities.directory.users == 0
        assert (self.registry.connections, self.registry.has_waiting) == (set(), False)
        assert (self.feed.hub.channels, self.feed.hub.subscriptions) == (0, 0)


@asynccontextmanager
async def gateway(handle_message=handle, **changed):
    """Serve clients, with the given settings, for the time of the context."""
    async with trio.open_nursery() as nursery:
        world = World(nursery, changed, handle_message)
        with world.clients.open():
            yield world
        nursery.cancel_scope.cancel()


@pytest.fixture
async def world():
    async with gateway() as world:
        yield world


async def test_connection_that_fails_before_it_is_served_leaves_nothing(world):
    """Whatever goes wrong where a client is noted, which comes before it is greeted."""

    class Faulty(SessionIdentities):
        def connected(self, session, now):
            raise ValueError("a fault of ours")

    def open_session(id, send_queue):
        return a_session(world.feed, id, send_queue, auth=False, identities=session_identities(kind=Faulty))

    server = evolve(world.server, open_session=open_session)
    ours, theirs = trio.socket.socketpair()
    with theirs, ours, pytest.raises(ValueError, match="a fault of ours"):
        await server.serve(world.nursery, "c1", trio.SocketStream(ours), Admitted(ANSWER, None), b"")
    assert world.metrics.connections_open == 0
    assert world.registry.connections == set()
    assert world.metrics.closes == {("1006", "nobody"): 1}


async def test_a_client_is_let_in_greeted_and_counted(world):
    client = world.connect()
    greeting, answer = await client.be_greeted()
    assert answer == ANSWER
    assert greeting.items() >= {"connection": "c1", "live": True}.items()
    assert (world.metrics.connections_open, world.metrics.connections_total) == (1, 1)
    await client.send(close(1000))
    assert await client.closed_with() == (1000, "")
    await world.until_nobody_is_left()
    assert world.metrics.connections_total == 1
    assert world.metrics.closes == {("1000", "client"): 1}


async def test_message_sent_with_the_handshake_is_received(world):
    client = await world.client(early=frame(b'{"type": "ping", "id": "7"}'))
    assert (await client.message())["id"] == "7"


async def test_client_with_a_token_receives_its_identity(world):
    expires_at = time.time() + 100.5
    client = world.connect(caller=Identity("u1", ("OWNER", "USER"), expires_at=expires_at))
    greeting, _ = await client.be_greeted()
    assert (greeting["user"], greeting["roles"]) == ("u1", ["OWNER", "USER"])
    assert 99 <= greeting["expiresIn"] <= 100
    assert world.connection.session.identity.user == "u1"
    lasting = world.connect(caller=Identity("u2"))
    greeting, _ = await lasting.be_greeted()
    assert "expiresIn" not in greeting


async def test_client_without_a_token_receives_no_identity(world):
    greeting, _ = await world.connect().be_greeted()
    assert greeting.keys().isdisjoint({"user", "roles", "expiresIn"})


@pytest.mark.parametrize(
    ("caller", "error", "verdict"),
    [
        (BadToken(Flaw.EXPIRED), ("bad_token", Flaw.EXPIRED.value), (4401, "unauthenticated")),
        (Unavailable.KEYS, ("unavailable", Unavailable.KEYS.value), (1013, "try_again_later")),
    ],
)
async def test_client_whose_token_names_nobody_gets_the_reason_and_is_closed(world, caller, error, verdict):
    client = world.connect(early=frame(b'{"type": "ping"}'), caller=caller)
    greeting, _ = await client.be_greeted()
    assert "user" not in greeting
    message = await client.message()
    assert (message["type"], (message["code"], message["message"])) == ("error", error)
    assert await client.closed_with() == verdict
    await client.stream.aclose()
    await world.until_nobody_is_left()
    assert world.metrics.client_messages == {}, "it is not served"


async def test_newest_connection_of_a_user_with_too_many_is_refused_and_the_others_stay():
    async with gateway(max_connections_per_user=2) as world:
        first, _ = [world.connect(caller=Identity("u1")) for _ in range(2)]
        await first.be_greeted()
        third = world.connect(caller=Identity("u1"))
        await third.be_greeted()
        assert await third.closed_with() == (4429, "too_many_connections")
        await world.connect(caller=Identity("u2")).be_greeted()
        assert (await first.ask(type="ping"))["type"] == "pong"
        assert world.metrics.violations == {"connections_per_user": 1}
        await first.send(close(1000))
        await first.stream.aclose()
        await first.ended.wait()
        again = world.connect(caller=Identity("u1"))
        await again.be_greeted()
        assert (await again.ask(type="ping"))["type"] == "pong"


async def test_client_without_a_token_has_its_time_to_say_who_it_is():
    async with gateway(auth_required=True, handshake_timeout=7.0) as world:
        deadlines, began = world.identities.deadlines, time.time()
        await world.client()
        assert began + 7 <= deadlines.next < began + 7 + PATIENCE
        await world.connect(caller=Identity("u1")).be_greeted()
        assert len(deadlines) == 1, "whose token has no end is due for nothing"


async def test_lines_of_the_log_name_the_user_of_the_token(world, logged):
    client = world.connect(caller=Identity("u1"))
    await client.be_greeted()
    assert (await client.ask(type="shout"))["code"] == "unknown_type"
    [event] = [event for event in logged() if event["event"] == "message refused"]
    assert event["user"] == "u1"


async def test_what_follows_auth_in_one_burst_is_received_as_who_the_client_is_then(world):
    own = "user:u1:notifications"
    burst = [{"type": "auth", "token": "later"}, {"type": "subscribe", "channel": own}, {"type": "ping"}]
    client = await world.client(early=b"".join(frame(orjson.dumps(message)) for message in burst))
    await trio.testing.wait_all_tasks_blocked()
    assert world.connection.session.identity is None
    world.keys.read.set()
    # The feed may see nothing yet of that channel, but it has been asked for by the user whose it is.
    answers = [await client.message() for _ in range(3)]
    assert [each["type"] for each in answers] == ["authenticated", "subscribed", "pong"]


async def test_messages_are_answered_and_counted(world):
    client = await world.client()
    assert (await client.ask(type="ping"))["type"] == "pong"
    assert (await client.ask(type="shout"))["code"] == "unknown_type"
    assert (await client.ask(type="ping"))["type"] == "pong"
    assert world.metrics.client_messages == {"ping": 2, "unknown_type": 1}


async def test_events_and_what_the_protocol_asks_come_in_one_order(world):
    client = await world.subscribed()
    await client.send(frame(b"here?", PING))
    assert await client.frame() == (PONG, b"here?")
    world.publish(b"1", b"2")
    assert [await client.frame() for _ in range(2)] == [(TEXT, b"1"), (TEXT, b"2")]


async def test_subscriptions_that_wait_are_made_known():
    async with gateway() as world:
        world.feed.progress.live = False
        client = await world.client()
        await client.send(frame(orjson.dumps({"type": "subscribe", "channel": CHANNEL})))
        assert (await client.ask(type="ping"))["type"] == "pong"
        assert world.registry.has_waiting
        await client.send(close(1000))
        await world.until_nobody_is_left()


@pytest.mark.parametrize(
    ("sent", "verdict"),
    [
        (frame(b"x", BINARY), (1003, "unsupported_data")),
        (frame(b"x" * 300), (1009, "message_too_big")),
        (frame(b"x" * 200, final=False) + frame(b"x" * 200, 0), (1009, "message_too_big")),
        (frame(b"", announced=1 << 62), (1009, "message_too_big")),
        (frame(b"{}") * 11, (4029, "rate_limited")),
        (frame(b"", final=False) + frame(b"", 0, final=False) * 10, (4029, "rate_limited")),
        (frame(b"", final=False) + frame(b"", 0, final=False) * 8, (4029, "rate_limited")),
        (frame(b"\xff"), (1007, "invalid_data")),
        (frame(b"x", mask=None), (1002, "protocol_error")),
    ],
)
async def test_violation_is_answered_with_its_rule(sent, verdict):
    async with gateway(max_message_bytes=256, messages_per_second=1, max_fragments=8) as world:
        client = await world.client()
        await client.send(sent)
        assert await client.closed_with() == verdict
        await client.stream.aclose()
        await world.until_nobody_is_left()
        assert world.metrics.closes == {(str(verdict[0]), "service"): 1}


async def test_limit_that_a_client_broke_is_counted_once_and_logged(logged):
    async with gateway(messages_per_second=1) as world:
        client = await world.client()
        await client.send(frame(b"{}") * 50)
        assert await client.closed_with() == (4029, "rate_limited")
        assert world.metrics.violations == {"messages_per_second": 1}
    broke, closed = [event for event in logged() if event["event"] in ("client broke a limit", "connection closed")]
    assert (broke["event"], broke["reason"], closed["code"]) == ("client broke a limit", "messages_per_second", 4029)


@pytest.mark.parametrize(
    "begun", [frame(b'{"type":', final=False), frame(b'{"type":"ping"}')[:-3]], ids=["fragment", "half a frame"]
)
async def test_message_that_does_not_end_in_time_closes_however_busy_the_client_is(autojump_clock, begun):
    async with gateway(message_timeout=7, ping_timeout=60) as world:
        world.nursery.start_soon(keep_alive, world.registry.connections, world.settings)
        client = await world.client()
        await client.send(frame(b'{"type": "ping"}'))
        assert (await client.message())["type"] == "pong"
        await trio.sleep(60)
        started = trio.current_time()
        await client.send(begun)
        assert await client.closed_with() == (4408, "message_timeout")
        assert trio.current_time() - started == pytest.approx(7, abs=1.5)
        assert world.metrics.violations == {"message_time": 1}


async def test_a_client_that_closes_with_a_code_of_faults_is_answered_once(world):
    client = await world.client()
    await client.send(close(1002))
    assert await client.closed_with() == (1002, "")


async def test_close_during_a_large_message_is_answered_between_its_frames(world):
    client = await world.subscribed()
    frames = [b"\x01\x7e\xff\xff" + b"x" * 65535, *[b"\x00\x7e\xff\xff" + b"x" * 65535] * 9, b"\x80\x00"]
    world.connection.session.send_queue.stream(iter(frames))
    await client.send(close(1000))
    await trio.testing.wait_all_tasks_blocked()
    assert world.feed.hub.subscriptions == 0, "it is not served any more"
    assert await client.frame() == (TEXT, b"x" * 65535)
    assert await client.frame() == (CLOSE, (1000).to_bytes(2)), "and the rest of the message does not come"
    assert await client.frame() is None
    await client.stream.aclose()
    await world.until_nobody_is_left()
    assert world.metrics.closes == {("1000", "client"): 1}


async def test_who_closes_and_takes_nothing_is_waited_for_as_long_as_others():
    async with gateway(close_timeout=0.1) as world:
        client = await world.subscribed()
        world.connection.session.send_queue.stream(iter([b"\x01\x7e\xff\xff" + b"x" * 65535, b"\x80\x00"]))
        await client.send(close(1000))
        await world.until_nobody_is_left()
        assert world.metrics.closes == {("1000", "client"): 1}


@pytest.mark.parametrize(
    ("said", "ended"), [(None, ("1012", "service")), (close(1000), ("1000", "client"))], ids=["by us", "by itself"]
)
async def test_a_connection_that_is_cut_while_it_parts_counts_as_it_was_closed(said, ended):
    """As by the last deadline of a drain."""
    async with gateway() as world:
        client = await world.subscribed()
        world.connection.session.send_queue.stream(iter([b"\x01\x7e\xff\xff" + b"x" * 65535, b"\x80\x00"]))
        if said is None:
            world.connection.close(codes.SERVICE_RESTART)
        else:
            await client.send(said)
        await trio.testing.wait_all_tasks_blocked()
        assert world.metrics.closes == {}
        world.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await world.until_nobody_is_left()
        assert world.metrics.closes == {ended: 1}


async def test_how_a_connection_ended_is_logged_and_as_debug_when_the_client_wished_it(logged):
    async with gateway(messages_per_second=1, close_timeout=0.1) as world:
        for end in (close(1011), frame(b"{}") * 11, None):
            client = await world.client()
            if end is not None:
                await client.send(end)
                await client.closed_with()
            await client.stream.aclose()
        await world.until_nobody_is_left()
        assert world.metrics.closes == {("1011", "client"): 1, ("4029", "service"): 1, ("1006", "nobody"): 1}
    ends = {event["by"]: event for event in logged() if event["event"] == "connection closed"}
    lines = [(ends[by]["level"], ends[by]["code"], ends[by]["reason"]) for by in ("client", "service", "nobody")]
    assert lines == [("debug", 1011, "internal_error"), ("info", 4029, "rate_limited"), ("info", 1006, "abnormal")]
    for end in ends.values():
        assert 0 <= end["seconds"] < PATIENCE


async def test_a_message_that_is_refused_is_logged_with_its_code(world, logged):
    client = await world.client()
    assert (await client.ask(type="shout"))["code"] == "unknown_type"
    assert (await client.ask(type="ping"))["type"] == "pong"
    [event] = [event for event in logged() if event["event"] == "message refused"]
    assert (event["level"], event["code"]) == ("info", "unknown_type")


async def test_a_connection_can_be_ended_and_the_first_reason_counts(world):
    client = await world.subscribed()
    world.connection.close(codes.SERVICE_RESTART)
    world.connection.close(codes.SLOW)
    world.publish(b"too late")
    assert await client.closed_with() == (1012, "service_restart")
    await client.send(close(1012))
    await client.stream.aclose()
    await world.until_nobody_is_left()
    assert world.metrics.closes == {("1012", "service"): 1}


async def test_it_ends_even_if_the_client_does_not_take_part():
    async with gateway(close_timeout=0.1) as world:
        client = await world.client()
        world.connection.close(codes.SERVICE_RESTART)
        await world.until_nobody_is_left()
        assert await client.closed_with() == (1012, "service_restart")


async def test_a_client_that_does_not_read_is_sent_away_and_may_read_why():
    async with gateway(send_queue_messages=10) as world:
        slow, other = await world.subscribed(), await world.subscribed()
        messages = [b"%d" % number * 1000 for number in range(100)]
        for message in messages:
            world.publish(message)
            assert await other.frame() == (TEXT, message)
        received = []
        while (got := await slow.frame())[0] == TEXT:
            received.append(got[1])
        assert received == messages[: len(received)], "what it gets is whole and in order"
        assert len(received) < len(messages)
        assert got == (CLOSE, (4008).to_bytes(2) + b"slow")
        await slow.stream.aclose()
        world.publish(b"last")
        assert await other.frame() == (TEXT, b"last")
        with trio.fail_after(PATIENCE):
            await slow.ended.wait()
        assert world.metrics.closes == {("4008", "service"): 1}


async def test_a_silent_client_is_pinged_and_stays_when_it_answers(world):
    client = await world.client()
    now, settings = trio.current_time(), world.settings
    world.connection.check(now + settings.ping_interval - 1)
    world.connection.check(now + settings.ping_interval)
    world.connection.check(now + settings.ping_interval + 1)
    assert await client.frame() == (PING, b"")
    await client.send(frame(b"", PONG), frame(b"and", PING))
    assert await client.frame() == (PONG, b"and"), "and there was one ping only"


async def test_a_client_that_stays_silent_is_given_up(world):
    client = await world.client()
    now, settings = trio.current_time() + world.settings.ping_interval, world.settings
    world.connection.check(now)
    world.connection.check(now + settings.ping_timeout - 1)
    assert await client.frame() == (PING, b"")
    world.connection.check(now + settings.ping_timeout)
    assert await client.closed_with() == (4009, "ping_timeout")


async def test_a_client_that_takes_nothing_is_given_up_whatever_it_sends(world):
    client = await world.client()
    connection, timeout = world.connection, world.settings.ping_timeout
    connection.session.send_queue.stream(iter([b"\x01\x7e\xff\xff" + b"x" * 65535, b"\x80\x00"]))
    await client.send(frame(b"", PONG))
    await trio.testing.wait_all_tasks_blocked()
    now = trio.current_time()
    connection.check(now)
    connection.check(now + timeout - 1)
    assert connection in world.registry.connections
    connection.check(now + timeout)
    assert await client.frame() == (TEXT, b"x" * 65535)
    assert await client.closed_with() == (4008, "slow"), "and the rest of the message does not come"


async def test_a_slow_client_that_takes_what_waits_is_there_though_its_pong_is_late(world):
    client = await world.client()
    connection, settings = world.connection, world.settings
    connection.session.send_queue.stream(iter([b"\x01\x7e\xff\xff" + b"x" * 65535, b"\x80\x00"]))
    await trio.testing.wait_all_tasks_blocked()
    now = trio.current_time() + settings.ping_interval
    connection.check(now)
    for _ in range(5):
        await client.receive(12_000)
        await trio.testing.wait_all_tasks_blocked()
        now += settings.ping_timeout - 1
        connection.check(now)
    assert connection in world.registry.connections
    assert await client.frame() == (TEXT, b"x" * 65535)
    assert await client.frame() == (PING, b"")


async def test_all_connections_are_checked_again_and_again():
    async with gateway(ping_interval=0.1) as world:
        clients = [await world.client() for _ in range(3)]
        world.nursery.start_soon(keep_alive, world.registry.connections, world.settings)
        for client in clients:
            assert await client.frame() == (PING, b"")


async def test_client_that_waits_receives_pending_within_seconds():
    """The feed never becomes live here, as when Kafka is away at the start."""
    async with gateway(ping_interval=0.1) as world:
        world.feed.progress.live = False
        client = await world.client()
        world.nursery.start_soon(keep_alive, world.registry.connections, world.settings)
        await client.send(frame(b'{"type":"subscribe","channel":"%s","id":7}' % CHANNEL.encode()))
        while (message := await client.frame())[0] == PING:
            pass
        answer = orjson.loads(message[1])
        assert (answer["type"], answer["id"]) == ("pending", 7)


async def test_a_client_that_vanishes(world):
    client = await world.subscribed()
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.stream.socket.close()
    await world.until_nobody_is_left()
    assert world.metrics.closes == {("1006", "nobody"): 1}


async def test_many_that_vanish_at_once(world):
    clients = [await world.subscribed() for _ in range(2 * RECEIVE_BATCH)]
    for client in clients:
        client.stream.socket.close()
    await world.until_nobody_is_left()
    assert world.registry.connections == set()


class FaultyReplay:
    """What a client has missed, where a fault of ours shows when it is to be sent."""

    count = 1
    done = False

    def page(self):
        raise ValueError("a fault of ours")


def handle_faultily(session, text):
    if text == "faulty":
        raise ValueError("a fault of ours")
    return handle(session, text)


@pytest.mark.parametrize("where", ["receive", "resume"])
async def test_internal_error_closes_one_connection_with_its_code(logged, where):
    async with gateway(handle_faultily) as world:
        bystander = await world.subscribed()
        known = set(world.registry.connections)
        client = await world.subscribed()
        [connection] = world.registry.connections - known
        if where == "receive":
            await client.send(frame(b"faulty"))
        else:
            [subscription] = connection.session.subscriptions.values()
            subscription.start_replay(FaultyReplay(), None)
            connection.session.send_queue.defer()
        assert await client.closed_with() == (1011, "internal_error")
        await client.stream.aclose()
        await client.ended.wait()
        [entry] = [entry for entry in logged() if entry["level"] == "error"]
        assert entry["connection"] == "c1"
        assert "a fault of ours" in str(entry["exception"])
        assert world.metrics.closes == {("1011", "service"): 1}
        world.publish(b"still here")
        assert await bystander.frame() == (TEXT, b"still here")


async def test_client_gone_before_its_error_is_sent_is_no_fault(world, logged):
    client = await world.client()
    await client.send(frame(b"x", mask=None))
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.stream.socket.close()
    await world.until_nobody_is_left()
    assert [entry for entry in logged() if entry["level"] == "error"] == []


async def test_cancellation_leaves_nothing():
    async with gateway() as world:
        client, _ = await world.subscribed(), world.connect()
        world.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await world.until_nobody_is_left()
            assert world.metrics.closes == {("1006", "nobody"): 2}
            assert await client.frame() is None


HEADERS = st.builds(
    frame,
    st.binary(max_size=40)
    | st.just(b'{"type": "ping"}')
    | st.sampled_from([1000, 1002, 999]).map(lambda n: n.to_bytes(2)),
    st.sampled_from([0x0, 0x1, 0x2, 0x3, 0x8, 0x9, 0xA, 0xB]),
    final=st.sampled_from([True, True, False]),
    reserved=st.sampled_from([0, 0, 0, 1, 4]),
    mask=st.sampled_from([b"\x01\x02\x03\x04", b"\0\0\0\0", None]),
)


@given(frames=st.lists(HEADERS, max_size=8), cut=st.integers(0, 100), leaves=st.booleans())
def test_whatever_a_client_sends_only_its_own_connection_ends(frames, cut, leaves):
    async def scenario():
        async with gateway() as world:
            bystander = await world.subscribed()
            client = await world.client()
            data = b"".join(frames)
            await client.send(data[:cut])
            await trio.testing.wait_all_tasks_blocked()
            # It may have been sent away by what it sent first.
            with suppress(trio.BrokenResourceError):
                await client.send(data[cut:])
            if leaves:
                await client.stream.aclose()
            else:
                with suppress(trio.BrokenResourceError):
                    await client.stream.send_eof()
                while await client.frame() is not None:
                    pass
            world.publish(b"still here")
            assert await bystander.frame() == (TEXT, b"still here")

    trio.run(scenario)


@pytest.mark.parametrize("parting", ["close", "reset", "verdict"])
@pytest.mark.slow
async def test_a_connection_that_has_ended_leaves_nothing_to_the_garbage_collector(world, parting):
    gc.collect()
    gc.disable()
    try:
        client = await world.subscribed()
        if parting == "close":
            await client.send(close(1000))
        elif parting == "verdict":
            world.connection.close(codes.PING_TIMEOUT)
            await client.closed_with()
        await client.stream.aclose()
        await world.until_nobody_is_left()
        assert [it for it in gc.get_objects() if isinstance(it, Connection)] == []
    finally:
        gc.enable()
