"""The state of a channel, as of a position: what a client starts from, before the events that change it.

A state can be large. What belongs to it is read in steps, between two records: the next one waits for them. That is
quick, since no entity that is known is ever changed itself (`EntityTable.put`); it is written down bit by bit, while
the log goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import orjson

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.pieces import in_brackets
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.recovery.notifications import Latest
from mesaya_ws.core.recovery.window import PositionEvicted, Window
from mesaya_ws.core.views.announcements import announcements_state
from mesaya_ws.core.views.chats import SHOWN, conversation_state, inbox_state
from mesaya_ws.core.views.contents import (
    LATEST,
    READ_AT_ONCE,
    ChannelState,
    Contents,
    Derived,
    SnapshotRules,
    Unread,
    View,
    count_under,
)
from mesaya_ws.core.views.floor_plan import plan_size, tables_state
from mesaya_ws.core.views.images import info_size
from mesaya_ws.core.views.menus import menu_contents, menu_size
from mesaya_ws.core.views.notifications import notifications_state
from mesaya_ws.core.views.reservations import count_coming, reservations_state
from mesaya_ws.core.views.restaurants import info_state, restaurants_state
from mesaya_ws.core.views.reviews import review_contents
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import FINAL, FRAGMENT_BYTES, fragment, text_frame

WRITTEN_AT_ONCE = 200
"""How many entities are written down in one go: a millisecond of work, at most."""


class Snapshot:
    """The state of `channel` as of `position`, which lies after the publication `serial` of the window's `epoch`.

    It is to be read (`read_some`) before anything of it changes, and written (`write`), so many entities `at_once`;
    then `frames` are the same for every client, but for the first. `complete` says whether the log has said all of it.
    """

    def __init__(
        self,
        channel: Channel,
        state: ChannelState,
        position: str,
        complete: bool,
        window: Window,
        at_once: int = WRITTEN_AT_ONCE,
    ) -> None:
        self.channel = channel
        self._at_once = at_once
        self.position = position
        self.complete = complete
        self.serial, self.epoch = window.serial, window.epoch
        self._state = state
        self._unread = [part for part in state.values() if isinstance(part, Unread)]
        self._frames: list[bytes] = []
        self._rest = b""
        self._revoked = False

    @property
    def size(self) -> int:
        """The bytes of what is shared by all clients, as far as it is written; 0 when each has its own single frame."""
        return sum(map(len, self._frames))

    def continues_in(self, window: Window) -> bool:
        """Return whether it can still be handed out, and all that was published after it is in `window`."""
        return not self._revoked and self.epoch == window.epoch and self.serial >= window.evicted

    @property
    def is_read(self) -> bool:
        """Whether all of the state has been read, so that it is what it is, whatever changes."""
        return not self._unread

    def read_some(self) -> bool:
        """Read more of the state, for some milliseconds at most; return whether it `is_read`."""
        looked_at = 0
        while self._unread and looked_at < READ_AT_ONCE:
            read = next(self._unread[0].reading, None)
            if read is None:
                del self._unread[0]
            else:
                looked_at += read
        return self.is_read

    def write(self) -> Iterator[None]:
        """Write the state down; yield after every few entities, or when they are large after each.

        What is still to be read of it is read before.
        """
        while not self.read_some():
            yield
        frames, gathered = self._frames, list[bytes]()
        size = 0
        for part in self._parts():
            gathered.append(part)
            size += len(part)
            if size >= FRAGMENT_BYTES:
                frames.append(fragment(b"".join(gathered)))
                gathered, size = [], 0
            yield
        gathered.append(b"}")  # of the message
        rest = b"".join(gathered)
        if frames:
            frames.append(fragment(rest, last=True))
        else:
            self._rest = rest
        self._state = {}

    def _parts(self) -> Iterator[bytes]:
        """Write the state as JSON, a few entities at a time."""
        before = b"{"
        for name, part in self._state.items():
            yield b'%b"%b":' % (before, name.encode())
            before = b","
            if isinstance(part, Unread):
                yield from in_brackets(part.entities, self._at_once)
            elif isinstance(part, list | Derived):
                yield from in_brackets(part, self._at_once)
            else:
                yield orjson.dumps(part)
        yield b"}"

    def frames(self, **loss: object) -> Iterator[bytes]:
        """Yield the frames of the message for a client, which may bring a `loss`: one, or several if it is large.

        Each is to be taken when there is room for it. Raises `PositionEvicted` when the state was revoked meanwhile.
        """
        head = encode("snapshot", channel=self.channel.name, position=self.position, **loss, complete=self.complete)
        head = head[:-1] + b',"data":'
        if self._rest:
            yield text_frame(head + self._rest)
            return
        yield (frame := fragment(head, first=True))
        for frame in self._frames:
            yield frame
        if not frame[0] & FINAL:
            raise PositionEvicted

    def revoke(self) -> None:
        """Let go of what was written; clients that have not taken all of it get no more."""
        self._revoked = True
        self._frames.clear()  # clients hold the list


class _Kind(NamedTuple):
    """How a kind of channel is shown, and how many entities must be read for that, of a subject.

    A few more or less do not matter, nor how many more than `WRITTEN_AT_ONCE`.
    """

    state: Callable[[View], ChannelState]
    size: Callable[[View], int]


def _contents(contents: Callable[[str, Projections], Contents]) -> Callable[[View], ChannelState]:
    return lambda view: dict(contents(view.subject, view.projections))


def _size(count: Callable[[str, Projections], int]) -> Callable[[View], int]:
    return lambda view: count(view.subject, view.projections)


_KINDS: Mapping[str, _Kind] = {
    "tables": _Kind(tables_state, _size(partial(plan_size, enough=WRITTEN_AT_ONCE))),
    "reservations": _Kind(reservations_state, count_coming),
    "menu": _Kind(_contents(menu_contents), _size(menu_size)),
    "reviews": _Kind(_contents(review_contents), _size(partial(count_under, "review"))),
    "info": _Kind(info_state, _size(partial(info_size, enough=WRITTEN_AT_ONCE))),
    "restaurants": _Kind(restaurants_state, lambda view: len(view.projections.entities["restaurant"].alive)),
    "chat": _Kind(conversation_state, lambda _: SHOWN),
    "chats": _Kind(inbox_state, lambda _: SHOWN),
    "announcements": _Kind(announcements_state, lambda _: LATEST),
    "notifications": _Kind(notifications_state, lambda view: view.rules.inbox_events),
}


def view_of(
    channel: Channel,
    projections: Projections,
    window: Window,
    now: int,
    rules: SnapshotRules,
    notifications: Latest | None = None,
    log_now: int = 0,
) -> View:
    """Return what the state of a channel is taken of; `now` in milliseconds since the epoch, and by the log's clock."""
    subject = channel.subject or ""
    # Of a restaurant that is deleted, nothing is published any more of what becomes of its parts.
    if channel.is_of_restaurant and not projections.relations.is_open(subject):
        subject = ""
    return View(channel, subject, projections, window, now, rules, notifications, log_now)


def state(channel: Channel, view: View) -> ChannelState:
    """Return the state of a channel, in the shapes that its events have.

    `:tables` has all `tables`, `sections`, `sectionObjects` and `holds`; `:reservations` those of today (in the
    platform's time zone) and later; `:menu` its `menus` and `dishes`; `:reviews` its `reviews`; `:info` the
    `restaurant` and the `images` of it and of its parts; conversations their latest `messages`, marks and what is
    `before`; notifications the latest `conversations`; `global:restaurants` all `restaurants`; announcements and
    notifications the latest ones.
    """
    return _KINDS[channel.kind.name].state(view)


def is_known(channel: Channel, projections: Projections) -> bool:
    """Return whether a record has spoken of the restaurant of a channel; true for channels of none."""
    return not channel.is_of_restaurant or projections.entities["restaurant"].knows(channel.subject or "")


def is_large(channel: Channel, view: View, at_once: int = WRITTEN_AT_ONCE) -> bool:
    """Return whether the state of a channel has more entities than are to be written at once."""
    return _KINDS[channel.kind.name].size(view._replace(subject=channel.subject or "")) > at_once
