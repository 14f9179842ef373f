"""A user's latest notifications: from the window, and as far as they are older from the state store. No chat.

    store ──last ones of each partition, at a cut──▶ ┐
                                                     ├──▶ in the order of the log ──▶ the latest
    window ──last ones of each partition──────────▶ ┘

The window must hold what was published after the cut. So the answer is the same whatever has left the window, and on
every instance with the same history.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter

from attrs import frozen

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.log.records import Partition
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.publications import Publication, in_order
from mesaya_ws.core.recovery.stored import head_in
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.state.entries import StoredPublication
from mesaya_ws.core.state.interface import CorruptStateError, StateView

BEFORE_ALL = 1 << 40
"""More than the serials of what is read from a store; the window's begin with 1."""


@frozen
class StoredNotifications:
    """The last publications on `channel` in the store, which stood at `cut`, and had all from its `floors` on."""

    channel: Channel
    publications: Sequence[StoredPublication]
    cut: Offsets
    floors: Offsets

    @property
    def is_all(self) -> bool:
        """Whether the store has left out nothing, since the beginning of the log."""
        return not any(at.topic in self.channel.kind.topics for at, floor in self.floors.items() if floor)


@frozen
class Latest:
    """The `frames` of the latest publications on a channel, the latest one last; and whether there are `more`.

    They `are_all` that the log has ever had.
    """

    frames: list[bytes]
    more: bool
    are_all: bool


def read_notifications(view: StateView, channels: Iterable[Channel], count: int) -> list[StoredNotifications]:
    """Return what a store has of channels, as far as `latest` with that `count` needs it. Raises `StateError`."""
    if view.head is None:
        raise CorruptStateError("The state has no place in the log.")
    cut = {at: place.next for at, place in head_in(view.head).cut.places.items()}
    floors = dict(view.floors)
    # What is before a floor may have gaps.
    return [
        StoredNotifications(
            channel,
            [each for each in view.latest(channel.name, count + 1) if each.offset >= floors.get(each.partition, 0)],
            cut,
            floors,
        )
        for channel in channels
    ]


def latest(
    window: Window,
    channel: Channel,
    count: int,
    stored: StoredNotifications | None,
    keep_since: int,
    *,
    is_in_window: bool,
) -> Latest:
    """Return the last `count` publications on a channel, of the window and of the `stored` ones before it.

    Of these, the ones older than `keep_since` (ms since the epoch) are left out: when they are forgotten, depends on
    when the store is written. All that were ever published may be known to be `is_in_window`.
    """
    recent = window.last(channel.name, count + 1)
    if stored is None:
        found = recent
        are_all = is_in_window
    else:
        kept = _since(keep_since, stored.publications)
        are_all = is_in_window or (stored.is_all and len(kept) == len(stored.publications))
        found = _joined(kept, recent)
    # Of each partition as many, wherever they are from: the order begins with the first of them.
    ends = {at: entries[-count - 1 :] for at, entries in found.items()}
    ordered = in_order(ends, have_one_order=window.have_one_order)
    return Latest([each.frame for each in ordered[-count:]], len(ordered) > count, are_all)


def _since(time: int, publications: Iterable[StoredPublication]) -> list[StoredPublication]:
    """Return those that are not older than a time: none that follows one in its partition is older than that."""
    reached: dict[Partition, int] = {}
    kept = []
    for each in publications:
        reached[each.partition] = at = max(each.timestamp, reached.get(each.partition, 0))
        if at >= time:
            kept.append(each)
    return kept


def _joined(
    stored: Iterable[StoredPublication], recent: dict[Partition, list[Publication]]
) -> dict[Partition, list[Publication]]:
    """Return what is stored and what is recent, by partition, each once.

    What is only stored was published before all that is recent, or before so much in its partition that it is not among
    the latest: so its serials, which are the store's, are made less than any of the window's.
    """
    joined: dict[Partition, list[Publication]] = {}
    known = {at: {each.offset for each in entries} for at, entries in recent.items()}
    for serial, each in enumerate(stored, -BEFORE_ALL):
        if each.offset not in known.get(each.partition, ()):
            older = Publication(serial, each.partition, each.offset, 0, each.frame, timestamp=each.timestamp)
            joined.setdefault(each.partition, []).append(older)
    for at, entries in recent.items():
        joined[at] = sorted(chain(joined.get(at, ()), entries), key=attrgetter("offset"))
    return joined
