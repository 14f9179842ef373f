"""`mesaya-ws token`: makes a token for development, or says what is wrong with one."""

import re
import sys
from collections.abc import Sequence
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Any

import click
import orjson

from mesaya_ws.cli.failure import fail, usable_settings
from mesaya_ws.cli.probes import NoAnswerError, published_keys
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.settings import Settings
from mesaya_ws.settings.tokens import token_sources

if TYPE_CHECKING:
    from mesaya_ws.core.access.keys import Key

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

READ_BYTES = 65_536
"""Of standard input; no token is so long."""


def _seconds(_: click.Context, __: click.Parameter, text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time such as 90s, 15m, 1h or 7d.")
    return float(found[1]) * _UNITS[found[2]]


@click.command()
@click.option("--user", help="The user that the token names.")
@click.option("--role", "roles", multiple=True, help="A role of that user, such as OWNER or ADMIN; may be repeated.")
@click.option("--expires", callback=_seconds, default="1h", show_default=True, help="When it ends: 90s, 15m, 1h, 7d.")
@click.option("--check", "checks", is_flag=True, help="Read a token from standard input, and say whether it is good.")
def token(user: str | None, roles: tuple[str, ...], expires: float, checks: bool) -> None:
    """Print a token for development, signed with JWT_SECRET; or, with --check, say what is wrong with one.

    A token that is good is shown with what it says; --check exits with 1 when it is bad.
    """
    if checks == (user is not None):
        raise click.UsageError("Give either --user, to make a token, or --check, to read one from standard input.")
    settings = usable_settings()
    if checks:
        _check(settings, sys.stdin.buffer.read(READ_BYTES).strip())
    elif user is not None:
        click.echo(_minted(settings, user, roles, expires))


def _minted(settings: Settings, user: str, roles: Sequence[str], expires: float) -> str:
    import jwt

    if not settings.jwt_secret:
        fail(
            "JWT_SECRET is not set, and only with that can tokens be made here; one for development is "
            "`openssl rand -base64 48`."
        )
    if IDENTIFIER.fullmatch(user) is None:
        fail(f"the user must be {IDENTIFIER_FORM}")
    now = int(time())
    claims: dict[str, Any] = {"iss": settings.jwt_issuer, "sub": user, "roles": list(roles)}
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    claims |= {"iat": now, "exp": now + int(expires)}
    return jwt.encode(claims, settings.jwt_secret.encode(), "HS256")


def _check(settings: Settings, given: bytes) -> None:
    # What verifies takes 40 ms to import: only who needs it waits for that.
    from mesaya_ws.core.access.bad_token import BadToken
    from mesaya_ws.core.access.tokens import verify
    from mesaya_ws.gateway.authenticator import configured_keys, token_rules

    if not token_sources(settings):
        fail("no key is configured: set JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_SECRET.")
    keys = _published_keys(settings.jwt_jwks_url) if settings.jwt_jwks_url else configured_keys(settings)
    result = verify(given.removeprefix(b"Bearer ").strip(), keys, token_rules(settings), time())
    if isinstance(result, BadToken):
        fail(result.sentence)
    click.echo(orjson.dumps(_shown(result), option=orjson.OPT_INDENT_2).decode())


def _published_keys(url: str) -> "tuple[Key, ...]":
    try:
        return published_keys(url)
    except (NoAnswerError, ValueError) as error:
        fail(f"JWT_JWKS_URL: {url}: {error}.")


def _shown(identity: Identity) -> dict[str, object]:
    issued = identity.issued_at
    return {
        "user": identity.user,
        "roles": identity.roles,
        "issuedAt": None if issued is None else _moment(issued),
        "expiresAt": _moment(identity.expires_at),
        "expiresIn": round(identity.expires_at - time()),
    }


def _moment(seconds: float) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(seconds))
