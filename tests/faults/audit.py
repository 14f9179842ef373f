"""Whether everybody was sent only what was theirs, and all of it: by the log and the page, with nothing of the gateway.

Of each answer it is known between which moments it was made: not before what the same gateway had shown by the time of
the question, and not after what was in the log when the answer had come. A subscription has begun at one of these
moments at which there was a right, if there is one. From there on the right must last up to all that is sent on it, and
up to all that is known to have happened by then; the record that takes it may be the last. On each channel, what is
sent is what is due, in its order, none missing and none twice, from where the client says that it was.
"""

import time
from collections import defaultdict
from math import inf

from .conversations import Conversation, Nexts, Question, Subscription
from .rights_page import Claims, Page, channel_of, count_last, count_until, is_private, key_of
from .tokens import Tokens
from .visitors import PAGE, STREAM, Book, Connection, Entry


class Audit:
    """`wrong` is what must not be, in words; `missing` what must still come. `leeway` is that of tokens, in seconds.

    `events`, `refusals` and `ends` say how many there were: of events, of noes, and of subscriptions that were ended.
    """

    def __init__(self, page: Page, book: Book, leeway: float) -> None:
        self.wrong: list[str] = []
        self.missing: list[str] = []
        self.events = self.refusals = self.ends = 0
        self._page, self._tokens = page, Tokens(leeway)
        self._index = {name: {one.key: n for n, one in enumerate(due)} for name, due in page.due.items()}
        self._reached: dict[int, int] = defaultdict(int)
        self._places: dict[tuple[str, str], int | None] = {}
        self._ids: dict[tuple[tuple[str, ...], str], Nexts] = {}
        self._open: dict[Connection, Conversation] = {}
        for entry in list(book.entries):
            self._take(entry)
        self._finish(time.time())

    def _had_right(self, claims: Claims | None, channel: str, first: int, last: int) -> list[int]:
        """Return the moments, of those from one to another, at which somebody might see a channel."""
        last = min(last, self._page.last)
        return [moment for moment in range(first, last + 1) if self._page.may(claims, channel, moment)]

    # What has happened

    def _take(self, entry: Entry) -> None:
        made, message = entry.connection, entry.message
        match entry.what:
            case "revoking":
                self._tokens.revoking.append((message["user"], message["before"]))
            case "revoked":
                self._tokens.revoked.append((made.gateway, message["user"], message["before"], entry.begun))
            case "opening":
                opened = self._open[made] = Conversation(made, [made.claims])
                opened.opening = self._question(entry)
                if made.since is not None:
                    opened.nexts = dict(self._ids.get((made.channels, made.since), {}))
            case "sent":
                self._open[made].asked[message["id"]] = self._question(entry)
            case "refused":
                self._refused(self._open[made], entry)
            case "received":
                self._received(self._open[made], entry)
            case "closed":
                one = self._open[made]
                one.is_open = False
                if entry.id is not None:
                    self._ids[made.channels, entry.id] = dict(one.nexts)

    def _question(self, entry: Entry) -> Question:
        made = entry.connection
        others = len(self._open[made].identities) - 1
        return Question(entry, self._reached[made.gateway], len(self._tokens.revoked), others)

    def _is_dead(self, one: Conversation, claims: Claims | None, question: Question) -> bool:
        """Return whether a token must not be good that came with a question."""
        tokens, gateway = self._tokens, one.made.gateway
        return tokens.is_expired(claims, question.entry.at) or tokens.is_revoked(claims, gateway, question.revocations)

    def _blame(self, one: Conversation, what: str, entry: Entry) -> None:
        who = "nobody" if one.claims is None else one.claims
        self.wrong.append(
            f"{what}: {one.made.transport} {one.made.number} at {one.made.gateway}, {who}: {entry.message}"
        )

    def _refused(self, one: Conversation, entry: Entry) -> None:
        one.is_open = False
        self.refusals += 1
        if not (one.made.has_bad_token or self._tokens.may_be_dead(one.claims, entry.at)):
            self._blame(one, "refused at the door", entry)

    def _received(self, one: Conversation, entry: Entry) -> None:
        message = entry.message
        question = one.asked.get(message.get("id")) or one.opening
        match message["type"]:
            case "welcome":
                self._welcome(one, question, entry)
            case "authenticated":
                self._authenticated(one, question, entry)
            case "subscribed":
                self._subscribed(one, question, entry)
            case "unsubscribed":
                self._unsubscribed(one, entry)
            case "error":
                self._error(one, question, entry)
            case "history" | "acknowledged" | "published":
                channel = channel_of(question.entry.message)
                been = one.identities[question.others :]  # it may have been read back under another identity
                if not any(self._had_right(claims, channel, question.since, entry.begun) for claims in been):
                    self._blame(one, "answered without a right", entry)
                if foreign := self._page.foreign(channel, message.get("messages")):
                    self._blame(one, f"{foreign} of others", entry)
            case "pong":
                self._pong(one, question, entry)
            case "pending" | "token_expiring":
                pass
            case _:
                self._shown(one, question, entry)

    def _welcome(self, one: Conversation, question: Question, entry: Entry) -> None:
        user, claims = entry.message.get("user"), one.claims
        if user is None:
            if claims is not None and not self._tokens.may_be_dead(claims, entry.at):
                self._blame(one, "not taken for whom it is", entry)
        elif claims is None or claims.user != user or self._is_dead(one, claims, question):
            self._blame(one, "taken for somebody", entry)

    def _authenticated(self, one: Conversation, question: Question, entry: Entry) -> None:
        claims = question.entry.claims
        replaces = one.is_other(claims) and not self._tokens.may_be_dead(one.claims, entry.at)
        if replaces or self._is_dead(one, claims, question):
            self._blame(one, "taken for somebody", entry)
        one.identities.append(claims)
        for each in one.subscriptions.values():
            each.begins = self._had_right(claims, each.channel, question.since, entry.begun)
            each.is_renewed = True

    def _subscribed(self, one: Conversation, question: Question, entry: Entry) -> None:
        message, channel = entry.message, entry.message["channel"]
        begins = self._had_right(one.claims, channel, question.since, entry.begun)
        if not begins or (
            is_private(channel) and self._tokens.is_revoked(one.claims, one.made.gateway, question.revocations)
        ):
            self._blame(one, "subscribed without a right", entry)
        if message.get("recovered") is False:
            self._blame(one, "given up as lost", entry)
        asked = question.entry.message.get("position")
        if one.made.transport == STREAM:
            next_ = one.nexts.get(channel) if one.made.since is not None else None
        else:
            next_ = None if asked is None else self._places.get((channel, asked))
        one.subscriptions[channel] = Subscription(channel, begins, next_, entry.begun, message.get("replayed", 0))
        self._note_place(one, one.subscriptions[channel], entry)

    def _note_place(self, one: Conversation, each: Subscription, entry: Entry) -> None:
        """Note what comes after the position of a message."""
        one.nexts[each.channel] = each.next
        if (position := entry.message.get("position")) is not None:
            self._places[each.channel, position] = each.next
            if entry.id is not None:
                self._ids[one.made.channels, entry.id] = dict(one.nexts)

    def _unsubscribed(self, one: Conversation, entry: Entry) -> None:
        message = entry.message
        each = one.subscriptions.pop(message["channel"], None)
        reason, former = message.get("reason"), one.former
        match reason:
            case None | "signed_out":
                pass
            case "rights_changed":
                # Also while it waits for its answer.
                if each is not None and not each.is_renewed and not self._is_taken(one, each, entry):
                    self._blame(one, "ended though the right lasts, or before all was sent", entry)
            case "token_expired" | "revoked":
                is_revoked = self._tokens.is_revoked(former)
                is_expired = self._tokens.is_expired(former, entry.at)
                if not (is_revoked if reason == "revoked" else is_expired):
                    self._blame(one, "ended though the token is good", entry)
                one.identities.append(None)
                for other in one.subscriptions.values():
                    if is_private(other.channel):
                        other.begins = []
        if reason is not None:
            self.ends += 1
        if each is not None:
            self._note_place(one, each, entry)

    def _is_taken(self, one: Conversation, each: Subscription, entry: Entry) -> bool:
        """Return whether a right was taken at some moment before which all that was due had been sent."""
        due = self._page.due[each.channel]
        for begin in each.begins:
            ends = range(begin + 1, min(entry.begun, self._page.last) + 1)
            end = next((moment for moment in ends if not self._page.may(one.claims, each.channel, moment)), None)
            # Who has still to be sent what it missed is told how far it has come.
            if end is not None and (each.missed > 0 or each.next is None or each.next >= count_last(due, end)):
                return True
        return False

    def _error(self, one: Conversation, question: Question, entry: Entry) -> None:
        message, code = entry.message, entry.message["code"]
        self.refusals += 1
        channel = message.get("channel") or channel_of(question.entry.message)
        is_dead = self._tokens.may_be_dead(one.claims, entry.at)
        match code:
            case "unauthorized" if question.entry.message.get("type") == "reservation.ack":
                is_right = True  # its gateway need not know the reservation yet
            case "unauthorized":
                is_right = is_dead or self._page.without(one.claims, channel, entry.begun) >= question.since
            case "bad_token":
                claims = question.entry.claims if question.entry.what == "sent" else one.made.claims
                is_right = claims is None or self._tokens.may_be_dead(claims, entry.at)
            case "other_user":
                is_right = (
                    None not in (one.claims, question.entry.claims) and one.claims.user != question.entry.claims.user
                )  # type: ignore[union-attr]
            case _:
                is_right = code in ("rate_limited", "not_subscribed", "unknown_restaurant", "unavailable")
        if not is_right:
            self._blame(one, "refused", entry)

    def _pong(self, one: Conversation, question: Question, entry: Entry) -> None:
        for channel, position in entry.message["positions"].items():
            each = one.subscriptions.get(channel)
            if each is None:
                self._blame(one, f"the place on {channel}, without a subscription", entry)
            else:
                self._places[channel, position] = each.next
        if entry.id is not None:
            self._ids[one.made.channels, entry.id] = dict(one.nexts)
        if one.made.transport != STREAM:
            self._have_lasted(one, question.since, entry)

    def _have_lasted(self, one: Conversation, moment: int, entry: Entry) -> None:
        """See that all subscriptions have a right, now that their gateway has come to a moment."""
        for each in one.subscriptions.values():
            each.last_without(self._page.without(one.claims, each.channel, moment))
            if not each.begins:
                self._blame(one, f"still subscribed to {each.channel} at {moment}", entry)

    def _shown(self, one: Conversation, question: Question, entry: Entry) -> None:
        """Look at what shows something of a channel."""
        message, channel = entry.message, entry.message["channel"]
        each = one.subscriptions.get(channel)
        if each is None and one.made.transport == PAGE:
            begins = self._had_right(one.claims, channel, question.since, entry.begun)
            each = Subscription(channel, begins, one.nexts.get(channel), entry.begun, inf)
            one.subscriptions[channel] = each
        if each is None or not each.begins:
            self._blame(one, "shown without a right", entry)
        elif message["type"] in ("presence", "chat.typing"):
            pass
        elif message["type"] == "snapshot":
            if foreign := self._page.foreign(channel, message["data"]):
                self._blame(one, f"{foreign} of others", entry)
            if message.get("recovered") is False:
                self._blame(one, "given up as lost", entry)
            each.next, each.opened = None, entry.begun
            self._note_place(one, each, entry)
        else:
            self._event(one, each, entry)

    def _event(self, one: Conversation, each: Subscription, entry: Entry) -> None:
        self.events += 1
        due = self._page.due[each.channel]
        number = self._index.get(each.channel, {}).get(key_of(entry.message))
        if number is None:
            self._blame(one, "concerns others, or nobody", entry)
            return
        moment = due[number].seen_at
        first = count_until(due, each.opened) if each.next is None else each.next
        if number > first or (each.next is not None and number < first):
            self._blame(one, f"number {number} instead of {first}", entry)
        each.next, each.missed = number + 1, each.missed - 1
        self._note_place(one, each, entry)
        ended_at = self._tokens.revoked_at(one.claims, one.made.gateway)
        if is_private(each.channel) and ended_at is not None and moment > ended_at:
            self._blame(one, "shown after the revocation", entry)
        each.last_without(self._page.without(one.claims, each.channel, moment))
        if not each.begins:
            self._blame(one, "shown without a right", entry)
        self._reached[one.made.gateway] = max(self._reached[one.made.gateway], moment)
        self._have_lasted(one, moment, entry)

    def _finish(self, now: float) -> None:
        """Look at the subscriptions that are still open: nothing is missing, and nothing too much."""
        for one in self._open.values():
            for each in one.subscriptions.values() if one.is_open and one.made.transport != PAGE else ():
                due = self._page.due[each.channel]
                first = count_until(due, each.opened) if each.next is None else each.next
                is_over = is_private(each.channel) and self._tokens.may_be_dead(one.claims, now)
                each.last_without(self._page.without(one.claims, each.channel, self._page.last))
                if is_over or not each.begins or first < len(due):
                    what = "should have ended" if is_over or not each.begins else f"lacks {len(due) - first} on"
                    self.missing.append(f"{one.made.transport} {one.made.number} {what} {each.channel}")
