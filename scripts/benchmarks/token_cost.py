"""What a token costs a handshake: `PYTHONPATH=scripts scripts/python scripts/benchmarks/token_cost.py`.

One gateway, which verifies RS256, is given handshakes without a token, with tokens that it has not seen before, and
with one that it has, in turn: so whatever else the machine does falls on all three alike. What is counted is the
processor time of the gateway, for each WebSocket from its handshake to its end; of many short rounds, the median and
the fastest tenth, which were disturbed least.
"""

import argparse
import socket
import struct
import time
from pathlib import Path
from statistics import median
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from load.gateway import serving
from load.wire import handshake

AT_ONCE = 50
"""WebSockets that are opened at the same time."""

KINDS = ("none", "fresh", "same")

KEY = rsa.generate_private_key(65537, 2048)


def token(number: int) -> str:
    """Return a token as the platform writes it, another one for each number."""
    now = int(time.time())
    claims: dict[str, Any] = {"iss": "mesaYA-auth", "sub": f"u{number}", "email": f"u{number}@mail.example"}
    claims |= {"firstName": "Ada", "lastName": "Perez", "roles": ["USER"], "iat": now, "exp": now + 3600}
    return jwt.encode(claims, KEY, "RS256")


def used(pid: int) -> float:
    """Return the seconds of processor time of all threads of a process, to the nanosecond (proc(5), schedstat)."""
    times = (path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, times)) / 1e9


def open_and_end(port: int, tokens: list[str]) -> None:
    """Open a WebSocket for each token (`""`: without one), read its greeting, and break it off."""
    for first in range(0, len(tokens), AT_ONCE):
        clients = []
        for text in tokens[first : first + AT_ONCE]:
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(handshake("127.0.0.1", "/ws", text))
            clients.append((client, text))
        for client, text in clients:
            said = b""
            while b'"welcome"' not in said:
                part = client.recv(65_536)
                assert part, said
                said += part
            assert (b'"user"' in said) == bool(text), said
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()


def main() -> None:
    """Print the costs, and their relations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--handshakes", type=int, default=100, help="handshakes of each kind in a round")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = KEY.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    settings = {"AUTH": "on", "JWT_PUBLIC_KEY": pem, "MAX_CONNECTIONS_PER_USER": "0"}
    count, costs = options.handshakes, {kind: [] for kind in KINDS}
    with serving(**settings) as (gateway, chosen):
        port, same = int(chosen["PORT"]), token(0)
        open_and_end(port, [same, *[""] * count])  # which loads what is needed, and fills the allocator
        for round_number in range(options.rounds):
            first = 1 + round_number * count
            tokens = {"none": [""] * count, "fresh": list(map(token, range(first, first + count)))}
            tokens["same"] = [same] * count
            for kind in KINDS[round_number % 3 :] + KINDS[: round_number % 3]:
                before = used(gateway.pid)
                open_and_end(port, tokens[kind])
                time.sleep(0.1)  # the ends are noticed
                costs[kind].append((used(gateway.pid) - before) / count * 1e6)
    for name, pick in (("median", median), ("fastest tenth", _fastest_tenth)):
        without, fresh, same = (pick(costs[kind]) for kind in KINDS)
        print(
            f"{name}: without {without:.0f} µs, not seen before {fresh:.0f} ({fresh / without:.2f} ×), "
            f"seen before {same:.0f} ({same / without:.2f} ×)"
        )


def _fastest_tenth(values: list[float]) -> float:
    return sorted(values)[len(values) // 10]


if __name__ == "__main__":
    main()
