"""What ends with what it belongs to: as the platform's database deletes it, without a record of each part."""

from collections.abc import Iterator, Mapping

from mesaya_ws.core.platform.entities import CASCADES, ENTITIES, IMAGED
from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.entity_table import EntityTable
from mesaya_ws.core.platform.owners import Owners
from mesaya_ws.core.platform.settled import Settled
from mesaya_ws.core.state.stored import Ids

ENDED_AT_ONCE = 200
"""How many parts end in one go with what they belong to: 2 ms of work, at most."""

ON_DISK = 5
"""Parts in memory to whose end that of one on disk comes: it is read, and taken out of its indexes."""

# By kind: with whose end entities end, and the field that names it.
_ENDS_WITH = {
    part: [(name, ENTITIES[name].id_field) for name, parts in CASCADES.items() if part in parts]
    for part in {part for parts in CASCADES.values() for part in parts}
}

ENDING = frozenset(_ENDS_WITH)
"""The kinds of entities that end with another one."""

_SETTLED = ""
"""Names no field: what is pending is not forgotten with anything else."""


class Endings:
    """Parts that are still to end with what they belong to, or to be forgotten with it.

    `entities` are the tables of all kinds, by name. Of each kind, so many deleted ones are `remembered`; of what is
    forgotten, the `owners` are, too. What was `settled` long ago is forgotten in pieces, too. As long as there is
    anything `pending`, that goes first.
    """

    def __init__(
        self,
        entities: Mapping[str, EntityTable],
        owners: Owners,
        remembered: int,
        settled: Mapping[str, Settled],
    ) -> None:
        self._entities = entities
        self._owners = owners
        self._remembered = remembered
        self._settled = settled
        self.pending: list[tuple[str, int | None, EntityTable, Ids]] = []
        """By which field, when (None: they are forgotten), in which table, and the ids: of all, the next one last."""

    def end_under(self, table: EntityTable, id: str, time: int) -> None:
        """End what belongs to an entity that ended at a `time`, as far as no later record is about it."""
        field = table.entity.id_field
        for name in reversed(CASCADES.get(table.entity.name, ())):
            children = self._entities[name]
            self.end(field, time, children, children.children.ids_under(field, id))

    def end(self, field: str, time: int | None, table: EntityTable, ids: Ids) -> None:
        """End these, with what their `field` names, at a `time`, as far as no later record is about them.

        Without a time, they are forgotten.
        """
        if ids:
            self.pending.append((field, time, table, ids))

    def forget_settled(self, table: EntityTable, ids: Ids) -> None:
        """Forget these, as far as they are old and settled when their turn has come."""
        self.pending.append((_SETTLED, None, table, ids))

    def end_some(self) -> bool:
        """End some of what is pending, `ENDED_AT_ONCE` or fewer on disk; return whether there are more."""
        left = ENDED_AT_ONCE
        while self.pending and left > 0:
            field, time, table, ids = self.pending[-1]
            if not ids:
                self.pending.pop()
                continue
            left -= 1 if table.cold is None else ON_DISK
            if (id := ids.pop()) not in table.alive:
                continue
            if field == _SETTLED:
                self._settled[table.entity.name].forget(id)
            elif time is None:
                table.forget(id)
            elif table.cut(id, field, time):
                self.end_under(table, id, time)
                self.forget_oldest(table)
        return bool(self.pending)

    def end_in_steps(self) -> Iterator[None]:
        """End all that is pending, yielding after some of it."""
        while self.end_some():
            yield

    def end_all(self) -> None:
        """End all that is pending."""
        while self.end_some():
            pass

    def ended_with_parent(self, table: EntityTable, id: str, data: Data) -> bool:
        """End an entity if a parent of it ended after all records about it; return whether that is so."""
        for name, field in _ENDS_WITH[table.entity.name]:
            gone = self._entities[name].gone
            if not gone or (parent := data.get(field)) is None:
                continue
            ended = gone.get(parent)
            if ended is not None and table.cut(id, field, ended.ended - 1):
                self.end_under(table, id, ended.ended - 1)
                return True
        return False

    def forget_oldest(self, table: EntityTable) -> None:
        """Forget what was deleted long ago, and what still belongs to it: that is shown to nobody."""
        while (id := table.tombstones.forget_oldest(self._remembered)) is not None:
            if id in table.alive:
                continue
            kind, field = table.entity.name, table.entity.id_field
            if kind == "restaurant":
                self._owners.forget(id)
            for parts in self._entities.values():
                for name in parts.entity.parents:
                    if name == field or (name == "entityId" and kind in IMAGED):
                        self.end(name, None, parts, parts.children.ids_under(name, id))
