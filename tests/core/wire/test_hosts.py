import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.hosts import canonical_host, split_port


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("localhost", "localhost"),
        ("WS.Mesaya.Example", "ws.mesaya.example"),
        ("my_kafka-1", "my_kafka-1"),
        ("a.b.", "a.b."),
        ("señora.example", "xn--seora-pta.example"),
        ("SEÑORA.example", "xn--seora-pta.example"),
        ("xn--seora-pta.example", "xn--seora-pta.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[0:0::1]", "[::1]"),
        ("[::FFFF]", "[::ffff]"),
        *((bad, None) for bad in ("", ".", "a..b", ".a", "a b", "a/b", "*.a", "a@b", "a:1")),
        *((bad, None) for bad in ("a" * 64, f"{'a.' * 127}b", "ñ" * 64, "ñ" * 10_000)),
        *((bad, None) for bad in ("1.2.3", "1.2.3.256", "01.2.3.4", "0x7f.1", "[", "[]", "[::1%25lo]", "::1")),
    ],
)
def test_a_host_has_one_form(text, host):
    assert canonical_host(text) == host


@given(st.text() | st.from_regex(r"[\w.\[\]:%-]{1,20}"))
def test_the_one_form_is_that_of_itself(text):
    host = canonical_host(text)
    assert host is None or (host.isascii() and canonical_host(host) == host)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("A.b", ("a.b", None)),
        ("a:", ("a", None)),
        ("a:080", ("a", 80)),
        ("[::1]:65535", ("[::1]", 65535)),
        ("a:65536", None),
        ("a:x", None),
        ("a:1:2", None),
        ("::1", None),
        (":80", None),
    ],
)
def test_a_host_with_its_port(text, place):
    assert split_port(text) == place
