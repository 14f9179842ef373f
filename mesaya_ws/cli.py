"""The commands."""

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn
from urllib.parse import urlsplit

import attrs
import click
import orjson
import trio
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from mesaya_ws import __version__
from mesaya_ws.client import Event, RefusedError, Session, connect
from mesaya_ws.core.event_log import Extent, LogUnavailableError, NewRecord, Partition, RecordRefusedError
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.gateway import serve as serve_gateway
from mesaya_ws.logs import configure
from mesaya_ws.settings import Settings, SettingsError, load_settings, shown
from mesaya_ws.workers.pool import Pool
from mesaya_ws.workers.post import WorkerPost
from mesaya_ws.workers.supervisor import GaveUpError, supervise

CHUNK = 200
"""Records that are appended, and acknowledged, together."""

PATIENCE = 10.0
"""Seconds that `check` waits for the log."""

SILENCE = 2.0
"""Seconds after which `tail` says that it has found no gateway."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mesaya-ws")
def main() -> None:
    """Real-time gateway of MesaYA: the platform's events to WebSocket clients."""


def _settings(load: Callable[[], Settings] = load_settings) -> Settings:
    try:
        return load()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(f"mesaya-ws: {problem}.", err=True)
        sys.exit(2)


def _fail(sentence: str) -> NoReturn:
    click.echo(f"mesaya-ws: {sentence}", err=True)
    sys.exit(1)


@main.command()
@click.option("--workers", type=click.IntRange(1), help="Processes that share the port, rather than WORKERS.")
def serve(workers: int | None) -> None:
    """Run the gateway until SIGTERM or SIGINT. With several workers, SIGHUP replaces them without a pause."""

    def load() -> Settings:
        settings = load_settings()
        return settings if workers is None else attrs.evolve(settings, workers=workers)

    settings = _settings(load)
    configure(settings.log_level, settings.log_format)
    if settings.workers == 1:
        _run(settings, serve_gateway, settings)
    else:
        _run(settings, supervise, settings, load)


@main.command(hidden=True)
@click.option("--number", type=int, required=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--socket", "sockets", type=int, multiple=True)
@click.option("--relieves", is_flag=True)
def worker(number: int, folder: Path, sockets: tuple[int, ...], relieves: bool) -> None:
    """Serve a port together with others; what `serve` starts."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is for the parent, whomever it was sent to
    settings = _settings()
    configure(settings.log_level, settings.log_format, worker=number)
    _run(settings, serve_gateway, settings, WorkerPost(sockets, Pool(folder, number), relieves=relieves))


def _run(settings: Settings, service: Callable[..., Awaitable[None]], *arguments: object) -> None:
    """Run a service to its end, and say what it could not do."""
    try:
        trio.run(service, *arguments)
    except* (SettingsError, GaveUpError) as group:
        _fail(str(_first(group)))
    except* OSError as group:
        error = _first(group)
        _fail(f"cannot listen on {settings.host}:{settings.port}: {getattr(error, 'strerror', None) or error}.")


def _log_name(settings: Settings) -> str:
    """Name the configured log: whoever works in another directory than the service means another file."""
    return ", ".join(settings.kafka_brokers) or str(settings.event_log.absolute())


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@main.command()
@click.argument("source", type=click.File("rb"), required=False)
@click.option("--sample", is_flag=True, help="Produce the records that ship with the service, instead of a file.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Records per second; without it, all at once."
)
def produce(source: IO[bytes] | None, sample: bool, rate: float | None) -> None:
    """Append records to the configured log: lines {"topic", "key", "value"} of FILE, or of standard input with `-`.

    A value that is an object is written as JSON, text as it stands, null as a tombstone.
    """
    if sample == (source is not None):
        raise click.UsageError("Name a file, or - for standard input, or say --sample.")
    settings = _settings()
    lines: Iterable[bytes]
    if source is None:
        lines = resources.files("mesaya_ws").joinpath("samples/captured.jsonl").read_bytes().splitlines()
    else:
        lines = source
    try:
        count = trio.run(_produce, settings, _records(lines), rate)
    except* KeyboardInterrupt:
        _fail("interrupted; what was appended before stays.")
    except* ValueError as group:
        _fail(str(_first(group)))
    except* (RecordRefusedError, LogUnavailableError, SettingsError, OSError) as group:
        _fail(f"{_first(group)}")
    else:
        click.echo(f"{count} records appended to {_log_name(settings)}.", err=True)


def _records(lines: Iterable[bytes]) -> Iterator[NewRecord]:
    """Understand the lines of a file. Raises `ValueError` with the number of a line that is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"line {number} is not JSON: {error}.") from None
        if not isinstance(fields, dict) or not isinstance(fields.get("topic"), str) or "value" not in fields:
            raise ValueError(f'line {number} is not {{"topic", "key", "value"}}.')
        key, value = fields.get("key"), fields["value"]
        if key is not None and not isinstance(key, str):
            raise ValueError(f"line {number} has a key that is not text.")
        if value is not None:
            value = value.encode() if isinstance(value, str) else orjson.dumps(value)
        yield NewRecord(fields["topic"], value, None if key is None else key.encode())


