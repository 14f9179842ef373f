import json
from base64 import urlsafe_b64encode
from math import inf, nan

import jwt
import pytest
from attrs import evolve
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given
from hypothesis import strategies as st

from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.tokens import MAX_TOKEN_BYTES, REMEMBERED_HEADERS, verify
from tests.issuer import NOW, RULES, SECRET, Issuer, part

ISSUER = Issuer()
DAY = 86_400


def verdict(token, *, keys=None, rules=RULES, now=NOW):
    """Return whom a token names, or its flaw."""
    result = verify(token, (ISSUER.key,) if keys is None else keys, rules, now)
    return result.flaw if isinstance(result, BadToken) else result


@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519", "secret"])
def test_token_of_each_kind_of_key_names_its_user(kind):
    issuer = Issuer(kind)
    token = issuer.token(roles=["OWNER", "USER", "OWNER"])
    identity = Identity("u1", ("OWNER", "USER"), NOW - 60, NOW + 3600)
    assert verdict(token, keys=[issuer.key]) == verdict(token.encode(), keys=[issuer.key]) == identity


@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519", "secret"])
def test_token_as_pyjwt_writes_it_names_its_user(kind):
    issuer = Issuer(kind)
    claims = {"iss": "mesaYA-auth", "sub": "u1", "exp": int(NOW) + 60}
    token = jwt.encode(claims, issuer.private, issuer.algorithm)
    assert verdict(token, keys=[issuer.key]) == Identity("u1", (), None, NOW + 60)


@pytest.mark.parametrize(
    ("claims", "flaw"),
    [
        ({"exp": None}, Flaw.EXPIRY),
        ({"exp": str(int(NOW) + 60)}, Flaw.EXPIRY),
        ({"exp": True}, Flaw.EXPIRY),
        ({"exp": 1e30}, Flaw.EXPIRY),
        ({"exp": -1}, Flaw.EXPIRY),
        ({"exp": [NOW + 60]}, Flaw.EXPIRY),
        ({"exp": NOW - 5}, Flaw.EXPIRED),
        ({"exp": 0}, Flaw.EXPIRED),
        ({"sub": None}, Flaw.SUBJECT),
        ({"sub": ""}, Flaw.SUBJECT),
        ({"sub": "u1\n"}, Flaw.SUBJECT),
        ({"sub": "u:1"}, Flaw.SUBJECT),
        ({"sub": "u" * 129}, Flaw.SUBJECT),
        ({"sub": 1}, Flaw.SUBJECT),
        ({"sub": ["u1"]}, Flaw.SUBJECT),
        ({"iss": None}, Flaw.ISSUER),
        ({"iss": "mesaya-auth"}, Flaw.ISSUER),
        ({"iss": ["mesaYA-auth"]}, Flaw.ISSUER),
        ({"nbf": NOW + 6}, Flaw.NOT_BEFORE),
        ({"nbf": "0"}, Flaw.NOT_BEFORE),
        ({"iat": NOW + 6}, Flaw.ISSUED),
        ({"iat": "0"}, Flaw.ISSUED),
        ({"iat": False}, Flaw.ISSUED),
        ({"iat": NOW - 31 * DAY}, Flaw.TOO_OLD),
        ({"iat": None, "exp": NOW + 31 * DAY}, Flaw.TOO_OLD),
        ({"roles": "ADMIN"}, Flaw.ROLES),
        ({"roles": {"ADMIN": True}}, Flaw.ROLES),
        ({"roles": ["ADMIN", 1]}, Flaw.ROLES),
        ({"roles": [["ADMIN"]]}, Flaw.ROLES),
    ],
)
def test_claim_that_does_not_hold_is_the_flaw(claims, flaw):
    assert verdict(ISSUER.token(**claims)) is flaw


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 4.9},
        {"exp": NOW + 0.25},
        {"nbf": NOW + 5, "iat": NOW + 5},
        {"roles": None},
        {"roles": []},
        {"aud": "anybody"},
        {"permissions": ["a"], "custom": {"deep": [1]}},
    ],
)
def test_claim_within_the_rules_is_no_flaw(claims):
    assert isinstance(verdict(ISSUER.token(**claims)), Identity)


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_number_that_is_no_json_makes_a_token_malformed(number):
    assert verdict(ISSUER.token(exp=number)) is Flaw.MALFORMED


