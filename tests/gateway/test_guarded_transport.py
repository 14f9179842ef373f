"""However a server answers, nothing of it takes long to parse; the server is a socket that sends what a test gives."""

import ssl
from contextlib import asynccontextmanager

import certifi
import httpx
import pytest
import trio
import trustme

from mesaya_ws.gateway.guarded_transport import (
    MOST_BLANKS,
    MOST_HEAD_BYTES,
    guarded_transport,
    trusted_authorities,
)
from tests.timing import PATIENCE, check_best_of

OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def answering(*parts: bytes, pause: bool = False):
    """Serve one address, where every request is answered by the same bytes; yield a client, and the URL."""

    async def answer(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            for part in parts:
                await stream.send_all(part)
                if pause:
                    await trio.sleep(0.01)

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        async with httpx.AsyncClient(transport=guarded_transport(), timeout=PATIENCE) as client:
            yield client, f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "parts",
    [
        (OK + b"Content-Length: 2\r\n\r\n{}",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x\r\n}\r\n0\r\n\r\n",),
        (OK, b"X:" + b" " * MOST_BLANKS, b"y\r\nContent-Length: 2\r\n\r", b"\n{", b"}"),
        (OK + b"X:" + b"y" * (MOST_HEAD_BYTES - 60), b"\r\nContent-Length: 2\r\n\r\n{}"),
    ],
    ids=["a length", "chunks", "in parts", "a large head"],
)
async def test_answers_are_read_and_connections_used_again(parts):
    async with answering(*parts) as (client, url):
        for _ in range(3):
            assert (await client.get(url)).json() == {}


async def test_a_large_body_is_no_head():
    async with answering(OK + b"Content-Length: 500000\r\n\r\n" + b"x" * 500_000) as (client, url):
        assert len((await client.get(url)).content) == 500_000


@pytest.mark.parametrize(
    "parts",
    [
        (OK + b"A:" + b" " * 60_000 + b"\0\r\n\r\n",),
        (OK + b"A:" + b" \t" * 4000 + b"\0\r\n\r\n",),
        (OK + b"A:" + b" " * 900, b" " * 900 + b"\0\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b" " * 60_000 + b"\n\r\n",),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA:" + b" " * 60_000 + b"\0\r\n\r\n",),
        (OK + b"a:b\r\n" * 10_000 + b"\r\n",),
        (OK + b"A: " + b"x" * 60_000,),
    ],
    ids=["blanks", "tabs", "in parts", "a chunk", "trailers", "many fields", "a long field"],
)
async def test_what_would_take_long_is_refused(parts):
    async def ask():
        async with answering(*parts, pause=True) as (client, url):
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(url)

    await check_best_of(ask)


async def test_a_server_that_is_not_there_is_reported_as_ever():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with httpx.AsyncClient(transport=guarded_transport()) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/")


def test_authorities_of_ssl_cert_file_are_trusted(monkeypatch, tmp_path):
    file = tmp_path / "authority.pem"
    trustme.CA(organization_name="A company").cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    [authority] = trusted_authorities().get_ca_certs()
    assert (("organizationName", "A company"),) in authority["subject"]


@pytest.mark.parametrize("has_folder", [True, False])
def test_authorities_of_a_system_without_any_are_mozillas(monkeypatch, tmp_path, has_folder):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path if has_folder else tmp_path / "none"))
    mozillas = ssl.create_default_context(cafile=certifi.where())
    assert trusted_authorities().get_ca_certs() == mozillas.get_ca_certs() != []
