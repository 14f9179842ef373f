"""JSON as other programs write it: what Go and JavaScript read without complaint is read here, too."""

import re
from typing import Any

import orjson

MENDED_BYTES = 65_536
"""Longer texts are not mended: this takes up to 0.1 µs a byte, so that one never holds the event loop for 10 ms."""

MAX_NODES = 17_000
"""What may be in a JSON text, in `nodes`: to decode and publish that much takes up to 10 ms. A restaurant that comes
whole, with a thousand tables, has 16,000."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Escapes are consumed in order, so that a backslash that is escaped itself begins none. Of `\uXXXX`, a high surrogate
# with the low one after it is a character; each of the two alone is none (RFC 8259, 8.2). Every alternative has a fixed
# length and begins with a backslash, so the search is linear.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\[^u]|\\u"
)


def nodes(text: bytes | bytearray) -> int:
    """Return how much work a JSON text is at most, without reading it; no text has more nodes than twice its bytes.

    A member of an object or a list counts as 1, an object as 2 (it may be an entity), and 16 escapes as 1. It is an
    estimate from above: what looks like one in a text counts, too.
    """
    return text.count(b",") + text.count(b"[") + 2 * text.count(b"{") + text.count(b"\\") // 16


def has_too_many_nodes(text: bytes | bytearray, most: int = MAX_NODES) -> bool:
    """Return whether a JSON text holds more than can be read in one go."""
    return len(text) * 2 > most and nodes(text) > most


def read_json(text: bytes | str) -> Any:
    """Return the value that a JSON text stands for.

    A byte order mark in front is passed over (RFC 8259, 8.1 allows it), and half of a surrogate pair is U+FFFD: so
    JavaScript writes a text that was cut within an emoji. Raises `orjson.JSONDecodeError`, a `ValueError`.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        mended = raw.removeprefix(_BYTE_ORDER_MARK)
        if len(mended) <= MENDED_BYTES:
            mended = _ESCAPE.sub(_without_half_a_pair, mended)
        if mended == raw:
            raise
    return orjson.loads(mended)


def _without_half_a_pair(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]