async def _produce(settings: Settings, records: Iterator[NewRecord], rate: float | None) -> int:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} records"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = progress.add_task("", total=None)
        count = 0
        async with open_event_log(settings) as event_log:
            start = trio.current_time()
            while chunk := list(islice(records, CHUNK if rate is None else 1)):
                if rate is not None:
                    await trio.sleep_until(start + count / rate)
                await event_log.append(chunk)
                count += len(chunk)
                progress.update(shown, completed=count)
        return count


def _websocket_url(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise click.BadParameter("it must be ws://host:port/ws, or wss://…")
    return url


@main.command()
@click.argument("channels", nargs=-1, required=True)
@click.option("--url", callback=_websocket_url, help="Where the gateway is; by default on this machine, at PORT.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one event a line.")
@click.option("--snapshot", is_flag=True, help="Begin with the state of the channels.")
def tail(channels: tuple[str, ...], url: str | None, as_json: bool, snapshot: bool) -> None:
    """Subscribe to CHANNELS and print what arrives, until interrupted."""
    url = url or f"ws://127.0.0.1:{_settings().port}/ws"
    try:
        trio.run(partial(_tail, channels, url, as_json=as_json, snapshot=snapshot))
    except* KeyboardInterrupt:
        pass  # this is how it ends
    except* RefusedError as group:
        _fail(str(_first(group)))
    except* BrokenPipeError:
        # Whoever read us has gone; Python would say so once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _tail(channels: tuple[str, ...], url: str, *, as_json: bool, snapshot: bool) -> None:
    console = Console()
    async with connect(url) as session, trio.open_nursery() as nursery:
        nursery.start_soon(_tell_of_silence, session, url)
        for channel in channels:
            await session.subscribe(channel, snapshot=snapshot)
        async for event in session:
            if as_json or not console.is_terminal:
                click.echo(json.dumps(attrs.asdict(event), ensure_ascii=False))
            else:
                _print(console, event)


async def _tell_of_silence(session: Session, url: str) -> None:
    """Tell whoever waits that there is nobody to wait for."""
    await trio.sleep(SILENCE)
    if not session.connected:
        click.echo(f"mesaya-ws: nothing answers at {url} yet; trying again until something does.", err=True)


def _print(console: Console, event: Event) -> None:
    head = ((event.timestamp or "", "dim"), " ", (event.type, "bold"), " ", (event.channel, "cyan"))
    console.print(Text.assemble(*head))
    console.print_json(data=event.data)


@main.command()
def check() -> None:
    """Say what is configured, whether the log answers, and what is missing."""
    settings = _settings()
    _show("Settings", ("setting", "value"), shown(settings))
    extents: dict[Partition, Extent] = {}
    try:
        extents = trio.run(_look, settings)
    except* (LogUnavailableError, SettingsError, OSError) as group:
        _fail(f"the event log does not answer: {_first(group)}")
    rows = ((topic, str(number), str(begin), str(end)) for (topic, number), (begin, end, _) in sorted(extents.items()))
    _show("Event log", ("topic", "partition", "first", "next"), rows)
    missing = set(settings.kafka_topics) - {partition.topic for partition in extents}
    if missing:
        _fail(f"these topics do not exist (yet): {', '.join(sorted(missing))}.")
    if not settings.auth:
        click.echo("mesaya-ws: AUTH=off, so private channels are open to everybody.", err=True)
    click.echo("All is well.")


def _show(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


async def _look(settings: Settings) -> dict[Partition, Extent]:
    with trio.move_on_after(PATIENCE):
        async with open_event_log(settings) as event_log:
            return dict(await event_log.extents())
    raise LogUnavailableError(f"no answer within {PATIENCE:.0f} s.")
