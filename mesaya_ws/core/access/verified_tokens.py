"""Tokens that have been verified, so that who comes back, or has many sockets, costs no signature each time."""

from hashlib import sha256

from mesaya_ws.core.access.identity import Identity

REMEMBERED_TOKENS = 10_000
"""About 500 bytes each, and what their roles take."""


class VerifiedTokens:
    """The identities of good tokens by the hash of the token, for as long as they last; at most so many `remembered`.

    The token itself is not kept. What is kept holds for the keys with which it was verified: `clear` when they change.
    """

    def __init__(self, leeway: float, remembered: int = REMEMBERED_TOKENS) -> None:
        self._leeway = leeway
        self._remembered = remembered
        # Those asked for lately come last.
        self._identities: dict[bytes, Identity] = {}

    def __len__(self) -> int:
        return len(self._identities)

    @staticmethod
    def name(token: str | bytes) -> bytes:
        """Return what a token is remembered by."""
        return sha256(token.encode("utf-8", "surrogatepass") if isinstance(token, str) else token).digest()

    def get(self, name: bytes, now: float) -> Identity | None:
        """Return whom a token that is remembered so names, unless that is over."""
        identity = self._identities.pop(name, None)
        if identity is None or identity.expires_at + self._leeway <= now:
            return None
        self._identities[name] = identity
        return identity

    def put(self, name: bytes, identity: Identity) -> None:
        """Remember a token that has just been verified; the one that nobody has asked for longest gives way."""
        self._identities[name] = identity
        if len(self._identities) > self._remembered:
            del self._identities[next(iter(self._identities))]

    def clear(self) -> None:
        """Forget all."""
        self._identities.clear()
