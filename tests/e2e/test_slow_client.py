"""A client that does not read: it is sent away and loses nothing, and nobody else notices."""

import json

from tests.e2e.client import connected
from tests.e2e.crowd import crowd
from tests.e2e.raw import raw
from tests.e2e.records import reviewed
from tests.support.wire import CLOSE, TEXT, frame

CHANNEL = "restaurant:r1:reviews"
SUBSCRIBE = {"type": "subscribe", "channel": CHANNEL}
# In all, more than a kernel buffers for one connection (tcp_wmem: 4 MB).
COUNT, SIZE = 50, 200_000


def number(event):
    return int(event["data"]["reviewId"].removeprefix("v"))


def test_a_client_that_does_not_read(start_gateway):
    gateway = start_gateway(PUBLISH_TOKEN="a token of the tests", SEND_QUEUE_BYTES="500000", CLOSE_TIMEOUT="60")
    with raw(gateway.port, receive_buffer=4096) as slow, crowd(gateway.port, 20) as others:
        slow.shake_hands()
        slow.send(frame(json.dumps(SUBSCRIBE).encode()))
        for member in others.members:
            member.say(**SUBSCRIBE)
        others.until(lambda member: len(member.frames) == 2, "it has subscribed")
        for count in range(COUNT):
            assert gateway.publish(reviewed(count, SIZE))[0] == 201
            # However slow this machine is: nobody else ever lags by more than this one.
            others.until(lambda member: len(member.frames) == 3, "it has received the latest")
            for member in others.members:
                assert number(json.loads(member.frames.pop())) == count

        # Now it reads, up to its end, and comes back with the last place that it saw.
        received = []
        while (got := slow.frame())[0] == TEXT:
            received.append(json.loads(got[1]))
        assert got == (CLOSE, (4008).to_bytes(2) + b"slow")
        position = received[-1]["position"]
        before = [number(message) for message in received[1:]]
    with connected(gateway.url) as client:
        answer = client.ask(**SUBSCRIBE, position=position)
        assert answer["recovered"], answer
        after = [number(client.receive()) for _ in range(answer["replayed"])]
    assert before + after == list(range(COUNT))
    assert 0 < len(before) < COUNT
    assert gateway.metric("mesaya_connections_closed_total", code="4008") == 1
