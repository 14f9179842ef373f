"""Logging: structured, readable on a terminal, JSON elsewhere; one stream for our events and those of the libraries.

Events hold names, places, sizes and reasons, never a message's body or a token. Tracebacks come without the values of
variables, since those hold both.
"""

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.contextvars import bind_contextvars
from structlog.typing import Processor

__all__ = ["LEVELS", "about", "configure", "get_logger"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

about = bind_contextvars
"""Have every further event of this task, and of those that it starts from now on, carry the given keywords."""

# What these say at INFO is told better by our own events; at DEBUG, passwords and messages pass through them.
_TALKATIVE = ("trio-websocket", "hypercorn", "kafka", "httpx", "httpcore")


def get_logger(name: str) -> Any:
    """Return the logger of a module; its events are a few words, and what they are about comes in keywords."""
    return structlog.stdlib.get_logger(name)


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None, **always: object) -> None:
    """Send everything that is logged to `stream` (default: standard error), with the keywords `always`.

    From `level` on (one of `LEVELS`), as `text`, `json`, or whichever suits the stream (`auto`).
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        # No context variable: the threads of libraries have none.
        lambda _, __, event: {**event, **always},
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    is_text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
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
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
