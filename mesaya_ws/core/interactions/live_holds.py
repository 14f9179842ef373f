"""The holds that are live, and how they are found: by restaurant, by user, by table."""

from collections.abc import Iterable, Iterator

from mesaya_ws.core.interactions.hold import Hold
from mesaya_ws.core.interactions.hold_records import Slot

FORGOTTEN_AT_ONCE = 500
"""Holds that are forgotten in one go."""

_Index = dict[str, dict[str, Hold]]


class LiveHolds:
    """The live holds, in the order in which they were granted; and so in each index."""

    def __init__(self) -> None:
        self._all: dict[str, Hold] = {}
        self._by_restaurant: _Index = {}
        self._by_table: _Index = {}
        self._by_user: _Index = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Hold]:
        return iter(self._all.values())

    def put(self, hold: Hold) -> None:
        """Take in a hold, as the last one."""
        self._all[hold.id] = hold
        for index, name in self._names(hold):
            index.setdefault(name, {})[hold.id] = hold

    def remove(self, hold: Hold) -> None:
        """Let go of a hold."""
        del self._all[hold.id]
        for index, name in self._names(hold):
            holds = index[name]
            del holds[hold.id]
            if not holds:
                del index[name]

    def _names(self, hold: Hold) -> Iterator[tuple[_Index, str]]:
        yield self._by_restaurant, hold.restaurant
        yield self._by_user, hold.user
        for table in hold.tables:
            yield self._by_table, table

    def of_restaurant(self, restaurant: str) -> list[Hold]:
        """Return the holds of a restaurant."""
        return list(self._by_restaurant.get(restaurant, {}).values())

    def of_user(self, user: str) -> list[Hold]:
        """Return the holds of a user, in all restaurants."""
        return list(self._by_user.get(user, {}).values())

    def in_the_way(self, tables: tuple[str, ...], slot: Slot | None) -> list[Hold]:
        """Return the holds that overlap these tables in a slot (None: the tables as such), whatever restaurant's."""
        found = {id: hold for table in tables for id, hold in self._by_table.get(table, {}).items()}
        return in_order(hold for hold in found.values() if hold.overlaps(tables, slot))

    def discard(self) -> Iterator[None]:
        """Forget everything, yielding after some of it."""
        for known in (self._all, self._by_restaurant, self._by_table, self._by_user):
            while known:
                for _ in range(min(FORGOTTEN_AT_ONCE, len(known))):
                    known.popitem()
                yield


def in_order(holds: Iterable[Hold]) -> list[Hold]:
    """Return holds in the order in which they were granted."""
    return sorted(holds, key=lambda hold: hold.token)
