"""A state of a megabyte: one message in several frames, which clients of several hands read as one."""

import json
from pathlib import Path

import pytest
import trio

from mesaya_ws.client.session import connect
from tests.e2e.client import connected
from tests.e2e.node import required, running_node
from tests.e2e.raw import raw
from tests.e2e.records import reviewed
from tests.support.wire import CONTINUATION, PING, TEXT, frame

SCRIPT = str(Path(__file__).with_name("large_snapshot.js"))
CHANNEL = "restaurant:r1:reviews"
SUBSCRIBE = {"type": "subscribe", "channel": CHANNEL, "snapshot": True}
COUNT, SIZE = 10, 100_000


def ids(data):
    return [one["reviewId"] for one in data["reviews"]]


@pytest.fixture
def filled(start_gateway):
    """A gateway of which one channel has such a state."""
    gateway = start_gateway(PUBLISH_TOKEN="a token of the tests", PING_INTERVAL="0.2")
    with connected(gateway.url) as client:
        client.subscribe(CHANNEL)
        for number in range(COUNT):
            assert gateway.publish(reviewed(number, SIZE))[0] == 201
            client.receive()
    return gateway


def test_a_library_reads_it_as_one_message_and_then_the_events_after_it(filled):
    with connected(filled.url, max_size=None) as client:
        assert client.ask(**SUBSCRIBE)["type"] == "subscribed"
        assert ids(client.receive()["data"]) == [f"v{number}" for number in range(COUNT)]
        assert filled.publish(reviewed(COUNT, SIZE))[0] == 201
        assert client.receive()["data"]["reviewId"] == f"v{COUNT}"


def test_our_own_client_reads_it(filled):
    async def main():
        async with connect(filled.url) as session:
            await session.subscribe(CHANNEL, snapshot=True)
            event = await anext(session)
            assert (event.type, ids(event.data)) == ("snapshot", [f"v{number}" for number in range(COUNT)])

    trio.run(main)


def test_a_library_of_node_reads_it(filled):
    with running_node("paste_in_node.js", SCRIPT, str(filled.port)) as program:
        assert program.next("log") == [[f"v{number}" for number in range(COUNT)]]


def test_a_browser_reads_it(filled):
    arguments = required("chromium"), SCRIPT, str(filled.port), "http://localhost:4200"
    with running_node("paste_in_browser.js", *arguments) as program:
        assert program.next("log") == [[f"v{number}" for number in range(COUNT)]]


def test_between_its_frames_there_may_be_a_ping(filled):
    with raw(filled.port, receive_buffer=4096) as client:
        client.shake_hands()
        client.send(frame(json.dumps(SUBSCRIBE).encode()))
        opcode, payload = client.frame()
        assert (opcode, json.loads(payload)["type"]) == (TEXT, "subscribed")
        opcode, payload = client.frame()
        assert opcode == TEXT
        opcodes = []
        with pytest.raises(json.JSONDecodeError):
            json.loads(payload)
        while not payload.endswith(b"]}}"):
            opcode, part = client.frame()
            opcodes.append(opcode)
            if opcode == CONTINUATION:
                payload += part
            else:
                assert opcode == PING
                client.send(frame(part, 0xA))
        assert opcodes[-1] == CONTINUATION
        assert ids(json.loads(payload)["data"]) == [f"v{number}" for number in range(COUNT)]
