import json
from time import time

import jwt
import pytest
import typed_settings as ts

from mesaya_ws.cli.probes import issuer_findings
from mesaya_ws.settings import Settings
from tests.cli.server import page, serving
from tests.issuer import SECRET, Issuer

URL = "https://auth.example/keys"


def decoded(token, **options):
    return jwt.decode(token, SECRET, ["HS256"], issuer="mesaYA-auth", **options)


def test_token_is_made_for_a_user_and_is_good(run, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", SECRET)
    made = run("token", "--user", "u1", "--role", "OWNER", "--role", "USER", "--expires", "15m")
    assert (made.exit_code, made.stderr) == (0, "")
    claims = decoded(made.stdout.strip())
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("u1", ["OWNER", "USER"], 900)
    checked = run("token", "--check", stdin=made.stdout)
    printed = json.loads(checked.stdout)
    assert (checked.exit_code, printed["user"], printed["roles"]) == (0, "u1", ["OWNER", "USER"])
    assert 890 <= printed["expiresIn"] <= 900
    assert printed["expiresAt"] > printed["issuedAt"]


def test_token_has_the_issuer_and_the_audience_of_the_settings(run, monkeypatch):
    for name, value in {"JWT_SECRET": SECRET, "JWT_ISSUER": "us", "JWT_AUDIENCE": "ws"}.items():
        monkeypatch.setenv(name, value)
    made = run("token", "--user", "u1")
    assert jwt.decode(made.stdout.strip(), SECRET, ["HS256"], issuer="us", audience="ws")["roles"] == []
    assert run("token", "--check", stdin=f"Bearer {made.stdout}").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give either --user"),
        (("--user", "u", "--check"), "Give either --user"),
        (("--user", "u", "--expires", "soon"), "'soon' is no time"),
        (("--user", "u", "--expires", "1.5h"), "'1.5h' is no time"),
        (("--user", "a b"), "the user must be 1 to 128 of"),
    ],
)
def test_token_that_cannot_be_made_is_refused(run, monkeypatch, arguments, said):
    monkeypatch.setenv("JWT_SECRET", SECRET)
    result = run("token", *arguments)
    assert result.exit_code != 0
    assert said in result.stderr


def test_token_wants_a_secret_or_a_key(run):
    assert "JWT_SECRET is not set" in run("token", "--user", "u").stderr
    result = run("token", "--check", stdin="a.b.c")
    assert (result.exit_code, result.stderr) == (
        1,
        "mesaya-ws: no key is configured: set JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_SECRET.\n",
    )


def test_check_says_what_is_wrong_and_nothing_of_the_token(run, monkeypatch):
    monkeypatch.setenv("JWT_PUBLIC_KEY", Issuer("EC").pem.replace("\n", "\\n"))
    for token, said in (
        ("Mallory", "no signed JWT"),
        (Issuer("EC").token(exp=1, sub="Mallory"), "has expired"),
        (Issuer("EC", number=2).token(sub="Mallory"), "signature is wrong"),
        ("x" * 70_000, "longer than 8 KiB"),
    ):
        result = run("token", "--check", stdin=token)
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr
        assert "Mallory" not in result.stderr


def test_check_reads_the_keys_of_the_issuer(run, monkeypatch):
    issuer = Issuer("Ed25519", "k")
    now = time()
    token = issuer.token(iat=now, exp=now + 60)
    with serving({"/keys": page({"keys": [issuer.jwk]})}) as port:
        monkeypatch.setenv("JWT_JWKS_URL", f"http://127.0.0.1:{port}/keys")
        assert run("token", "--check", stdin=token).exit_code == 0
    with serving({}) as port:
        monkeypatch.setenv("JWT_JWKS_URL", url := f"http://127.0.0.1:{port}/keys")
        assert f"JWT_JWKS_URL: {url}: it answers 404, not 200." in run("token", "--check", stdin=token).stderr


def test_issuer_without_keys_is_a_finding():
    def findings(**settings):
        return [finding.sentence for finding in issuer_findings(Settings(jwt_jwks_url=url, **settings))]

    assert list(issuer_findings(Settings(jwt_secret=ts.SecretStr(SECRET)))) == []
    with serving({"/keys": page({"keys": []})}) as port:
        url = f"http://127.0.0.1:{port}/keys"
        assert findings() == [f"JWT_JWKS_URL: {url}: it holds no key that tokens can be verified with."]
        assert findings(auth=False) == []
    assert findings() == [f"JWT_JWKS_URL: {url}: it does not answer: Connection refused."]


def test_commands_refuse_a_bad_secret_without_showing_it(run, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", "hunter2")
    for command in (("check",), ("serve",), ("token", "--user", "u")):
        result = run(*command)
        assert result.exit_code == 2
        assert "JWT_SECRET is shorter than 32 bytes" in result.stderr
        assert "hunter2" not in result.output


def test_check_hides_the_secret(run, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", SECRET)
    assert SECRET not in run("check").output + run("check", "--json").output
