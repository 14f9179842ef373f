"""How the history of a channel is read from the state store, page by page, up to where the window takes over.

Here, too, a client's place must be one where this instance could have stood: what depended on what was written with the
publications. Reading may wait for the disk, so it is done elsewhere than what it is for; both meet in a `StoredReplay`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from attrs import frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.interactions import chats
from mesaya_ws.core.log.records import Partition, PartitionPosition
from mesaya_ws.core.platform.rows import Row, in_order
from mesaya_ws.core.platform.settled import SETTLED
from mesaya_ws.core.recovery.barriers import Barrier, Barriers, barrier_in
from mesaya_ws.core.recovery.coverage import Coverage, Cut
from mesaya_ws.core.recovery.notes import barrier_of, is_kept
from mesaya_ws.core.recovery.position import EpochBegun, Offsets
from mesaya_ws.core.recovery.replay import PAGE_BYTES, Replay, ReplayRange
from mesaya_ws.core.recovery.window import PositionEvicted, Window
from mesaya_ws.core.recovery.window_copy import StoredWindow
from mesaya_ws.core.recovery.window_notes import rows_in
from mesaya_ws.core.state.interface import CorruptStateError, StateView, pair_is_kept

ON_DISK = chats.ON_DISK | {f"alive/{name}" for name in SETTLED}
"""Tables whose rows are read when they are needed (see `platform.cold`, and `interactions.chats`)."""


@frozen
class Head:
    """What belongs to the place in the log where a store stands: the cut, and the barrier that was not over there.

    Where it `has_read_lost` records, more may be known there than the log says. The copy of the window is complete from
    the places `window` on; None if there is none. With the `epochs` of a topic, places that lie far back are written as
    they were when their records were read.
    """

    cut: Cut
    barrier: Barrier
    has_read_lost: bool = False
    window: Offsets | None = None
    epochs: Sequence[EpochBegun] = ()

    def value(self) -> bytes:
        """Return what `head_in` reads."""
        places = [(*at, place.topic_id, place.next, place.epoch) for at, place in self.cut.places.items()]
        return orjson.dumps(
            {
                "places": places,
                "time": self.cut.time,
                "unread": sorted(self.cut.unread),
                "barrier": self.barrier.rows(),
                "lost": self.has_read_lost,
                "window": None if self.window is None else [(*at, offset) for at, offset in self.window.items()],
                "epochs": [(*at, offset, number) for at, offset, number in self.epochs],
            }
        )


def head_in(value: bytes) -> Head:
    """Return the head that was written. Raises `CorruptStateError`."""
    try:
        head: Mapping[str, Any] = orjson.loads(value)
        places = {
            Partition(topic, number): PartitionPosition(id, next_, epoch)
            for topic, number, id, next_, epoch in head["places"]
        }
        cut = Cut(places, int(head["time"]), frozenset(head["unread"]))
        rows = head.get("window")  # earlier stores have none
        window = None if rows is None else {Partition(topic, number): int(offset) for topic, number, offset in rows}
        epochs = [(Partition(topic, number), offset, epoch) for topic, number, offset, epoch in head.get("epochs", ())]
        return Head(cut, barrier_in(head["barrier"]), bool(head["lost"]), window, epochs)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise CorruptStateError("The state does not say which place in the log it is of.") from error


def barriers_in(view: StateView) -> Barriers:
    """Return the barriers that a store has, but for that of its head. Raises `CorruptStateError`."""
    return Barriers(barrier_of(note.value) for note in view.notes(""))


@frozen
class StoredState:
    """What a store begins with: its head, its last serial, from where on its history is whole, and its barriers.

    `rows` are all that is known at its place, in the order in which they can be loaded, but for what stays on disk. It
    may have a copy of the `window`, too.
    """

    head: Head
    serial: int
    floors: Offsets
    barriers: Barriers
    rows: list[Row]
    window: StoredWindow | None = None


def read_state(view: StateView) -> StoredState | None:
    """Return what a store begins with; None if nothing was ever committed. Raises `StateError`."""
    if view.head is None:
        return None
    head = head_in(view.head)
    window = None if head.window is None else _window_in(view, head.window)
    return StoredState(head, view.last_serial, view.floors, barriers_in(view), _rows_in(view), window)


def _window_in(view: StateView, floors: Offsets) -> StoredWindow:
    notes = {number: rows_in(value) for number, value in view.window_notes()}
    return StoredWindow(floors, list(view.window()), notes)


def _rows_in(view: StateView) -> list[Row]:
    try:
        return [
            row
            for table in view.tables()
            if table not in ON_DISK
            for row in in_order((table, id, orjson.loads(value)) for id, value in view.rows(table))
        ]
    except orjson.JSONDecodeError as error:
        raise CorruptStateError("The state holds a row that cannot be read.") from error


@frozen
class HistoryRequest:
    """A page of the history of `channel`, from the place `vector` on; the first one if it `opens` a replay."""

    channel: Channel
    vector: Offsets
    opens: bool


FIRST_PAGE_BYTES = 4096
"""How much of a replay is read when it opens: many clients may come back at once, and all of them wait for the answer;
and one of them may open many, and take them slowly."""


@frozen
class HistoryPage:
    """Some `frames` of a channel's history, and the place `after` them.

    The store stood at `cut`, and held `count` publications from the place asked for on; if this page `is_last`, it
    holds no more. It `is_whole` if the store has all that was published after that place, and the place `is_clean` if
    this instance could have stood there (see `coverage`).
    """

    frames: list[bytes]
    after: Offsets
    cut: Offsets
    count: int
    is_last: bool
    is_whole: bool = True
    is_clean: bool = True

    @property
    def end(self) -> Offsets:
        """The place from which on the window is to follow a last page: the client may be further than the store."""
        end = dict(self.cut)
        for partition, offset in self.after.items():
            end[partition] = max(offset, end.get(partition, 0))
        return end


def read_pages(view: StateView, requests: Iterable[HistoryRequest]) -> list[HistoryPage]:
    """Return the pages that were requested. Raises `StateError`."""
    if view.head is None:
        raise CorruptStateError("The state has no place in the log.")
    cut = {at: place.next for at, place in head_in(view.head).cut.places.items()}
    floors = view.floors
    return [_read_page(view, request, cut, floors) for request in requests]


def _read_page(view: StateView, request: HistoryRequest, cut: Offsets, floors: Offsets) -> HistoryPage:
    channel, vector = request.channel, request.vector
    cut = {at: offset for at, offset in cut.items() if at.topic in channel.kind.topics}
    if any(vector.get(at, 0) < floors.get(at, 0) for at in cut):
        return HistoryPage([], vector, cut, 0, is_last=True, is_whole=False)
    if request.opens and not _is_clean(view, channel.name, vector):
        return HistoryPage([], vector, cut, 0, is_last=True, is_clean=False)
    publications, is_last = view.since(channel.name, vector, FIRST_PAGE_BYTES if request.opens else PAGE_BYTES)
    after = dict(vector)
    after.update({each.partition: each.offset + 1 for each in publications})
    count = len(publications) if is_last or not request.opens else view.count(channel.name, vector)
    return HistoryPage([each.frame for each in publications], after, cut, count, is_last)


def _is_clean(view: StateView, channel: str, vector: Offsets) -> bool:
    return all(pair_is_kept(pair, vector) for pair in view.pairs(channel, vector)) and all(
        is_kept(note.value, vector) for note in view.notes(channel)
    )


class StoredReplay:
    """What was published on a channel after a place, from the store, and then from the window.

    Where a page `is_awaited`, it is to be read from `after` on, and `supply`-ed. Raises `PositionEvicted` when what
    follows the first page is already known to be lost.
    """

    def __init__(self, window: Window, coverage: Coverage, channel: Channel, page: HistoryPage) -> None:
        self._window = window
        self._coverage = coverage
        self._channel = channel
        self._epoch = window.epoch
        self._page: HistoryPage | None = page
        self._tail: Replay | None = None
        self._end: Offsets | None = None
        self._is_lost = False
        self.after = page.after
        end = page.end
        if not self._continues(end):
            raise PositionEvicted
        self.count = page.count + window.count(channel.name, end)

    @property
    def done(self) -> bool:
        """Whether all has been returned that there was when the last page was."""
        return self._tail is not None and self._tail.done

    @property
    def is_awaited(self) -> bool:
        """Whether nothing can be returned before another page is supplied."""
        return not self._is_lost and self._page is None and self._tail is None and not self._can_end()

    def supply(self, page: HistoryPage | None) -> None:
        """Go on with another page; None if it cannot be read."""
        self._page = page
        self._is_lost = (
            page is None or not page.is_whole or (page.is_last and not page.frames and not self._continues(page.end))
        )

    def page(self) -> list[bytes]:
        """Return the next frames; none if a page is awaited. Raises `PositionEvicted` as `Replay.page` does."""
        if self._is_lost or self._epoch != self._window.epoch:
            raise PositionEvicted
        if self._page is not None:
            page, self._page = self._page, None
            self.after, self._end = page.after, page.end if page.is_last else None
            if page.frames:
                return page.frames
        if self._tail is None:
            if self._end is None or not self._can_end():
                return []
            self._tail = Replay(ReplayRange(self._window, self._channel.name, self._end))
        return self._tail.page()

    def _can_end(self) -> bool:
        """Return whether the store has been read to its end, and the window holds all from there on."""
        return self._end is not None and self._continues(self._end)

    def _continues(self, end: Offsets) -> bool:
        return self._coverage.in_window(self._channel, end)
