"""Rushes: claims of one instance for the same table at the same time, of which the first one's record decides.

Of all who want a table, one gets it, and the others are refused by that. So while a claim is on its way to the log and
back, overlapping claims of other users wait; once it is answered, they mostly need no record.
"""

from attrs import define

from mesaya_ws.core.interactions.hold import intersect
from mesaya_ws.core.interactions.hold_records import Claim
from mesaya_ws.core.session.commands import AppendResult


@define(eq=False)
class Lead:
    """A claim that is on its way, for which others wait, until it has a `result`."""

    claim: Claim
    result: AppendResult | None = None


class Rushes:
    """The claims that are on their way, but for those that wait for one of them."""

    def __init__(self) -> None:
        # By table, in their order.
        self._claims: dict[str, dict[Claim, Lead]] = {}

    def join(self, claim: Claim) -> Lead:
        """Return the claim of another user that is to be decided first, or this one, which is under way then."""
        for table in claim.tables:
            for other in self._claims.get(table, {}).values():
                if other.claim.user != claim.user and intersect(other.claim.slot, claim.slot):
                    return other
        lead = Lead(claim)
        for table in claim.tables:
            self._claims.setdefault(table, {})[claim] = lead
        return lead

    def leave(self, claim: Claim, result: AppendResult) -> None:
        """Take note of what a claim has come to; nobody waits for it any more."""
        for table in claim.tables:
            claims = self._claims.get(table, {})
            lead = claims.pop(claim, None)
            if lead is not None:
                lead.result = result
                if not claims:
                    del self._claims[table]
