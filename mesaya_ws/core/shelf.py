"""What is known of the entities of one kind: those that exist, those that did, and whose parts they are."""

from collections.abc import Collection, Mapping

from mesaya_ws.core.entity import Data, Entity

_NONE: Mapping[str, None] = {}


class Shelf:
    """All entities of one kind: the `alive`, and of the deleted ones (`gone`) what was known of them last."""

    __slots__ = ("_children", "alive", "entity", "gone")

    def __init__(self, entity: Entity) -> None:
        self.entity = entity
        self.alive: dict[str, Data] = {}
        self.gone: dict[str, Data] = {}
        # By field, by parent, in the order in which they came.
        self._children: dict[str, dict[str, dict[str, None]]] = {field: {} for field in entity.parents}

    def knows(self, id: str) -> bool:
        """Return whether the entity exists, or did."""
        return id in self.alive or id in self.gone

    def last(self, id: str | None) -> Data | None:
        """Return the entity as it is, or as it was when it was deleted; None when it was never heard of."""
        if id is None:
            return None
        return self.alive.get(id) or self.gone.get(id)

    def under(self, field: str, parent: str) -> Collection[str]:
        """Return the ids of those alive whose `field` (one of `Entity.parents`) is `parent`."""
        return self._children[field].get(parent, _NONE)

    def put(self, id: str, data: Data) -> None:
        """Keep an entity as it is now; with another parent, it is the last that came. Its data is never changed again.

        So the order of `alive` is that of all children.
        """
        old = self.alive.get(id)
        if old is None or self._moves(old, data):
            self._remove(id)
            for field, children in self._children.items():
                if (parent := data.get(field)) is not None:
                    children.setdefault(parent, {})[id] = None
        self.alive[id] = data
        self.gone.pop(id, None)

    def _moves(self, old: Data, data: Data) -> bool:
        for field in self._children:  # noqa: SIM110 - `any` takes four times as long, for every record
            if old.get(field) != data.get(field):
                return True
        return False

    def bury(self, id: str, data: Data) -> None:
        """Keep the last that is known of a deleted entity."""
        self._remove(id)
        self.gone[id] = self.gone.get(id, {}) | data

    def _remove(self, id: str) -> None:
        old = self.alive.pop(id, None)
        if old is None:
            return
        for field, children in self._children.items():
            if (parent := old.get(field)) is not None:
                siblings = children[parent]
                del siblings[id]
                if not siblings:
                    del children[parent]
