import attrs
import pytest
import typed_settings as ts

from mesaya_ws.environment import load_settings, unused
from mesaya_ws.settings import Settings, SettingsError
from mesaya_ws.settings.display import fingerprints, shown
from tests.issuer import SECRET, Issuer, private_key, private_pem, public_pem

PEM = Issuer("EC").pem
URL = "https://auth.example/.well-known/jwks.json"


def problems(tmp_path, **texts):
    """Return what is wrong with settings."""
    with pytest.raises(SettingsError) as caught:
        load_settings(texts, tmp_path)
    return caught.value.problems


def test_public_key_may_have_its_newlines_as_two_characters(tmp_path):
    written = PEM.replace("\n", "\\n")
    assert load_settings({"JWT_PUBLIC_KEY": written}, tmp_path).jwt_public_key == PEM.strip()
    assert load_settings({"JWT_PUBLIC_KEY": written.replace("\\n", "\\r\\n")}, tmp_path).jwt_public_key == PEM.strip()
    assert load_settings({"JWT_PUBLIC_KEY": PEM}, tmp_path).jwt_public_key == PEM.strip()


def test_several_public_keys_may_stand_one_after_another(tmp_path):
    both = (PEM + Issuer("RSA").pem).replace("\n", "\\n")
    assert load_settings({"JWT_PUBLIC_KEY": both}, tmp_path).jwt_public_key.count("BEGIN") == 2


def test_public_key_from_an_env_file_as_people_write_it(tmp_path):
    for text in (
        f"'{PEM.strip()}'",
        f'"{PEM.strip()}"',
        '"' + PEM.replace("\n", "\\n") + '"',
        PEM.replace("\n", "\\n"),
    ):
        (tmp_path / ".env").write_text(f"JWT_PUBLIC_KEY={text}\n")
        assert load_settings({}, tmp_path).jwt_public_key == PEM.strip()


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"JWT_PUBLIC_KEY": public_pem(private_key("RSA-1024"))}, "JWT_PUBLIC_KEY holds an RSA key of 1024 bits"),
        ({"JWT_PUBLIC_KEY": private_pem(private_key("RSA"))}, "JWT_PUBLIC_KEY holds a private key"),
        ({"JWT_PUBLIC_KEY": "nonsense"}, "JWT_PUBLIC_KEY is no PEM"),
        ({"JWT_SECRET": "x" * 31}, "JWT_SECRET is shorter than 32 bytes"),
        ({"JWT_SECRET": PEM}, "JWT_SECRET is a key of a pair"),
        ({"JWT_SECRET": private_pem(private_key("EC")).replace("\n", "\\n")}, "JWT_SECRET is a key of a pair"),
        ({"JWT_SECRET": SECRET, "JWT_SECRET_PREVIOUS": "short"}, "JWT_SECRET_PREVIOUS is shorter than 32 bytes"),
        ({"JWT_SECRET_PREVIOUS": SECRET}, "JWT_SECRET_PREVIOUS is the secret before JWT_SECRET"),
        ({"JWT_SECRET": SECRET, "JWT_PUBLIC_KEY": PEM}, "JWT_PUBLIC_KEY and JWT_SECRET are set"),
        ({"JWT_JWKS_URL": URL, "JWT_PUBLIC_KEY": PEM}, "JWT_PUBLIC_KEY and JWT_JWKS_URL are set"),
        ({"JWT_JWKS_URL": "http://auth.example/keys"}, "JWT_JWKS_URL must be like https://"),
        ({"JWT_JWKS_URL": "http://127.0.0.1.auth.example/keys"}, "JWT_JWKS_URL must be like https://"),
        ({"JWT_JWKS_URL": "https://user:password@auth.example/keys"}, "JWT_JWKS_URL must be like https://"),
        ({"JWT_JWKS_URL": "https://auth.example/keys?token=x"}, "JWT_JWKS_URL must be like https://"),
        ({"JWT_JWKS_URL": "file:///etc/keys"}, "JWT_JWKS_URL must be like https://"),
        ({"JWT_LEEWAY": "301"}, "JWT_LEEWAY must be from 0 to 300"),
        ({"JWT_MAX_AGE": "nan"}, "JWT_MAX_AGE must be from 60"),
        ({"JWT_ISSUERS": "a"}, "JWT_ISSUERS is no setting, and would have no effect: JWT_ISSUER may be meant"),
        ({"JWT_EXPIRES_IN": "1h"}, "JWT_EXPIRES_IN is no setting, and would have no effect: there are JWT_PUBLIC_KEY,"),
        ({"AUTH_REQUIRED": "on"}, "AUTH_REQUIRED=on needs AUTH=on"),
        ({"AUTH_REQUIRED": "on", "AUTH": "off", "JWT_SECRET": SECRET}, "AUTH_REQUIRED=on needs AUTH=on"),
    ],
    ids=range(21),
)
def test_settings_that_cannot_be_are_refused_with_one_sentence(tmp_path, texts, sentence):
    [problem] = problems(tmp_path, **texts)
    assert sentence in problem
    for text in texts.values():
        assert len(text) < 8 or "://" in text or text not in problem
        assert not any(line in problem for line in text.splitlines() if len(line) > 40)
    assert "password" not in problem


@pytest.mark.parametrize(
    "url", [URL, "https://auth", "http://127.0.0.1:8081/k", "http://[::1]:1/k", "HTTP://LocalHost/k"]
)
def test_key_set_is_read_from_https_or_from_this_machine(tmp_path, url):
    assert load_settings({"JWT_JWKS_URL": url, "AUTH_REQUIRED": "on"}, tmp_path).jwt_jwks_url == url


def test_secrets_of_tokens_are_never_shown(tmp_path):
    settings = load_settings({"JWT_SECRET": SECRET, "JWT_SECRET_PREVIOUS": SECRET + "2"}, tmp_path)
    assert settings.jwt_secret == SECRET
    values = dict(shown(settings))
    assert values["JWT_SECRET"] == values["JWT_SECRET_PREVIOUS"] == "(hidden)"
    assert SECRET not in f"{settings!r} {settings} {values} {fingerprints(settings, 'salt')}"
    assert not {"JWT_SECRET", "JWT_SECRET_PREVIOUS"} & fingerprints(settings, "salt").keys()


def test_keys_without_effect_are_named():
    settings = Settings(auth=False, jwt_secret=ts.SecretStr(SECRET))
    sentences = list(unused(settings, {"JWT_SECRET": SECRET, "JWT_ISSUER": "a"}))
    assert sentences == ["JWT_ISSUER, JWT_SECRET are not used with AUTH=off"]
    assert list(unused(attrs.evolve(settings, auth=True), {"JWT_SECRET": SECRET})) == []
