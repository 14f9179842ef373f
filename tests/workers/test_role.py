"""A gateway as one of several workers, in this process; pipes stand for what a worker has of its parent."""

import json
import os
import signal
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing

from mesaya_ws.gateway.serve import serve
from mesaya_ws.settings import Settings
from mesaya_ws.workers.metrics_files import MetricsDirectory
from mesaya_ws.workers.role import ACCEPTING, WorkerRole
from tests.fakes import FakeLog
from tests.issuer import Issuer
from tests.server.http.client import read_answer, request
from tests.support.client import PATIENCE, Client
from tests.support.wire import handshake


class Parent:
    """What a parent has of its worker: the listening socket, and the ends of two pipes."""

    def __init__(self, listening, parent_pipe, ready_pipe, stack):
        self.accept = trio.socket.from_stdlib_socket(listening).accept
        self._address = listening.getsockname()
        self._parent_pipe = parent_pipe
        self.ready_pipe = ready_pipe
        self.ended = trio.Event()
        self._stack = stack

    async def request_stop(self):
        """Let go of the worker, as a parent does that lives on: it still listens."""
        await self._parent_pipe.aclose()

    async def connect(self):
        stream = await trio.open_tcp_stream(*self._address)
        return await self._stack.enter_async_context(stream)

    async def client(self):
        client = Client(await self.connect())
        await client.send(handshake())
        await client.be_greeted()
        return client

    async def until_it_accepts(self):
        with trio.fail_after(PATIENCE):
            assert await self.ready_pipe.receive_some(len(ACCEPTING)) == ACCEPTING

    async def until_ended(self):
        with trio.fail_after(PATIENCE):
            await self.ended.wait()


@pytest.fixture
def log(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where the embedded logs of presence and revocations, and the state, are
    return FakeLog()


@pytest.fixture
def worker(log, logged, tmp_path):
    """Run a worker."""

    @asynccontextmanager
    async def run(*, relieves=False, **settings):
        async with AsyncExitStack() as stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            parent_pipe, our_end = os.pipe()
            our_ear, ready_pipe = os.pipe()
            for descriptor in (parent_pipe, ready_pipe):
                stack.callback(os.close, descriptor)
            parent = Parent(listening, trio.lowlevel.FdStream(our_end), trio.lowlevel.FdStream(our_ear), stack)
            inherited = [os.dup(listening.fileno())]
            role = WorkerRole(
                inherited,
                MetricsDirectory(tmp_path, 3),
                relieves=relieves,
                parent_pipe=parent_pipe,
                ready_pipe=ready_pipe,
            )

            async def work():
                await serve(Settings(**{"drain_seconds": 0} | settings), role, open_log=lambda _: log.open())
                parent.ended.set()

            async with parent.ready_pipe, trio.open_nursery() as nursery:
                nursery.start_soon(work)
                yield parent
                await parent.request_stop()
                nursery.cancel_scope.cancel()

    return run


async def test_worker_accepts_on_the_inherited_socket_and_reports_it(worker):
    async with worker() as parent:
        await parent.until_it_accepts()
        await parent.client()


async def test_worker_renders_its_metrics_under_its_number(worker):
    async with worker() as parent:
        stream = await parent.connect()
        await stream.send_all(request("GET", "/metrics"))
        assert '\nmesaya_connections{worker="3"} 0.0\n' in (await read_answer(stream)).body.decode()


async def test_worker_that_relieves_accepts_only_after_it_has_caught_up(worker, log):
    log.fail()
    async with worker(relieves=True) as parent:
        stream = await parent.connect()
        await stream.send_all(request("GET", "/health/ready"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        log.recover()
        assert (await read_answer(stream)).status == 200
        await parent.until_it_accepts()


async def test_worker_that_relieves_accepts_only_after_it_has_read_the_keys_of_the_issuer(worker):
    is_asked, may_answer = trio.Event(), trio.Event()

    async def answer(stream):
        is_asked.set()
        await may_answer.wait()
        body = json.dumps({"keys": [Issuer("Ed25519", "k").jwk]}).encode()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as issuer:
        issuer.start_soon(trio.serve_listeners, answer, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/keys"
        async with worker(relieves=True, jwt_jwks_url=url) as parent:
            with trio.fail_after(PATIENCE):
                await is_asked.wait()
            with trio.move_on_after(0.1):
                await parent.until_it_accepts()
                pytest.fail("it accepts")
            may_answer.set()
            await parent.until_it_accepts()
        issuer.cancel_scope.cancel()


async def test_worker_that_relieves_nobody_accepts_at_once(worker, log):
    log.fail()
    async with worker() as parent:
        await parent.until_it_accepts()
        await parent.client()


async def test_worker_asked_to_stop_accepts_no_more_and_its_clients_move(worker, logged):
    async with worker(drain_seconds=3600) as parent:
        client = await parent.client()
        await parent.request_stop()
        with trio.fail_after(PATIENCE):
            while not any(entry["event"] == "draining" for entry in logged()):
                await trio.lowlevel.checkpoint()
        await parent.connect()
        with trio.fail_after(PATIENCE):
            taken, _ = await parent.accept()
        taken.close()
        assert (await client.ask(type="ping"))["type"] == "pong"


async def test_worker_asked_to_stop_closes_clients_with_service_restart(worker):
    async with worker() as parent:
        clients = [await parent.client() for _ in range(3)]
        await parent.request_stop()
        for client in clients:
            assert await client.closed_with() == (1012, "service_restart")
            await client.stream.aclose()
        await parent.until_ended()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_worker_stops_at_a_signal_and_ignores_a_second_one(worker, number):
    async with worker() as parent:
        client = await parent.client()
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert await client.closed_with() == (1012, "service_restart")


async def test_connection_without_a_request_at_the_stop_is_not_refused(worker):
    async with worker(close_timeout=PATIENCE) as parent:
        client = await parent.client()
        late = Client(await parent.connect())
        await parent.client()  # whoever came before has been taken, too
        await parent.request_stop()
        assert await client.closed_with() == (1012, "service_restart")
        await late.send(handshake())
        assert (await late.read_answer()).startswith(b"HTTP/1.1 101 ")
        assert await late.closed_with() == (1012, "service_restart")


async def test_worker_exports_its_last_counts_at_the_end(worker, tmp_path):
    async with worker() as parent:
        client = await parent.client()
        await parent.request_stop()
        assert await client.closed_with() == (1012, "service_restart")
        await client.stream.aclose()
        await parent.until_ended()
    assert '\nmesaya_connections_closed_total{by="service",code="1012"} 1.0\n' in (tmp_path / "3.prom").read_text()