def test_expiry_of_a_token_that_would_outlast_its_age_is_its_age():
    identity = verdict(ISSUER.token(iat=NOW - DAY, exp=NOW + 300 * DAY))
    assert identity.expires_at == NOW + 29 * DAY
    assert verdict(ISSUER.token(iat=NOW - DAY, exp=NOW + 300 * DAY), now=NOW + 29 * DAY + 6) is Flaw.TOO_OLD


@pytest.mark.parametrize(
    ("aud", "is_meant"),
    [("ws", True), (["x", "ws"], True), ("w", False), ("wss", False), ([["ws"]], False), (None, False), (1, False)],
)
def test_audience_is_asked_for_if_it_is_set(aud, is_meant):
    result = verdict(ISSUER.token(aud=aud), rules=evolve(RULES, audience="ws"))
    assert isinstance(result, Identity) if is_meant else result is Flaw.AUDIENCE


@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt"])
def test_type_of_a_token_may_be_absent_or_one_of_two(typ):
    assert isinstance(verdict(ISSUER.token({"typ": typ})), Identity)


@pytest.mark.parametrize("typ", ["", "secevent+jwt", "JWE", ["JWT"], 1, {}])
def test_type_of_another_kind_of_token_is_a_flaw(typ):
    assert verdict(ISSUER.token({"typ": typ})) is Flaw.TYPE


@pytest.mark.parametrize("critical", [["exp"], [], ["b64"], None])
def test_extension_that_must_be_understood_is_a_flaw(critical):
    head = json.dumps({"alg": "EdDSA", "crit": critical, "b64": True})
    assert verdict(ISSUER.sealed(head, "{}")) is Flaw.CRITICAL


@pytest.mark.parametrize(
    "payload",
    [
        '{"sub": "a", "sub": "b"}',
        '{"sub": "a", "s\\u0075b": "b"}',
        '{"x": [{"a": 1, "a": 1}]}',
        '{"sub":"a","sub":"a"}',
        '{"x":[{"a":1,"a":1}],"sub":"b"}',
    ],
)
def test_name_that_stands_twice_is_a_flaw(payload):
    assert verdict(ISSUER.signed(payload)) is Flaw.REPEATED
    assert verdict(ISSUER.sealed('{"alg": "EdDSA", "alg": "EdDSA"}', "{}")) is Flaw.REPEATED


TEXTS = st.recursive(
    st.sampled_from(["1", "1.50", "true", '"a"', '"\\u0061"', '"é"', "[]", "1e2"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda texts: f"[{','.join(texts)}]")
        | st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '"\\u0061"']), inner), max_size=3).map(
            lambda pairs: f"{{{','.join(map(':'.join, pairs))}}}"
        )
    ),
)


@given(TEXTS)
def test_name_that_stands_twice_is_found_however_the_text_is_written(text):
    """By another reading: Python's own, of all of it."""
    repeated = False

    def note(pairs):
        nonlocal repeated
        repeated |= len(dict(pairs)) < len(pairs)

    json.loads(text, object_pairs_hook=note)
    assert (verdict(ISSUER.signed(f'{{"x":{text}}}')) is Flaw.REPEATED) == repeated


def test_headers_of_many_keys_are_kept_apart():
    issuers = [Issuer("Ed25519", f"key {number}", number % 2) for number in range(3 * REMEMBERED_HEADERS)]
    keys = [issuer.key for issuer in issuers]
    for issuer in (*issuers, *issuers):
        assert isinstance(verify(issuer.token(), keys[:16], RULES, NOW), Identity) == (issuer.key in keys[:16])


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "{} {}",
        "\ufeff{}",
        '{"a": NaN}',
        '{"a": "\\ud800"}',
        '{"a": "\udc80"}',
        "[" * 5000,
        "[" * 2500 + "]" * 2500,
        '{"a":' * 900 + "1" + "}" * 900,
        '{"exp": ' + "9" * 5000 + "}",
        "{'sub': 1}",
        b"\xff\xfe{\x00}\x00",
    ],
)
def test_payload_that_is_no_object_of_json_is_malformed(payload):
    assert verdict(ISSUER.signed(payload)) in (Flaw.MALFORMED, Flaw.ISSUER)


