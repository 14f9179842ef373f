"""Lists that can be long, as JSON: written a few members at a time, while others run."""

from collections.abc import Iterator
from typing import Any

import orjson

from mesaya_ws.core.platform.entity import Data
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE
from mesaya_ws.core.views.contents import Derived
from mesaya_ws.core.wire.frames import FRAGMENT_BYTES


def list_in_pieces(members: list[Any] | Derived, at_once: int) -> Iterator[bytes]:
    """Yield the members of a list, separated by commas, a few at a time; without the brackets.

    A piece holds at most so many of them, and no more than one after `FRAGMENT_BYTES`. It may be empty.
    """
    entities = members.entities if isinstance(members, Derived) else members
    for first in range(0, len(entities), at_once):
        written, size = list[bytes](), 0
        for entity in entities[first : first + at_once]:
            shown = entity
            if isinstance(members, Derived) and (shown := members.derive(entity)) is None:
                continue
            written.append(orjson.dumps(shown))
            size += len(written[-1])
            if size >= FRAGMENT_BYTES:
                yield b",".join(written)
                written, size = [], 0
        yield b",".join(written)


def in_brackets(members: list[Any] | Derived, at_once: int) -> Iterator[bytes]:
    """Yield a list as JSON, a few members at a time; a piece may be empty."""
    before = b"["
    for piece in list_in_pieces(members, at_once):
        yield before + piece if piece else b""
        before = b"," if piece else before
    yield b"]" if before == b"," else b"[]"


def data_in_pieces(data: Data) -> Iterator[bytes]:
    """Yield a message's data as JSON: what is short first, then each long list a few members at a time."""
    long = {name: value for name, value in data.items() if _is_long(value)}
    text = orjson.dumps({name: value for name, value in data.items() if name not in long})
    if not long:
        yield text
        return
    yield text[:-1]
    before = b"," if len(text) > 2 else b""
    for name, value in long.items():
        before += orjson.dumps(name) + b":"
        for piece in in_brackets(value, PARTS_AT_ONCE):
            yield before + piece
            before = b""
        before = b","
    yield b"}"


def _is_long(value: object) -> bool:
    return isinstance(value, Derived) or (type(value) is list and len(value) > PARTS_AT_ONCE)
