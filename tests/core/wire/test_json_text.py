import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.json_text import MENDED_BYTES, read_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'"Excelente \\ud83d"', "Excelente \ufffd"),
        (b'"\\ude00!"', "\ufffd!"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"\\ude00\\ud83d"', "\ufffd\ufffd"),
        (b'"\\\\ud83d \\ud83d"', "\\ud83d \ufffd"),
        (b'"\\\\\\ud83d"', "\\\ufffd"),
        (b'{"\\uD83D": 1}', {"\ufffd": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf"\\ud83d"', "\ufffd"),
        ("\ufeff[1]", [1]),
    ],
)
def test_text_of_javascript_is_read(text, value):
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b'"\\ud83',
        b'"\\ud83d',
        b'"\\ud83d\\"',
        b'"\xff"',
        b'"\xed\xa0\xbd"',
        b"NaN",
        '"\ud83d"',
        b'"\\ud83d' + b"a" * MENDED_BYTES + b'"',
    ],
)
def test_text_that_is_no_json_is_an_error(text):
    with pytest.raises(orjson.JSONDecodeError):
        read_json(text)


def with_replacements(value):
    """Return the value of `json.loads` with U+FFFD for every half of a surrogate pair, as Go has it."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [with_replacements(item) for item in value]
    return value


pieces = st.sampled_from(["\\ud83d", "\\ude00", "\\\\", "\\n", "\\u00e9", "\\uD8", "u", "a", "\\"])


@given(st.lists(pieces, max_size=12))
def test_any_escapes_are_read_as_another_reader_of_json_reads_them(escapes):
    text = '"' + "".join(escapes) + '"'
    try:
        expected = with_replacements(json.loads(text))
    except ValueError:
        with pytest.raises(orjson.JSONDecodeError):
            read_json(text)
    else:
        assert read_json(text) == read_json(text.encode()) == expected
