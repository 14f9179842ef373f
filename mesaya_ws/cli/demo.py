"""`mesaya-ws demo`: a small platform that plays itself into the log."""

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

import click
import trio

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.running import run
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, OffsetGoneError, RecordRejectedError
from mesaya_ws.core.log.records import NewRecord, OffsetRange, Partition, Record
from mesaya_ws.core.platform.envelope import Event, decode
from mesaya_ws.core.platform.topics import topic_of
from mesaya_ws.demo.adopted import DOMAINS
from mesaya_ws.demo.evening import Evening, restaurant_channels
from mesaya_ws.demo.town import MAX_RESTAURANTS, Town, build_town
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.exceptions import only
from mesaya_ws.settings import SettingsError

READ_BACK = 20_000
"""Records at the end of each partition that are read for what a demo has already played there."""

CHUNK = 200
"""Records of the beginning that are appended together."""

RETRY = 1.0
"""Seconds after which a log that does not answer is asked again."""

PARENT_CHECK = 0.5
"""Seconds between two checks whether the process that started this one still runs."""


@click.command()
@click.option("--restaurants", type=click.IntRange(1, MAX_RESTAURANTS), default=3, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(0, 1000, min_open=True), default=2.0, show_default=True, help="Records per second."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides everything that happens.")
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the process that started this one has ended.")
def demo(restaurants: int, rate: float, seed: int, with_parent: bool) -> None:
    """Play a small platform into the configured log, until interrupted: its restaurants, and guests who come and go.

    A log that already holds a demo of the same seed is continued.
    """
    settings = usable_settings()
    evening = Evening(town := build_town(seed, restaurants))
    try:
        run(_demo, partial(open_event_log, settings), evening, 1 / rate, partial(_say_channels, town), with_parent)
    except BaseException as error:
        if known := only(error, RecordRejectedError, SettingsError, OSError):
            fail(str(known))
        if not only(error, KeyboardInterrupt):  # which is how it ends
            raise


def _say_channels(town: Town) -> None:
    click.echo("mesaya-ws: playing a demo, until interrupted. Its floor plans are on these channels:", err=True)
    for name, channel in restaurant_channels(town):
        click.echo(f"  {channel}  {name}", err=True)


async def _demo(
    open_log: Callable[[], AbstractAsyncContextManager[EventLog]],
    evening: Evening,
    interval: float,
    begun: Callable[[], None],
    with_parent: bool,
    *,
    read_back: int = READ_BACK,
    parent: Callable[[], int] = os.getppid,
) -> None:
    """Play an evening into a log, one record every `interval` seconds, until cancelled.

    `begun` is called when everything is in the log that must be there first.
    """
    async with open_log() as event_log, trio.open_nursery() as nursery:
        if with_parent:
            nursery.start_soon(_wait_for_end_of_parent, parent(), parent, nursery.cancel_scope)
        await _answered(partial(_adopt, event_log, evening, read_back))
        beginning = list(evening.beginning(now_ms()))
        for first in range(0, len(beginning), CHUNK):
            await _append(event_log, beginning[first : first + CHUNK])
        begun()
        due = trio.current_time()
        while True:
            # After an outage, what was missed is not made up for.
            due = max(due + interval, trio.current_time())
            await trio.sleep_until(due)
            await _append(event_log, [evening.step(now_ms())])


async def _adopt(event_log: EventLog, evening: Evening, read_back: int) -> None:
    """Read what a demo has already played into the log."""
    extents = await event_log.extents(skip_refused=True)
    for domain in DOMAINS:
        for partition in sorted(one for one in extents if one.topic == topic_of(domain)):
            await _adopt_partition(event_log, evening, partition, extents[partition], read_back)
    evening.resume(":".join(f"{name.topic}/{name.number}/{extents[name].end}" for name in sorted(_filled(extents))))


async def _adopt_partition(
    event_log: EventLog, evening: Evening, partition: Partition, extent: OffsetRange, read_back: int
) -> None:
    next_offset = max(extent.begin, extent.end - read_back)
    while next_offset < extent.end and (records := await _read(event_log, partition, next_offset)):
        for record in records:
            if isinstance(event := decode(record), Event):
                evening.adopt(event)
        next_offset = records[-1].offset + 1
        await trio.lowlevel.checkpoint()


async def _read(event_log: EventLog, partition: Partition, start: int) -> Sequence[Record]:
    try:
        return await event_log.read(partition, start)
    except OffsetGoneError:  # removed meanwhile: then nothing of it is to be continued
        return ()


def _filled(extents: Mapping[Partition, OffsetRange]) -> Iterator[Partition]:
    """Yield the partitions of ours that hold, or have held, something."""
    topics = set(map(topic_of, DOMAINS))
    return (partition for partition, extent in extents.items() if partition.topic in topics and extent.end)


async def _append(event_log: EventLog, records: Sequence[NewRecord]) -> None:
    await _answered(partial(event_log.append, records))


async def _answered(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask the log until it answers; a record may then be in it twice, which changes nothing."""
    has_complained = False
    while True:
        try:
            await ask()
        except LogUnavailableError as error:
            if not has_complained:
                click.echo(f"mesaya-ws: {str(error).rstrip('.')}; still trying.", err=True)
            has_complained = True
            await trio.sleep(RETRY)
        else:
            return


async def _wait_for_end_of_parent(first: int, parent: Callable[[], int], everything: trio.CancelScope) -> None:
    """Cancel `everything` once this process has another `parent` than the `first`."""
    while parent() == first:  # noqa: ASYNC110 - the kernel informs only the parent of an end
        await trio.sleep(PARENT_CHECK)
    everything.cancel()
