"""Settings of the server: where it listens, its processes, its end, its log."""

import typed_settings as ts

from mesaya_ws.runtime.readiness import NOT_READY_WHEN, STATES
from mesaya_ws.settings.validators import a_host, as_browsers_send, one_of, origins, some_of, within
from mesaya_ws.settings.words import LOG_FORMATS, LOG_LEVELS, in_any_case, words_in_any_case

LOOPBACK_ONLY = "127.0.0.1"
"""HOST with AUTH=off, unless it is set."""


@ts.settings(frozen=True, slots=False)
class ServerSettings:
    """Where the service listens, in how many processes, how it ends, and how it logs."""

    host: str = ts.option(
        default="0.0.0.0",  # noqa: S104 - a server in a container
        validator=a_host,
        help=f"Address to listen on. With AUTH=off it is {LOOPBACK_ONLY}, for this machine alone, unless it is set.",
    )
    port: int = ts.option(default=8080, validator=within(0, 65535), help="TCP port to listen on; 0 takes a free one.")
    allowed_origins: tuple[str, ...] = ts.option(
        default=("http://localhost:4200", "http://localhost:3000"),
        converter=as_browsers_send,
        validator=origins,
        help="Web origins whose pages may use the service, separated by commas; `*` allows all. Pages of the service's "
        "own host may as well; with AUTH=off those of this machine instead, from any port. Programs that send no "
        "Origin are not restricted.",
    )
    workers: int = ts.option(
        default=1,
        validator=within(1, 256),
        help="Processes that share the port. Limits per process, below, hold for each of them.",
    )
    reload_timeout: float = ts.option(
        default=120.0,
        validator=within(0.1, 86_400),
        help="Seconds that a new worker has to read the log at a reload (SIGHUP); else the old ones stay.",
    )
    drain_seconds: float = ts.option(
        default=5.0,
        validator=within(0, 3600),
        help="Seconds over which clients are closed at shutdown.",
    )
    not_ready_when: tuple[str, ...] = ts.option(
        default=NOT_READY_WHEN,
        converter=words_in_any_case,
        validator=some_of(*STATES),
        help="When `GET /health/ready` answers 503, separated by commas: `starting` (the event "
        "log's history is still being read), `draining`, `full`, `outage` (the event log does not answer), `trouble` "
        "(a part of it cannot be read), `state` (the state directory cannot be used). An outage and trouble affect all "
        "instances at once, which leaves a balancer none.",
    )
    log_level: str = ts.option(
        default="info",
        converter=in_any_case,
        validator=one_of(*LOG_LEVELS),
        help="Lowest level that is logged.",
    )
    log_format: str = ts.option(
        default="auto",
        converter=in_any_case,
        validator=one_of(*LOG_FORMATS),
        help="`auto`: text on a terminal, JSON elsewhere.",
    )
