"""Until when tokens are good, as far as that can be known from outside."""

from attrs import define, field

from .rights_page import Claims


@define
class Tokens:
    """What has been revoked: tokens of a user that were issued before some second; and the `leeway` of all, in seconds.

    `revoking` are the revocations that have been asked for, `revoked` those that a gateway has confirmed, each with the
    number of records that had been begun to be written by then.
    """

    leeway: float
    revoking: list[tuple[str, float]] = field(factory=list)
    revoked: list[tuple[int, str, float, int]] = field(factory=list)

    def is_revoked(self, claims: Claims | None, gateway: int | None = None, known: int | None = None) -> bool:
        """Return whether a token may have been revoked; with a `gateway`, whether that one has said so.

        Then, of what gateways have said, the first `known` count.
        """
        if gateway is None:
            return any(_is_of(claims, *each) for each in self.revoking)
        return any(at == gateway and _is_of(claims, *each) for at, *each, _ in self.revoked[:known])

    def revoked_at(self, claims: Claims | None, gateway: int) -> int | None:
        """Return how many records had been begun to be written when a gateway said that a token was revoked."""
        ends = [begun for at, *each, begun in self.revoked if at == gateway and _is_of(claims, *each)]
        return min(ends, default=None)

    def is_expired(self, claims: Claims | None, at: float) -> bool:
        """Return whether the time of a token is over."""
        return claims is not None and claims.expires + self.leeway <= at

    def may_be_dead(self, claims: Claims | None, at: float) -> bool:
        """Return whether a gateway may have come to the end of a token by some time."""
        return self.is_expired(claims, at) or self.is_revoked(claims)


def _is_of(claims: Claims | None, user: str, before: float) -> bool:
    """Return whether a token is among those of a user that were issued before some second, or do not say when."""
    return claims is not None and claims.user == user and (claims.issued is None or claims.issued < before)
