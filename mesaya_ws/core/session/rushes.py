"""Rushes: claims of one instance for the same table at the same time, of which the first one's record decides.

Of all who want a table, one gets it, and the others are refused by that. So while a claim is on its way to the log and
back, overlapping claims of other users wait; once it is answered, they mostly need no record.
"""

from mesaya_ws.core.interactions.hold import intersect
from mesaya_ws.core.interactions.hold_records import Claim


class Rushes:
    """The claims that are on their way, but for those that wait for one of them."""

    def __init__(self) -> None:
        # By table, in their order.
        self._claims: dict[str, dict[Claim, None]] = {}

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._claims.get(claim.tables[0], ())

    def join(self, claim: Claim) -> Claim | None:
        """Return the claim of another user that is to be decided first; None: this one is, and is under way."""
        for table in claim.tables:
            for other in self._claims.get(table, ()):
                if other.user != claim.user and intersect(other.slot, claim.slot):
                    return other
        for table in claim.tables:
            self._claims.setdefault(table, {})[claim] = None
        return None

    def leave(self, claim: Claim) -> None:
        """Take note that nobody waits for a claim any more."""
        for table in claim.tables:
            claims = self._claims.get(table)
            if claims is not None:
                claims.pop(claim, None)
                if not claims:
                    del self._claims[table]
