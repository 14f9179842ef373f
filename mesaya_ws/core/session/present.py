"""A client, as far as it matters to those who keep track of who is on which channel."""

from collections.abc import Container
from typing import Protocol

from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.hub import SendQueue


class Present(Protocol):
    """A session, as presence knows it."""

    @property
    def send_queue(self) -> SendQueue:
        """What its client is sent, and what stands for it in the hub."""
        ...

    @property
    def identity(self) -> Identity | None:
        """Who its client is, as far as that is known."""
        ...

    @property
    def subscriptions(self) -> Container[str]:
        """The channels that it is on."""
        ...

    def has_answered(self, channel: str) -> bool:
        """Return whether its client has been sent the answer to its subscription to a channel."""
        ...
