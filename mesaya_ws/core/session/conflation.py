"""For clients that read too slowly, with SLOW_TABLES=conflate: of the states of one thing, only the newest is sent.

What is queued for such a client is old when it arrives, and soon exceeds the queue's bounds. A subscription that
conflates leaves the hub instead, and keeps nothing but its place; when the queue has drained, the client is sent from
the window what came after that place, without the states that a later one supersedes.
"""

from collections.abc import Callable

from mesaya_ws.core.feed.hub import SendQueue
from mesaya_ws.core.session.subscription import Subscription


class Conflated:
    """Subscribes in the place of a send queue that must not queue what comes; it calls `conflate` instead."""

    __slots__ = ("_conflate", "_send_queue", "_subscription")

    def __init__(
        self, subscription: Subscription, send_queue: SendQueue, conflate: Callable[[Subscription], None]
    ) -> None:
        self._subscription = subscription
        self._send_queue = send_queue
        self._conflate = conflate

    @property
    def viewer(self) -> str | None:
        """Who the client counts as."""
        return self._send_queue.viewer

    def offer(self, data: bytes, messages: int) -> None:
        """Hand `data` on if it can be written at once."""
        if self._send_queue.backlogged:
            self._conflate(self._subscription)
        else:
            self._send_queue.offer(data, messages)
