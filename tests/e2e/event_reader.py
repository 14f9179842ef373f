"""A client of `GET /events` that knows nothing of the gateway's code: it reads as browsers do (WHATWG HTML, 9.2.6)."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode

from tests.described import problem
from tests.timing import PATIENCE


class EventReader:
    """Reads the events of an answer; `id` is that of the last one, also of one that shows nothing."""

    def __init__(self, answer: http.client.HTTPResponse, id: str | None) -> None:
        self.answer = answer
        self.id = id
        self.name = "message"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the messages, to the end of the stream."""
        data: list[str] = []
        name, id = "message", self.id
        while line := self.answer.readline():
            if not line.endswith(b"\n"):
                return  # broken off: browsers discard what is not complete
            text = line.decode().rstrip("\n")
            if not text:
                self.id = id
                if data:
                    self.name = name
                    message = json.loads("\n".join(data))
                    wrong = None if name == "close" else problem(message)
                    assert wrong is None, f"not as described: {wrong}: {message}"
                    yield message
                data, name = [], "message"
                continue
            field, _, value = text.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "id":
                id = value
            elif field == "event":
                name = value


def path_of(channels: list[str], **query: str) -> str:
    return f"/events?{urlencode([*(('channel', channel) for channel in channels), *query.items()])}"


@contextmanager
def reading(
    port: int, channels: list[str], id: str | None = None, *, timeout: float = PATIENCE, token: str = "", **query: str
) -> Iterator[EventReader]:
    """Read events of a gateway, or of a proxy in front of it, on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"Accept": "text/event-stream"}
    if id is not None:
        headers["Last-Event-ID"] = id
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with closing(connection):
        connection.request("GET", path_of(channels, **query), headers=headers)
        with closing(connection.getresponse()) as answer:  # which has the socket now
            assert answer.status == 200, (answer.status, answer.read())
            yield EventReader(answer, id)
