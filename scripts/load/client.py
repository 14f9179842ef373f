"""One client of a load test, on its way and between its connections."""

import socket
from enum import Enum, auto

from attrs import define


class State(Enum):
    """Where a client is on its way."""

    AWAY = auto()
    CONNECTING = auto()
    SHAKING_HANDS = auto()
    SUBSCRIBING = auto()
    OPEN = auto()
    LAPSED = auto()
    """Its subscription has ended with its token."""


@define(eq=False)
class Client:
    """A client, which lives on when its connection is cut. It expects the event number `next`; `missing` are gaps.

    One that is `lapsing` does not renew its token. One that is `stopped` reads nothing after the answer to its
    subscription, and counts nowhere. `began` is when it last began to connect (ns since the epoch), `replaying` how
    many events of the past are still to come.
    """

    channel: int
    source: str
    bystander: bool
    stopped: bool = False
    lapsing: bool = False
    state: State = State.AWAY
    link: socket.socket | None = None
    began: int = 0
    next: int = 1
    position: bytes | None = None
    replaying: int = 0
    rest: bytes = b""
    missing: set[int] | None = None
