"""Those who ask who is on a channel: what each of them was sent, and when they are sent more.

A client is sent the present number with the answer to its subscription, or soon after it, and changes by the channel's
`Pace`, but none within `OFTEN` of what it was sent by itself. One that has not taken what it was sent before gets
nothing meanwhile, and then the latest.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from math import inf
from operator import or_

from attrs import define, field

from mesaya_ws.core.feed.hub import YIELD_EVERY, SendQueue
from mesaya_ws.core.interactions.chat_records import GUEST, RESTAURANT
from mesaya_ws.core.interactions.presence_pace import FALL, OFTEN, Pace, shown
from mesaya_ws.core.interactions.presence_records import Level, Viewers, is_conversation
from mesaya_ws.core.session.deadlines import Deadlines
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import text_frame

TICK = 200
"""Milliseconds at whose multiples channels are looked at that have changed: many at once, and not each by itself."""

TOGETHER = 100
"""Milliseconds between two looks for clients whose answer had no number with it: of many, not each wakes everything."""

RETRY = 1_000
"""Milliseconds after which a client is looked at again that could not be sent anything."""

RECOUNT = 1_000
"""Milliseconds between two counts of a channel with `LARGE` viewers or askers or more, which take some time."""

LARGE = 100

PER_SECOND, PER_ASKER = 1_500, 0.15
"""Messages about changes that all clients of a process together are sent in a second, at most: the first number, or the
second one for each who asks, if that is more. So all channels can change at once, and everybody is informed in 7 s."""

BURST = 100
"""Milliseconds that messages may be ahead of that: so many are sent in one go."""

_SIDES = {GUEST: 1, RESTAURANT: 2}
_NOTHING, _UNANSWERED = -1, -2
"""In the place of what a client was sent last: nothing, and not even the answer to its subscription."""


@define
class _Watch:
    """The clients that ask about one channel, by their send queues, each with what it was sent last.

    Those that are `late` wait for what is to be sent.

    The `single` ones were sent something by themselves, each at a time: they rest from then on.
    Since `uneven_since`, one of them was sent more than the others, who would have been in a moment, had it lasted.
    """

    pace: Pace | None = None
    askers: dict[SendQueue, int] = field(factory=dict)
    late: dict[SendQueue, None] = field(factory=dict)
    single: dict[SendQueue, int] = field(factory=dict)
    value: int = 0
    counted_at: int = 0
    has_changed: bool = True
    due: float = inf
    uneven_since: int | None = None


class Watches:
    """All that is asked about on this process; `level` says who is on a channel. Times are ms.

    Whoever owns this calls `run` when something is due (`due_at`).
    """

    def __init__(self, level: Callable[[str], Level]) -> None:
        self._deadlines: Deadlines[str] = Deadlines()
        # Channels of which a change is due, the longest first.
        self._ready: OrderedDict[str, None] = OrderedDict()
        self.sent = 0
        """Messages that have been sent so far."""
        self.askers = 0
        """Clients that ask, each counted once for each channel."""
        self._level = level
        self._watches: dict[str, _Watch] = {}
        self._rested_at = 0.0
        self._arrivals_at = -inf

    def is_asked(self, channel: str) -> bool:
        """Return whether a client here asks about a channel."""
        return channel in self._watches

    def add(self, channel: str, client: SendQueue) -> None:
        """Let a client know who is on a channel, from when it is `answered`."""
        watch = self._watches.get(channel)
        if watch is None:
            watch = self._watches[channel] = _Watch()
        self.askers += client not in watch.askers
        watch.askers[client] = _UNANSWERED

    def answered(self, channel: str, client: SendQueue, now: int, *, is_counted: bool) -> bytes:
        """Return the frame that follows the answer to a client's subscription, in the same write.

        None follows if the client does not ask, is not counted yet, or has not taken what it was sent before; one that
        asks is sent the number a little later then.
        """
        watch = self._watches.get(channel)
        if watch is None or client not in watch.askers:
            return b""
        if not is_counted or client.backlogged:
            watch.askers[client] = _NOTHING
            watch.late[client] = None
            if now > self._arrivals_at:
                self._arrivals_at = max(now, self._arrivals_at + TOGETHER)
            self._set(channel, self._arrivals_at)
            return b""
        value = self._count(channel, watch, now)
        number = _first(watch, self._pace(channel, watch, value, now), value, now)
        watch.askers[client], watch.single[client] = number, now
        self.sent += 1
        self._set(channel, _tick_after(now))
        return _frame(channel, number)

    def remove(self, channel: str, client: SendQueue) -> bool:
        """Let a client know nothing more of a channel; return whether it was the last one to ask about it."""
        watch = self._watches.get(channel)
        if watch is None or watch.askers.pop(client, None) is None:
            return False
        self.askers -= 1
        watch.late.pop(client, None)
        watch.single.pop(client, None)
        if watch.askers:
            return False
        del self._watches[channel]
        self._deadlines.cancel(channel)
        return True

    def changed(self, channel: str, now: int, *, is_urgent: bool = False) -> None:
        """Look at a channel again; urgently, where those who are gone have been for long."""
        watch = self._watches.get(channel)
        if watch is None:
            return
        watch.has_changed = True
        if is_urgent and watch.pace is not None:
            watch.pace.hurry()
        self._set(channel, _tick_after(now))

    @property
    def due_at(self) -> float:
        """When `run` has something to do."""
        return min(self._deadlines.next, self._rested_at if self._ready else inf)

    def run(self, now: int) -> Iterator[None]:
        """Send what is due; yields on the way, so that others have their turn."""
        while (channel := self._deadlines.pop(now)) is not None:
            yield from self._look(channel, self._watches[channel], now)
            yield
        while self._ready and self._rested_at < now + BURST:
            channel, _ = self._ready.popitem(last=False)
            if (watch := self._watches.get(channel)) is not None:
                yield from self._send_change(channel, watch, now)
            yield

    def _look(self, channel: str, watch: _Watch, now: int) -> Iterator[None]:
        """Count the viewers of a channel, inform the clients that are late, and see whether all are to be."""
        watch.due = inf
        value = self._count(channel, watch, now)
        pace = self._pace(channel, watch, value, now)
        if pace.check(value, now) is not None:
            self._ready[channel] = None
        if watch.late:
            number = _first(watch, pace, value, now)
            yield from self._send(channel, watch, watch.late.copy(), number, now, is_single=True)
        if watch.uneven_since is not None and now >= watch.uneven_since + FALL:
            watch.uneven_since, pace.sent_at = None, now
            yield from self._send(channel, watch, list(watch.askers), pace.sent, now)
        self._set_next(channel, watch, now)

    @staticmethod
    def _pace(channel: str, watch: _Watch, value: int, now: int) -> Pace:
        if watch.pace is None:
            watch.pace = Pace(value, now, or_ if is_conversation(channel) else max)
        return watch.pace

    def _send_change(self, channel: str, watch: _Watch, now: int) -> Iterator[None]:
        """Inform all who ask about a channel, if it is still due."""
        value, pace, before = self._count(channel, watch, now), watch.pace, self.sent
        if pace is not None and (sent := pace.check(value, now)) is not None:
            pace.note(sent, value, now)
            watch.uneven_since = None
            yield from self._send(channel, watch, list(watch.askers), sent, now)
            rate = max(PER_SECOND, PER_ASKER * self.askers)
            self._rested_at = max(self._rested_at, now) + (self.sent - before) * 1000 / rate
        self._set_next(channel, watch, now)

    def _set_next(self, channel: str, watch: _Watch, now: int) -> None:
        """Have a channel looked at again when there may be something to be sent."""
        due = inf
        if watch.pace is not None and channel not in self._ready:
            later = watch.pace.due_at(watch.value)
            due = inf if later is None else max(now + 1, later)
        if watch.has_changed:
            due = min(due, watch.counted_at + RECOUNT)
        if watch.uneven_since is not None:
            due = min(due, watch.uneven_since + FALL)
        if watch.late:
            due = min(due, now + RETRY)
        self._set(channel, due if due == inf else due + -due % TICK)

    def _count(self, channel: str, watch: _Watch, now: int) -> int:
        # Of a conversation, the value says nothing of how many are there.
        is_large = max(watch.value, len(watch.askers)) >= LARGE
        if watch.has_changed and (not is_large or now >= watch.counted_at + RECOUNT):
            level = self._level(channel)
            watch.value = shown(level.number) if isinstance(level, Viewers) else sum(_SIDES[side] for side in level)
            watch.has_changed, watch.counted_at = False, now
        return watch.value

    def _send(
        self, channel: str, watch: _Watch, askers: Iterable[SendQueue], value: int, now: int, *, is_single: bool = False
    ) -> Iterator[None]:
        """Send the frame of a value to those of some clients who have not been sent just that; who rests is late.

        Where it is not what all are sent (`is_single`), they rest from then on.
        """
        frame = _frame(channel, value)
        for number, client in enumerate(askers, 1):
            sent = watch.askers.get(client, _UNANSWERED)  # it may have left meanwhile
            if sent == value:
                watch.late.pop(client, None)
            elif sent != _UNANSWERED:
                if _rests(watch, client, now) or client.backlogged:
                    watch.late[client] = None
                else:
                    if is_single:
                        watch.single[client] = now
                    client.offer(frame, 1)
                    watch.askers[client] = value
                    watch.late.pop(client, None)
                    self.sent += 1
            if number % YIELD_EVERY == 0:
                yield

    def _set(self, channel: str, due: float) -> None:
        """Have a channel looked at then, if that is not to be earlier."""
        watch = self._watches.get(channel)
        if watch is not None and due < watch.due:
            watch.due = due
            self._deadlines.set(channel, due)


def _tick_after(now: int) -> int:
    return now - now % TICK + TICK


def _first(watch: _Watch, pace: Pace, value: int, now: int) -> int:
    """Return what clients are sent first: what others will be in a moment, unless that is less, and may not last."""
    number = pace.together(pace.sent, value)
    if number != pace.sent and watch.uneven_since is None:
        watch.uneven_since = now
    return number


def _rests(watch: _Watch, client: SendQueue, now: int) -> bool:
    """Return whether one of a channel's `single` clients rests still; else it is single no more."""
    sent_at = watch.single.get(client)
    if sent_at is None:
        return False
    if now < sent_at + OFTEN:
        return True
    del watch.single[client]
    return False


def _frame(channel: str, value: int) -> bytes:
    if is_conversation(channel):
        sides = {side: bool(value & bit) for side, bit in _SIDES.items()}
        return text_frame(encode("presence", channel=channel, **sides))
    return text_frame(encode("presence", channel=channel, viewers=value))
