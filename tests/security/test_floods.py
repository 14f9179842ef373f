"""Much of what is little: slow heads, empty fragments, tiny frames, connections that come and go."""

from contextlib import ExitStack, suppress

import pytest

from tests.e2e.raw import RawClient, raw
from tests.security.aftermath import MIB, memory
from tests.support.wire import CONTINUATION, PING, PONG, TEXT, frame, handshake
from tests.timing import PATIENCE

SLOW_HEADS = 500


def test_500_slow_heads_are_refused_in_time(gateway, honest):
    head = handshake({b"X": b"x" * 4000})
    before = gateway.metric("mesaya_requests_rejected_total", code="head_too_late")
    with ExitStack() as stack:
        clients = [stack.enter_context(raw(gateway.port)) for _ in range(SLOW_HEADS)]
        for at in range(0, 12, 3):
            for client in clients:
                client.send(head[at : at + 3])
        for client in clients:
            assert client.refusal() == (408, "head_too_late")
    assert gateway.metric("mesaya_requests_rejected_total", code="head_too_late") == before + SLOW_HEADS


EMPTY = frame(b"", CONTINUATION, final=False)
FLOODS = {
    "empty fragments": (frame(b"", TEXT, final=False) + EMPTY * 100_000, 4029),
    "empty fragments with pings": (frame(b"", TEXT, final=False) + (EMPTY + frame(b"", PING)) * 50_000, 4029),
    "empty messages": (frame(b"") * 100_000, 4029),
    "pings": (frame(b"x" * 125, PING) * 50_000, 4029),
    "pongs": (frame(b"", PONG) * 100_000, 4029),
    "subscriptions": (frame(b'{"type":"subscribe","channel":"global:restaurants","snapshot":true}') * 20_000, 4029),
    "large messages": (frame(b'{"type":"ping","more":"' + b"x" * 60_000 + b'"}') * 400, 4029),
    "a message without an end": (frame(b"x" * 60_000, TEXT, final=False) * 2, 1009),
}


@pytest.mark.parametrize(("flood", "code"), FLOODS.values(), ids=FLOODS)
def test_flood_ends_its_own_connections_only(gateway, honest, flood, code):
    """Of several at once, each is closed with its code; one that is reset by then saw the end as well."""

    def closed() -> float:
        return gateway.metric("mesaya_connections_closed_total", code=str(code), by="service")

    before = closed()
    with ExitStack() as stack:
        clients = [stack.enter_context(raw(gateway.port)) for _ in range(8)]
        for client in clients:
            client.shake_hands()
        codes = {flooded(client, flood) for client in clients}
    assert codes <= {code, None}
    gateway.until(lambda: closed() - before == len(clients), PATIENCE, "all of them have been closed for it")


def flooded(client: RawClient, flood: bytes) -> int | None:
    """Return the code with which a flood was ended; None: by a reset, as what was sent had not been read."""
    with suppress(ConnectionError):
        client.send(flood)
    try:
        return client.closed_with()[0]
    except ConnectionError:
        return None


def test_connections_that_come_and_go_leave_nothing(gateway, honest):
    """What the first round leaves is the allocator's; a second one adds nothing."""
    before = 0
    for turn in range(2):
        before = memory(gateway) if turn else 0
        for number in range(500):
            with raw(gateway.port) as client:
                client.send(handshake() + frame(b'{"type":"subscribe","channel":"global:restaurants"}'))
                if number % 2:
                    client.reset()
    assert memory(gateway) - before < 2 * MIB
