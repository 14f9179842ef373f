"""Logging: structured, readable on a terminal, JSON elsewhere; one stream for our events and those of the libraries.

Events hold names, places, sizes and reasons, never a message's body or a token. Tracebacks come without the values of
variables, since those hold both.
"""

import logging
import sys
from collections.abc import Callable
from threading import Lock
from typing import Any, TextIO

import orjson
import structlog
from structlog.contextvars import bind_contextvars, get_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from mesaya_ws.runtime.harmless_json import harmless
from mesaya_ws.runtime.log_limiter import LogLimiter

__all__ = ["LEVELS", "bind_context", "bound_in_context", "configure", "get_logger", "level_check"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

LINES = 100
"""Lines of one kind that are logged in a minute; further ones are counted, and the next line says how many."""

MORE = "those of the next minute are not logged"
"""Added to the last line of a kind in a minute."""

bind_context = bind_contextvars
"""Add keywords to all further events of this task, and of tasks that it starts from now on."""

# Our own events replace what these log at INFO; at DEBUG they log passwords and messages.
_TALKATIVE = ("trio-websocket", "hypercorn", "kafka", "httpx", "httpcore")


def bound_in_context(name: str) -> Any:
    """Return what has been added to the events of this task under a name; None if nothing has."""
    return get_contextvars().get(name)


def level_check(name: str) -> Callable[[int], bool]:
    """Return what says whether events of a module are logged, by their level: its logger takes fifty times as long."""
    return logging.getLogger(name).isEnabledFor


def get_logger(name: str) -> Any:
    """Return the logger of a module; its events are a few words, with details in keywords."""
    return structlog.stdlib.get_logger(name)


class _Bound:
    """Limits each kind of event; those below INFO are not limited.

    For our own events, a kind is the logger, the event, and its `code`, `topic` and `reason`; for those of a library,
    the logger and the unformatted message. The limiter bounds the number of kinds.
    """

    def __init__(self, limiter: LogLimiter) -> None:
        self._limiter = limiter
        self._lock = Lock()  # threads log, too

    def process(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Process an event of ours."""
        if method == "debug":
            return event
        about_what = (str(event.get(name)) for name in ("code", "topic", "reason"))
        kind = (getattr(logger, "name", None), event["event"], *about_what)
        with self._lock:
            suppressed = self._limiter.admit(*kind)
            is_last = self._limiter.is_spent(*kind)
        if suppressed is None:
            raise structlog.DropEvent
        if suppressed:
            event["suppressed"] = suppressed
        if is_last:
            event["more"] = MORE
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """Filter a record of a library; records of our own events hold a dictionary, and pass."""
        if isinstance(record.msg, dict) or record.levelno < logging.INFO:
            return True
        with self._lock:
            suppressed = self._limiter.admit(record.name, str(record.msg))
        if suppressed:
            record.suppressed = suppressed
        return suppressed is not None


def configure(
    level: str = "info",
    form: str = "auto",
    stream: TextIO | None = None,
    limiter: LogLimiter | None = None,
    **always: object,
) -> None:
    """Log to `stream` (default: standard error), with the keywords `always` in each event.

    Logs events from `level` on (one of `LEVELS`), as `text`, `json` or whichever suits the stream (`auto`); of each
    kind, as many as `limiter` admits.
    """
    stream = stream or sys.stderr
    bound = _Bound(limiter or LogLimiter(burst=LINES))
    shared: list[Processor] = [
        # No context variable: the threads of libraries have none.
        lambda _, __, event: {**event, **always},
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            bound.process,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    is_text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.addFilter(bound.filter)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.contextvars.merge_contextvars, *shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_text(colors=stream.isatty()) if is_text else _json()),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, LEVELS[level]))


def _text(*, colors: bool) -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]


def _json() -> list[Processor]:
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer(_dumps)]


def _dumps(event: Any, **_: Any) -> str:
    return harmless(orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode())
