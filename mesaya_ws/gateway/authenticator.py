"""Says whom tokens name: the one place where keys, rules, revocations and the clock come together.

A token that was verified before is only asked for its revocation. One that names a key that is not at hand is verified
again once the issuer's key set has been read, and until the revocations of the start have been read, no token is good:
which is why there are two ways to ask: one answers at once, one may wait.
"""

from collections.abc import Callable, Sequence
from time import time
from typing import Protocol

import trio

from mesaya_ws.core.access.authentication import Unavailable
from mesaya_ws.core.access.bad_token import BadToken, Flaw
from mesaya_ws.core.access.identity import Identity
from mesaya_ws.core.access.keys import Key, public_keys, secret_key
from mesaya_ws.core.access.tokens import MAX_TOKEN_BYTES, TokenRules, verify
from mesaya_ws.core.access.verified_tokens import VerifiedTokens
from mesaya_ws.runtime.metrics import Metrics
from mesaya_ws.settings import Settings

REVOCATIONS_SECONDS = 2.0
"""How long a token waits until the revocations of the start have been read."""


def configured_keys(settings: Settings) -> tuple[Key, ...]:
    """Return the keys that the settings hold: of JWT_PUBLIC_KEY, or JWT_SECRET and the one before it; or none."""
    if settings.jwt_public_key:
        return public_keys(settings.jwt_public_key)
    return tuple(secret_key(secret) for secret in (settings.jwt_secret, settings.jwt_secret_previous) if secret)


def token_rules(settings: Settings) -> TokenRules:
    """Return what the settings ask of tokens."""
    return TokenRules(settings.jwt_issuer, settings.jwt_audience, settings.jwt_leeway, settings.jwt_max_age)


class KeySource(Protocol):
    """Where the keys come from; each new set of them is another object."""

    @property
    def keys(self) -> Sequence[Key]:
        """The keys at hand; none if they were never read."""
        ...

    async def refresh(self) -> bool:
        """Have them read again, as a token names one that is not among them, or none is at hand; it is a checkpoint.

        Returns whether it can be said now which keys there are: False if they could not be read, or were read too often
        lately to be read again.
        """
        ...


class Revocations(Protocol):
    """What has been revoked; not all of it, until `ready` is set."""

    ready: trio.Event

    def is_revoked(self, user: str, issued_at: float | None) -> bool:
        """Return whether tokens of a user that were issued then (s since 1970; None: not said) are dead."""
        ...


class FixedKeys:
    """Keys that were configured, and stay as they are while the process runs."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = keys

    async def refresh(self) -> bool:
        """Do nothing: these are all."""
        await trio.lowlevel.checkpoint()
        return True


class Authenticator:
    """An `Authentication` by the keys of a `source`; no token is good before it is known what `revocations` say."""

    def __init__(
        self,
        source: KeySource,
        rules: TokenRules,
        revocations: Revocations,
        metrics: Metrics,
        clock: Callable[[], float] = time,
    ) -> None:
        self._source = source
        self._rules = rules
        self._revocations = revocations
        self._metrics = metrics
        self._clock = clock
        self._verified = VerifiedTokens(rules.leeway)
        self._keys: Sequence[Key] = ()

    def authenticate_at_once(self, token: str | bytes) -> Identity | BadToken | None:
        """Return whom a token names, or what is wrong with it.

        None: keys or revocations must be read first (`authenticate`).
        """
        result = self._verify(token)
        if isinstance(result, BadToken):
            return None if self._may_lack_a_key(result) else self._counted(result)
        if not self._revocations.ready.is_set():
            return None
        self._metrics.tokens["accepted"] += 1
        return result

    async def authenticate(self, token: str | bytes) -> Identity | BadToken | Unavailable:
        """Return whom a token names, or what is wrong with it; the keys are read again if they may be older than it.

        What is returned holds at that moment: whatever is awaited comes before the token is looked at last.
        """
        deadline = trio.current_time() + REVOCATIONS_SECONDS
        await trio.lowlevel.checkpoint()
        result = self._verify(token)
        if self._may_lack_a_key(result):
            is_known = await self._source.refresh()
            result = self._verify(token)
            if self._may_lack_a_key(result) and not is_known:
                return self._unavailable(Unavailable.KEYS)
        if self._may_be_revoked(result):
            with trio.move_on_at(deadline):
                await self._revocations.ready.wait()
            result = self._verify(token)
        if self._may_be_revoked(result):
            return self._unavailable(Unavailable.REVOCATIONS)
        return self._counted(result)

    def _may_be_revoked(self, result: Identity | BadToken) -> bool:
        return isinstance(result, Identity) and not self._revocations.ready.is_set()

    def _may_lack_a_key(self, result: Identity | BadToken) -> bool:
        return isinstance(result, BadToken) and result.may_lack_a_key and not isinstance(self._source, FixedKeys)

    def _verify(self, token: str | bytes) -> Identity | BadToken:
        """Return whom a token names by the keys at hand, or what is wrong with it."""
        keys, now = self._source.keys, self._clock()
        if keys is not self._keys:
            self._verified.clear()
            self._keys = keys
        if len(token) > MAX_TOKEN_BYTES:
            return BadToken(Flaw.TOO_LONG)
        name = self._verified.name(token)
        identity = self._verified.get(name, now)
        if identity is None:
            result = verify(token, keys, self._rules, now)
            if isinstance(result, BadToken):
                return result
            self._verified.put(name, identity := result)
        if self._revocations.is_revoked(identity.user, identity.issued_at):
            return BadToken(Flaw.REVOKED)
        return identity

    def _counted(self, result: Identity | BadToken) -> Identity | BadToken:
        self._metrics.tokens[result.flaw.name.lower() if isinstance(result, BadToken) else "accepted"] += 1
        return result

    def _unavailable(self, why: Unavailable) -> Unavailable:
        self._metrics.tokens["unavailable"] += 1
        return why
