"""A claim that its asker waits for: whether its record is to be appended, and what it has come to."""

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.hold_records import Claim
from mesaya_ws.core.log.records import Appended
from mesaya_ws.core.session.commands import AppendResult, Turn, WaitsFor
from mesaya_ws.core.session.hold_rules import Answer, HoldRules


class PendingClaim:
    """A claim from when it is made until its asker is answered, by `settle`, which is called once in any case."""

    def __init__(self, claim: Claim, rules: HoldRules, feed: Published) -> None:
        self._claim, self._rules, self._feed = claim, rules, feed
        self._has_joined = False
        self._first: Claim | None = None
        self._known: Answer | None = None
        rules.asked(claim, feed.known)

    def turn(self) -> Turn | WaitsFor:
        """Return whether the record is to be appended. Call it when it could be: until then, nobody waits for it."""
        if not self._has_joined:
            # It waits for one claim at most, so that nobody starves.
            self._has_joined, self._first = True, self._rules.rushes.join(self._claim)
        if self._first is None:
            return Turn.DUE
        if self._first in self._rules.rushes:
            return WaitsFor(self._first)
        self._known = self._rules.answer_at_once(self._claim, self._feed.known, lag=self._feed.lag)
        return Turn.DUE if self._known is None else Turn.NEEDLESS

    def settle(self, result: AppendResult, *, is_asker_there: bool = True) -> Answer | None:
        """Return what the claim has come to, by the result of its command; None: that is not known."""
        claim, rules, known = self._claim, self._rules, self._feed.known
        outcome = None
        if result is Turn.NEEDLESS:
            outcome = self._known
        elif isinstance(result, Appended):
            outcome = rules.outcome(claim.id, claim.user, known)
        if outcome is None or not is_asker_there:
            rules.unanswered(claim, known)
        else:
            rules.answered(claim, known)
        return outcome