def test_integer_of_any_size_is_no_time():
    assert verdict(ISSUER.token(exp=10**400)) in (Flaw.MALFORMED, Flaw.EXPIRY)
    assert verdict(ISSUER.token(exp=10**18)) is Flaw.EXPIRY


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30",
        "e30.e30.",
        "é.é.é",
        b"\xff.\xff.\xff",
        "\ud800",
        "e30=.e30.e30",
        "a.b.c",
    ],
)
def test_text_that_is_no_token_is_malformed_or_has_no_algorithm(token):
    assert verdict(token) in (Flaw.MALFORMED, Flaw.ALGORITHM)


def test_token_over_8_kib_is_not_decoded():
    class Unread(str):
        def encode(self, *_):
            raise AssertionError

    assert verdict(Unread("." * (MAX_TOKEN_BYTES + 1))) is Flaw.TOO_LONG
    token = ISSUER.token(filler="x" * 5800)
    assert len(token) <= MAX_TOKEN_BYTES
    assert isinstance(verdict(token), Identity)
    assert verdict(ISSUER.token(filler="x" * 6200)) is Flaw.TOO_LONG


def test_token_has_one_spelling():
    """The last character of a signature of 64 bytes has two bits too many, and Python's base64 ignores what it can."""
    token = ISSUER.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [token[:-1] + letter for letter in alphabet if letter != token[-1]]
    others += [token + "=", token + "==", token + "\n", " " + token, token[:-3] + "*" + token[-3:], token + "."]
    others += [token.replace(".", "=.", 1), token.replace(".", "\n.", 1)]
    assert not [other for other in others if isinstance(verdict(other), Identity)]


def test_algorithm_is_the_keys_and_not_what_the_token_says():
    public = Issuer("RSA")
    text = (
        f"{part(json.dumps({'alg': 'HS256'}))}.{part(json.dumps({'iss': 'mesaYA-auth', 'sub': 'u1', 'exp': NOW + 60}))}"
    )
    hmac = jwt.get_algorithm_by_name("HS256")
    for secret in (public.pem, public.pem.strip(), der(public)):
        forged = f"{text}.{part(hmac.sign(text.encode(), secret if isinstance(secret, bytes) else secret.encode()))}"
        assert verdict(forged, keys=[public.key]) is Flaw.ALGORITHM
        assert verdict(forged, keys=[public.key, Issuer("secret").key]) is Flaw.SIGNATURE


def der(issuer):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return issuer.private.public_key().public_bytes(serialization.Encoding.DER, form)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "HS512", "RS512", "PS256", 1, ["EdDSA"], {}])
def test_token_of_another_algorithm_is_not_verified(algorithm):
    payload = part(json.dumps({"iss": "mesaYA-auth", "sub": "u1", "exp": NOW + 60}))
    head = part(json.dumps({"alg": algorithm}))
    assert verdict(f"{head}.{payload}.") is Flaw.ALGORITHM
    assert verdict(ISSUER.token({"alg": algorithm})) is Flaw.ALGORITHM


def test_key_is_found_by_its_id_and_one_without_id_may_be_any():
    first, second = Issuer("Ed25519", "a", 1), Issuer("Ed25519", "b", 2)
    nameless = Issuer("Ed25519", None, 3)
    both = [first.key, second.key]
    assert isinstance(verdict(second.token(), keys=both), Identity)
    assert isinstance(verdict(second.token({"kid": None}), keys=both), Identity)
    assert verdict(second.token({"kid": "a"}), keys=both) is Flaw.SIGNATURE
    assert verdict(second.token({"kid": "c"}), keys=both) is Flaw.UNKNOWN_KEY
    assert verdict(second.token({"kid": 1}), keys=both) is Flaw.MALFORMED
    assert isinstance(verdict(nameless.token({"kid": "c"}), keys=[*both, nameless.key]), Identity)
    assert verdict(first.token(), keys=[second.key]) is Flaw.UNKNOWN_KEY
    assert verdict(first.token(), keys=[nameless.key]) is Flaw.SIGNATURE
    assert verdict(first.token(), keys=[]) is Flaw.NO_KEY


