"""Where one channel of one client is: a state machine, which `opening` and `delivery` move.

| state | what the client has been sent | event → next state |
|---|---|---|
| WAITING_FOR_FEED | nothing: the feed is not live, or has not reached the client's position | the feed has moved on → any state but ENDED |
| READING_HISTORY | nothing: what it missed is being read from the state store | the first page was read → REPLAYING, LIVE, SNAPSHOT_DUE, RENDERING |
| SNAPSHOT_DUE | nothing yet: the snapshot waits for the send queue to drain | drained → REPLAYING, LIVE; the snapshot is large → RENDERING |
| RENDERING | nothing yet: a service renders the snapshot | rendered → REPLAYING, LIVE |
| REPLAYING | everything up to `position`; the rest follows page by page | the last page was sent → LIVE; the next one is in the state store → AWAITING_PAGE; the window has lost the rest → SNAPSHOT_DUE, RENDERING (channels that conflate; others end the connection) |
| AWAITING_PAGE | everything up to `position`; the next page is being read from the state store | it was read → REPLAYING |
| LIVE | everything that was fanned out | the send queue is backlogged and the channel conflates → REPLAYING |
| ENDED | everything that it will be | none |

REPLAYING, AWAITING_PAGE, LIVE → RENDERING when the log lost records (`Delivery.resync`). Every state → ENDED: unsubscribed by the
client, replaced by another `subscribe`, ended by the server, or the connection closes.
"""  # noqa: E501 - a table

from enum import Enum, auto

from attrs import define

from mesaya_ws.core.access.channels import Channel
from mesaya_ws.core.feed.hub import Subscriber
from mesaya_ws.core.recovery.position import Offsets
from mesaya_ws.core.recovery.replay import Replay
from mesaya_ws.core.recovery.stored import HistoryPage, StoredReplay
from mesaya_ws.core.recovery.verdict import NotReached, Unrecoverable
from mesaya_ws.core.wire.messages import Subscribe


class State(Enum):
    """The states of a subscription; the table in the module's docstring says what each means."""

    WAITING_FOR_FEED = auto()
    READING_HISTORY = auto()
    SNAPSHOT_DUE = auto()
    RENDERING = auto()
    REPLAYING = auto()
    AWAITING_PAGE = auto()
    LIVE = auto()
    ENDED = auto()

    # An enumeration's own is a function in Python, and each change of state asks for three hashes.
    __hash__ = object.__hash__


_CATCHING_UP = {
    *(State.READING_HISTORY, State.SNAPSHOT_DUE, State.RENDERING, State.REPLAYING, State.AWAITING_PAGE),
}
_BEGUN = {State.LIVE, State.REPLAYING, State.AWAITING_PAGE}
_OPENED = {State.SNAPSHOT_DUE, State.RENDERING, State.REPLAYING, State.LIVE}

TRANSITIONS: dict[State, set[State]] = {
    State.WAITING_FOR_FEED: {State.WAITING_FOR_FEED, State.READING_HISTORY, *_OPENED, State.ENDED},
    State.READING_HISTORY: {*_OPENED, State.ENDED},
    State.SNAPSHOT_DUE: {State.RENDERING, State.REPLAYING, State.LIVE, State.ENDED},
    State.RENDERING: {State.REPLAYING, State.LIVE, State.ENDED},
    State.AWAITING_PAGE: {State.REPLAYING, State.RENDERING, State.ENDED},
    State.REPLAYING: {State.LIVE, State.AWAITING_PAGE, State.SNAPSHOT_DUE, State.RENDERING, State.ENDED},
    State.LIVE: {State.REPLAYING, State.RENDERING, State.ENDED},
    State.ENDED: set(),
}
"""The next states of each state: the table in the module's docstring."""


class InvalidTransitionError(Exception):
    """A subscription was moved to a state that cannot follow its present one: a fault in the session's rules."""


@define(eq=False, weakref_slot=False)
class Wait:
    """What a subscription waits for that cannot be opened yet.

    It was requested at the metadata refresh number `since`. If its position is `ahead` of what has been read, it is
    checked again when the feed has passed that, or after another refresh than number `checked_at`. `reminders` counts
    the calls of `Session.send_pending` that have found it waiting.
    """

    since: int
    ahead: NotReached | None = None
    checked_at: int = 0
    reminders: int = 0


