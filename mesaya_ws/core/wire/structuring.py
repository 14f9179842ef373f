"""JSON objects that become instances of classes, if their fields are of just these types; and what is wrong if not."""

from collections.abc import Callable
from functools import partial
from operator import eq
from types import NoneType
from typing import Any

import attrs
from cattrs import Converter
from cattrs.errors import ClassValidationError
from cattrs.gen import make_dict_structure_fn, override

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
    converter.register_structure_hook_factory(_has_renamed, partial(_renaming, converter))
    return converter


def _has_renamed(wanted: Any) -> bool:
    return attrs.has(wanted) and any(each.name != wire_name(each.name) for each in attrs.fields(wanted))


def _renaming(converter: Converter, wanted: Any) -> Callable[[Any, Any], Any]:
    """Return a hook that takes attributes by their names in JSON."""
    names: Any = {each.name: override(rename=wire_name(each.name)) for each in attrs.fields(wanted)}
    return make_dict_structure_fn(wanted, converter, **names)


def _only(*types: type, called: str = "") -> Callable[[object, object], object]:
    """Return a hook that takes values of these types as they are; others should be what is `called` so."""
    name = called or _NAMES[types[0]]

    def structure(value: object, _: object) -> object:
        if type(value) not in types:
            raise TypeError(f"must be {name}, not {_NAMES[type(value)]}")
        return value

    return structure


def wire_name(name: str) -> str:
    """Return what an attribute is called in JSON: a name that is a keyword of Python has a `_` after it here."""
    return name.rstrip("_")


def first_problem(error: ClassValidationError) -> str:
    """Say in a few words what first kept cattrs from structuring an object: `channel must be text…`."""
    cause = error.exceptions[0]
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, KeyError):
        return f"{cause.args[0]} is missing"
    notes = getattr(cause, "__notes__", [])
    field = next((wire_name(note.name) for note in reversed(notes) if hasattr(note, "name")), "a field")
    return f"{field} {cause}"
