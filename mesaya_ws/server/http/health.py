"""Whether the service lives, and whether it should be given clients."""

from collections.abc import Callable
from http import HTTPStatus
from time import monotonic

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesaya_ws import __version__
from mesaya_ws.core.feed.watermark import Fresh
from mesaya_ws.core.log.trouble import NAMED, Trouble, instant
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.runtime.readiness import Status

_FRESH = {"Cache-Control": "no-store"}


def health_routes(metrics: Metrics, status: Status, freshness: Callable[[], Fresh]) -> list[Route]:
    """Return `/health`, which answers 200 as long as the process lives, and `/health/ready`, 503 while it is not ready.

    Both say the same: an instance that waits for its log must not be restarted for it, but should not be given clients.
    Of the parts of the log that cannot be read, a few are named. `live`, `asOf` and `lag` are what `freshness` says,
    and clients receive.
    """
    started = monotonic()

    def report() -> dict[str, object]:
        reasons, ready, fresh = status.reasons, status.ready, freshness()
        return {
            "status": "not_ready" if not ready else "degraded" if reasons else "ok",
            "live": fresh["live"],
            "ready": ready,
            "reasons": reasons,
            "log": {
                "up": status.outage is None,
                "since": None if status.since is None else instant(status.since),
                "asOf": fresh["asOf"],
                "lag": fresh["lag"],
                "troubles": [_shown(trouble) for trouble in status.troubles[:NAMED]],
            },
            "connections": metrics.connections_open,
            "version": __version__,
            "uptime_seconds": round(monotonic() - started, 1),
        }

    async def health(_: Request) -> Response:
        return JSONResponse(report(), headers=_FRESH)

    async def ready(_: Request) -> Response:
        return JSONResponse(report(), HTTPStatus.OK if status.ready else HTTPStatus.SERVICE_UNAVAILABLE, _FRESH)

    # HAProxy asks by OPTIONS by default, and needs the status, too.
    methods = ("GET", "OPTIONS")
    return [Route("/health", health, methods=methods), Route("/health/ready", ready, methods=methods)]


def _shown(trouble: Trouble) -> dict[str, object]:
    return {
        "topic": trouble.topic,
        "partition": trouble.number,
        "kind": trouble.kind,
        "since": instant(trouble.since),
        "withheld": trouble.withheld,
        "reason": trouble.reason,
    }