@pytest.mark.parametrize(
    ("token_id", "key_ids", "header", "lacks"),
    [
        ("a", ["a"], {}, False),  # it is this key that has not signed
        ("a", ["a", None], {}, False),
        ("a", [None], {}, True),
        ("a", ["b"], {}, True),
        (None, ["a", "b"], {}, True),
        (None, [None], {}, True),
        (None, [None], {"alg": "ES256"}, True),
        (None, [None], {"alg": "none"}, False),
        (None, [None], {"alg": "HS256"}, False),  # nobody publishes a secret
        (None, [], {}, True),
    ],
)
def test_token_may_lack_a_key_unless_the_one_that_it_names_has_not_signed_it(token_id, key_ids, header, lacks):
    keys = [Issuer("Ed25519", id, 2).key for id in key_ids]
    result = verify(Issuer("Ed25519", token_id, 1).token(header), keys, RULES, NOW)
    assert result.may_lack_a_key is lacks


def test_token_that_is_signed_lacks_no_key_whatever_else_is_wrong_with_it():
    assert verify(ISSUER.token(exp=1), [ISSUER.key], RULES, NOW).may_lack_a_key is False
    assert verify("nonsense", [ISSUER.key], RULES, NOW).may_lack_a_key is False


def test_what_a_header_points_to_is_no_key():
    stranger = Issuer("Ed25519", None, 9)
    header = {"jwk": stranger.jwk, "jku": "https://evil.example/keys", "x5u": "https://evil.example/c"}
    assert verdict(stranger.token(header)) is Flaw.SIGNATURE


def test_claims_are_read_only_after_the_signature():
    stranger = Issuer("Ed25519", None, 9)
    assert verdict(stranger.token(exp=0)) is Flaw.SIGNATURE
    assert verdict(stranger.signed("no JSON")) is Flaw.SIGNATURE


@given(st.one_of(st.binary(), st.text(), st.text(alphabet="eyJhbGciOiJFZERTQSJ9.-_=", max_size=200)))
@example(b"." * 9000)
def test_any_bytes_are_checked_without_raising(token):
    assert isinstance(verdict(token), Flaw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.sampled_from(["exp", "sub", "iss", "nbf", "iat", "roles", "aud", "typ"])
HEADERS = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "zip"])


@given(st.dictionaries(CLAIMS, JSON), st.dictionaries(HEADERS, JSON))
def test_any_json_in_any_claim_is_checked_without_raising(claims, header):
    usual = {"iss": "mesaYA-auth", "sub": "u1", "exp": NOW + 60}
    token = ISSUER.sealed(json.dumps({"alg": "EdDSA"} | header), json.dumps(usual | claims))
    result = verdict(token, rules=evolve(RULES, audience="ws"))
    assert isinstance(result, Flaw | Identity)
    if isinstance(result, Identity):
        assert (type(result.user), result.user != "") == (str, True)
        assert NOW - RULES.leeway < result.expires_at <= NOW + RULES.leeway + RULES.max_age
        assert all(type(role) is str for role in result.roles)


@given(st.data())
@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519", "secret"])
def test_good_token_with_any_change_is_never_accepted(kind, data):
    issuer = Issuer(kind)
    good = issuer.token().encode()
    at = data.draw(st.integers(0, len(good) - 1))
    change = data.draw(st.sampled_from(["replace", "insert", "delete", "swap"]))
    byte = bytes([data.draw(st.integers(0, 255))])
    match change:
        case "replace":
            changed = good[:at] + byte + good[at + 1 :]
        case "insert":
            changed = good[:at] + byte + good[at:]
        case "delete":
            changed = good[:at] + good[at + 1 :]
        case "swap":
            changed = good[:at] + good[at : at + 2][::-1] + good[at + 2 :]
    if changed != good:
        assert isinstance(verdict(changed, keys=[issuer.key]), Flaw)


@given(st.binary(max_size=600))
@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed25519", "secret"])
def test_any_signature_of_another_is_wrong(kind, signature):
    issuer = Issuer(kind)
    text = issuer.token().rpartition(".")[0]
    forged = f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert verdict(forged, keys=[issuer.key]) is Flaw.SIGNATURE


def test_sentence_says_nothing_of_the_token():
    for token in (ISSUER.token(sub="Mallory:1"), ISSUER.token(iss="Mallory"), "Mallory"):
        assert "Mallory" not in verify(token, [ISSUER.key], RULES, NOW).sentence
    assert all(flaw.value.endswith((".", "-")) for flaw in Flaw)
    assert SECRET not in repr(Issuer("secret").key)
