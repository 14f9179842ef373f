"""Logging: structured, readable on a terminal, JSON elsewhere; one stream for our events and those of the libraries."""

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def get_logger(name: str) -> Any:
    """Return the logger of a module; its events are a few words, and what they are about comes in keywords."""
    return structlog.stdlib.get_logger(name)


def configure(level: str = "info", form: str = "auto", stream: TextIO = sys.stderr) -> None:
    """Send everything that is logged to `stream`: from `level` on, as `text`, `json`, or whichever suits (`auto`)."""
    as_text = form == "text" or (form == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
        if as_text
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    # What these say at INFO is told better by our own events; kafka's DEBUG shows passwords (SASL PLAIN).
    for name in ("trio-websocket", "hypercorn.access", "hypercorn.error", "kafka"):
        logging.getLogger(name).setLevel(max(logging.WARNING, LEVELS[level]))
