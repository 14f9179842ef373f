"""`mesaya-ws produce`: appends the records of a file to the log."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from itertools import islice
from time import monotonic
from typing import IO

import click
import orjson
import trio
from attrs import define
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.running import run
from mesaya_ws.cli.sample import sample_lines
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.platform.envelope import Rejected, decode
from mesaya_ws.eventlog import open_event_log, why_silent
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.exceptions import only
from mesaya_ws.settings import Settings, SettingsError

CHUNK = 200
"""Records that are appended together."""

SILENCE = 2.0
"""Seconds without an acknowledgement after which the command says why."""

WARNINGS = 10
"""Records with a warning of their own; further ones are counted."""


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
    lines: Iterable[bytes] = sample_lines() if source is None else source
    progress = _Progress(_log_name(settings))
    try:
        run(_produce, settings, _records(lines, progress.warn), rate, progress, open_event_log)
    except BaseException as error:
        if only(error, KeyboardInterrupt):
            fail(f"interrupted. {progress.summary()}")
        if known := only(error, ValueError, RecordRejectedError, LogUnavailableError, SettingsError, OSError):
            fail(f"{str(known).rstrip('.')}. {progress.summary()}")
        raise
    else:
        click.echo(f"{progress.appended} records appended to {progress.log_name}.", err=True)
    finally:
        progress.print_further_warnings()


@define
class _Progress:
    """How many records have been `appended`, and how many are `under_way`."""

    log_name: str
    appended: int = 0
    under_way: int = 0
    _warnings: int = 0
    _said: str = ""

    def summary(self) -> str:
        """Return a sentence about the records so far, for a command that fails."""
        unsure = f"; of {self.under_way} more it is not known whether they were" if self.under_way else ""
        return f"{self.appended} records were appended to {self.log_name}{unsure}."

    def say(self, sentence: str) -> None:
        """Print why the command waits, each sentence once."""
        if sentence != self._said:
            self._said = sentence
            click.echo(f"mesaya-ws: {sentence.rstrip('.')}; still trying.", err=True)

    def warn(self, line: int, record: NewRecord) -> None:
        """Warn of a record that will be skipped when it is read; it is appended all the same."""
        if record.value is None:
            return
        meaning = decode(Record(record.topic, 0, 0, now_ms(), record.key, record.value))
        if isinstance(meaning, Rejected) and meaning.detail:
            self._warnings += 1
            if self._warnings <= WARNINGS:
                click.echo(f"mesaya-ws: warning: line {line} will not be understood: {meaning.detail}", err=True)

    def print_further_warnings(self) -> None:
        """Print how many further records had no warning of their own."""
        if self._warnings > WARNINGS:
            click.echo(f"mesaya-ws: warning: {self._warnings - WARNINGS} more will not be understood.", err=True)


def _records(lines: Iterable[bytes], warn: Callable[[int, NewRecord], None]) -> Iterator[NewRecord]:
    """Yield the records of a file, after `warn` with each. Raises `ValueError` with the number of a bad line."""
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
        record = NewRecord(fields["topic"], value, None if key is None else key.encode())
        warn(number, record)
        yield record


async def _produce(
    settings: Settings,
    records: Iterator[NewRecord],
    rate: float | None,
    progress: _Progress,
    open_log: Callable[[Settings], AbstractAsyncContextManager[EventLog]],
) -> None:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} records"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        shown = display.add_task("", total=None)
        async with open_log(settings) as event_log, trio.open_nursery() as nursery:
            start = trio.current_time()
            while chunk := list(islice(records, CHUNK if rate is None else 1)):
                if rate is not None:
                    await trio.sleep_until(start + progress.appended / rate)
                progress.under_way = len(chunk)
                try:
                    with _explaining_silence(nursery, partial(why_silent, settings), progress):
                        await event_log.append(chunk)
                except RecordRejectedError:
                    progress.under_way -= 1  # that one was not; those before it were
                    raise
                progress.under_way = 0
                progress.appended += len(chunk)
                display.update(shown, completed=progress.appended)


@contextmanager
def _explaining_silence(nursery: trio.Nursery, why: Callable[[float], str], progress: _Progress) -> Iterator[None]:
    """Print `why` the log has not answered since a time (of the monotonic clock) if the context lasts for SILENCE."""
    answered, start = trio.CancelScope(), monotonic()

    async def explain() -> None:
        with answered:
            await trio.sleep(SILENCE)
            progress.say(why(start))

    nursery.start_soon(explain)
    try:
        yield
    finally:
        answered.cancel()


def _log_name(settings: Settings) -> str:
    """Return the name of the configured log; a file with its directory, for the service may run in another one."""
    return ", ".join(settings.kafka_brokers) or str(settings.event_log_file.absolute())
