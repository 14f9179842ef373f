"""`mesaya-ws explain`: why a record is shown to whom, or to nobody, by what the log says up to it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import IO, Any

import click
import orjson
import trio
from attrs import define, field

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.running import run
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.feed.explanation import Explanation
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.events import LogEvent, Unavailable
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.log.records import Record
from mesaya_ws.core.platform.envelope import Decoded, Event
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.eventlog import open_event_log
from mesaya_ws.gateway.driver import EVENTS_AHEAD, Driver
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.exceptions import only
from mesaya_ws.runtime.harmless_json import harmless
from mesaya_ws.settings import Settings, SettingsError


class CannotExplainError(Exception):
    """Why there is no explanation."""


@click.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--topic", help="Explain the record of this topic at --offset, by what the log says before it.")
@click.option("--partition", type=click.IntRange(0), default=0, show_default=True)
@click.option("--offset", type=click.IntRange(0))
@click.option(
    "--event",
    "wanted",
    help="Explain the last record that is such a message (reservation.created), or is about this id.",
)
@click.option(
    "--user", help="Say of every message whether this user may see it; of --event, the last about or for them."
)
def explain(
    file: IO[bytes] | None,
    topic: str | None,
    partition: int,
    offset: int | None,
    wanted: str | None,
    user: str | None,
) -> None:
    """Say what a record is understood as, what it changes, what is published where and who may see that; or why not.

    FILE holds a record {"topic", "key", "value"} as `produce` takes it (`-` is standard input), which is explained as
    if it were the next one of the log. The log is read from its beginning; nothing is written.
    """
    if sum((file is not None, topic is not None, wanted is not None)) != 1 or (topic is None) != (offset is None):
        raise click.UsageError("Name a FILE, or --topic and --offset, or an --event.")
    settings = usable_settings()
    if file is not None:
        search = _Search(last=_record_in(file.read()))
    elif wanted is not None:
        search = _Search(event=wanted)
    else:
        search = _Search(place=(topic, partition, offset))
    search.auth, search.user = settings.auth, None if user is None else Identity(user)
    try:
        run(_read_log, partial(open_event_log, settings), settings, search)
    except BaseException as error:
        if known := only(error, CannotExplainError, SettingsError, OSError):
            fail(str(known))
        if only(error, KeyboardInterrupt):
            fail("interrupted.")
        raise
    if search.found is None:
        fail("the log holds no such record.")
    click.echo(harmless(orjson.dumps(search.found, option=orjson.OPT_INDENT_2).decode()))


def _record_in(text: bytes) -> Record:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fail(f"the file is not JSON: {error}.", 2)
    if not isinstance(fields, dict) or not isinstance(fields.get("topic"), str) or "value" not in fields:
        fail('the file is not {"topic", "key", "value"}.', 2)
    key, value = fields.get("key"), fields["value"]
    if value is not None:
        value = value.encode() if isinstance(value, str) else orjson.dumps(value)
    return Record(fields["topic"], 0, 0, now_ms(), key.encode() if isinstance(key, str) else None, value)


@define
class _Search:
    """Which record is to be explained: at a `place`, the `last` one of all, or the last one that is an `event`."""

    place: tuple[str | None, int, int | None] | None = None
    last: Record | None = None
    event: str | None = None
    auth: bool = True
    user: Identity | None = None
    found: dict[str, Any] | None = None
    done: trio.Event = field(factory=trio.Event)

    def explain(self, feed: Feed, record: Record) -> Explanation:
        """Return what a feed says of a record that it has not processed."""
        return feed.known.explain(record, auth=self.auth, user=self.user, is_alone=True)

    def keep(self, record: Record, explanation: Explanation) -> None:
        """Keep an explanation, with the place of its record."""
        named: Explanation = {
            "topic": record.topic,
            "key": record.key.decode(errors="replace") if record.key is not None else None,
        }
        if record is not self.last:
            named |= {"partition": record.partition, "offset": record.offset}
        self.found = {**named, **explanation}

    def preview(self, feed: Feed, record: Record, event: Decoded) -> None:
        """Explain a record that the feed processes next, if it is searched for."""
        if self.place == record[:3]:
            self.keep(record, self.explain(feed, record))
            self.done.set()
        elif self.matches(event):
            explanation = self.explain(feed, record)
            if _is_wanted(self, explanation):
                self.keep(record, explanation)

    def matches(self, event: Decoded) -> bool:
        """Return whether a record may be the wanted event: what it becomes, its explanation says."""
        if self.event is None or not isinstance(event, Event):
            return False
        return self.event == event.id or self.event.startswith(f"{event.entity}.")


def _is_wanted(search: _Search, explanation: Explanation) -> bool:
    """Return whether a record is the event that is searched for, and concerns the user that is."""
    messages = explanation["messages"]
    if explanation["understood"]["id"] != search.event:
        messages = [message for message in messages if message["type"] == search.event]
        if not messages:
            return False
    return search.user is None or any(search.user.user in _concerned(message) for message in messages)


def _concerned(message: Explanation) -> list[object]:
    """Return the users that a message is about, or for."""
    return [message["data"].get("userId"), *(each.get("user") for each in message["seenBy"])]


class _Observer:
    """What happens around the feed: nothing but that others run, and that a log that is away ends the command."""

    def received(self, event: LogEvent) -> None:
        """Raise `CannotExplainError` when the log does not answer."""
        if isinstance(event, Unavailable):
            raise CannotExplainError("the log does not answer; `mesaya-ws check` says why.")

    async def ingested(self, seconds: float) -> None:
        """Let others run."""
        await trio.lowlevel.checkpoint()

    async def processed(self, seconds: float) -> None:
        """Let others run."""
        await trio.lowlevel.checkpoint()


async def _read_log(
    open_log: Callable[[], AbstractAsyncContextManager[EventLog]], settings: Settings, search: _Search
) -> None:
    """Read the log up to what is searched for, or to its end."""
    feed = Feed(
        Hub(),
        Window(1, 1 << 20),
        settings.parent_timeout,
        preview=lambda record, event: search.preview(feed, record, event),
    )
    deliver, events = trio.open_memory_channel[LogEvent](EVENTS_AHEAD)
    async with open_log() as event_log, trio.open_nursery() as nursery:
        nursery.start_soon(partial(event_log.follow, deliver.send, paused=lambda: feed.paused))
        driver = Driver(feed, events, _Observer())
        while not feed.live and not search.done.is_set():
            await driver.advance()
        nursery.cancel_scope.cancel()
    if search.last is not None:
        search.keep(search.last, search.explain(feed, search.last))
