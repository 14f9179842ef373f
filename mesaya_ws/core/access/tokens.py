"""Tokens of the platform: signed JWTs (RFC 7519), verified in the strictest form that its issuers write.

PyJWT verifies the signature, by the algorithm of the key. All else is checked here, as it takes more for good than may
be (an `exp` that is text, an empty `sub`, a name twice), and reads a clock.

    longer than 8 KiB?      ─▶ before anything of it is read
    three parts, canonical  ─▶ one token has one spelling, so that no other text passes for it
    header, algorithm, key  ─▶ the key decides the algorithm
    signature               ─▶ only then is anything read of what the token claims
    claims                  ─▶ Identity
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

import orjson
from attrs import frozen

from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.keys import Key
from mesaya_ws.core.platform.fields import IDENTIFIER

MAX_TOKEN_BYTES = 8192

LAST_SECOND = 253_402_300_800
"""The first second of the year 10000: what is later is no time."""

REMEMBERED_HEADERS = 16
"""Headers of tokens that are remembered, of 8 KiB at most: an issuer's tokens have one for each of its keys."""

_TYPES = ("JWT", "at+jwt")


@frozen
class TokenRules:
    """What is asked of tokens beside their signature: JWT_ISSUER, JWT_AUDIENCE (empty: any), and times in seconds."""

    issuer: str
    audience: str = ""
    leeway: float = 5.0
    """By how much the issuer's clock and ours may differ."""
    max_age: float = 30 * 86_400.0
    """How long a token may be used after `iat`; without `iat`, from now on. Revocations are remembered for so long."""


def verify(token: str | bytes, keys: Sequence[Key], rules: TokenRules, now: float) -> Identity | BadToken:
    """Return whom a token names, `now` (s since 1970), if one of the `keys` signed it; else what is wrong.

    Never raises. A key is tried if its algorithm is that of the token, and its id the token's `kid`, where both have
    one.
    """
    try:
        header, claims = _verified(token, keys)
        return _identity(header, claims, rules, now)
    except _FlawError as error:
        return BadToken(error.flaw)


class _FlawError(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.name)
        self.flaw = flaw


class _Header(NamedTuple):
    """What a token says of itself; nothing of it is believed."""

    algorithm: object
    key_id: str | None
    type: object


def _verified(token: str | bytes, keys: Sequence[Key]) -> tuple[_Header, dict[str, Any]]:
    """Return header and claims of a token that one of the keys signed. Raises `_FlawError`."""
    if len(token) > MAX_TOKEN_BYTES:
        raise _FlawError(Flaw.TOO_LONG)
    try:
        text = token.encode("ascii") if isinstance(token, str) else bytes(token)
    except UnicodeEncodeError:
        raise _FlawError(Flaw.MALFORMED) from None
    parts = text.split(b".")
    if len(parts) != 3:
        raise _FlawError(Flaw.MALFORMED)
    header = _header(parts[0])
    signature = _decoded(parts[2])
    signed = text[: len(text) - len(parts[2]) - 1]
    if not any(key.verifies(signed, signature) for key in _candidates(header, keys)):
        raise _FlawError(Flaw.SIGNATURE)
    return header, _object(_decoded(parts[1]))


@lru_cache(REMEMBERED_HEADERS)
def _header(part: bytes) -> _Header:
    """Return the header of a token, which is the same for all that a key has signed. Raises `_FlawError`."""
    header = _object(_decoded(part))
    if "crit" in header:
        raise _FlawError(Flaw.CRITICAL)
    id = header.get("kid")
    if not isinstance(id, str | None):
        raise _FlawError(Flaw.MALFORMED)
    return _Header(header.get("alg"), id, header.get("typ", "JWT"))


def _decoded(part: bytes) -> bytes:
    """Return what is written in base64url without padding (RFC 7515, 2), in its one canonical spelling."""
    try:
        raw = urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except Base64Error:
        raise _FlawError(Flaw.MALFORMED) from None
    # Python passes over what is not of the alphabet, and nobody checks the bits that the last character has too many.
    if urlsafe_b64encode(raw).rstrip(b"=") != part:
        raise _FlawError(Flaw.MALFORMED)
    return raw


