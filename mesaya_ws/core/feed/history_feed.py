"""A feed that reads the log once more, for some channels only, up to where the window of the present takes over."""

from collections.abc import Collection, Iterator
from math import inf

from mesaya_ws.core.access.rights_changes import RightsChange
from mesaya_ws.core.feed.feed import Feed
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.envelope import UNROUTABLE, Event, Rejected
from mesaya_ws.core.platform.outcome import Outcome
from mesaya_ws.core.platform.weights import Weights
from mesaya_ws.core.recovery.window import Window


class HistoryFeed(Feed):
    """Publishes on the channels `only`, into a window of `max_bytes`.

    It promises nothing of records whose meaning depends on others that retention has removed: from who read those in
    time, clients may have received another message. `is_too_large` says that what it knows of entities takes more than
    `max_state_bytes`: then it does not go on.
    """

    def __init__(
        self, only: Collection[str], parent_timeout: float, max_bytes: int, max_state_bytes: float = inf
    ) -> None:
        super().__init__(Hub(), Window(inf, max_bytes), parent_timeout)
        self._only = only
        self._max_state_bytes = max_state_bytes
        self._weights = Weights()
        self._is_certain = True

    @property
    def is_too_large(self) -> bool:
        """Whether what is known of entities takes more than it may."""
        return self._weights.bytes > self._max_state_bytes

    def process(self, now: int, steady: int | None = None) -> Iterator[None]:
        """Process as a feed does, up to where it `is_too_large`."""
        for _ in super().process(now, steady):
            yield
            if self.is_too_large:
                return

    def _process(self, record: Record, event: Event | Rejected) -> int:
        # Before it is applied: an entity that this record is the first to speak of may have been another one before.
        self._is_certain = not self.coverage.unread or self._projections.knows_subject(event)
        if isinstance(event, Event):
            self._weights.note(event, len(record.value or b""))
        return super()._process(record, event)

    def _restrict(self, outcome: Outcome, record: Record, partition: Partition, event: Event | Rejected) -> None:
        only = self._only
        outcome.messages = [message for message in outcome.messages if message.channel in only]
        outcome.reparented = tuple(name for name in outcome.reparented if name in only)
        outcome.concerned = tuple(name for name in outcome.concerned if name in only)
        if self.coverage.unread and (outcome.reason in UNROUTABLE or (outcome.messages and not self._is_certain)):
            # It may have been another message, or one at all, to those who knew what the log has lost.
            self.window.raise_floor(partition, record.offset + 1)

    def _change_rights(self, change: RightsChange) -> Iterator[None]:
        # Clients are shown the past by the rights that they have in the present.
        yield from ()

    def discard(self) -> Iterator[None]:
        """Let go of all that had to be known to read it, but not of the window, yielding after some of it."""
        yield from self._weights.discard()
        yield from super().discard()
