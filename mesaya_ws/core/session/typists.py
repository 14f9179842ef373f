"""Who is typing in which conversation: said by clients again and again, and over by itself."""

from collections.abc import Callable, Iterator
from math import inf

from attrs import define, field

from mesaya_ws.core.feed.hub import Hub, SendQueue, Subscriber
from mesaya_ws.core.interactions.chat_records import SIDES
from mesaya_ws.core.interactions.presence import TYPING_FOR
from mesaya_ws.core.interactions.presence_records import NO_SIDE, Sides
from mesaya_ws.core.session.deadlines import Deadlines
from mesaya_ws.core.session.present import Present
from mesaya_ws.core.wire.encoding import encode
from mesaya_ws.core.wire.frames import text_frame

REST = 1_000
"""Milliseconds between two messages to a conversation; what begins and ends in between is not sent."""

REPEAT = 5_000
"""Milliseconds after which it is said again that somebody is still typing: clients, too, take it for over in time."""

LOOK = 1_000
"""Milliseconds after which a conversation is looked at again in which somebody is typing."""


@define
class _Conversation:
    """Which sides clients here have been told are typing, and the clients that came since and have not been told."""

    sent: Sides = NO_SIDE
    sent_at: float = -inf
    newcomers: dict[SendQueue, Present] = field(factory=dict)
    due: float = inf


class Typists:
    """Those who are typing, one conversation for each client; `others` says which sides are on other processes.

    `on_changed` is called with a conversation that was looked at, and the sides that are typing on this process. Who is
    in a conversation, the `hub` says. Times are ms. Whoever owns this calls `run` when something is due
    (`deadlines.next`).
    """

    def __init__(
        self,
        hub: Hub,
        others: Callable[[str, int], Sides],
        on_changed: Callable[[str, Sides], None],
    ) -> None:
        self.deadlines: Deadlines[str] = Deadlines()
        self.sent = 0
        """Messages that have been sent so far."""
        self._hub = hub
        self._others = others
        self._on_changed = on_changed
        self._typing: dict[Present, tuple[str, str, int]] = {}
        self._here: dict[str, dict[Present, None]] = {}
        self._conversations: dict[str, _Conversation] = {}

    def begin(self, session: Present, channel: str, side: str, now: int) -> None:
        """Note that a client is typing in a conversation, on a side of it: for a while, unless it says so again."""
        before = self._typing.get(session)
        if before is not None and before[:2] != (channel, side):
            self.end(session, now)
        self._typing[session] = channel, side, now + TYPING_FOR
        self._here.setdefault(channel, {})[session] = None
        self.look(channel, now)

    def is_active(self, channel: str) -> bool:
        """Return whether somebody is typing in a conversation, or somebody has still to be informed of it."""
        return channel in self._conversations

    def is_typing(self, session: Present) -> bool:
        """Return whether a client is typing anywhere."""
        return session in self._typing

    def end(self, session: Present, now: int, channel: str | None = None) -> bool:
        """Note that a client is not typing any more, in that conversation or in any; return whether it was."""
        before = self._typing.get(session)
        if before is None or channel not in (None, before[0]):
            return False
        del self._typing[session]
        sessions = self._here[before[0]]
        del sessions[session]
        if not sessions:
            del self._here[before[0]]
        self.look(before[0], now)
        return True

    def arrived(self, session: Present, channel: str, now: int) -> None:
        """Let a client that comes to a conversation know who is typing there."""
        conversation = self._conversations.get(channel)
        if conversation is not None:
            conversation.newcomers[session.send_queue] = session
            self._set(channel, conversation, now)

    def look(self, channel: str, now: int) -> None:
        """Look at a conversation: somebody may have begun to type, or ended."""
        self._set(channel, self._conversations.setdefault(channel, _Conversation()), now)

    def run(self, now: int) -> Iterator[None]:
        """Send what is due; yields on the way, so that others have their turn."""
        while (channel := self.deadlines.pop(now)) is not None:
            self._look(channel, self._conversations[channel], now)
            yield

    def _look(self, channel: str, conversation: _Conversation, now: int) -> None:
        conversation.due = inf
        here = self._sides_here(channel, now)
        sides = here | self._others(channel, now)
        changed = sides ^ conversation.sent
        if sides and now >= conversation.sent_at + REPEAT:
            changed |= sides
        if changed and now >= conversation.sent_at + REST:
            for subscriber in self._hub.subscribers(channel):
                if subscriber not in conversation.newcomers:
                    self._send(subscriber, channel, changed, sides)
            conversation.sent, conversation.sent_at = sides, now
            changed = NO_SIDE
        for send_queue, session in list(conversation.newcomers.items()):
            if channel not in session.subscriptions:
                del conversation.newcomers[send_queue]
            elif session.has_answered(channel):
                del conversation.newcomers[send_queue]
                self._send(send_queue, channel, conversation.sent, conversation.sent)
        if changed:
            self._set(channel, conversation, conversation.sent_at + REST)
        elif conversation.sent or here:
            self._set(channel, conversation, now + LOOK)
        else:
            del self._conversations[channel]
        self._on_changed(channel, here)

    def _sides_here(self, channel: str, now: int) -> Sides:
        """Return which sides are typing on this process; those whose time is over are not any more."""
        sides = set()
        for session in list(self._here.get(channel, ())):
            _, side, until = self._typing[session]
            if until > now:
                sides.add(side)
                continue
            del self._typing[session], self._here[channel][session]
        if not self._here.get(channel, True):
            del self._here[channel]
        return frozenset(sides)

    def _send(self, subscriber: Subscriber, channel: str, changed: Sides, sides: Sides) -> None:
        for side in SIDES:
            if side in changed:
                data = {"by": side, "typing": side in sides}
                subscriber.offer(text_frame(encode("chat.typing", channel=channel, data=data)), 1)
                self.sent += 1

    def _set(self, channel: str, conversation: _Conversation, due: float) -> None:
        if due < conversation.due:
            conversation.due = due
            self.deadlines.set(channel, due)
