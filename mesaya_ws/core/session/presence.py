"""Who is on which channel, and who is typing: what clients of this process are sent of that, and what others are.

    the hub, typists ──┬──▶ watches: what the clients that ask are sent
                       │        ▲
    records of other processes ──▶ their tables
                       │
                       └──▶ own table ──▶ records of this process, of what somebody asks about

Who is on a channel of this process, the hub knows. Only of channels that somebody here or elsewhere asks about, or is
typing in, is it followed who comes and goes (`_followed`): all others cost nothing.

What is sent has no position and is never stored. While nobody asks about anything, and nobody is typing, no process
appends anything. A client that asks first about a channel is sent the viewers of this process at once, and with those
of the others some seconds later; after that, the number stands everywhere.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from math import inf

from mesaya_ws.core.feed.hub import LEAVING, Hub, SendQueue
from mesaya_ws.core.interactions.presence import PresenceTable
from mesaya_ws.core.interactions.presence_own import EVERY, OwnTable
from mesaya_ws.core.interactions.presence_records import (
    Level,
    Sides,
    is_conversation,
    joined,
    level_of,
    read_key,
    read_part,
)
from mesaya_ws.core.interactions.topics import PRESENCE
from mesaya_ws.core.log.records import NewRecord, Record
from mesaya_ws.core.session.presence_watch import Watches
from mesaya_ws.core.session.present import Present
from mesaya_ws.core.session.step_budget import StepBudget
from mesaya_ws.core.session.typists import Typists

LINGER = 30_000
"""Milliseconds for which a channel counts as asked about after nobody asks any more: who loads a page again does."""

AT_ONCE = 200
"""Channels that are counted in one step, of a millisecond or two."""

AS_A_CHANNEL = 10
"""Viewers that are as much work as a channel by itself."""

READS_WITHIN = EVERY + 3_000
"""Milliseconds after which a process that has not read its own records does not drop others for their silence: as long
as that lasts, and the time does not count afterwards."""


class Presence:
    """The presence of all sessions of a process, whose subscriptions are in the `hub`.

    It is the `process` of its records. `clock` never steps, and is in ms.
    `on_due` is called when something is due earlier than it was. Others are informed of so many channels at the `most`;
    with 0, nothing is counted or sent.
    """

    def __init__(self, hub: Hub, process: str, most: int, clock: Callable[[], int]) -> None:
        self.on_due: Callable[[], None] = lambda: None
        self._most = most
        self._clock = clock
        self._hub = hub
        # Channels of which somebody wants to know who comes and goes (`_follow`).
        self._followed: set[str] = set()
        self._others = PresenceTable()
        self._own = OwnTable(process, most)
        self._watches = Watches(self.level)
        self._typists = Typists(hub, self._others.typing, self._on_typing)
        self._prefix = f"{process}/"
        # Channels of which the own table may say something else than is so.
        self._uncounted: dict[str, None] = {}
        # Channels that nobody here asks about any more, and until when they count as asked about.
        self._lingering: OrderedDict[str, int] = OrderedDict()
        self._own_read_at: int | None = None

    # What sessions call

    def began(self, session: Present, channel: str, *, asks: bool) -> None:
        """Note that a session has the right to a channel and is on it; if it `asks`, it is sent who else is."""
        if not asks and channel not in self._followed:
            return
        if not self._most:
            return
        now = self._clock()
        if asks:
            self._watches.add(channel, session.send_queue)
            self._follow(channel)
        else:
            self._stop_watching(channel, session, now)
        if is_conversation(channel):
            self._typists.arrived(session, channel, now)
        self._changed(channel, now)

    def answered(self, client: SendQueue, channel: str, *, is_counted: bool) -> bytes:
        """Return what follows the answer to a client's subscription in the same write: a frame, or nothing."""
        frame = self._watches.answered(channel, client, self._clock(), is_counted=is_counted)
        self.on_due()
        return frame

    def leaving(self, session: Present, channels: Iterable[str]) -> None:
        """Count a session no more that is asked to leave: its client opens another connection before this one ends."""
        session.send_queue.viewer = LEAVING
        self._all_changed(channels)

    def ended(self, session: Present, channel: str) -> None:
        """Note that a session is not on a channel any more."""
        if channel not in self._followed:
            return
        now = self._clock()
        self._stop_watching(channel, session, now)
        self._typists.end(session, now, channel)
        self._changed(channel, now)

    def identified(self, session: Present, channels: Iterable[str]) -> None:
        """Note that a session has become another user's, or nobody's; `channels` are those that it is subscribed to."""
        if session.send_queue.viewer != LEAVING:
            session.send_queue.viewer = None if session.identity is None else session.identity.user
        self._end_typing(session)
        self._all_changed(channels)

    def left(self, session: Present) -> None:
        """Note that a session has ended, and all of its subscriptions before."""
        if self._end_typing(session):
            self.on_due()

    def typing(self, session: Present, channel: str, side: str, *, is_typing: bool) -> None:
        """Note that a client is typing in a conversation, or not any more."""
        if not self._most:
            return
        if is_typing:
            self._typists.begin(session, channel, side, self._clock())
            self._follow(channel)
        else:
            self._typists.end(session, self._clock(), channel)
        self.on_due()

    def level(self, channel: str) -> Level:
        """Return who is on a channel, of all processes."""
        return joined(self._others.level(channel), level_of(channel, self._hub.viewers(channel)))

    # What the exchange with other processes calls

    @property
    def messages(self) -> int:
        """How many messages clients have been sent so far."""
        return self._watches.sent + self._typists.sent

    @property
    def left_out(self) -> int:
        """How many channels others were not informed of, for there was no room."""
        return self._own.left_out

    def due_at(self) -> float:
        """Return when `run` has something to do."""
        drops_at = self._others.drops_at()
        if drops_at != inf and not self._reads_own(max(drops_at, self._clock())):
            drops_at = inf
        return min(self._watches.due_at, self._typists.deadlines.next, drops_at)

    def run(self) -> Iterator[None]:
        """Do what is due; yields on the way, so that others have their turn."""
        now = self._clock()
        if self._others.drops_at() <= now and self._reads_own(now):
            for channels in self._others.drop(now):
                self._changed_elsewhere(channels, now, is_urgent=True)
                yield
        yield from self._typists.run(now)
        yield from self._watches.run(now)

    def appends_at(self) -> float:
        """Return when something is to be appended (`count`, then `take`); `inf`: there is nothing to say."""
        lingers = next(iter(self._lingering.values()), inf)
        return min(self._own.due_at(changes=bool(self._uncounted)), lingers)

    def count(self) -> Iterator[None]:
        """Bring the own table up to date; yields on the way, so that others have their turn."""
        now, budget = self._clock(), StepBudget(AT_ONCE)
        while self._lingering:
            channel, until = next(iter(self._lingering.items()))
            if until > now:
                break
            self._forget_asked(channel)
            if budget.spend(1):
                yield
        uncounted, self._uncounted = self._uncounted, {}
        for channel in uncounted:
            is_asked = self._watches.is_asked(channel) or channel in self._lingering
            is_of_use = is_asked or self._others.is_asked(channel)
            viewers = self._hub.viewers(channel) if is_of_use else []
            self._own.put(channel, level_of(channel, viewers), is_asked=is_asked)
            if budget.spend(1 + len(viewers) // AS_A_CHANNEL):
                yield

    def take(self) -> Iterator[NewRecord]:
        """Yield the records that are to be appended now; others may have their turn between two of them."""
        yield from self._own.take(self._clock())
        if self._own.is_silent:
            self._own_read_at = None

    def not_appended(self) -> None:
        """Note that the records taken last may not be in the log."""
        self._own.not_appended()

    def tombstones(self) -> list[NewRecord]:
        """Return the records that are to be appended when the process ends."""
        return self._own.tombstones()

    @property
    def has_silent(self) -> bool:
        """Whether tombstones of others are due (`take_silent`): their processes ended without appending them."""
        return bool(self._others.silent)

    def take_silent(self) -> list[NewRecord]:
        """Return those tombstones; so what has ended leaves nothing in the topic."""
        silent = list(self._others.silent)[:AT_ONCE]
        for key in silent:
            del self._others.silent[key]
        return [NewRecord(PRESENCE, None, key.encode()) for key in silent]

    def read(self, record: Record) -> None:
        """Take a record that was read. Raises `BadFieldError`."""
        now = self._clock()
        key = read_key(record)
        if not key.startswith(self._prefix):
            self._changed_elsewhere(self._others.apply(key, read_part(record), record.timestamp, now), now)
        elif record.value is not None:
            if self._own_read_at is not None and not self._reads_own(now):
                self._others.renew(now, now - self._own_read_at - EVERY)
            self._own_read_at = now
        self.on_due()

    def _reads_own(self, now: float) -> bool:
        """Return whether others' silence says anything: this process reads what it says, or says nothing itself."""
        return self._own_read_at is None or self._own.is_silent or now <= self._own_read_at + READS_WITHIN

    def _end_typing(self, session: Present) -> bool:
        """Note that a client is not typing any more; return whether it was: of most, not even the time is needed."""
        return self._typists.is_typing(session) and self._typists.end(session, self._clock())

    def _changed(self, channel: str, now: int) -> None:
        """Note that a channel that is followed may have other viewers here than before."""
        self._watches.changed(channel, now)
        if self._watches.is_asked(channel) or self._others.is_asked(channel) or channel in self._lingering:
            self._uncounted[channel] = None
        self.on_due()

    def _all_changed(self, channels: Iterable[str]) -> None:
        for channel in channels:
            if channel in self._followed:
                self._changed(channel, self._clock())

    def _changed_elsewhere(self, channels: Iterable[str], now: int, *, is_urgent: bool = False) -> None:
        """Note that other processes say something else of these channels than before."""
        for channel in channels:
            self._watches.changed(channel, now, is_urgent=is_urgent)
            is_here = self._hub.has_subscribers(channel)
            if is_here or self._own.has(channel):
                self._uncounted[channel] = None
            if is_here and is_conversation(channel):
                self._typists.look(channel, now)
            self._follow(channel)

    def _stop_watching(self, channel: str, session: Present, now: int) -> None:
        """Send a client nothing more about a channel; it counts as asked about for a while, should it come back."""
        if self._watches.remove(channel, session.send_queue):
            self._lingering.pop(channel, None)
            self._lingering[channel] = now + LINGER
            if len(self._lingering) > self._most:
                self._forget_asked(next(iter(self._lingering)))

    def _forget_asked(self, channel: str) -> None:
        """Do not count a channel as asked about any more that nobody here has asked about lately."""
        del self._lingering[channel]
        self._uncounted[channel] = None
        self._follow(channel)

    def _follow(self, channel: str) -> None:
        """Follow a channel, or follow it no longer; to be called whenever one of the reasons may have come or gone."""
        if (
            self._watches.is_asked(channel)
            or channel in self._lingering
            or self._others.is_asked(channel)
            or self._typists.is_active(channel)
        ):
            self._followed.add(channel)
        else:
            self._followed.discard(channel)

    def _on_typing(self, channel: str, sides: Sides) -> None:
        self._own.type(channel, sides)
        self._follow(channel)
