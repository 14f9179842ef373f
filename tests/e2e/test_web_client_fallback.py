"""The JavaScript client behind nginx as Debian has it, which no WebSocket passes: it reads events by HTTP."""

import pytest

import mesaya_ws
from tests.e2e.nginx import running_nginx
from tests.e2e.node import install, required, running_node
from tests.timing import PATIENCE

NEWS = "global:announcements"
MODULE = f"file://{mesaya_ws.__path__[0]}/web/client/mesaya-ws.js"


def titles(program, count):
    """Return the titles of the next announcements."""
    found = []
    while len(found) < count:
        message = program.next("message")
        found += [message["data"]["title"]] if message["type"] == "announcement.created" else []
    return found


@pytest.mark.parametrize("browser", [False, True], ids=["node", "chromium"])
def test_client_reads_by_http_until_websockets_pass_and_misses_nothing(start_gateway, tmp_path, browser):
    install()
    gateway = start_gateway(PUBLISH_TOKEN="a token of the tests")
    with running_nginx(tmp_path, gateway.port) as nginx:
        # Node knows no certificate of ours; a browser speaks HTTP/2 with TLS alone.
        url = f"wss://localhost:{nginx.tls}/ws" if browser else f"ws://localhost:{nginx.plain}/ws"
        with running_node("clients.mjs", MODULE, *([required("chromium")] if browser else [])) as program:
            options = {"fallback": "sse", "pauseWhenHiddenFor": 0}
            program.say([{"client": 1, "open": {"url": url, "channels": [NEWS], "options": options}}])
            assert program.next("subscribed") == NEWS
            assert gateway.metric("mesaya_event_clients") == 1
            wanted = [f"by HTTP {number}" for number in range(3)]
            for title in wanted:
                assert gateway.announce(title) == 201
            assert titles(program, 3) == wanted
            nginx.pass_websockets()
            gateway.until(lambda: gateway.metric("mesaya_connections") == 1, PATIENCE, "a WebSocket has passed")
            gateway.until(lambda: gateway.metric("mesaya_event_clients") == 0, PATIENCE, "no stream is read any more")
            assert gateway.announce("by WebSocket") == 201
            assert titles(program, 1) == ["by WebSocket"]
