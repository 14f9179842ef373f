import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesaya_ws.core.access.keys import MAX_KEYS, BadKeyError, key_set, public_keys, secret_key
from tests.issuer import SECRET, Issuer, private_key, private_pem, public_pem


def test_public_keys_of_several_pems_are_read_in_their_order():
    issuers = [Issuer("RSA"), Issuer("EC"), Issuer("Ed25519")]
    text = "\n".join(issuer.pem for issuer in issuers)
    keys = public_keys(text)
    assert [key.algorithm for key in keys] == ["RS256", "ES256", "EdDSA"]
    assert [key.material for key in keys] == [issuer.key.material for issuer in issuers]
    assert public_keys(text.replace("\n", "\r\n")) == keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no PEM"),
        ("key", "no PEM"),
        ("key " + Issuer("EC").pem, "no PEM"),
        (private_pem(private_key("EC")), "private key"),
        (Issuer("EC").pem + private_pem(private_key("EC")), "private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate"),
        (Issuer("RSA").pem[:200], "does not end"),
        (Issuer("EC").pem.replace("A", "B"), "cannot be read"),
        (Issuer("EC").pem + "more", "does not end"),
        (public_pem(private_key("RSA-1024")), "1024 bits"),
        (public_pem(private_key("P-384")), "another kind"),
        (Issuer("EC").pem * (MAX_KEYS + 1), "more than 16"),
    ],
    ids=lambda value: value if len(value) < 30 else "",  # the same ones in each process
)
def test_public_key_that_is_none_is_refused_with_the_reason(text, said):
    with pytest.raises(BadKeyError, match=said) as refused:
        public_keys(text)
    assert not any(line in str(refused.value) for line in text.splitlines() if len(line) > 30)


def test_secret_is_a_key_of_its_bytes():
    key = secret_key(SECRET)
    assert (key.algorithm, key.material) == ("HS256", SECRET.encode())
    assert secret_key("é" * 16).material == ("é" * 16).encode()


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "shorter than 32"),
        ("x" * 31, "shorter than 32"),
        (Issuer("RSA").pem, "key of a pair"),
        (private_pem(private_key("RSA")).replace("\n", "\\n"), "key of a pair"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE", "key of a pair"),
    ],
    ids=lambda value: value if len(value) < 30 else "",
)
def test_secret_that_is_none_is_refused_with_the_reason(secret, said):
    with pytest.raises(BadKeyError, match=said) as refused:
        secret_key(secret)
    assert not secret or secret not in str(refused.value)


def test_key_set_holds_the_keys_for_signatures_alone():
    issuers = [Issuer("RSA", "r"), Issuer("EC", "e"), Issuer("Ed25519", "d")]
    own = [issuer.jwk for issuer in issuers]
    others = [
        None,
        "key",
        {},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        own[0] | {"use": "enc"},
        own[0] | {"d": "AAAA"},
        own[0] | {"alg": "RS512"},
        own[0] | {"key_ops": ["encrypt"]},
        own[0] | {"key_ops": "verify"},
        own[0] | {"kid": 1},
        own[0] | {"n": "AQAB"},
        own[0] | {"n": None},
    ]
    assert key_set({"keys": [*others, *own][:MAX_KEYS]}) == tuple(issuer.key for issuer in issuers)
    assert Issuer("EC", "e").jwk.keys() >= {"kty", "crv", "x", "y"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "no list"),
        ([], "no list"),
        ({"keys": {}}, "no list"),
        ({"keys": []}, "no key"),
        ({"keys": [{"kty": "oct", "k": "AAAA"}]}, "no key"),
        ({"keys": [{}] * (MAX_KEYS + 1)}, "more than 16"),
    ],
)
def test_key_set_without_a_key_is_refused(document, said):
    with pytest.raises(BadKeyError, match=said):
        key_set(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.sampled_from(["kty", "crv", "n", "e", "x", "y", "d", "kid", "use", "alg", "key_ops"])


@given(st.sampled_from(["RSA", "EC", "Ed25519"]), st.dictionaries(MEMBERS, JSON))
def test_any_member_of_a_key_is_accepted_or_a_bad_key(kind, members):
    try:
        keys = key_set({"keys": [Issuer(kind, "k").jwk | members]})
    except BadKeyError:
        return
    assert len(keys) == 1
