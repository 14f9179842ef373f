"""A stand-in for the platform's backend: the public part of its REST API, in a thread; it misbehaves on demand."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]


class Backend(ThreadingHTTPServer):
    """Serves `restaurants`, as the platform shows them; `asked` are the targets of all requests so far.

    `misbehave` is called instead of answering, with the handler of the request, while it is set.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, restaurants: Sequence[Row] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.restaurants = list(restaurants)
        self.asked: list[str] = []
        self.misbehave: Callable[[_Handler], None] | None = None
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """What PLATFORM_API_URL is to be."""
        return f"http://127.0.0.1:{self.server_port}/api/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Backend

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.misbehave is not None:
            self.server.misbehave(self)
            return
        url = urlsplit(self.path)
        _, _, id = url.path.removeprefix("/api/v1").partition("/restaurants")
        if id:
            row = next((row for row in self.server.restaurants if f"/{row['id']}" == id), None)
            self.answer(404 if row is None else 200, {"data": row})
        else:
            page, limit = (int(parse_qs(url.query)[name][0]) for name in ("page", "limit"))
            rows = self.server.restaurants[(page - 1) * limit : page * limit]
            self.answer(200, {"data": rows, "pagination": {"page": page, "pageSize": limit}})

    def answer(self, status: int, body: object) -> None:
        """Answer with a body that is text, or is written as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(*restaurants: Row) -> Iterator[Backend]:
    """Run a backend for the time of the context."""
    with Backend(restaurants) as backend:
        thread = threading.Thread(target=backend.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield backend
        finally:
            backend.released.set()
            backend.shutdown()
            thread.join()


def restaurant(id: str, *sections: str, owner: str = "owner", tables: int = 1) -> Row:
    """Return a restaurant with sections, each with tables `<section>-1`, `<section>-2`, ...

    So far as the platform shows it: its own fields have other names than events have.
    """
    return {
        "id": id,
        "name": f"Restaurant {id}",
        "ownerId": owner,
        "status": "ACTIVE",
        "sections": [
            {
                "id": section,
                "restaurantId": id,
                "name": f"Section {section}",
                "tables": [
                    {"id": f"{section}-{number}", "sectionId": section, "number": number, "capacity": 4}
                    for number in range(1, tables + 1)
                ],
            }
            for section in sections
        ],
    }
