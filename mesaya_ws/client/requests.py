"""Requests that are answered: sent again with the same id until they are, over however many connections."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from uuid import uuid4

import trio
from attrs import Factory, define

from mesaya_ws.client.timings import Timings
from mesaya_ws.core.wire.codes import TOO_OFTEN, UNAVAILABLE

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends a request until it is answered, and returns the answer (`Requests.ask`)."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
"""Sends a message, if there is a connection."""


class RequestError(Exception):
    """The gateway refused a request, for a reason that its `code` names; `retry_in`: it may be tried again then.

    `expires_in` are the seconds after which what stands in the way ends at the latest, where that is known.
    """

    def __init__(
        self, code: str, sentence: str, retry_in: float | None = None, expires_in: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.expires_in = expires_in
        self.code = code
        self.retry_in = retry_in


@define(eq=False)
class _Waiting:
    """A request, and its answer once there is one."""

    message: dict[str, Any]
    done: trio.Event = Factory(trio.Event)
    answer: dict[str, Any] | Exception | None = None


@define(eq=False)
class Requests:
    """The requests of a session; `send` sends a message if there is a connection."""

    send: Send
    on_begun: Callable[[], None]
    timings: Timings
    _waiting: dict[str, _Waiting] = Factory(dict)
    _prefix: str = Factory(lambda: uuid4().hex[:8])
    _numbers: "count[int]" = Factory(count)
    _over: Exception | None = None

    @property
    def are_pending(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._waiting)

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request until it is answered, and return the answer.

        Raises `RequestError` where the gateway refuses it, or what ends the session.
        """
        id = f"{self._prefix}-{next(self._numbers)}"
        waiting = self._waiting[id] = _Waiting({**message, "id": id})
        self.on_begun()
        try:
            while True:
                if self._over is not None:
                    raise self._over
                await self.send(waiting.message)
                await waiting.done.wait()
                answer = waiting.answer
                if isinstance(answer, Exception):
                    raise answer
                if answer is None or answer["type"] != "error":
                    return answer or {}
                waiting.done, waiting.answer = trio.Event(), None
                await trio.sleep(_rest(answer, self.timings))
        finally:
            del self._waiting[id]

    def take(self, message: dict[str, Any]) -> bool:
        """Take a message if it answers a request; return whether it does."""
        waiting = self._waiting.get(str(message.get("id")))
        if waiting is None:
            return False
        waiting.answer = message
        waiting.done.set()
        return True

    async def send_again(self) -> None:
        """Send what is still to be answered, on a new connection."""
        for waiting in list(self._waiting.values()):
            if not waiting.done.is_set():
                await self.send(waiting.message)

    def end(self, error: Exception) -> None:
        """Raise an error from all requests: the session is over."""
        self._over = error
        for waiting in self._waiting.values():
            waiting.answer = error
            waiting.done.set()


def _rest(error: dict[str, Any], timings: Timings) -> float:
    """Return for how long to rest before a request is sent again. Raises `RequestError` if it need not be."""
    retry_in = error.get("retryIn")
    if error["code"] == UNAVAILABLE.name:
        return timings.retry_interval
    if error["code"] == TOO_OFTEN.name and isinstance(retry_in, int | float) and retry_in <= timings.max_retry_interval:
        return float(retry_in)
    raise RequestError(error["code"], error["message"], retry_in, error.get("expiresIn"))
