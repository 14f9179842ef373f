"""Who is let in, and to whom; the two protocols behind it are stand-ins."""

import socket
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial

import pytest
import trio
import trio.testing

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.wire.handshake import END
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.dispatcher import ORIGINS, SPARE_HEAD_SECONDS, SPARE_PLACES, Dispatcher
from mesaya_ws.settings import Settings
from tests.server.http.client import read_answer
from tests.support.wire import handshake

GET = b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n"


class World:
    """A dispatcher, and what it has handed on: `websockets` and `requests` hold what came with them.

    The clients are open as long as `nursery` is; they are served in `serving`, or there, too.
    """

    def __init__(self, nursery, serving=None, bound="MAX_CONNECTIONS", authentication=None, **changed):
        self.settings = Settings(**changed)
        self.metrics = Metrics()
        self.websockets, self.requests, self.callers, self.addresses = [], [], [], []
        self.status = Status(caught_up=True)
        self.dispatcher = Dispatcher(
            self.settings, self.metrics, self.status, self._serve_websocket, self._serve_http, bound, authentication
        )
        self._nursery = nursery
        self._serving = serving or nursery
        self._serve = None

    def connect(self, host=None):
        """Return the client's end of an accepted connection, which comes from port 4711 of a `host`, or of this one.

        `ended` is set when it has been served.
        """
        client, ours = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair())
        client.ended = trio.Event()

        async def handle():
            await self.dispatcher.handle(ours, host or "127.0.0.1", 4711)
            client.ended.set()

        async def hold():
            with client.socket:
                await trio.sleep_forever()

        self._serving.start_soon(handle)
        self._nursery.start_soon(hold)
        return client

    async def send(self, *parts, host=None):
        """Return a client that has sent something, part by part."""
        client = self.connect(host)
        for part in parts:
            await client.send_all(part)
            await trio.testing.wait_all_tasks_blocked()
        return client

    async def hold(self, *parts, host=None):
        """Send something, on a connection that both protocols hold for as long as the client stays."""

        async def serve(stream):
            async for _ in stream:
                pass

        self.serve_by(serve)
        return await self.send(*parts, host=host)

    async def refusal(self, *parts, host=None):
        """Send something, and return status and code of the answer."""
        client = await self.send(*parts, host=host)
        answer = await read_answer(client)
        assert answer.headers["connection"] == "close"
        assert parsedate_to_datetime(answer.headers["date"]).tzinfo is UTC
        assert answer.sentence.endswith(".")
        await client.aclose()
        await client.ended.wait()
        return answer.status, answer.error

    def serve_by(self, serve):
        """Have both protocols served by `serve`, instead of only taking note."""
        self._serve = serve

    async def _serve_websocket(self, id, stream, admitted, early, address):
        self.websockets.append((id, admitted.answer, early))
        self.addresses.append(address)
        self.callers.append(admitted.caller)
        if self._serve:
            await self._serve(stream)

    async def _serve_http(self, head, stream, early):
        self.requests.append((f"{head.method} {head.target}", early))
        if self._serve:
            await self._serve(stream)


@pytest.fixture
def world(nursery):
    return World(nursery)


# Two protocols


async def test_a_handshake_goes_to_websocket_with_what_came_after_it(world):
    client = await world.send(handshake() + b"early")
    [(_, answer, early)] = world.websockets
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(END)
    assert early == b"early"
    assert await client.receive_some() == b"", "and the stream is closed when it has been served"


async def test_everything_else_goes_to_http_with_what_came_after_it(world):
    await world.send(GET + b"body")
    assert world.requests == [("GET /health", b"body")]


async def test_it_does_not_matter_in_which_parts_a_head_comes(world):
    await world.send(*(bytes((byte,)) for byte in handshake()))
    await world.send(*(bytes((byte,)) for byte in GET))
    assert len(world.websockets) == len(world.requests) == 1


async def test_empty_lines_before_a_request_are_passed_over(world):
    """RFC 9112, 2.2: they come from clients that end a body with one."""
    await world.send(b"\r\n" + GET)
    await world.send(b"\r\n\r\n\r", b"\n" + GET + b"body")
    await world.send(b"\r\n" * 3 + handshake())
    assert world.requests == [("GET /health", b""), ("GET /health", b"body")]
    assert len(world.websockets) == 1


