from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.body import LONGEST_LINE, MOST_TRAILER_BYTES, BodyError, ChunkedBody, SizedBody, body_of

CHUNKS = b'5\r\nhello\r\n00A ;name="v"\r\n, 12345678\r\n0\r\nChecksum: 1\r\n\r\n'


def test_a_body_of_a_length_ends_there():
    body = body_of(5)
    assert not body.is_complete
    assert body.feed(b"hel") == b"hel"
    assert not body.is_complete
    assert body.feed(b"lo and more") == b"lo"
    assert body.is_complete
    assert body.feed(b"more") == b""


def test_a_body_of_nothing_is_complete():
    assert body_of(0).is_complete
    assert isinstance(body_of(0), SizedBody)


@given(cuts=st.sets(st.integers(1, len(CHUNKS) - 1)))
def test_it_does_not_matter_in_which_parts_chunks_come(cuts):
    body = body_of(None)
    got = b"".join(body.feed(CHUNKS[start:end]) for start, end in pairwise([0, *sorted(cuts), len(CHUNKS)]))
    assert got == b"hello, 12345678"
    assert body.is_complete


def test_what_follows_the_last_chunk_is_ignored():
    body = ChunkedBody()
    assert body.feed(CHUNKS + b"GET / HTTP/1.1\r\n") == b"hello, 12345678"
    assert body.is_complete


@pytest.mark.parametrize("end", range(len(CHUNKS)))
def test_what_breaks_off_is_not_complete(end):
    body = ChunkedBody()
    body.feed(CHUNKS[:end])
    assert not body.is_complete


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\n",
        b"5\n",
        b" 5\r\n",
        b"5;a\nb\r\n",
        b"5;a\x00b\r\n",
        b"11111111111111111\r\n",
        b"2\r\nabc\r\n",
        b"2\r\nab\n",
        b"2\r\nab\rx",
        b"2\r\nab0\r\n\r\n",
    ],
)
def test_what_are_no_chunks(data):
    with pytest.raises(BodyError, match=r"\.$"):
        ChunkedBody().feed(data + b"\r\n")


@pytest.mark.parametrize("start", [b"", b"5;", b"5 ", b"5;a="])
def test_a_line_before_a_chunk_has_an_end(start):
    longest = start.ljust(LONGEST_LINE - 1, b"5" if not start else b" ")
    ChunkedBody().feed(longest)
    with pytest.raises(BodyError):
        ChunkedBody().feed(longest + b" ")
    with pytest.raises(BodyError):
        ChunkedBody().feed(longest + b"\r\n")


def test_trailers_have_an_end():
    body = ChunkedBody()
    body.feed(b"0\r\n" + b"X: 1234\r\n" * (MOST_TRAILER_BYTES // 9))
    with pytest.raises(BodyError):
        body.feed(b"X: 1234\r\n")
    with pytest.raises(BodyError):
        ChunkedBody().feed(b"0\r\n" + bytes(MOST_TRAILER_BYTES + 1))


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_whatever_comes_is_taken_or_refused(parts):
    body = ChunkedBody()
    try:
        for part in parts:
            assert len(body.feed(part)) <= sum(map(len, parts))
    except BodyError:
        pass


@given(st.lists(st.binary(min_size=1, max_size=40)), st.lists(st.integers(0, 400)))
def test_all_that_is_sent_arrives(chunks, cuts):
    sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body = ChunkedBody()
    ends = sorted(cut for cut in cuts if cut < len(sent))
    assert b"".join(body.feed(sent[a:b]) for a, b in pairwise([0, *ends, len(sent)])) == b"".join(chunks)
    assert body.is_complete
