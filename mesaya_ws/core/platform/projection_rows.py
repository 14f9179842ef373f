"""What projections know, as rows: those of checkpoints and of the state store."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesaya_ws.core.interactions.chats import TABLES as CHAT_TABLES
from mesaya_ws.core.platform.latest import Latest
from mesaya_ws.core.platform.projections import Projections
from mesaya_ws.core.platform.rows import Row, integer_in, text_in


def rows_of(projections: Projections) -> Iterator[Row]:
    """Yield all that is known but chat, by table; no event may be applied meanwhile.

    What changes of it, `Projections.follow_changes` says.
    """
    for table, latest in _latest(projections).items():
        for id, entry in latest.entries.items():
            yield table, id, entry
    for id, owner in projections.owners.found.items():
        yield "found_owner", id, owner
    for entities in projections.entities.values():
        yield from entities.rows()
    for name, settled in projections.settled.items():
        yield "settled", name, settled.row()
    for id, row in projections.acks.rows():
        yield "ack", id, row
    for id, row in projections.holds.rows():
        yield "hold", id, row


def _latest(projections: Projections) -> Mapping[str, Latest[Any]]:
    return {**projections.users.latest(), "assigned": projections.owners.assigned}


def load_row(projections: Projections, table: str, id: str, value: Any) -> None:
    """Load one of the rows; those of one table come in their order. Raises `ValueError` when it is none."""
    kind, _, entity = table.partition("/")
    try:
        if kind in ("alive", "gone", "found"):
            _load_entity(projections, kind, entity, id, value)
        elif table == "places":
            projections.entities[id].next_place = integer_in(value)
        elif table == "settled":
            if id in projections.settled:
                projections.settled[id].load(value)
        elif table == "ack":
            projections.acks.load(id, value)
        elif table == "hold":
            projections.holds.load(id, value)
        elif table in CHAT_TABLES:
            projections.chats.load(table, id, value)
        elif table == "chat":
            pass  # of former checkpoints: the topic says it, which is read from its beginning
        elif table == "found_owner":
            projections.owners.found[id] = text_in(value)
        elif kind == "called":
            projections.users.load_name(entity, id, value)
        else:
            users, owners = projections.users, projections.owners
            {"roles": users.load_roles, "assigned": owners.load_assigned}[table](id, value)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{table} holds no such row") from error


def _load_entity(projections: Projections, kind: str, entity: str, id: str, value: Any) -> None:
    table = projections.entities[entity]
    table.load(kind, id, value)
    if entity == "announcement":
        projections.announcements.put(id, table.newest(id))
    elif entity in projections.settled:
        projections.settled[entity].note(id)
