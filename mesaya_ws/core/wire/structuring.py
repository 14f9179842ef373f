"""JSON objects that become instances of classes, if their fields are of just these types; and what is wrong if not."""

from collections.abc import Callable
from functools import partial
from operator import eq
from types import NoneType
from typing import Any

from cattrs import Converter
from cattrs.errors import ClassValidationError

_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a fraction",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    NoneType: "null",
}


def strict_converter() -> Converter:
    """Return a cattrs converter that takes JSON's types for what they are; a whole number is a number, too.

    cattrs itself makes text of any value, and whole numbers of fractions.
    """
    converter = Converter(detailed_validation=True)
    for wanted in (str, int, bool, dict, list):
        converter.register_structure_hook(wanted, _only(wanted))
    converter.register_structure_hook(float, _only(int, float, called="a number"))
    for shape, hook in (
        (str | None, _only(str, NoneType)),
        (float | None, _only(int, float, NoneType, called="a number")),
        (str | int | float | None, _only(str, int, float, NoneType, called="text or a number")),
        (dict[str, Any], _only(dict)),
        (list[Any], _only(list)),
    ):
        converter.register_structure_hook_func(partial(eq, shape), hook)
    return converter


def _only(*types: type, called: str = "") -> Callable[[object, object], object]:
    """Return a hook that takes values of these types as they are; others should be what is `called` so."""
    name = called or _NAMES[types[0]]

    def structure(value: object, _: object) -> object:
        if type(value) not in types:
            raise TypeError(f"must be {name}, not {_NAMES[type(value)]}")
        return value

    return structure


def first_problem(error: ClassValidationError) -> str:
    """Say in a few words what first kept cattrs from structuring an object: `channel must be text…`."""
    cause = error.exceptions[0]
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, KeyError):
        return f"{cause.args[0]} is missing"
    notes = getattr(cause, "__notes__", [])
    field = next((note.name for note in reversed(notes) if hasattr(note, "name")), "a field")
    return f"{field} {cause}"