async def test_connections_have_ids_of_their_own(world):
    other = World(world._nursery)
    for one in (world, world, other):
        await one.send(handshake())
    ids = [id for id, _, _ in world.websockets + other.websockets]
    assert len(set(ids)) == 3
    assert ids[0].partition("-")[0] == ids[1].partition("-")[0] != ids[2].partition("-")[0]


# Refusals


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, "bad_request")),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", (400, "bad_request")),
        (handshake(line=b"GET /elsewhere HTTP/1.1"), (404, "not_found")),
        (handshake({b"Sec-WebSocket-Version": b"8"}), (426, "bad_version")),
        (handshake({b"Origin": b"http://evil.example"}), (403, "origin_not_allowed")),
    ],
)
async def test_what_is_refused_is_answered_and_counted(world, head, refusal):
    assert await world.refusal(head) == refusal
    assert world.metrics.refusals == {refusal[1]: 1}
    assert world.websockets == world.requests == []


async def test_refusal_is_logged_with_its_code_and_the_clients_address(nursery, logged):
    await World(nursery).refusal(handshake({b"Origin": b"http://evil.example"}))
    [event] = [event for event in logged() if event["event"] == "request refused"]
    assert (event["level"], event["code"], event["status"]) == ("info", "origin_not_allowed", 403)
    assert event["address"] == "127.0.0.1:4711"
    assert event["connection"]


async def test_a_head_that_has_no_end_is_refused_when_it_is_too_large(nursery):
    world = World(nursery, max_head_bytes=1024)
    assert await world.refusal(b"GET / HTTP/1.1\r\n", b"X: " + b"x" * 1022) == (431, "head_too_large")


async def test_a_head_that_is_too_large_is_refused_even_if_it_comes_at_once(nursery):
    world = World(nursery, max_head_bytes=1024)
    assert await world.refusal(b"GET / HTTP/1.1\r\nX: " + b"x" * 1022 + END) == (431, "head_too_large")
    await world.send(GET + b"x" * 2000)
    assert len(world.requests) == 1, "what comes after a head does not belong to it"


async def test_a_head_may_be_as_large_as_the_limit(nursery):
    world = World(nursery, max_head_bytes=1024)
    head = b"GET / HTTP/1.1\r\nHost: test\r\nX: "
    await world.send(head + b"x" * (1024 - len(head)), END)
    assert len(world.requests) == 1


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET[:-2]])
async def test_a_head_that_does_not_come_is_refused(nursery, autojump_clock, sent):
    world = World(nursery, handshake_timeout=7)
    client = world.connect()
    if sent:
        await client.send_all(sent)
    assert (await read_answer(client)).error == "head_too_late"
    assert trio.current_time() == pytest.approx(7)


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01", b"\x80", b"\0", b" GET"])
async def test_what_begins_no_request_is_refused_at_once(nursery, autojump_clock, sent):
    world = World(nursery, handshake_timeout=7)
    early, late = world.connect(), world.connect()
    await early.send_all(sent)
    assert (await read_answer(early)).error == "bad_request"
    await trio.testing.wait_all_tasks_blocked()
    await late.send_all(sent)
    assert (await read_answer(late)).error == "bad_request"
    assert trio.current_time() == 0, "nobody waits for the rest of a head that there will not be"


async def test_a_trickle_does_not_buy_time(nursery, autojump_clock):
    world = World(nursery, handshake_timeout=7)
    client = world.connect()
    for byte in GET[:8]:
        await client.send_all(bytes((byte,)))
        await trio.sleep(1)
    assert (await read_answer(client)).status == 408


# Full, but not dead


@pytest.fixture
async def full(nursery):
    """A world that holds as many connections as it may."""
    world = World(nursery, max_connections=2, bound="ulimit -n")
    world.holders = [world.connect(), world.connect()]
    await trio.testing.wait_all_tasks_blocked()
    return world