def _object(text: bytes) -> dict[str, Any]:
    """Return a JSON object in which no name stands twice."""
    try:
        found = orjson.loads(text)
        # orjson is the stricter one (no NaN, no half of a surrogate pair, 1024 levels), but keeps only the last of two.
        # Text that it would write itself has no two; of other text, Python says so, in the twentyfold time.
        if not _is_plain(text, found):
            json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _FlawError(Flaw.MALFORMED) from None
    if type(found) is not dict:
        raise _FlawError(Flaw.MALFORMED)
    return found


def _is_plain(text: bytes, found: object) -> bool:
    """Return whether a text is what `found` is written as, without blanks and escapes, as most issuers write it."""
    try:
        return orjson.dumps(found) == text
    except orjson.JSONEncodeError:  # it is nested too deeply
        return False


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _FlawError(Flaw.REPEATED)


def _candidates(header: _Header, keys: Sequence[Key]) -> list[Key]:
    """Return the keys that may have signed; there is one at least."""
    if not keys:
        raise _FlawError(Flaw.NO_KEY)
    id = header.key_id
    named = [key for key in keys if id is None or key.id is None or key.id == id]
    if not named:
        raise _FlawError(Flaw.UNKNOWN_KEY)
    candidates = [key for key in named if key.algorithm == header.algorithm]
    if not candidates:
        raise _FlawError(Flaw.ALGORITHM)
    return candidates


def _identity(header: _Header, claims: dict[str, Any], rules: TokenRules, now: float) -> Identity:
    """Return whom verified claims name, if they hold `now`. Raises `_FlawError`."""
    if header.type not in _TYPES:
        raise _FlawError(Flaw.TYPE)
    if claims.get("iss") != rules.issuer:
        raise _FlawError(Flaw.ISSUER)
    if rules.audience and not _names(claims.get("aud"), rules.audience):
        raise _FlawError(Flaw.AUDIENCE)
    user = claims.get("sub")
    if type(user) is not str or IDENTIFIER.fullmatch(user) is None:
        raise _FlawError(Flaw.SUBJECT)
    expires = _time(claims, "exp", Flaw.EXPIRY)
    if expires is None:
        raise _FlawError(Flaw.EXPIRY)
    issued, latest = _time(claims, "iat", Flaw.ISSUED), now + rules.leeway
    if issued is not None and issued > latest:
        raise _FlawError(Flaw.ISSUED)
    if (_time(claims, "nbf", Flaw.NOT_BEFORE) or 0.0) > latest:
        raise _FlawError(Flaw.NOT_BEFORE)
    if expires + rules.leeway <= now:
        raise _FlawError(Flaw.EXPIRED)
    if issued is not None:
        expires = min(expires, issued + rules.max_age)
    if expires + rules.leeway <= now or expires > latest + rules.max_age:
        raise _FlawError(Flaw.TOO_OLD)
    roles = claims.get("roles", [])
    if type(roles) is not list or not all(type(role) is str for role in roles):
        raise _FlawError(Flaw.ROLES)
    return Identity(user, tuple(dict.fromkeys(roles)), issued, expires)


def _time(claims: dict[str, Any], name: str, flaw: Flaw) -> float | None:
    """Return a claim that is a time in seconds, if it is there (RFC 7519, 2: a number, which may have a fraction)."""
    if name not in claims:
        return None
    value = claims[name]
    # true is a whole number in Python.
    if type(value) not in (int, float) or not isfinite(value) or not 0 <= value < LAST_SECOND:
        raise _FlawError(flaw)
    return float(value)


def _names(audience: object, wanted: str) -> bool:
    """Return whether `aud`, which is a text or a list of them, names us."""
    return wanted in audience if isinstance(audience, list) else audience == wanted
