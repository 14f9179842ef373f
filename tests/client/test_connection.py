"""What TLS has to say about a gateway; what else may be in the way is tried in `test_client`."""

import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
import trustme
from trio_websocket import serve_websocket

from mesaya_ws.client.connection import NotConnectedError, open_connection
from mesaya_ws.client.timings import DEFAULTS
from mesaya_ws.runtime.exceptions import first
from tests.timing import PATIENCE

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@asynccontextmanager
async def gateway(certificate):
    """Open every WebSocket, with TLS if there is a certificate; give host and port."""

    async def serve(request):
        websocket = await request.accept()
        await websocket.get_message()

    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, serve, "127.0.0.1", 0, ssl_context=context))
        yield f"127.0.0.1:{server.port}"
        nursery.cancel_scope.cancel()


async def reason(url, tls):
    """Return why there is no connection; the empty text when there is one."""
    try:
        with trio.fail_after(PATIENCE):
            async with open_connection(url, tls, None, timeout=DEFAULTS.connect_timeout):
                return ""
    except* NotConnectedError as group:
        said = str(first(group))
    return said


async def test_certificate_of_a_known_authority_is_accepted(authority):
    async with gateway(authority.issue_cert("127.0.0.1")) as address:
        assert await reason(f"wss://{address}/ws", trusting(authority)) == ""


async def test_unknown_authority_is_reported(authority):
    async with gateway(authority.issue_cert("127.0.0.1")) as address:
        said = await reason(f"wss://{address}/ws", trusting(trustme.CA()))
    assert said.startswith("its certificate is not to be trusted (")
    assert said.endswith("): name the certificate of its authority")


@pytest.mark.parametrize("name", ["another.example", "127.0.0.2"])
async def test_certificate_for_another_name_is_reported(authority, name):
    async with gateway(authority.issue_cert(name)) as address:
        said = await reason(f"wss://{address}/ws", trusting(authority))
    assert said == "its certificate is for another name than 127.0.0.1"


async def test_expired_certificate_is_reported(authority):
    certificate = authority.issue_cert("127.0.0.1", not_before=YESTERDAY - timedelta(days=1), not_after=YESTERDAY)
    async with gateway(certificate) as address:
        assert await reason(f"wss://{address}/ws", trusting(authority)) == "its certificate has expired"


async def test_server_without_tls_is_reported(authority):
    async with gateway(None) as address:
        said = await reason(f"wss://{address}/ws", trusting(authority))
    assert said == "what answers there does not speak TLS: the URL begins with ws://"
