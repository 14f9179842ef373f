"""For clients that read too slowly: of the states of one thing, only the newest is told.

What is queued for such a client is old when it arrives, and its bound is soon reached. A subscription that conflates
leaves the hub instead, and nothing is kept for it but its place; when the client has caught up, it is told from the
window what came after that place, without the states that have been superseded.
"""

from collections.abc import Callable

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.hub import SendQueue


class Conflated:
    """A subscriber in the place of a send queue that must not queue what comes on `channel`.

    It calls `conflate` instead.
    """

    __slots__ = ("_channel", "_conflate", "_send_queue")

    def __init__(self, channel: Channel, send_queue: SendQueue, conflate: Callable[[Channel], None]) -> None:
        self._channel = channel
        self._send_queue = send_queue
        self._conflate = conflate

    def offer(self, data: bytes, messages: int) -> None:
        """Hand `data` on if it can be written at once."""
        if self._send_queue.behind:
            self._conflate(self._channel)
        else:
            self._send_queue.offer(data, messages)
