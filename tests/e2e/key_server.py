"""An issuer that publishes its keys, as JWT_JWKS_URL wants it: a server in threads of this process."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.issuer import Issuer
from tests.timing import PATIENCE


class KeyServer:
    """Publishes the keys of its `issuers`, or answers with another `status`; while it `holds`, nobody is answered."""

    def __init__(self, *issuers: Issuer, tls: ssl.SSLContext | None = None) -> None:
        self.issuers: tuple[Issuer, ...] = issuers
        self.status = 200
        self.asked = 0
        self._may_answer = threading.Event()
        self._may_answer.set()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if tls is not None:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}/.well-known/jwks.json"

    def hold(self) -> None:
        """Answer nobody from now on."""
        self._may_answer.clear()

    def release(self) -> None:
        """Answer all, those who have waited too."""
        self._may_answer.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                server._may_answer.wait(PATIENCE)
                body = json.dumps({"keys": [issuer.jwk for issuer in server.issuers]}).encode()
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def publishing(*issuers: Issuer, tls: ssl.SSLContext | None = None) -> Iterator[KeyServer]:
    """Publish keys for as long as the context lasts."""
    server = KeyServer(*issuers, tls=tls)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.release()
        server.http.shutdown()
        server.http.server_close()
        thread.join()
