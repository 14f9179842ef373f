"""`mesaya-ws produce`: records of a file into the log."""

from collections.abc import Iterable, Iterator
from importlib import resources
from itertools import islice
from typing import IO

import click
import orjson
import trio
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.core.event_log import LogUnavailableError, NewRecord, RecordRefusedError
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.groups import only
from mesaya_ws.settings import Settings, SettingsError

CHUNK = 200
"""Records that are appended, and acknowledged, together."""


@click.command()
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
    settings = usable_settings()
    lines: Iterable[bytes]
    if source is None:
        lines = resources.files("mesaya_ws").joinpath("samples/captured.jsonl").read_bytes().splitlines()
    else:
        lines = source
    try:
        count = trio.run(_produce, settings, _records(lines), rate)
    except BaseException as error:
        if only(error, KeyboardInterrupt):
            fail("interrupted; what was appended before stays.")
        if known := only(error, ValueError, RecordRefusedError, LogUnavailableError, SettingsError, OSError):
            fail(str(known))
        raise
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


def _log_name(settings: Settings) -> str:
    """Name the configured log: whoever works in another directory than the service means another file."""
    return ", ".join(settings.kafka_brokers) or str(settings.event_log.absolute())
