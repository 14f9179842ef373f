from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.origins import canonical_origin, may_be_rebound, may_use, parse_origin

LISTED = ("http://localhost:4200", "https://app.example", "https://xn--seora-pta.example", "capacitor://localhost")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.Mesaya.example", "https://app.mesaya.example"),
        ("HTTPS://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example:80", "https://app.example:80"),
        ("https://señora.example:8443", "https://xn--seora-pta.example:8443"),
        ("http://[0:0::1]:4200", "http://[::1]:4200"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("file://", "file://"),
        ("NULL", "null"),
    ],
)
def test_what_browsers_send(text, origin):
    assert canonical_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "localhost:4200", "https://", "https://*.example", "https://a.example/", "https://a.example/b"),
        *("https://u@a.example", "https://a..b", "https://a b", "https://a:99999", "https://a?b", "http://["),
        "https://a, https://b",
    ],
)
def test_what_no_browser_sends(text):
    assert canonical_origin(text) is None
    assert not may_use(text, "gateway:8080", LISTED, auth=True)


@given(st.text() | st.from_regex(r"https?://[\w.\[\]:-]{1,20}"))
def test_what_is_sent_is_sent_unchanged(text):
    origin = canonical_origin(text)
    assert origin is None or canonical_origin(origin) == origin


@pytest.mark.parametrize(
    ("origin", "verdict"),
    [
        ("http://localhost:4200", True),
        ("http://LOCALHOST:4200", True),
        ("http://localhost:4201", False),
        ("https://localhost:4200", False),
        ("https://app.example", True),
        ("https://app.example:443", True),
        ("https://app.example/", True),
        ("https://app.example//", False),
        ("https://app.example:8443", False),
        ("http://app.example", False),
        ("https://xn--seora-pta.example", True),
        ("capacitor://localhost", True),
        ("null", False),
        ("http://127.0.0.1:4200", False),
    ],
)
def test_pages_that_are_listed_may_use_the_service(origin, verdict):
    assert may_use(origin, "gateway:8080", LISTED, auth=True) is verdict
    assert may_use(origin, "gateway:8080", ("*",), auth=True)


@pytest.mark.parametrize("origin", ["https://señora.example", "https://APP。example", "ftp://é", "é"])
def test_what_is_not_ascii_is_sent_by_no_browser_and_not_converted(origin, monkeypatch):
    assert may_use(origin, "gateway:8080", ("*",), auth=True)
    converted = []
    monkeypatch.setattr("mesaya_ws.core.wire.hosts.idna", SimpleNamespace(encode=converted.append))
    for listed in (LISTED, ()):
        assert not may_use(origin, "xn--seora-pta.example", listed, auth=True)
    assert converted == []


@pytest.mark.parametrize(
    ("origin", "host", "verdict"),
    [
        ("http://gateway:8080", "gateway:8080", True),
        ("https://ws.example", "ws.example", True),
        ("https://ws.example", "ws.example:443", True),
        ("https://ws.example:443", "ws.example", True),
        ("https://ws.example", "WS.example", True),
        ("https://WS.example", "ws.example", True),
        ("http://ws.example", "ws.example:80", True),
        ("http://[::1]:8080", "[0::1]:8080", True),
        ("https://ws.example", "ws.example:80", False),
        ("http://ws.example", "ws.example:443", False),
        ("https://ws.example:8443", "ws.example", False),
        ("http://gateway:8080.evil.example", "gateway:8080", False),
        ("http://other:8080", "gateway:8080", False),
        ("capacitor://gateway:8080", "gateway:8080", False),
        ("http://gateway", "gateway:x", False),
        ("http://gateway", "", False),
    ],
)
def test_pages_of_our_own_host_may_use_the_service(origin, host, verdict):
    assert may_use(origin, host, (), auth=True) is verdict


def test_without_auth_a_name_that_leads_here_is_no_proof():
    rebound = ("http://rebound.example:8080", "rebound.example:8080")
    assert may_use(*rebound, (), auth=True)
    assert not may_use(*rebound, (), auth=False)
    assert may_use(*rebound, ("http://rebound.example:8080",), auth=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":5173", ":80"])
def test_without_auth_pages_of_this_machine_may_use_the_service_from_any_port(host, port):
    for scheme in ("http", "https"):
        assert may_use(f"{scheme}://{host}{port}", "gateway:8080", (), auth=False)
        assert not may_use(f"{scheme}://{host}{port}", "gateway:8080", (), auth=True)
    assert not may_use(f"http://{host}.evil.example{port}", "gateway:8080", (), auth=False)
    assert not may_use(f"http://evil.{host}{port}", "gateway:8080", (), auth=False)


def test_an_origin_is_compared_by_its_parts():
    assert parse_origin("https://a.example:443") == parse_origin("HTTPS://A.example")
    assert str(parse_origin("https://a.example:8443")) == "https://a.example:8443"


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("evil.example", True),
        ("evil.example:8080", True),
        ("EVIL.example.:8080", True),
        ("localhost.evil.example", True),
        ("1.2.3.4.evil.example", True),
        ("127.0.0.1:8080", False),
        ("192.168.1.7", False),
        ("[::1]:8080", False),
        ("localhost:8080", False),
        ("a.localhost", False),
        ("gateway:8080", False),
        ("app.example", False),
        ("", False),
    ],
)
def test_only_names_that_somebody_can_own_may_be_rebound(host, verdict):
    assert may_be_rebound(host, ("https://app.example",)) is verdict
    assert not may_be_rebound(host, ("*",))
