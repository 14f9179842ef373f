"""What clients wait for, read from the state store for many at once, while the feed goes on."""

from collections.abc import Callable, Collection, Sequence
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
) -> Callable[[K], V | None]:
    """Read what the store has for each key that is `wanted`, by the `look` for some of them; return what finds it.

    What the feed can no longer go on from, by `continues`, is read again once what is pending has been committed; what
    was overtaken all the same is found, too. Nothing is found for what cannot be read; nor when the history has begun
    anew since it was read, however late that is: then the log has lost some of it.
    """
    history = feed.history
    read: dict[K, tuple[int, V]] = {}

    def found(key: K) -> V | None:
        if history is None or key not in read:
            return None
        generation, value = read[key]
        return value if generation == history.generation else None

    for tries in range(TRIES):
        missing = [key for key in wanted if (value := found(key)) is None or not continues(key, value)]
        if not missing or (tries and store.is_failing):
            break
        if tries:
            await store.commit_now()
        if history is None or history.anew:  # before the first commit, what is on disk may be of another log
            continue
        generation = history.generation
        values = await store.read(look(missing))
        read |= {key: (generation, value) for key, value in zip(missing, values or (), strict=False)}
    return found
