"""A client that speaks HTTP by bytes, so that tests see the wire."""

import json
from functools import partial
from typing import Any

import h11
import trio
import trio.testing
from attrs import frozen

from mesaya_ws.core.wire.handshake import END, HeadError, parse_head
from mesaya_ws.server.http.serving import serve_http
from mesaya_ws.server.request_head import RECEIVE
from tests.timing import PATIENCE


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]["code"]

    @property
    def sentence(self) -> str:
        return self.json["error"]["message"]


def request(method: str, target: str, *headers: tuple[str, str], body: bytes | None = None) -> bytes:
    """Return a request; with a body, its length is said."""
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *(f"{name}: {value}" for name, value in headers)]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


async def read_answer(stream: trio.abc.ReceiveStream, method: str = "GET") -> Answer:
    """Read one answer to its end, and see that the server says nothing more."""
    connection = h11.Connection(h11.CLIENT)
    # Which states a client goes through matters to h11 alone.
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "test")]))
    connection.send(h11.EndOfMessage())
    response, body = None, b""
    with trio.fail_after(PATIENCE):
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        rest = connection.trailing_data[0]
        while more := await stream.receive_some():
            rest += bytes(more)
    assert rest == b""
    headers = {name.decode(): value.decode() for name, value in response.headers}
    return Answer(response.status_code, headers, body)


async def serve(app: Any, stream: trio.abc.HalfCloseableStream) -> None:
    """Serve one connection as the service does: its head is read first, in pieces of the same size."""
    seen = b""
    while END not in seen:
        data = await stream.receive_some(RECEIVE)
        if not data:
            await stream.aclose()
            return
        seen += bytes(data)
    said, _, early = seen.partition(END)
    try:
        head = parse_head(said)
    except HeadError as error:
        await stream.send_all(error.response(0))
        await stream.aclose()
    else:
        await serve_http(app, head, stream, early)


async def ask(app: Any, *parts: bytes, method: str = "GET") -> Answer:
    """Send a request, part by part, and return what `app` answers."""
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(serve, app, server))
        for part in parts:
            await client.send_all(part)
            await trio.testing.wait_all_tasks_blocked()
        answer = await read_answer(client, method)
        await client.aclose()
    return answer


async def get(app: Any, target: str, *headers: tuple[str, str]) -> Answer:
    return await ask(app, request("GET", target, *headers))


async def post(app: Any, target: str, body: Any, *headers: tuple[str, str]) -> Answer:
    """Post `body`: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await ask(app, request("POST", target, *headers, body=content), method="POST")
