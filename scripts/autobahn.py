"""Run the Autobahn test cases against the service's own listener, dispatcher, connections and streams.

Only the session is another one: it echoes text, as the cases want it. The cases, and the client that plays them, come
from the package kosoku. A case fails this script if its outcome is not the one listed here: binary messages end with
1003, since messages are JSON in text frames, and every other case passes.
"""

import asyncio
import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial
from random import uniform
from typing import cast

import trio
from attrs import evolve
from kosoku import FailureError, run_fuzzingclient

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub, SendQueue
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.session.chat_rules import ChatRules
from mesaya_ws.core.session.hold_rules import HoldRules
from mesaya_ws.core.session.identities import IdentityRules, SessionIdentities
from mesaya_ws.core.session.presence import Presence
from mesaya_ws.core.session.registry import SessionRegistry
from mesaya_ws.core.session.session import Limits, Session, SessionServices
from mesaya_ws.core.wire.codes import UNSUPPORTED_DATA
from mesaya_ws.core.wire.frames import text_frame
from mesaya_ws.core.wire.handshake import WEBSOCKET_PATH
from mesaya_ws.runtime.clocks import now_ms, steady
from mesaya_ws.runtime.logs import configure
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status
from mesaya_ws.server.dispatcher import Dispatcher
from mesaya_ws.server.listener import serve_listeners
from mesaya_ws.server.websocket.connection import connection_config
from mesaya_ws.server.websocket.serving import WebSocketServer
from mesaya_ws.settings import MIB, Settings

SECTIONS = ("1", "2", "3", "4", "5", "6", "7", "9", "10")
"""Of the cases. Section 8 does not exist; 12 and 13 are about compression, which is never negotiated."""

BINARY = ("1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*")
"""Cases that want binary messages echoed."""

LARGEST = 16 * MIB
"""Bytes of the largest message of the cases."""

TIMEOUT = 300.0
"""Seconds for all cases; they take some 10."""


class EchoSession(Session):
    """A session that subscribes to nothing."""

    def greeting(self, now: float) -> bytes:
        """Return nothing: the cases expect no message that they have not sent."""
        return b""


def echo(session: Session, text: str) -> str:
    """Answer a text with the same text."""
    session.send_queue.offer(text_frame(text.encode()), 1)
    return "echo"


def open_session(id: str, send_queue: SendQueue) -> Session:
    """Return a session for one connection, whose feed is empty, and which has nothing to request from any service."""
    feed = Feed(Hub(), Window(0, 0), parent_timeout=0)
    return EchoSession(
        id,
        feed,
        send_queue,
        Limits(auth=False, max_subscriptions=0, conflate=False),
        cast(SessionServices, None),
        SessionIdentities(IdentityRules(0, leeway=0, required=False, patience=0), uniform),
        ChatRules((), trio.current_time, now_ms),
        Presence(feed.hub, "", 0, steady),
        HoldRules(0, "", trio.current_time, now_ms),
    )


def settings() -> Settings:
    """Return settings that allow what the cases send: 16 MiB in one message, or in 250,000 frames."""
    return Settings(
        allowed_origins=("*",),
        max_message_bytes=LARGEST,
        messages_per_second=1_000_000,
        bytes_per_second=1024 * MIB,
        max_fragments=1_000_000,
        send_queue_bytes=2 * LARGEST,
    )


async def serve(*, task_status: trio.TaskStatus[int]) -> None:
    """Serve echoing WebSockets on a port that is reported, until cancelled."""
    chosen, metrics, status = settings(), Metrics(), Status(caught_up=True)
    config = evolve(connection_config(chosen), handle_message=echo)
    server = WebSocketServer(config, open_session, SessionRegistry(), metrics, status)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as clients:
        serve_websocket = partial(server.serve, clients)
        dispatcher = Dispatcher(chosen, metrics, status, serve_websocket, _serve_http, "MAX_CONNECTIONS", None)
        clients.start_soon(server.receiver.run)
        task_status.started(listener.socket.getsockname()[1])
        await serve_listeners(listener, dispatcher.handle, clients, dispatcher.free_slots)


async def _serve_http(head, stream, early):
    raise NotImplementedError("No case asks for anything but a WebSocket.")


async def play(port: int, cases: Iterable[str]) -> list:
    """Play the cases against a port, and return their results."""

    async def run():
        try:
            return await run_fuzzingclient(f"ws://127.0.0.1:{port}{WEBSOCKET_PATH}", list(cases))
        except FailureError as failure:
            return failure.results

    return await trio.to_thread.run_sync(asyncio.run, run(), abandon_on_cancel=True)


def is_expected(result) -> bool:
    """Return whether a case ended as it must."""
    if any(fnmatchcase(result.case_id, pattern) for pattern in BINARY):
        return result.remote_close_code == UNSUPPORTED_DATA.code
    return result.passed


async def main(cases: Iterable[str]) -> bool:
    """Play the cases, print what came of them, and return whether all did what they must."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve)
        with trio.fail_after(TIMEOUT):
            results = await play(port, cases)
        nursery.cancel_scope.cancel()
    wrong = [result for result in results if not is_expected(result)]
    for result in wrong:
        print(
            f"{result.case_id}: {result.behavior.value}, {result.behavior_close.value} ({result.remote_close_code}). "
            f"{result.result} {result.result_close}"
        )
    passed = sum(result.passed for result in results)
    print(
        f"{len(results)} cases: {passed} passed, {len(results) - passed - len(wrong)} of binary messages ended with "
        f"{UNSUPPORTED_DATA.code}, {len(wrong)} failed"
    )
    return bool(results) and not wrong


if __name__ == "__main__":
    configure("warning", "text", sys.stderr)
    sys.exit(not trio.run(main, sys.argv[1:] or [f"{section}.*" for section in SECTIONS]))
