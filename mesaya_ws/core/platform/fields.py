"""The types of the fields of a record: what is kept of a value, and what is never kept, wherever a record hides it."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from mesaya_ws.core.wire.identifiers import IDENTIFIER as IDENTIFIER
from mesaya_ws.core.wire.identifiers import LONGEST_IDENTIFIER as LONGEST_IDENTIFIER

FieldType = Callable[[Any], Any]
"""Takes a value of a record, returns what is kept of it, or `DROPPED`."""

DROPPED: Any = object()

PRIVATE = frozenset({"ownerId", "adminNote", "userNote", "storagePath", "subscriptionId"})
"""Fields that leave only on channels of those whom they concern: kept only for the entities that declare them."""

_PRIVATE = frozenset(name.lower() for name in PRIVATE)

LONGEST_NAME = 32
"""Characters of a field's name; the platform's longest has 27. To look for secrets in longer ones takes too long."""

MAX_NAMES = 2000
"""Different names of fields that a record may have: to look for secrets in each takes 0.6 µs."""

_REMEMBERED_NAMES = 2 * MAX_NAMES  # so a record forgets its own names once at most, however often it repeats them
_withheld: dict[str, bool] = {}

_REMEMBERED_IDS = 16_384
_ids: dict[str, str] = {}
"""Ids that came lately. Most records name what others have named: to remember an id is a third of matching it, and the
entities that name the same one share one string of 85 bytes."""

_LONGEST_MOMENT = 64
_REMEMBERED_MOMENTS = 4096
_moments: dict[str, str] = {}
"""Days and times that came lately: a restaurant is booked for the same ones again and again, and so they are shared."""

_LONGEST_WORD = 32
_REMEMBERED_WORDS = 1024
_words: dict[str, str] = {}
"""Status words that came lately, in lower case: a few, which all entities share."""

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LONGEST_NUMBER = 64
_LONGEST_WHOLE = 18  # of 64 bits, which is what can be written again; longer ones lose digits, as in JavaScript

_DEEPEST = 32  # orjson reads 1024 levels and writes 254
NESTED = (dict, list)


def text(value: Any) -> Any:
    """Accept a string."""
    return value if type(value) is str else DROPPED


def moment(value: Any) -> Any:
    """Accept a string that may be a time or a day: nothing of the kind is longer than 64 characters."""
    if type(value) is not str or len(value) > _LONGEST_MOMENT:
        return DROPPED
    known = _moments.get(value)
    if known is None:
        known = _remember(_moments, _REMEMBERED_MOMENTS, value, value)
    return known


def number(value: Any) -> Any:
    """Accept a number, also one that is written as text: so TypeORM gives the decimal columns of a database."""
    if type(value) is int or type(value) is float:
        return value
    return _number_in(value) if type(value) is str and len(value) <= _LONGEST_NUMBER else DROPPED


def _number_in(text: str) -> Any:
    if _NUMBER.fullmatch(text) is None:
        return DROPPED
    digits = text.lstrip("-")
    if digits.isdecimal() and len(digits) <= _LONGEST_WHOLE:
        return int(text)
    read = float(text)
    return read if isfinite(read) else DROPPED


def flag(value: Any) -> Any:
    """Accept true or false."""
    return value if type(value) is bool else DROPPED


def word(value: Any) -> Any:
    """Accept a status word, and write it in lower case as the clients know it."""
    if type(value) is not str:
        return DROPPED
    known = _words.get(value)
    if known is not None:
        return known
    lower = value.lower()
    return lower if len(value) > _LONGEST_WORD else _remember(_words, _REMEMBERED_WORDS, value, lower)


def reference(value: Any) -> Any:
    """Accept the id of an entity: anything that may stand in a channel's name."""
    if type(value) is not str:
        return DROPPED
    known = _ids.get(value)
    if known is not None:
        return known
    if len(value) > LONGEST_IDENTIFIER or IDENTIFIER.fullmatch(value) is None:
        return DROPPED
    return _remember(_ids, _REMEMBERED_IDS, value, value)


def _remember(table: dict[str, str], most: int, key: str, value: str) -> str:
    if len(table) >= most:
        table.clear()
    table[key] = value
    return value


def mapping(value: Any) -> Any:
    """Accept an object."""
    return whatever(value) if type(value) is dict else DROPPED


def listing(value: Any) -> Any:
    """Accept a list."""
    return whatever(value) if type(value) is list else DROPPED


def whatever(value: Any, depth: int = 0) -> Any:
    """Accept any JSON, without what is secret in it and without what is nested absurdly deep."""
    kind = type(value)
    if kind is not dict and kind is not list:
        return value
    if depth == _DEEPEST:
        return DROPPED
    # A call takes longer than all the rest: only what has members is worth one.
    if kind is list:
        return [
            kept
            for item in value
            if (kept := whatever(item, depth + 1) if item and type(item) in NESTED else item) is not DROPPED
        ]
    return {
        name: kept
        for name, item in value.items()
        if not withheld(name)
        and (kept := whatever(item, depth + 1) if item and type(item) in NESTED else item) is not DROPPED
    }


OPTIONAL: dict[FieldType, FieldType] = {}
"""By each type of the fields that may be null: what it accepts otherwise."""


def optional(kind: FieldType) -> FieldType:
    """Accept null, or what `kind` accepts."""

    def kept(value: Any) -> Any:
        return None if value is None else kind(value)

    OPTIONAL[kept] = kind
    return kept


def withheld(name: str) -> bool:
    """Return whether a field of that name, declared nowhere, must not be kept; however it is spelled."""
    known = _withheld.get(name)
    if known is not None:
        # The same few names come again and again: to remember is a third of searching.
        return known
    if len(name) > LONGEST_NAME:
        return True
    folded = name.casefold()
    # One regular expression for all of these takes six times as long.
    answer = (
        "passw" in folded
        or "pwd" in folded
        or "hash" in folded
        or "token" in folded
        or "secret" in folded
        or "mail" in folded
        or (folded.replace("_", "") if "_" in folded else folded) in _PRIVATE
    )
    if len(_withheld) >= _REMEMBERED_NAMES:
        _withheld.clear()
    _withheld[name] = answer
    return answer


def never(_: Any) -> Any:
    """Accept nothing."""
    return DROPPED


def has_too_many_names(value: Any) -> bool:
    """Return whether any JSON has more than `MAX_NAMES` different names of members, at whatever depth."""
    names: set[str] = set()
    level = [value]
    while level:
        names.update(*[one for one in level if type(one) is dict])
        inner = [one.values() if type(one) is dict else one for one in level]
        level = [item for items in inner for item in items if item and type(item) in NESTED]
    return len(names) > MAX_NAMES
