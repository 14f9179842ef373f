"""One kind of entity of the platform, and how a record's data becomes what messages show of it."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from mesaya_ws.core.platform.fields import (
    DROPPED,
    NESTED,
    FieldType,
    flag,
    never,
    number,
    reference,
    text,
    whatever,
    withheld,
    word,
)

Data = dict[str, Any]
"""An entity as messages show it: its id under `Entity.id_field`, status words in lower case."""

Dropped = dict[str, bool]
"""The fields of which a record gives no value, though it names them; and whether that is a fault: null is none."""

ListType = Callable[[Any, str, Dropped], Any]
"""Takes a list of whole entities, as `FieldType` takes a value; enters what is dropped of them as `<field>.<name>`."""


_UNCHANGED: Mapping[FieldType, type] = {text: str, number: int, flag: bool}
"""Values of this Python type are kept as they are, by these types of fields: to see that takes half of a call."""


@frozen
class Entity:
    """A kind of entity: its `name` begins the types of its messages, `status` names the field with its status.

    `parents` are the fields by which it is found as a child, `references` those by which it is routed. A whole record
    holds all of `required`, and of `absent` those that have a value. `aliases` are other names that the platform's
    documents use for a field. `lists` are the fields that hold whole entities of another kind. `remembered` are the
    fields that are kept when it has been deleted, since records about others need them. What `is_scheduled` is found by
    the day on which it begins, too (see `schedule`).
    """

    name: str
    id_field: str
    fields: Mapping[str, FieldType]
    status: str | None = None
    parents: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}
    lists: Mapping[str, ListType] = {}
    remembered: tuple[str, ...] = ()
    is_scheduled: bool = False
    _unchanged: Mapping[str, type] = field(init=False, repr=False)

    @_unchanged.default
    def _unchanged_by_field(self) -> Mapping[str, type]:
        return {name: _UNCHANGED[kind] for name, kind in self.fields.items() if kind in _UNCHANGED}

    def id_in(self, data: Mapping[str, Any]) -> Any:
        """Return the id that an entity's data holds, or `DROPPED`."""
        return reference(data.get(self.id_field, data.get("id")))

    def clean(self, id: str, data: Mapping[str, Any], dropped: Dropped | None = None) -> Data:
        """Return a record's data as messages show it; enter the fields that are not kept into `dropped`."""
        if dropped is None:
            dropped = {}
        fields, unchanged = self.fields, self._unchanged
        cleaned: Data = {self.id_field: id}
        for name, value in data.items():
            if type(value) is unchanged.get(name):
                cleaned[name] = value
                continue
            kind = fields.get(name)
            if kind is not None:
                if kind is never:
                    continue
                kept = kind(value)
                if kept is not DROPPED:
                    cleaned[name] = kept
                else:
                    dropped[name] = value is not None
            elif name in self.aliases:
                meant = self.aliases[name]
                kept = fields[meant](value)
                if kept is not DROPPED:
                    cleaned.setdefault(meant, kept)
                elif meant not in data:
                    dropped[meant] = value is not None
            elif not withheld(name):
                kept = whatever(value) if type(value) in NESTED else value  # a call takes longer than all the rest
                if kept is not DROPPED:
                    cleaned[name] = kept
        for name, items in self.lists.items() if self.lists else ():
            if name in data:
                kept = items(data[name], name, dropped)
                if kept is not DROPPED:
                    cleaned[name] = kept
                else:
                    dropped[name] = data[name] is not None
        return cleaned


def new_entity(
    name: str,
    id_field: str,
    fields: Mapping[str, FieldType],
    *,
    status: str | None = None,
    parents: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    lists: Mapping[str, ListType] | None = None,
    remembered: tuple[str, ...] = (),
    is_scheduled: bool = False,
) -> Entity:
    """Return a kind of entity with what all have: when they were made, and names that stand for the status.

    Its whole records have all `fields`, but for those that may be `absent`.
    """
    fields = {**fields, "createdAt": text, "updatedAt": text}
    aliases, lists = dict(aliases or {}), dict(lists or {})
    if status is not None:
        fields[status] = word
        aliases["newStatus"] = status
    return Entity(
        name,
        id_field,
        # The id is found first; a previous status belongs to one event, not to the entity.
        {**fields, **dict.fromkeys(("id", id_field, "previousStatus", *lists), never)},
        status,
        parents=parents,
        references=tuple(field for field, kind in fields.items() if kind is reference),
        required=frozenset((*fields, *lists)).difference(absent),
        absent=absent,
        aliases=aliases,
        lists=lists,
        remembered=remembered,
        is_scheduled=is_scheduled,
    )
