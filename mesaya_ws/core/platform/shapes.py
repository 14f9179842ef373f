"""Sets of fields that records have: those of one producer have the same few."""

from mesaya_ws.core.platform.provenance import Names, shared

SHAPES, LARGEST_SHAPE = 256, 64
"""Shapes that are remembered of one kind of entity, and how many fields those have at most."""


class Shapes(dict[tuple[str, ...], tuple[bool, Names]]):
    """Of records with such fields, whether they are whole, since they have all that are `required`; and the fields."""

    def __init__(self, required: frozenset[str]) -> None:
        super().__init__()
        self._required = required

    def __missing__(self, fields: tuple[str, ...]) -> tuple[bool, Names]:
        shape = self._required.issubset(fields), shared(frozenset(fields))
        if len(fields) <= LARGEST_SHAPE:
            if len(self) >= SHAPES:
                self.clear()
            self[fields] = shape
        return shape
