from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.wire.credentials import Credentials, credentials_of
from mesaya_ws.core.wire.handshake import Head, HeadError


def of(**headers):
    return credentials_of(Head("GET", "/ws", {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize(
    ("authorization", "token"),
    [("Bearer abc.def", "abc.def"), ("bearer abc", "abc"), ("BEARER  abc", "abc"), ("Bearer", ""), ("Bearer ", "")],
)
def test_token_of_the_header(authorization, token):
    assert of(authorization=authorization) == Credentials(token, in_header=True)


@pytest.mark.parametrize("authorization", ["", "Basic dTpw", "Bearerabc", "abc"])
def test_other_schemes_are_not_ours(authorization):
    assert of(authorization=authorization) is None


@pytest.mark.parametrize(
    ("protocols", "token"),
    [
        ("mesaya.v1, bearer.abc.def", "abc.def"),
        ("bearer.abc,mesaya.v1", "abc"),
        ("mesaya.v1,\tbearer. ", ""),
        ("mesaya.v1", None),
        ("mesaya.v1, Bearer.abc", None),
        ("", None),
    ],
)
def test_token_of_the_subprotocols(protocols, token):
    found = of(sec_websocket_protocol=protocols)
    assert found == (None if token is None else Credentials(token, in_header=False))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer a", "sec_websocket_protocol": "mesaya.v1, bearer.a"},
        {"sec_websocket_protocol": "bearer.a, bearer.b"},
    ],
)
def test_several_tokens_are_refused(headers):
    with pytest.raises(HeadError) as caught:
        of(**headers)
    assert caught.value.code == "bad_handshake"


def test_cookies_and_the_query_do_not_count():
    assert credentials_of(Head("GET", "/ws?token=a&bearer.a", {"cookie": "token=a; bearer.a"})) is None


def test_token_is_not_in_what_is_printed():
    assert "hunter2" not in repr(of(authorization="Bearer hunter2"))


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_headers_have_a_token_or_none_or_are_refused(authorization, protocols):
    with suppress(HeadError):
        found = of(authorization=authorization, sec_websocket_protocol=protocols)
        assert found is None or isinstance(found.token, str)