@define(eq=False, weakref_slot=False)
class Subscription:
    """One channel of one client, and what its present state needs; each method enters the state that it names.

    `unsettled` is the client's index of subscriptions that are not live, the longest in their state first; a
    subscription enters and leaves it by itself. `request` is the client's `subscribe` until it is answered. Until the
    subscription is live, `position` is the one up to which the client has everything, at first its own; None where
    it brought none, or where it is that of the last message that it received. `reason` is why a snapshot replaces what
    was missed; `subscriber` is what stands for it in the hub, which hands publications to it once it is live.
    """

    channel: Channel
    unsettled: "dict[Subscription, None]"
    request: Subscribe | None
    position: str | None
    state: State = State.WAITING_FOR_FEED
    wait: Wait | None = None
    reason: Unrecoverable | None = None
    replay: Replay | StoredReplay | None = None
    subscriber: Subscriber | None = None

    def wait_for_feed(self, wait: Wait) -> None:
        """Wait until the feed is live, or has reached the client's position."""
        self._enter(State.WAITING_FOR_FEED, wait=wait)

    def read_history(self, wait: Wait) -> None:
        """Wait until the first page after the client's position has been read."""
        self._enter(State.READING_HISTORY, wait=wait)

    def await_queue(self) -> None:
        """Wait with the snapshot until the send queue has drained."""
        self._enter(State.SNAPSHOT_DUE)

    def await_rendering(self) -> None:
        """Wait until the snapshot has been rendered."""
        self._enter(State.RENDERING)

    def start_replay(self, replay: Replay | StoredReplay, position: str | None) -> None:
        """Send `replay` page by page to a client that has everything up to `position`."""
        self._enter(State.REPLAYING, replay=replay)
        self.position, self.reason = position, None

    def await_page(self) -> None:
        """Wait until the next page of the replay has been read."""
        self._enter(State.AWAITING_PAGE, replay=self.replay)

    @property
    def next_page(self) -> Offsets:
        """The place from which on the next page is to be read, while it is awaited."""
        return self._stored_replay.after

    @property
    def _stored_replay(self) -> StoredReplay:
        assert isinstance(self.replay, StoredReplay)  # noqa: S101 - no other replay is awaited
        return self.replay

    def supply(self, page: HistoryPage | None) -> None:
        """Go on with the next page; None if it cannot be read."""
        replay = self._stored_replay
        self._enter(State.REPLAYING, replay=replay)
        replay.supply(page)

    def go_live(self) -> None:
        """Hand over what is published from now on: what the client has is up to the feed."""
        self._enter(State.LIVE)
        self.position = self.reason = None

    def end(self) -> None:
        """Hand over nothing more."""
        self._enter(State.ENDED)
        self.request = self.subscriber = None

    @property
    def is_unanswered(self) -> bool:
        """Whether the client has had no answer because of this service: the feed or the history is waited for."""
        return self.state is State.WAITING_FOR_FEED or self.state is State.READING_HISTORY

    @property
    def awaits_page(self) -> bool:
        """Whether a page of its history is to be read from the state store: the first, or the next one."""
        return self.state is State.READING_HISTORY or self.state is State.AWAITING_PAGE

    @property
    def is_catching_up(self) -> bool:
        """Whether the client is on the channel, but has still to be sent what it missed, or the snapshot."""
        return self.state in _CATCHING_UP

    @property
    def has_begun(self) -> bool:
        """Whether something of the channel has been sent, so that what the log loses concerns the client."""
        return self.state in _BEGUN

    def _enter(self, state: State, *, wait: Wait | None = None, replay: Replay | StoredReplay | None = None) -> None:
        if state not in TRANSITIONS[self.state]:
            raise InvalidTransitionError(f"{self.channel.name}: {self.state.name} to {state.name}")
        unsettled = self.unsettled
        if state is not State.LIVE and state is not State.ENDED:
            unsettled.pop(self, None)
            unsettled[self] = None
        elif unsettled and unsettled.pop(self, self) is None and not unsettled:
            unsettled.clear()  # an empty dictionary keeps the room of what was in it: 160 bytes of most clients
        self.state, self.wait, self.replay = state, wait, replay
