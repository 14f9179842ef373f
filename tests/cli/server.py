"""A server of a few lines, for what commands ask of others."""

import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

requests = []


@contextmanager
def serving(pages, ahead=0.0):
    """Answer with `pages`, of status and body by path, at a time so many seconds ahead; give the port.

    What is asked is in `requests`, each with its credentials.
    """
    requests.clear()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = pages.get(self.path, (404, b"nothing"))
            requests.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp=None):
            return format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def page(content, status=200):
    return status, json.dumps(content).encode()
