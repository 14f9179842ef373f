"""HTTP on one stream: whatever a client sends, it gets one answer at most, and its connection ends."""

import inspect
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from itertools import pairwise

import pytest
import trio
import trio.testing
from hypercorn.protocol.events import Request
from hypercorn.protocol.http_stream import HTTPStream
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.server.http.serving import EXCHANGE_SECONDS, LINGER_SECONDS
from tests.server.http.client import PATIENCE, Answer, ask, read_answer, request, serve
from tests.timing import check_best_of


async def respond(send, status=200, body=b"", *headers):
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", b"%d" % len(body)), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def read_body(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def echo(scope, receive, send):
    """Answer with what was asked."""
    assert scope["type"] == "http"
    body = await read_body(receive)
    await respond(send, 200, f"{scope['method']} {scope['path']} ".encode() + body)


async def deaf(scope, receive, send):
    """Answer without reading the request's body."""
    await respond(send, 404, b"no")


async def silent(scope, receive, send):
    """Never answer."""
    await trio.sleep_forever()


async def broken(scope, receive, send):
    raise LookupError("a bug in the application")


class Served:
    """Serves one connection in memory; `client` is its other end."""

    def __init__(self, app):
        self._app = app
        self.client, self._server = trio.testing.memory_stream_pair()
        self.ended = trio.Event()

    async def run(self):
        await serve(self._app, self._server)
        self.ended.set()


# One request, one answer


async def test_a_request_is_answered_and_the_connection_closed():
    answer = await ask(echo, request("POST", "/a?b=c", body=b"hello"), method="POST")
    assert (answer.status, answer.body) == (200, b"POST /a hello")
    assert answer.headers["connection"] == "close"
    assert "date" in answer.headers
    assert "server" not in answer.headers


