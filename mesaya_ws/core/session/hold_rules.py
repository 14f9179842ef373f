"""What all sessions of an instance, and its HTTP requests, share of table holds: what may be claimed, and the answers.

    claim ──▶ is its id known? ──▶ the first outcome
                │ no
                ▼
              a hold of somebody else stands in the way, surely for some seconds more? ──▶ conflict
                │ no
                ▼
              a claim of somebody else is under way that may come to such a hold? ──▶ wait for that, and ask once more
                │ no                                          the log does not answer that? ──▶ unavailable, all of them
                ▼
              a record ──▶ the log ──▶ read back ──▶ its outcome, as the table of holds decided

A claim whose asker was answered that the log is away, or has left, may still win. Then it is taken back, as of its own
number: not if its user has come again since (see `core.interactions.hold_table`).
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from attrs import define, field

from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.interactions.hold import Granted, Hold, Refused
from mesaya_ws.core.interactions.hold_records import ABANDONED, MAX_TABLES, Claim, Release, Slot, hold_record
from mesaya_ws.core.log.log_clock import LogClock
from mesaya_ws.core.log.records import NewRecord
from mesaya_ws.core.platform.reservation_time import milliseconds_of
from mesaya_ws.core.session.rushes import Rushes
from mesaya_ws.core.session.sender_limits import SenderLimits
from mesaya_ws.core.views.holds import end_shown, slot_shown
from mesaya_ws.core.wire import codes
from mesaya_ws.core.wire.identifiers import IDENTIFIER, IDENTIFIER_FORM
from mesaya_ws.core.wire.messages import MessageError, SelectTables

SLOT_MS = 90 * 60 * 1000
"""How long a slot is that has no end."""

LONGEST_SLOT_MS = 24 * 60 * 60 * 1000
"""How long one may be."""

SURE_MS = 2000
"""Milliseconds that a hold of somebody else must have left for a claim to be refused before it is in the log."""

_YEAR_9999 = 253_370_764_800_000
"""When slots no longer begin (ms since 1970): what follows that year cannot be written."""

MAX_UNANSWERED = 10_000
"""Claims whose askers do not wait any more, and that may still turn up in the log; past that the oldest give way."""

_Key = tuple[str, str, str]
"""Which claims are for the same hold, with us: the replica's name, the hold's id and the user."""


class Answer(NamedTuple):
    """What a claim or a release has come to: a message, or (with an `error`) why there is none; and its fields."""

    kind: str
    fields: dict[str, Any]
    error: codes.ErrorCode | None = None
    sentence: str = ""


@define(eq=False)
class HoldRules:
    """The rules for one instance, whose life is called `replica`; holds last so many `seconds`.

    `clock` never steps, and is in seconds; `time_ms` returns ms since 1970, and stands in for the time of the log as
    long as nothing is known of that. `propose` has a record appended that nobody waits for; it must be set before
    anything is claimed.
    """

    seconds: float
    replica: str
    clock: Callable[[], float]
    time_ms: Callable[[], int]
    propose: Callable[[NewRecord], None] = field(init=False)
    limits: SenderLimits = field(factory=SenderLimits)
    log_clock: LogClock = field(factory=LogClock)
    releasing: dict[str, list[Hashable]] = field(factory=dict)
    """By hold, who is to be answered that it has ended, each as often as it has asked."""
    detaching: dict[str, int] = field(factory=dict)
    """By hold, the number of this replica that is proposed to be detached."""
    rushes: Rushes = field(factory=Rushes)
    _n: int = 0
    # By number, the claims that somebody waits for, each with whether the hold is there without it.
    _waiting: dict[_Key, dict[int, bool]] = field(factory=dict)
    # Up to which number nobody waits; what has won of that is taken back.
    _unanswered: dict[_Key, int] = field(factory=dict)

    def log_time(self) -> int:
        """Return what time it is for the log (ms since 1970): by its records, or else by our clock."""
        known = self.log_clock.time(round(self.clock() * 1000))
        return self.time_ms() if known is None else known

    @property
    def knows_log_time(self) -> bool:
        """Whether the log's time is known from both sides: something was appended here."""
        return self.log_clock.latest(0) is not None

    def next_n(self) -> int:
        """Return another number for a record of this replica."""
        self._n += 1
        return self._n

    # Claims

    def claim(self, message: SelectTables, user: str, known: Known) -> Claim:
        """Return the claim that a message makes for a user. Raises `MessageError`."""

        def error(code: codes.ErrorCode, sentence: str) -> MessageError:
            return MessageError(code, sentence, id=message.id)

        if IDENTIFIER.fullmatch(message.holdId) is None or IDENTIFIER.fullmatch(message.restaurantId) is None:
            raise error(codes.BAD_MESSAGE, f"holdId and restaurantId must be {IDENTIFIER_FORM}")
        tables = message.tableIds
        if not 1 <= len(tables) <= MAX_TABLES or not all(
            type(each) is str and IDENTIFIER.fullmatch(each) for each in tables
        ):
            raise error(codes.BAD_MESSAGE, f"tableIds must be a list of 1 to {MAX_TABLES} ids.")
        if not known.facts.has_restaurant(message.restaurantId):
            raise error(codes.UNKNOWN_RESTAURANT, f"No restaurant {message.restaurantId!r} is known.")
        for table in tables:
            if known.restaurant_of("table", table) not in (None, message.restaurantId):
                raise error(codes.NOT_FOUND, f"The restaurant has no table {table!r}.")
        try:
            slot = _slot(message.from_, message.to)
        except ValueError as wrong:
            raise error(codes.BAD_MESSAGE, str(wrong)) from None
        ids = tuple(sorted(set(tables)))
        lease = max(1, round(self.seconds * 1000))
        return Claim(message.holdId, message.restaurantId, ids, slot, user, lease, self.replica, self.next_n())

    def answer_at_once(self, claim: Claim, known: Known, *, lag: int) -> Answer | None:
        """Return what a claim comes to as far as that is known before it is in the log; None: it is not.

        Others would be refused anyway, so that a rush for one table is a few records. It takes an instance that has
        read all there is (`lag`, of its feed), and knows the time of the log from both sides: one that is late can only
        be late to grant.
        """
        match known.hold_outcome(claim.id):
            case Granted(hold) if hold.user == claim.user and hold.ended is None:
                if not self._is_sure(hold, claim):
                    return None
                self._confirmed(claim, hold)
                return self._selected(hold)
            case Granted() | Refused():
                return self.outcome(claim.id, claim.user, known)
        latest = self.log_clock.latest(round(self.clock() * 1000))
        if latest is None or lag:
            return None
        in_the_way = known.live_holds_on(claim.tables, claim.slot)
        foreign = [hold for hold in in_the_way if hold.user != claim.user and not self._is_ending(hold)]
        until = max((hold.until for hold in foreign), default=0)
        return self._conflict(until) if until - latest > SURE_MS else None

    def _is_sure(self, hold: Hold, claim: Claim) -> bool:
        """Return whether a live hold of the claim's user stays: neither its time nor a proposal of ours ends it."""
        n = hold.attached.get(claim.replica)
        return (
            n is not None
            and n > self._unanswered.get((claim.replica, hold.id, hold.user), -1)
            and n != self.detaching.get(hold.id)
            and hold.id not in self.releasing
            and self.log_time() < hold.until
        )

    def release_asked(self, hold_id: str, asker: Hashable) -> None:
        """Note that a release of a hold is on its way to the log; `release_answered` is called when that ends."""
        self.releasing.setdefault(hold_id, []).append(asker)

    def release_answered(self, hold_id: str, asker: Hashable) -> None:
        """Note that its asker has the answer."""
        waiting = self.releasing[hold_id]
        waiting.remove(asker)
        if not waiting:
            del self.releasing[hold_id]

    def _is_ending(self, hold: Hold) -> bool:
        """Return whether the end of a live hold is on its way from here: what it refuses then, the log decides."""
        return hold.id in self.releasing or all(self._is_leaving(hold, *each) for each in hold.attached.items())

    def _is_leaving(self, hold: Hold, replica: str, n: int) -> bool:
        """Return whether a replica with which a hold's user is connected, by number `n`, is to be so no more."""
        key = replica, hold.id, hold.user
        is_taken_back = n <= self._unanswered.get(key, -1) and key not in self._waiting
        return is_taken_back or (replica == self.replica and n == self.detaching.get(hold.id))

    def outcome(self, id: str, user: str, known: Known) -> Answer | None:
        """Return what the first claim with that id has come to; None if nothing is known of it."""
        match known.hold_outcome(id):
            case Granted(hold) if hold.user != user:
                return Answer("error", {}, codes.CONFLICT, "The hold with this id is somebody else's.")
            case Granted(hold):
                return self._selected(hold) if hold.ended is None else released(hold)
            case Refused(until, None):
                sentence = "You hold as many tables there as you may."
                return Answer("error", self._end(until), codes.TOO_MANY_HOLDS, sentence)
            case Refused(until):
                return self._conflict(until)
        return None

    def _selected(self, hold: Hold) -> Answer:
        fields = {"holdId": hold.id, "tableIds": hold.tables, **slot_shown(hold.slot), "token": hold.token}
        return Answer("selected", fields | end_shown(hold.until, self.log_time()))

    def _conflict(self, until: int) -> Answer:
        return Answer("error", self._end(until), codes.CONFLICT, "Another hold has such a table, for a time in common.")

    def _end(self, until: int) -> dict[str, Any]:
        shown = end_shown(until, self.log_time())
        return {"until": shown["expiresAt"], "expiresIn": shown["expiresIn"]}

    # Claims whose askers wait, or do not wait any more

    def asked(self, claim: Claim, known: Known) -> None:
        """Note that somebody waits for the outcome of a claim; `answered` or `unanswered` is called when that ends."""
        key = _key(claim)
        is_held = _live(claim, known) is not None and key not in self._unanswered
        self._waiting.setdefault(key, {})[claim.n] = is_held

    def answered(self, claim: Claim, known: Known) -> None:
        """Note that its asker has the outcome."""
        self._wait_no_more(claim)
        match known.hold_outcome(claim.id):
            case Granted(hold):
                self._confirmed(claim, hold)

    def _confirmed(self, claim: Claim, hold: Hold) -> None:
        """Note that a claim is answered with a hold, which may be another tab's: nothing asked before takes it back."""
        key = claim.replica, hold.id, claim.user
        self._unanswered.pop(key, None)
        waiting = self._waiting.get(key, {})
        waiting.update(dict.fromkeys(waiting, True))

    def unanswered(self, claim: Claim, known: Known, *, may_turn_up: bool) -> None:
        """Note that the asker does not wait any more; who has the hold without it keeps it.

        A claim that was handed to the log `may_turn_up` there; one that cannot is not remembered.
        """
        key = _key(claim)
        if not self._wait_no_more(claim) and may_turn_up:
            self._unanswered[key] = max(claim.n, self._unanswered.pop(key, -1))
            if len(self._unanswered) > MAX_UNANSWERED:
                del self._unanswered[next(iter(self._unanswered))]
        self.on_claim(claim, known)

    def on_claim(self, claim: Claim, known: Known) -> None:
        """Take a claim back that has been read, if it is of this replica, has won, and nobody waits for it."""
        key = _key(claim)
        unanswered, hold = self._unanswered.get(key), _live(claim, known)
        if unanswered is None or hold is None or key in self._waiting:
            return
        n = hold.attached.get(claim.replica)
        if n is not None and n <= unanswered:
            self.propose(hold_record(Release(claim.id, None, ABANDONED, claim.replica, n)))

    def _wait_no_more(self, claim: Claim) -> bool:
        """Return whether the hold is there without the claim."""
        key = _key(claim)
        waiting = self._waiting.get(key, {})
        is_held = waiting.pop(claim.n, False)
        if not waiting:
            self._waiting.pop(key, None)
        return is_held


def _key(claim: Claim) -> _Key:
    return claim.replica, claim.id, claim.user


def _live(claim: Claim, known: Known) -> Hold | None:
    """Return the live hold of that id, if it is the user's."""
    match known.hold_outcome(claim.id):
        case Granted(hold) if hold.id == claim.id and hold.user == claim.user and hold.ended is None:
            return hold
    return None


def released(hold: Hold) -> Answer:
    """Return what is said of a hold that has ended."""
    return Answer(
        "released", {"holdId": hold.id, "tableIds": hold.tables, **slot_shown(hold.slot), "reason": hold.ended}
    )


def _slot(start: str | None, end: str | None) -> Slot | None:
    """Return the slot between two times; None without any. Raises `ValueError` with a sentence."""
    if start is None and end is None:
        return None
    begins = None if start is None else milliseconds_of(start)
    if begins is None or not 0 <= begins < _YEAR_9999:
        raise ValueError("from must be a time, such as 2026-01-22T19:00:00Z.")
    ends = begins + SLOT_MS if end is None else milliseconds_of(end)
    if ends is None or not begins < ends <= begins + LONGEST_SLOT_MS:
        raise ValueError("to must be a time after from, by a day at most.")
    return Slot(begins, ends)
