"""A claim that its asker waits for: whether its record is to be appended, and what it has come to."""

from collections.abc import Callable

from mesaya_ws.core.feed.published import Published
from mesaya_ws.core.interactions.hold_records import Claim
from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended
from mesaya_ws.core.session.commands import AppendResult, Turn, WaitsFor
from mesaya_ws.core.session.hold_rules import Answer, HoldRules
from mesaya_ws.core.session.rushes import Lead


class PendingClaim:
    """A claim from when it is made until its asker is answered, by `settle`, which is called once in any case.

    `is_asker_there` says whether anybody waits for it still.
    """

    def __init__(self, claim: Claim, rules: HoldRules, feed: Published, is_asker_there: Callable[[], bool]) -> None:
        self._claim, self._rules, self._feed = claim, rules, feed
        self._is_asker_there = is_asker_there
        self._lead: Lead | None = None
        self._known: Answer | None = None
        # Whether the record was handed to the log, which has not said that it will never take it.
        self._may_turn_up = False
        rules.asked(claim, feed.known)

    def turn(self) -> Turn | WaitsFor | LogUnavailableError:
        """Return whether the record is to be appended, which is done at once if it is due.

        Call it when it could be: until then, nobody waits for it.

        | the asker, or the claim that it waits for | what follows |
        |---|---|
        | has left | no record: it would be taken back |
        | there is none | a record |
        | has no result | it waits |
        | has a result, and what is known then decides | no record |
        | has none of the log | no record: the log would not answer this one, either |
        | has another one | a record |
        """
        turn = self._turn()
        if turn is Turn.DUE:
            self._may_turn_up = True
        return turn

    def _turn(self) -> Turn | WaitsFor | LogUnavailableError:
        if not self._is_asker_there():
            return Turn.NEEDLESS
        if self._lead is None:
            # It waits for one claim at most, so that nobody starves.
            self._lead = self._rules.rushes.join(self._claim)
        lead = self._lead
        if lead.claim == self._claim:
            return Turn.DUE
        if lead.result is None:
            return WaitsFor(lead.claim)
        self._known = self._rules.answer_at_once(self._claim, self._feed.known, lag=self._feed.lag)
        if self._known is not None:
            return Turn.NEEDLESS
        if isinstance(lead.result, LogUnavailableError):
            return LogUnavailableError(f"This claim was not appended, nor is the one before it decided: {lead.result}")
        return Turn.DUE

    def settle(self, result: AppendResult) -> Answer | None:
        """Return what the claim has come to, by the result of its command; None: that is not known, or is to nobody."""
        claim, rules, known = self._claim, self._rules, self._feed.known
        outcome = None
        if not self._is_asker_there():
            pass
        elif result is Turn.NEEDLESS:
            outcome = self._known
        elif isinstance(result, Appended):
            outcome = rules.outcome(claim.id, claim.user, known)
        rules.rushes.leave(claim, result)
        if isinstance(result, RecordRejectedError):
            self._may_turn_up = False
        if outcome is None:
            rules.unanswered(claim, known, may_turn_up=self._may_turn_up)
        else:
            rules.answered(claim, known)
        return outcome
