"""Tokens of the platform: signed JWTs (RFC 7519), verified in the strictest form that its issuers write.

The signature is verified as PyJWT does it, by the algorithm of the key (`keys`). All else is checked here, as it takes
more for good than may be (an `exp` that is text, an empty `sub`, a name twice), and reads a clock.

    longer than 8 KiB?      ─▶ before anything of it is read
    three parts, canonical  ─▶ one token has one spelling, so that no other text passes for it
    header, algorithm, key  ─▶ the key decides the algorithm
    signature               ─▶ only then is anything read of what the token claims
    claims                  ─▶ Identity
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from attrs import frozen

from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.base64url import decode_base64url
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.keys import PUBLIC_ALGORITHMS, Key
from mesaya_ws.core.platform.fields import IDENTIFIER

MAX_TOKEN_BYTES = 8192

LAST_SECOND = 253_402_300_800
"""The first second of the year 10000: what is later is no time."""

REMEMBERED_HEADERS = 16
"""Headers of tokens that are remembered, of 8 KiB at most: an issuer's tokens have one for each of its keys."""

_TYPES = ("JWT", "at+jwt")

_STR = frozenset({str})


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
    one. Of a token that no key has signed which has its very `kid`, another key may be missing.
    """
    try:
        header, claims = _verified(token, keys)
        return _identity(header, claims, rules, now)
    except _FlawError as error:
        return BadToken(error.flaw, error.may_lack_a_key)
    except (ValueError, RecursionError):  # no ASCII, no base64url, no JSON, or one that is nested too deeply
        return BadToken(Flaw.MALFORMED)


class _FlawError(Exception):
    def __init__(self, flaw: Flaw, *, may_lack_a_key: bool = False) -> None:
        super().__init__(flaw.name)
        self.flaw = flaw
        self.may_lack_a_key = may_lack_a_key


class _Header(NamedTuple):
    """What a token says of itself; nothing of it is believed."""

    algorithm: object
    key_id: str | None
    type: object


def _verified(token: str | bytes, keys: Sequence[Key]) -> tuple[_Header, dict[str, Any]]:
    """Return header and claims of a token that one of the keys signed. Raises `_FlawError`, or as `_object` does."""
    if len(token) > MAX_TOKEN_BYTES:
        raise _FlawError(Flaw.TOO_LONG)
    text = token.encode("ascii") if isinstance(token, str) else bytes(token)
    signed, _, last = text.rpartition(b".")
    first, dot, middle = signed.partition(b".")
    if not dot or b"." in middle:
        raise _FlawError(Flaw.MALFORMED)
    header = _header(first)
    _check_signature(header, signed, decode_base64url(last), keys)
    return header, _object(middle)


@lru_cache(REMEMBERED_HEADERS)
def _header(part: bytes) -> _Header:
    """Return the header of a token, which is the same for all that a key has signed. Raises as `_object` does."""
    header = _object(part)
    if "crit" in header:
        raise _FlawError(Flaw.CRITICAL)
    id = header.get("kid")
    if not isinstance(id, str | None):
        raise _FlawError(Flaw.MALFORMED)
    return _Header(header.get("alg"), id, header.get("typ", "JWT"))


def _object(part: bytes) -> dict[str, Any]:
    """Return the JSON object that is written in base64url, in which no name stands twice.

    Raises `_FlawError`; `ValueError` or `RecursionError` where there is none.
    """
    text = decode_base64url(part)
    found = orjson.loads(text)
    # orjson is the stricter one (no NaN, no half of a surrogate pair, 1024 levels), but keeps only the last of two.
    # Text that it would write itself, as most issuers do, has no two; of other text, Python says so, in the twentyfold
    # time.
    try:
        is_plain = orjson.dumps(found) == text
    except orjson.JSONEncodeError:  # it is nested too deeply
        is_plain = False
    if not is_plain:
        json.loads(text, object_pairs_hook=_once)
    if type(found) is not dict:
        raise _FlawError(Flaw.MALFORMED)
    return found


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _FlawError(Flaw.REPEATED)


def _check_signature(header: _Header, signed: bytes, signature: bytes, keys: Sequence[Key]) -> None:
    """Raise `_FlawError` unless one of the keys that may have signed has done so."""
    id, algorithm = header.key_id, header.algorithm
    is_named = is_tried = is_this_key = False
    for key in keys:
        if id is None or key.id is None or key.id == id:
            is_named = True
            is_this_key |= id is not None and key.id is not None
            if key.algorithm == algorithm:
                if key.verifies(signed, signature):
                    return
                is_tried = True
    if is_tried:
        raise _FlawError(Flaw.SIGNATURE, may_lack_a_key=not is_this_key)
    if is_named:
        # Of an algorithm that no key can have, none is missing.
        raise _FlawError(Flaw.ALGORITHM, may_lack_a_key=not is_this_key and algorithm in PUBLIC_ALGORITHMS)
    raise _FlawError(Flaw.UNKNOWN_KEY if keys else Flaw.NO_KEY, may_lack_a_key=True)


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
    expires, issued, leeway = _time(claims.get("exp")), _time(claims.get("iat")), rules.leeway
    latest = now + leeway
    if expires is None:
        raise _FlawError(Flaw.EXPIRY)
    if "iat" in claims and (issued is None or issued > latest):
        raise _FlawError(Flaw.ISSUED)
    if "nbf" in claims and ((begins := _time(claims["nbf"])) is None or begins > latest):
        raise _FlawError(Flaw.NOT_BEFORE)
    if expires + leeway <= now:
        raise _FlawError(Flaw.EXPIRED)
    if issued is not None:
        expires = min(expires, issued + rules.max_age)
    if expires + leeway <= now or expires > latest + rules.max_age:
        raise _FlawError(Flaw.TOO_OLD)
    roles = claims.get("roles", [])
    if type(roles) is not list or not _STR.issuperset(map(type, roles)):
        raise _FlawError(Flaw.ROLES)
    return Identity(user, tuple(dict.fromkeys(roles)), issued, expires)


def _time(value: object) -> float | None:
    """Return a claim that must be a time in seconds (RFC 7519, 2: a number, which may have a fraction); None: no time.

    Its caller raises: to name a flaw, a call in Python's enumerations, takes as long as all of this.
    """
    # true is a whole number in Python; NaN and the infinities are not between any two.
    if (type(value) is int or type(value) is float) and 0 <= value < LAST_SECOND:
        return float(value)
    return None


def _names(audience: object, wanted: str) -> bool:
    """Return whether `aud`, which is a text or a list of them, names us."""
    return wanted in audience if isinstance(audience, list) else audience == wanted
