"""Debian's nginx in front of a gateway, as somebody has it who has only written `proxy_pass`."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gateway import until
from tests.timing import PATIENCE

_CONFIG = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; gzip on; gzip_types *; gzip_proxied any;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl http2;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        location / {{ proxy_pass http://127.0.0.1:{gateway};{more} }}
    }}
}}
"""

_WEBSOCKETS = (
    " proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
)
_UPGRADE = "http {\n    map $http_upgrade $connection_upgrade { default upgrade; '' close; }"


class Nginx:
    """A running one: `plain` is its port for HTTP/1.1, `tls` that for HTTP/2. No WebSocket passes it."""

    def __init__(self, folder: Path, gateway: int) -> None:
        self._program = _required("nginx", "curl", "openssl")
        self._folder, self._gateway = folder, gateway
        self.plain, self.tls = free_port(), free_port()
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        certificate += ["-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost"]
        subprocess.run(certificate, check=True, capture_output=True)
        self._write("")
        self.process = subprocess.Popen([self._program, "-c", self._config, "-e", folder / "error.log"])
        until(lambda: _listens(self.plain), PATIENCE, "nginx listens")

    def pass_websockets(self) -> None:
        """Let WebSockets pass from now on; what is open stays open."""
        self._write(_WEBSOCKETS)
        self.process.send_signal(signal.SIGHUP)

    @property
    def _config(self) -> Path:
        return self._folder / "nginx.conf"

    def _write(self, more: str) -> None:
        text = _CONFIG.format(folder=self._folder, plain=self.plain, tls=self.tls, gateway=self._gateway, more=more)
        self._config.write_text(text.replace("http {", _UPGRADE, 1))


@contextmanager
def running_nginx(folder: Path, gateway: int) -> Iterator[Nginx]:
    """Run nginx in front of the gateway that listens on a port."""
    nginx = Nginx(folder, gateway)
    try:
        yield nginx
    finally:
        nginx.process.terminate()
        nginx.process.wait(PATIENCE)


def _required(*programs: str) -> str:
    """Return where the first program is; without them the test is skipped, but fails where nobody would notice (CI)."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    for program in programs:
        if shutil.which(program, path=path) is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{program} is not installed")
    return shutil.which(programs[0], path=path) or ""


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
