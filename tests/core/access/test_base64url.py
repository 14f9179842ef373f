from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesaya_ws.core.access.base64url import decode_base64url


def written(raw):
    return urlsafe_b64encode(raw).rstrip(b"=")


@given(st.binary(max_size=100))
def test_bytes_are_read_as_they_were_written(raw):
    assert decode_base64url(written(raw)) == raw


ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TEXTS = st.lists(st.sampled_from([*ALPHABET, *b"+/=\n !\x00\xff"]), max_size=12).map(bytes) | st.binary(max_size=12)


@given(TEXTS)
@example(b"A===")
@example(b"AA==")
@example(b"AAA=")
@example(b"AAAA\n")
def test_text_is_taken_only_if_it_is_what_the_bytes_are_written_as(text):
    try:
        decoded = decode_base64url(text)
    except ValueError:
        with_padding = text + b"=" * (-len(text) % 4)
        try:
            assert written(urlsafe_b64decode(with_padding)) != text
        except ValueError:
            return
    else:
        assert written(decoded) == text


@pytest.mark.parametrize("length", [2, 3])
def test_last_character_with_bits_left_over_is_refused(length):
    spellings = [b"AB"[: length - 1] + bytes([last]) for last in ALPHABET]
    taken = []
    for spelling in spellings:
        try:
            taken.append(decode_base64url(spelling))
        except ValueError:
            continue
    assert len(taken) == len(set(taken)) == (4 if length == 2 else 16)
