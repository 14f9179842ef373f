"""What all clients have in common for those who look after them, whether they came by WebSocket or by HTTP."""

from typing import Protocol

from mesaya_ws.core.session.session import Session
from mesaya_ws.core.wire.codes import CloseCode


class Client(Protocol):
    """A client that is connected, and has a session."""

    @property
    def session(self) -> Session:
        """Its session."""
        ...

    @property
    def transport(self) -> str:
        """How it came: `websocket`, or `events`."""
        ...

    @property
    def address(self) -> str | None:
        """Where it is, as the log says it; None if that is not known."""
        ...

    @property
    def opened_at(self) -> float:
        """When it came, by Trio's clock."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for it to take them."""
        ...

    def check(self, now: float) -> None:
        """See whether it is still there, and has what it waits for; every second or so."""
        ...

    def announce(self, within: float) -> None:
        """Inform it that it will be closed in so many seconds, because this instance is going away."""
        ...

    def close(self, close_code: CloseCode) -> None:
        """End its connection, telling it why."""
        ...
