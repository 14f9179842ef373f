"""Fields of the records of interactions, taken only if they are just what they should be."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from mesaya_ws.core.log.records import Record
from mesaya_ws.core.wire.identifiers import IDENTIFIER
from mesaya_ws.core.wire.json_text import has_too_many_nodes, read_json

MAX_TEXT = 4000
"""Characters of a text of a chat message."""

MAX_TEXT_BYTES = 16 * 1024
"""Bytes of it in UTF-8."""

MAX_RECORD_BYTES = 64 * 1024
"""Bytes of a record; none that this service writes is half as large."""

MAX_NODES = 2000
"""Members and elements of a record."""

GREATEST = 2**53 - 1
"""The greatest whole number that every reader of JSON takes for what it is."""

_Reader = TypeVar("_Reader")

_CONTROL = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class BadFieldError(ValueError):
    """A record of which a field is missing or of another type; its text says which. It is skipped."""


def read_object(record: Record, max_bytes: int = MAX_RECORD_BYTES, max_nodes: int = MAX_NODES) -> dict[str, Any]:
    """Return the JSON object that a record holds. Raises `BadFieldError`."""
    value = record.value
    if not isinstance(value, bytes):
        raise BadFieldError("it has no value")
    if len(value) > max_bytes or has_too_many_nodes(value, max_nodes):
        raise BadFieldError("it is larger than such a record may be")
    try:
        fields = read_json(value)
    except ValueError:
        raise BadFieldError("it is not JSON") from None
    if type(fields) is not dict:
        raise BadFieldError("it is no object")
    return fields


def reader_of(fields: dict[str, Any], name: str, readers: Mapping[str, _Reader]) -> _Reader:
    """Return which of the `readers` is named by a field."""
    kind = fields.get(name)
    reader = readers.get(kind) if type(kind) is str else None
    if reader is None:
        raise BadFieldError(f"{name} is none of {', '.join(readers)}")
    return reader


def identifier(fields: dict[str, Any], name: str) -> str:
    """Return a field that is an id."""
    value = fields.get(name)
    if type(value) is not str or IDENTIFIER.fullmatch(value) is None:
        raise BadFieldError(f"{name} is no id")
    return value


def optional_identifier(fields: dict[str, Any], name: str) -> str | None:
    """Return a field that is an id, or missing, or null."""
    return None if fields.get(name) is None else identifier(fields, name)


def whole(fields: dict[str, Any], name: str, least: int = 0, most: int = GREATEST) -> int:
    """Return a field that is a whole number within these bounds."""
    value = fields.get(name)
    if type(value) is not int or not least <= value <= most:
        raise BadFieldError(f"{name} is no whole number from {least} to {most}")
    return value


def flag(fields: dict[str, Any], name: str) -> bool:
    """Return a field that is true or false."""
    value = fields.get(name)
    if type(value) is not bool:
        raise BadFieldError(f"{name} is neither true nor false")
    return value


def word(fields: dict[str, Any], name: str, words: tuple[str, ...]) -> str:
    """Return a field that is one of these words."""
    value = fields.get(name)
    if type(value) is not str or value not in words:
        raise BadFieldError(f"{name} is none of {', '.join(words)}")
    return value


def chat_text(fields: dict[str, Any], name: str = "text") -> str:
    """Return the text of a message: 1 to 4,000 characters, and no control characters but line breaks."""
    value = fields.get(name)
    if type(value) is not str or not 1 <= len(value) <= MAX_TEXT or len(value.encode()) > MAX_TEXT_BYTES:
        raise BadFieldError(f"{name} is no text of 1 to {MAX_TEXT} characters and {MAX_TEXT_BYTES} bytes")
    if _CONTROL.search(value) is not None:
        raise BadFieldError(f"{name} holds control characters other than line breaks")
    return value
