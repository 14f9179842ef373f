"""What clients wait for, read from the state store for many at once, while the feed goes on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.state.interface import StateView
from mesaya_ws.gateway.store_keeper import StoreKeeper

TRIES = 4
"""How often what is read may be overtaken by the window, where more is published at once than that can hold."""

K = TypeVar("K")
V = TypeVar("V")

Look = Callable[[StateView], Sequence[V]]
"""Returns what a view of the store has for some keys, in their order."""


async def read_stored(
    store: StoreKeeper,
    feed: Feed,
    wanted: Collection[K],
    look: Callable[[Sequence[K]], Look[V]],
    continues: Callable[[K, V], bool],
) -> Mapping[K, V]:
    """Return what the store has for each key that is `wanted`, by the `look` for some of them.

    What the feed can no longer go on from, by `continues`, is read again once what is pending has been committed; what
    was overtaken all the same is returned, too. Nothing is returned for what cannot be read.
    """
    read: dict[K, V] = {}
    for tries in range(TRIES):
        missing = [key for key in wanted if key not in read or not continues(key, read[key])]
        if not missing or (tries and store.is_failing):
            break
        if tries:
            await store.commit_now()
        read |= zip(missing, await _read_once(store, feed, look(missing)), strict=False)
    return read


async def _read_once(store: StoreKeeper, feed: Feed, look: Look[V]) -> Sequence[V]:
    """Return what is read; nothing if that cannot be, or if the history has begun anew."""
    history = feed.history
    if history is None or history.anew:  # before the first commit, what is on disk may be of another log
        return ()
    generation = history.generation
    read = await store.read(look)
    return () if read is None or generation != history.generation else read
