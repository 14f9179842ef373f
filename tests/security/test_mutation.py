"""Random mutation of all that can be sent, with resets in between: SECURITY_SECONDS of it (5; 30 is a long run)."""

import os
import random
import time
from contextlib import suppress

from tests.security.aftermath import MIB, memory
from tests.security.test_hostile_requests import PAYLOADS, REQUESTS, any_frame, mutated, send
from tests.support.wire import frame, handshake

SECONDS = float(os.environ.get("SECURITY_SECONDS", "5"))
MESSAGES = (
    b'{"type":"subscribe","channel":"global:restaurants","snapshot":true,"id":1}',
    b'{"type":"subscribe","channel":"restaurant:r1:tables","position":"AAAA"}',
    b'{"type":"unsubscribe","channel":"global:restaurants"}',
    b'{"type":"auth","token":"e30.e30.e30","id":"x"}',
    b'{"type":"ping"}',
)


def test_mutation_of_everything_harms_nobody(gateway, honest):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    choice = random.Random(seed)
    mutate(gateway.port, choice, min(2.0, SECONDS))  # which fills the allocator
    before = memory(gateway)
    rounds = mutate(gateway.port, choice, SECONDS)
    assert rounds > 100
    assert memory(gateway) - before < 4 * MIB + SECONDS * MIB / 10


def mutate(port: int, choice: random.Random, seconds: float, *, may_be_cut: bool = False) -> int:
    """Send something else again and again; return how often. If it `may_be_cut`, a worker may end meanwhile."""
    rounds, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        match rounds % 4:
            case 0:
                sent = mutated(choice.choice(REQUESTS), choice)
            case 1:
                sent = handshake() + b"".join(any_frame(choice) for _ in range(choice.randrange(1, 8)))
            case 2:
                texts = [mutated(choice.choice((*MESSAGES, *PAYLOADS[:5])), choice) for _ in range(4)]
                sent = handshake() + b"".join(map(frame, texts))
            case _:
                sent = mutated(handshake() + frame(choice.choice(MESSAGES)), choice)
        with suppress(*(OSError,) if may_be_cut else ()):
            send(port, sent, choice)
        rounds += 1
    return rounds