async def test_an_answer_to_head_has_no_body():
    answer = await ask(echo, request("HEAD", "/x"), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "8"


async def test_http_1_0_is_answered():
    answer = await ask(echo, b"GET /old HTTP/1.0\r\n\r\n")
    assert answer.body == b"GET /old "


async def test_of_two_requests_on_a_connection_the_first_is_answered():
    answer = await ask(echo, request("GET", "/1", ("Connection", "keep-alive")) + request("GET", "/2"))
    assert answer.body == b"GET /1 "
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("line", [b"GET / HTTP/1.0", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\nConnection: close"])
@pytest.mark.parametrize("more", [b"\r\n", b"\x00 no request"])
async def test_what_comes_after_a_request_does_not_spoil_its_answer(line, more):
    answer = await ask(deaf, line + b"\r\nHost: test\r\n\r\n" + more)
    assert (answer.status, answer.body) == (404, b"no")


@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_it_does_not_matter_in_which_parts_a_request_comes(cuts):
    chunked = b"POST /p HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    places = sorted({0, len(chunked), *(cut for cut in cuts if cut < len(chunked))})
    parts = [chunked[start:end] for start, end in pairwise(places)]
    answer = trio.run(ask_posting, parts)
    assert answer.body == b"POST /p abcdefg"


async def ask_posting(parts) -> Answer:
    return await ask(echo, *parts, method="POST")


async def test_client_that_expects_100_continue_receives_it():
    served = Served(echo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        with trio.fail_after(PATIENCE):
            assert (await served.client.receive_some()).startswith(b"HTTP/1.1 100 ")
        await served.client.send_all(b"ok")
        assert (await read_answer(served.client, "POST")).body == b"POST / ok"
        await served.client.aclose()


async def test_a_client_that_has_ended_its_side_is_answered():
    served = Served(echo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(request("POST", "/", body=b"all"))
        await served.client.send_eof()
        assert (await read_answer(served.client, "POST")).body == b"POST / all"


async def test_a_large_answer_reaches_a_slow_reader():
    async def large(scope, receive, send):
        await respond(send, 200, bytes(4_000_000))

    answer = await over_tcp(large, request("GET", "/"))
    assert len(answer.body) == 4_000_000


# What is no request


async def test_what_is_no_http_is_refused_in_json():
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ):
        answer = await ask(echo, nonsense)
        assert (answer.status, answer.error) == (400, "bad_request"), nonsense


async def test_a_body_that_breaks_off_is_refused():
    served = Served(echo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhal")
        await served.client.send_eof()
        assert (await read_answer(served.client, "POST")).error == "bad_request"


async def test_a_body_that_goes_wrong_is_refused():
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await ask(echo, head, b"3\r\nabc\r\nnonsense\r\n", method="POST")
    assert answer.error == "bad_request"


BLANKS = b" " * 1000


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(b"1\r\nx\r\n", id="small"),
        pytest.param(b"1;" + BLANKS + b"\r\nx\r\n", id="extensions"),
        pytest.param(b"1" + BLANKS + b"\r\nx\r\n", id="blanks"),
        pytest.param(b"4000\r\n" + bytes(0x4000) + b"\r\n", id="large"),
    ],
)
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(b"0\r\n\r\n", id="no trailers"),
        pytest.param(b"0\r\nA:" + BLANKS * 8 + b"\0\r\n\r\n", id="trailers of blanks"),
        pytest.param(b"1;" + BLANKS + b"\n\r\n", id="no chunk"),
    ],
)
async def test_no_step_takes_long_whatever_the_chunks_are(chunk, end):
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    await check_best_of(partial(over_tcp, echo, head + chunk * (600_000 // len(chunk)) + end))


# Other protocols


async def test_http_2_is_not_spoken():
    upgrade = (
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
    )
    answer = await ask(echo, request("GET", "/plain", *upgrade))
    assert (answer.status, answer.body) == (200, b"GET /plain ")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
    served = Served(deaf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(preface)
        await served.client.send_eof()
        with trio.fail_after(PATIENCE):
            said = await served.client.receive_some()
        assert said.startswith(b"HTTP/1.1 4")
        await served.client.aclose()


# Bodies that nobody reads


async def test_an_answer_does_not_wait_for_a_body_that_nobody_reads():
    async def late_and_deaf(scope, receive, send):
        await gate.wait()
        await deaf(scope, receive, send)

    gate = trio.Event()
    served = Served(late_and_deaf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        nursery.start_soon(served.client.send_all, request("POST", "/", ("Content-Length", "100000000")))
        for _ in range(30):
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(served.client.send_all, bytes(1000))
            await trio.testing.wait_all_tasks_blocked()
        gate.set()
        answer = await read_answer(served.client, "POST")
        await served.client.aclose()
    assert (answer.status, answer.body) == (404, b"no")


async def test_the_answer_survives_a_client_that_goes_on_sending():
    answer = await over_tcp(deaf, request("POST", "/", ("Content-Length", "100000000")) + bytes(3_000_000))
    assert (answer.status, answer.body) == (404, b"no")


# Clients that leave, or wait


async def test_a_client_that_says_nothing_and_leaves_asks_nothing():
    async def note(scope, receive, send):
        asked.append(scope["path"])

    asked = []
    served = Served(note)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.aclose()
        with trio.fail_after(PATIENCE):
            await served.ended.wait()
    assert asked == []


async def test_a_client_that_leaves_before_its_answer_is_no_fault(caplog):
    async def late(scope, receive, send):
        await gate.wait()
        await respond(send, 200, b"too late")
        answered.set()

    gate, answered = trio.Event(), trio.Event()
    served = Served(late)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(request("GET", "/"))
        await trio.testing.wait_all_tasks_blocked()
        await served.client.aclose()
        gate.set()
        with trio.fail_after(PATIENCE):
            await served.ended.wait()
    assert answered.is_set()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("app", "sent"),
    [
        (echo, request("POST", "/", ("Content-Length", "9"))),
        (silent, request("GET", "/")),
    ],
    ids=["half a request", "no answer"],
)
async def test_an_exchange_has_an_end(app, sent, autojump_clock):
    served = Served(app)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(sent)
        await served.ended.wait()
    assert trio.current_time() - started == EXCHANGE_SECONDS + LINGER_SECONDS


async def test_a_client_that_does_not_hang_up_is_left(autojump_clock):
    served = Served(echo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.run)
        await served.client.send_all(request("GET", "/"))
        await trio.testing.wait_all_tasks_blocked()
        started = trio.current_time()
        await served.ended.wait()
    assert trio.current_time() - started == LINGER_SECONDS


async def test_cancellation_does_not_wait_for_a_client_that_reads_nothing():
    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            written.set()

    written = trio.Event()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, lambda stream: serve(endless, stream), listeners)
            client = await trio.testing.open_stream_to_socket_listener(listeners[0])
            await client.send_all(request("GET", "/"))
            await written.wait()
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
        async with client:
            sent = b"".join([part async for part in client])
    assert sent.startswith(b"HTTP/1.1 200 ")
    assert len(sent) > 100_000, "what had been sent arrives"


# Faults of ours


async def test_a_bug_in_the_application_is_logged_and_answered(caplog):
    answer = await ask(broken, request("GET", "/"))
    assert answer.status == 500
    (record,) = caplog.records
    assert record.name == "hypercorn.error"
    assert record.exc_info[0] is LookupError


# The contract


def test_hypercorn_still_has_what_is_used_of_it():
    """The tests above hold what it does; here is how it is called."""
    assert version("hypercorn").startswith("0.18.")
    assert list(inspect.signature(HTTPStream).parameters) == [
        *("app", "config", "context", "task_group", "ssl", "client", "server", "send", "stream_id")
    ]
    fields = ("headers", "http_version", "method", "raw_path", "state")
    assert list(inspect.signature(Request).parameters) == ["stream_id", *fields]


async def over_tcp(app, sent: bytes) -> Answer:
    """Ask over a real socket."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, lambda stream: serve(app, stream), listeners)
        client = await trio.testing.open_stream_to_socket_listener(listeners[0])

        async def send() -> None:
            # Whoever has the answer hangs up.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await client.send_all(sent)

        nursery.start_soon(send)
        answer = await read_answer(client, sent.split(b" ")[0].decode())
        await client.aclose()
        nursery.cancel_scope.cancel()
    return answer
