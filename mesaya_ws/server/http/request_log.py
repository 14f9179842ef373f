"""What is known of every HTTP request that the application has answered: a count, and a line in the log."""

from collections.abc import Collection
from time import monotonic

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mesaya_ws.runtime.logs import get_logger
from mesaya_ws.runtime.metrics import Metrics

log = get_logger(__name__)

QUIET = ("/health", "/health/ready", "/metrics")
"""Paths that are asked every few seconds, by whoever watches: they are logged as DEBUG, whatever the answer."""

UNANSWERED = "none"
"""What the status counts as of a request that has had no answer from the application: its client broke off."""

OTHER = "other"
"""What a path counts as at which there is nothing, and a method which is none of those that are answered."""

_READING = ("GET", "HEAD", "OPTIONS")
_METHODS = (*_READING, "POST", "DELETE")


class RequestLog:
    """An ASGI application that counts and logs the requests which `app` answers at `routes`, by their paths.

    Logged as INFO: every refusal, and whatever changes something. Who answers a request says more of it, for its line,
    with `logs.bind_context`: the code of an error, where a record was appended.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Collection[Route]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(route.path for route in routes)
        self._with_ids = [route for route in routes if route.param_convertors]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; see ASGI's specification."""
        began_at = monotonic()
        status = received = sent = 0

        async def receive_and_count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def send_and_count(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive_and_count, send_and_count)
        finally:
            known, method = self._known(scope["path"]), scope["method"]
            key = known, method if method in _METHODS else OTHER, str(status or UNANSWERED)
            self._metrics.requests[key] = self._metrics.requests.get(key, 0) + 1
            matters = known not in QUIET and (method not in _READING or not 0 < status < 400)
            (log.info if matters else log.debug)(
                "request answered",
                method=method if method in _METHODS else OTHER,
                path=known,  # any other one may hold what is secret
                status=status or UNANSWERED,
                seconds=round(monotonic() - began_at, 3),
                received_bytes=received,
                sent_bytes=sent,
            )

    def _known(self, path: str) -> str:
        """Return the path of the route at which a path is, without its ids."""
        if path in self._paths:
            return path
        return next((route.path for route in self._with_ids if route.path_regex.match(path)), OTHER)
