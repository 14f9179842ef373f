"""`mesaya-ws check`: what is configured, and whether the log answers."""

from collections.abc import Iterable

import click
import trio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.core.event_log import Extent, LogUnavailableError, Partition
from mesaya_ws.environment import shown
from mesaya_ws.eventlog import open_event_log, trouble_with_state_topic
from mesaya_ws.groups import only
from mesaya_ws.settings import Settings, SettingsError

PATIENCE = 10.0
"""Seconds that the log is waited for."""


@click.command()
def check() -> None:
    """Say what is configured, whether the log answers, and what is missing."""
    settings = usable_settings()
    _show("Settings", ("setting", "value"), shown(settings))
    extents: dict[Partition, Extent] = {}
    trouble = None
    try:
        extents, trouble = trio.run(_look, settings)
    except BaseException as error:
        if known := only(error, LogUnavailableError, SettingsError, OSError):
            fail(f"the event log does not answer: {known}")
        raise
    rows = ((topic, str(number), str(begin), str(end)) for (topic, number), (begin, end, _) in sorted(extents.items()))
    _show("Event log", ("topic", "partition", "first", "next"), rows)
    missing = set(settings.kafka_topics) - {partition.topic for partition in extents}
    if missing:
        fail(f"these topics do not exist (yet): {', '.join(sorted(missing))}.")
    if trouble is not None:
        fail(f"{trouble}.")
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


async def _look(settings: Settings) -> tuple[dict[Partition, Extent], str | None]:
    """Return what the log holds, and what is wrong with the state topic."""
    with trio.move_on_after(PATIENCE):
        async with open_event_log(settings) as event_log:
            return dict(await event_log.extents()), await trouble_with_state_topic(settings)
    raise LogUnavailableError(f"no answer within {PATIENCE:.0f} s.")
