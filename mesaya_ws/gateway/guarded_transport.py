"""HTTP by httpx to a server that is not ours: no answer of it takes long to parse.

httpx parses heads and chunks with h11, whose regular expressions take quadratic time for a run of blanks: half a minute
for the 100 kB that it allows for a head. So such answers are rejected before h11 sees them.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpcore
import httpx
import trio

MOST_BLANKS = 1000
"""Blanks in a row, anywhere in an answer; h11 takes 2 ms for them. Indented JSON has some dozens."""

MOST_HEAD_BYTES = 16_384
"""Bytes of an answer's head."""

_BLANKS = b" " * (MOST_BLANKS + 1)
_TABS_AS_BLANKS = bytes.maketrans(b"\t", b" ")


async def transport_to(url: str) -> httpx.AsyncHTTPTransport:
    """Return a `guarded_transport` to `url`; by TLS, it trusts the authorities of now (`trusted_authorities`)."""
    if not url.lower().startswith("https:"):
        await trio.lowlevel.checkpoint()
        return guarded_transport()
    # Reading them takes 15 ms or more.
    return guarded_transport(await trio.to_thread.run_sync(trusted_authorities))


def trusted_authorities() -> ssl.SSLContext:
    """Return a context that trusts the system's certificate authorities, or those of SSL_CERT_FILE or SSL_CERT_DIR.

    Where the system has none, as in small containers, these are Mozilla's (certifi). Raises `OSError` for files that
    cannot be read.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir())):
        return ssl.create_default_context()
    return httpx.create_ssl_context(trust_env=False)


def guarded_transport(context: ssl.SSLContext | None = None) -> httpx.AsyncHTTPTransport:
    """Return a transport that raises `httpx.RemoteProtocolError` for answers that would take long to parse.

    `context` holds the trusted certificate authorities; without one, no server is trusted.
    """
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    # httpcore accepts a network backend; httpx has no public way to pass it.
    transport._pool = httpcore.AsyncConnectionPool(ssl_context=context, network_backend=_Backend())
    return transport


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects by Trio, and checks what is received."""

    def __init__(self) -> None:
        self._trio = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as in all that follows, it is httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection."""
        return _Stream(await self._trio.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        """Sleep, before another attempt."""
        await self._trio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """A connection; what is read from it has been checked."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._begin()

    def _begin(self) -> None:
        self._head: bytes | None = b""
        self._end = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return received bytes. Raises `httpcore.RemoteProtocolError`."""
        data = await self._stream.read(max_bytes, timeout)
        seen = self._end + data.translate(_TABS_AS_BLANKS)
        if _BLANKS in seen:
            raise httpcore.RemoteProtocolError(f"there are more than {MOST_BLANKS} blanks in its answer")
        self._end = seen[-MOST_BLANKS:]
        if self._head is not None:
            self._head += data
            end = self._head.replace(b"\r\n", b"\n").find(b"\n\n")
            if (len(self._head) if end < 0 else end) > MOST_HEAD_BYTES:
                raise httpcore.RemoteProtocolError(f"the head of its answer is larger than {MOST_HEAD_BYTES} bytes")
            self._head = self._head if end < 0 else None
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send `buffer`, after which another answer begins."""
        self._begin()
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the connection under TLS."""
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the socket."""
        return self._stream.get_extra_info(info)