async def test_more_connections_than_there_may_be(full):
    assert await full.refusal(handshake()) == (503, "too_many_connections")
    assert await full.refusal(b"GET /publish HTTP/1.1\r\nHost: test\r\n\r\n") == (503, "too_many_connections")
    await full.holders[0].aclose()
    await full.holders[0].ended.wait()
    await full.send(handshake())
    assert len(full.websockets) == 1
    assert full.requests == []
    # What is raised for everybody keeps nothing of anybody.
    assert full.dispatcher._too_many.__traceback__ is None


async def test_the_answer_names_the_bound_that_is_met(full, nursery):
    assert "(ulimit -n)" in (await read_answer(await full.send(handshake()))).sentence
    other = World(nursery, max_connections=1)
    other.connect()
    await trio.testing.wait_all_tasks_blocked()
    assert "(MAX_CONNECTIONS)" in (await read_answer(await other.send(handshake()))).sentence


async def test_an_answer_to_head_has_no_content(full):
    client = await full.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
    answer = await read_answer(client, "HEAD")
    assert (answer.status, answer.body) == (503, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_it_is_not_ready_while_it_is_full(full):
    assert full.status.reasons == ["This instance is full: It holds as many connections as it may (ulimit -n)."]
    await full.send(handshake())
    await full.holders[0].aclose()
    await full.holders[0].ended.wait()
    assert full.status.reasons == []


@pytest.mark.parametrize("path", [b"/health", b"/health/ready", b"/metrics", b"/health/"])
async def test_probes_are_answered_even_when_it_is_full(full, path):
    await full.send(b"GET " + path, b" HTTP/1.1\r\nHost: test\r\n\r\n")
    assert full.requests == [(f"GET {path.decode().rstrip('/')}", b"")]


async def test_haproxy_is_answered_as_it_asks_by_default_even_when_it_is_full(full):
    await full.send(b"OPTIONS / HTTP/1.0\r\n\r\n")
    assert full.requests == [("OPTIONS /", b"")]


@pytest.mark.parametrize("line", [b"OPTIONS /publish", b"GET /"])
async def test_nothing_else_is_a_probe(full, line):
    assert await full.refusal(line + b" HTTP/1.1\r\nHost: test\r\n\r\n") == (503, "too_many_connections")


async def test_a_handshake_is_no_probe_wherever_it_asks_for_one(full):
    assert await full.refusal(handshake(line=b"GET /health HTTP/1.1")) == (503, "too_many_connections")


async def test_who_says_nothing_is_refused_soon_when_it_is_full(full, autojump_clock):
    client = full.connect()
    assert (await read_answer(client)).error == "too_many_connections"
    assert trio.current_time() == pytest.approx(SPARE_HEAD_SECONDS)


async def test_who_has_been_refused_gives_way_first(full):
    """They only wait for the client to hang up, lest it miss the answer."""
    silent = [await full.send(b"GET /he") for _ in range(SPARE_PLACES - 1)]
    refused = await full.send(handshake())
    assert (await refused.receive_some()).startswith(b"HTTP/1.1 503 ")
    await full.send(b"GET /he")
    assert refused.ended.is_set()
    assert not any(client.ended.is_set() for client in silent)


async def test_nobody_keeps_probes_out_by_being_slow(full):
    """There are so many places beyond the limit, and who has had one for longest gives way."""
    silent = [await full.send(b"GET /he") for _ in range(SPARE_PLACES + 3)]
    assert [client.ended.is_set() for client in silent] == [True] * 3 + [False] * SPARE_PLACES
    await full.send(GET)
    assert len(full.requests) == 1
    for client in silent:
        await client.aclose()
        await client.ended.wait()
    assert not full.dispatcher._spare
    assert full.dispatcher.free_slots() == 0


# One address


async def test_address_at_its_connection_limit_is_refused_and_others_are_not(nursery):
    world = World(nursery, max_connections_per_address=2)
    first, second = [world.connect("192.0.2.1") for _ in range(2)]
    await trio.testing.wait_all_tasks_blocked()
    assert await world.refusal(handshake(), host="192.0.2.1") == (429, "too_many_of_address")
    await world.send(handshake(), host="192.0.2.2")
    await first.aclose()
    await first.ended.wait()
    await world.send(handshake(), host="192.0.2.1")
    assert len(world.websockets) == 2
    assert world.metrics.refusals == {"too_many_of_address": 1}
    assert not second.ended.is_set()


async def test_ipv6_addresses_of_one_network_count_together(nursery):
    world = World(nursery, max_connections_per_address=1)
    world.connect("2001:db8::1")
    await trio.testing.wait_all_tasks_blocked()
    assert await world.refusal(handshake(), host="2001:db8::2") == (429, "too_many_of_address")
    await world.send(handshake(), host="2001:db8:0:1::2")
    assert len(world.websockets) == 1


async def test_probes_of_an_address_that_holds_too_many_are_answered(nursery):
    world = World(nursery, max_connections_per_address=1)
    world.connect("192.0.2.1")
    await trio.testing.wait_all_tasks_blocked()
    await world.send(GET, host="192.0.2.1")
    assert world.requests == [("GET /health", b"")]


async def test_nothing_is_kept_of_an_address_without_connections(nursery):
    world = World(nursery, max_connections_per_address=2)
    for head in (handshake(), GET, b"nonsense" + END, b""):
        client = await world.send(head, host="192.0.2.1")
        await client.aclose()
        await client.ended.wait()
    assert len(world.dispatcher._addresses.connections) == 0


async def test_handshakes_of_one_address_over_time_are_refused_and_requests_are_not(nursery, autojump_clock):
    world = World(nursery, handshakes_per_second=0.2)
    for _ in range(2):
        await world.send(handshake(), host="192.0.2.1")
    assert await world.refusal(handshake(), host="192.0.2.1") == (429, "too_many_handshakes")
    await world.send(GET, host="192.0.2.1")
    await world.send(handshake(), host="192.0.2.2")
    await trio.sleep(5.1)
    await world.send(handshake(), host="192.0.2.1")
    assert (len(world.websockets), len(world.requests)) == (4, 1)


def through(proxies):
    return handshake({b"X-Forwarded-For": proxies})


async def test_client_of_a_trusted_proxy_is_where_the_proxy_says(nursery, logged):
    world = World(nursery, max_connections_per_address=1, trusted_proxies=("10.0.0.0/8",))
    await world.hold(through(b"6.6.6.6, 192.0.2.1"), host="10.0.0.1")
    assert await world.refusal(through(b"192.0.2.1, 10.0.0.7"), host="10.0.0.2") == (429, "too_many_of_address")
    await world.hold(through(b"192.0.2.2"), host="10.0.0.1")
    assert world.addresses == ["192.0.2.1", "192.0.2.2"]
    [event] = [event for event in logged() if event["event"] == "request refused"]
    assert event["address"] == "192.0.2.1"


async def test_who_is_no_trusted_proxy_says_nothing_of_where_it_is(nursery, logged):
    world = World(nursery, max_connections_per_address=1, trusted_proxies=("10.0.0.0/8",))
    await world.hold(through(b"192.0.2.1"), host="11.0.0.1")
    assert await world.refusal(through(b"192.0.2.2"), host="11.0.0.1") == (429, "too_many_of_address")
    [event] = [event for event in logged() if event["event"] == "request refused"]
    assert world.addresses == [event["address"]] == ["11.0.0.1:4711"]


async def test_clients_of_a_proxy_that_have_not_said_where_they_are_count_for_nobody(nursery):
    world = World(nursery, max_connections_per_address=1, trusted_proxies=("10.0.0.1",))
    for _ in range(3):
        world.connect("10.0.0.1")
    await world.hold(through(b"192.0.2.1"), host="10.0.0.1")
    assert len(world.websockets) == 1


# Tokens


GOOD = Identity("u1", ("USER",))


class Authentication:
    """Knows one token, `good`; cannot say anything of `later`, and says of `slow` only after a while."""

    def authenticate_at_once(self, token):
        return {"good": GOOD, "later": None, "slow": None}.get(token, BadToken(Flaw.MALFORMED))

    async def authenticate(self, token):
        await trio.sleep(1)
        return GOOD if token == "slow" else Unavailable.KEYS


@pytest.fixture
def guarded(nursery):
    return World(nursery, authentication=Authentication())


def in_header(token):
    return handshake({b"Authorization": b"Bearer " + token})


def as_protocol(token):
    return handshake({b"Sec-WebSocket-Protocol": b"mesaya.v1, bearer." + token})


@pytest.mark.parametrize("head", [in_header(b"good"), as_protocol(b"good")])
async def test_good_token_lets_its_user_in(guarded, head):
    await guarded.send(head)
    assert guarded.callers == [GOOD]
    [(_, answer, _)] = guarded.websockets
    assert b"bearer" not in answer


@pytest.mark.parametrize("head", [in_header(b"slow"), as_protocol(b"slow")])
async def test_token_whose_key_must_be_read_first_waits_alone(guarded, autojump_clock, head):
    await guarded.send(head)
    await guarded.send(handshake())
    assert guarded.callers == [None]
    await trio.sleep(2)
    assert guarded.callers == [None, GOOD]


async def test_bad_token_in_the_header_is_answered_by_http(guarded):
    client = await guarded.send(in_header(b"bad"))
    answer = await read_answer(client)
    assert (answer.status, answer.error) == (401, "bad_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert guarded.metrics.refusals == {"bad_token": 1}


async def test_token_that_cannot_be_verified_now_may_be_sent_again(guarded, autojump_clock):
    client = await guarded.send(in_header(b"later"))
    answer = await read_answer(client)
    assert (answer.status, answer.error, answer.headers["retry-after"]) == (503, "unavailable", "1")


async def test_token_of_a_page_opens_the_websocket_whatever_is_wrong_with_it(guarded, autojump_clock):
    """A page cannot see the status of an answer by HTTP."""
    await guarded.send(as_protocol(b"bad"))
    await guarded.send(as_protocol(b"later"))
    await trio.sleep(2)
    assert guarded.callers == [BadToken(Flaw.MALFORMED), Unavailable.KEYS]


async def test_two_tokens_are_refused_also_where_none_counts(guarded, world):
    both = handshake({b"Authorization": b"Bearer good", b"Sec-WebSocket-Protocol": b"mesaya.v1, bearer.good"})
    for each in (guarded, world):
        assert await each.refusal(both) == (400, "bad_handshake")
        assert await each.refusal(as_protocol(b"good, bearer.good")) == (400, "bad_handshake")


async def test_foreign_page_is_refused_before_its_token_is_checked(guarded):
    page = {b"Authorization": b"Bearer bad", b"Origin": b"http://evil.example"}
    assert await guarded.refusal(handshake(page)) == (403, "origin_not_allowed")


@pytest.mark.parametrize("line", [b"GET /ws?token=good HTTP/1.1", b"GET /ws?access_token=good HTTP/1.1"])
async def test_token_in_the_query_does_not_count(guarded, line):
    await guarded.send(handshake(line=line))
    assert guarded.callers == [None]


async def test_nobody_is_known_where_tokens_do_not_count(world):
    await world.send(in_header(b"good"))
    await world.send(as_protocol(b"bad"))
    assert world.callers == [None, None]


async def test_token_is_in_no_line_of_the_log(guarded, logged, autojump_clock):
    for head in (in_header(b"hunter2"), as_protocol(b"hunter2"), in_header(b"hunter2, Bearer hunter2")):
        await guarded.send(head)
    assert "hunter2" not in str(logged())


async def test_while_it_drains_only_http_goes_on(world):
    world.dispatcher.draining = True
    assert await world.refusal(handshake()) == (503, "draining")
    assert await world.refusal(handshake(line=b"GET /elsewhere HTTP/1.1")) == (404, "not_found")
    await world.send(GET)
    assert world.requests == [("GET /health", b"")]


async def test_handshake_whose_token_waits_until_the_drain_has_begun_is_sent_on(guarded, autojump_clock):
    client = await guarded.send(in_header(b"slow"))
    guarded.dispatcher.draining = True
    answer = await read_answer(client)
    assert (answer.status, answer.error, guarded.callers) == (503, "draining", [])


async def test_whoever_is_refused_has_some_time_to_hang_up(nursery, autojump_clock):
    world = World(nursery, close_timeout=3)
    client = await world.send(b"nonsense" + END)
    started = trio.current_time()
    nursery.start_soon(partial(client.send_all, bytes(100_000)))
    await client.ended.wait()
    assert trio.current_time() - started == pytest.approx(3)


# Clients that leave, and faults of ours


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
async def test_a_client_that_leaves_before_it_has_asked(world, sent, logged):
    client = await world.send(sent)
    await client.aclose()
    await client.ended.wait()
    assert world.metrics.refusals == {}
    assert logged() == []


@pytest.mark.parametrize("sent", [GET, handshake()])
@pytest.mark.parametrize(
    ("fault", "is_ours"),
    [
        (trio.BrokenResourceError(), False),
        (trio.ClosedResourceError(), False),
        (ExceptionGroup("", [trio.BrokenResourceError()]), False),
        (LookupError("a bug"), True),
        (ExceptionGroup("", [trio.BrokenResourceError(), LookupError("a bug")]), True),
    ],
)
async def test_whatever_happens_only_its_own_connection_ends(world, logged, sent, fault, is_ours):
    async def fail(stream):
        raise fault

    world.serve_by(fail)
    client = await world.send(sent)
    await client.ended.wait()
    assert await client.receive_some() == b""
    assert [event["event"] for event in logged()] == (["a connection ended by a fault of ours"] if is_ours else [])


def page(origin):
    return handshake({b"Origin": origin})


async def test_an_origin_that_is_refused_is_logged_once_a_minute(world, logged, autojump_clock):
    assert await world.refusal(page(b"http://evil.example")) == (403, "origin_not_allowed")
    await world.refusal(page(b"http://evil.example"))
    await world.refusal(page(b"http://" + b"x" * 10_000))

    def rejected():
        return [(event["origin"], event["host"]) for event in logged() if event["level"] == "warning"]

    assert rejected() == [("http://evil.example", "gateway.test"), ("http://" + "x" * 293, "gateway.test")]
    await trio.sleep(61)
    await world.refusal(page(b"http://evil.example"))
    assert rejected()[2:] == [("http://evil.example", "gateway.test")]


async def test_strangers_cannot_fill_the_log_with_origins(world, logged, autojump_clock):
    for number in range(ORIGINS + 20):
        await world.refusal(page(b"http://%d.example" % number))
    assert len([event for event in logged() if "origin" in event]) == ORIGINS


async def test_whether_a_page_may_connect_depends_on_auth(nursery):
    rebound = handshake({b"Origin": b"http://gateway.test"})
    open_to_all = World(nursery, auth=False)
    assert await open_to_all.refusal(rebound) == (403, "origin_not_allowed")
    await open_to_all.send(handshake({b"Origin": b"http://localhost:5173"}))
    guarded = World(nursery)
    await guarded.send(rebound)
    assert (len(open_to_all.websockets), len(guarded.websockets)) == (1, 1)


async def test_events_about_a_connection_carry_its_id(world, logged):
    async def fail(stream):
        raise LookupError("a bug")

    world.serve_by(fail)
    await world.send(handshake())
    await world.send(handshake())
    await world.send(b"nonsense" + END)
    *ids, third = [event["connection"] for event in logged()]
    assert ids == [id for id, _, _ in world.websockets]
    assert third not in ids


async def test_cancellation_goes_through_and_closes_the_sockets(nursery):
    async def forever(stream):
        await trio.sleep_forever()

    async with trio.open_nursery() as serving:
        world = World(nursery, serving)
        world.serve_by(forever)
        clients = [await world.send(part) for part in (b"", b"GET", GET, handshake(), b"nonsense" + END)]
        serving.cancel_scope.cancel()
    assert [client.ended.is_set() for client in clients] == [False] * 5
    for client in clients:
        async for _ in client:
            pass  # the refusal, where there was one; then the socket is closed
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")
