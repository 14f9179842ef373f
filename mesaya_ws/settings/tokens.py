"""Settings of the platform's tokens: which keys sign them, and what is asked of them."""

import attrs
import typed_settings as ts

from mesaya_ws.settings.validators import a_key_set_url, a_secret_key, public_keys_in_pem, within

DAY = 86_400.0


def with_newlines(pem: str) -> str:
    """Convert a PEM whose newlines are written as a backslash and an `n`, as environments often have it."""
    return pem.replace("\\r", "").replace("\\n", "\n").strip()


@ts.settings(frozen=True, slots=False)
class TokenSettings:
    """The keys that tokens are verified with, of one of three sources, and what their claims must be."""

    jwt_public_key: str = ts.option(
        default="",
        converter=with_newlines,
        validator=public_keys_in_pem,
        help="Public key of who signs the tokens, as PEM, with newlines or `\\n`: RSA (RS256), P-256 (ES256) or "
        "Ed25519 (EdDSA). Several, one after another, are several keys, for their rotation.",
    )
    jwt_jwks_url: str = ts.option(
        default="",
        validator=a_key_set_url,
        help="URL of the issuer's JSON Web Key Set, rather than JWT_PUBLIC_KEY; `https:`, or `http:` of this machine.",
    )
    jwt_secret: ts.SecretStr = ts.secret(
        default=ts.SecretStr(""),
        validator=a_secret_key,
        help="Secret that the tokens are signed with (HS256), rather than a key pair: 32 bytes or more. Whoever can "
        "verify tokens with it can also make them.",
    )
    jwt_secret_previous: ts.SecretStr = ts.secret(
        default=ts.SecretStr(""),
        validator=a_secret_key,
        help="The secret before JWT_SECRET, whose tokens are still good: for its rotation.",
    )
    jwt_issuer: str = ts.option(default="mesaYA-auth", help="The `iss` that tokens must have.")
    jwt_audience: str = ts.option(
        default="", help="An `aud` that tokens must have, alone or among others. Empty: any, or none."
    )
    jwt_leeway: float = ts.option(
        default=5.0,
        validator=within(0, 300),
        help="Seconds by which the clock of who signs the tokens may differ from ours.",
    )
    jwt_max_age: float = ts.option(
        default=30 * DAY,
        validator=within(60, 3650 * DAY),
        help="Seconds that a token can be used for after it was issued, whatever its `exp`; revocations are remembered "
        "for so long.",
    )


def token_sources(settings: TokenSettings) -> list[str]:
    """Return the names of those settings that give keys and are set; more than one is a contradiction."""
    names = ("jwt_public_key", "jwt_jwks_url", "jwt_secret")
    return [name.upper() for name in names if getattr(settings, name)]


TOKEN_SETTINGS = tuple(field.name.upper() for field in attrs.fields(TokenSettings))
