"""`mesaya-ws serve`: the gateway, in one process or in several."""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import click

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.hints import hints
from mesaya_ws.cli.running import run
from mesaya_ws.environment import load_settings
from mesaya_ws.runtime.exceptions import only
from mesaya_ws.runtime.logs import configure, get_logger
from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.settings.tokens import token_sources
from mesaya_ws.workers.errors import GaveUpError
from mesaya_ws.workers.metrics_files import MetricsDirectory
from mesaya_ws.workers.role import WorkerRole
from mesaya_ws.workers.supervisor import COMMAND, supervise

log = get_logger(__name__)


@click.command()
@click.option("--host", help="Address to listen on, rather than HOST.")
@click.option("--port", help="Port to listen on, rather than PORT; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1), help="Processes that share the port, rather than WORKERS.")
@click.option("--hints", "command", metavar="COMMAND", help="Say what to try next, with COMMAND for this program.")
def serve(host: str | None, port: str | None, workers: int | None, command: str | None) -> None:
    """Run the gateway until SIGTERM or SIGINT. SIGHUP replaces its workers without a gap; new ones read .env again."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the supervisor handles it
    # As environment variables, so that they are validated like all others, and workers inherit them.
    os.environ.update({name: text for name, text in (("HOST", host), ("PORT", port)) if text is not None})

    def load() -> Settings:
        settings = load_settings()
        return settings if workers is None else attrs.evolve(settings, workers=workers)

    settings = usable_settings(load)
    if command is not None:
        elsewhere = host is not None or port is not None
        click.echo("\n".join(hints(settings, command, elsewhere=elsewhere)), err=True)
    configure(settings.log_level, settings.log_format)
    if not settings.auth:
        log.warning("AUTH is off: private channels are open to whoever connects", host=settings.host)
    elif not token_sources(settings):
        log.warning(
            "no key for tokens: only public channels are open; set JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_SECRET to open "
            "private ones to those whom they concern"
        )
    _run(settings, supervise, settings, load, COMMAND, _gateway() if settings.workers == 1 else None)


@click.command(hidden=True)
@click.option("--number", type=int, required=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--socket", "sockets", type=int, multiple=True)
@click.option("--relieves", is_flag=True)
def worker(number: int, folder: Path, sockets: tuple[int, ...], relieves: bool) -> None:
    """Run one worker; started by `serve`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is for the supervisor, even if it was sent to the whole group
    settings = usable_settings()
    configure(settings.log_level, settings.log_format, worker=number)
    _run(settings, _gateway(), settings, WorkerRole(sockets, MetricsDirectory(folder, number), relieves=relieves))


def _gateway() -> Callable[..., Awaitable[None]]:
    """Return the gateway; its import is half of a command's start, so only `serve` and `worker` pay for it."""
    from mesaya_ws.gateway.serve import serve as serve_gateway

    return serve_gateway


def _run(settings: Settings, service: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run a service, and print why it failed."""
    try:
        run(service, *arguments)
    except BaseException as error:
        from mesaya_ws.gateway.opened_store import StateLostError

        if known := only(error, SettingsError, GaveUpError):
            fail(str(known))
        if lost := only(error, StateLostError):
            fail(f"the state directory is damaged, and is begun anew at the next start: {lost}")
        if refused := only(error, OSError):
            fail(f"cannot listen on {settings.host}:{settings.port}: {refused.strerror or refused}.")
        raise
