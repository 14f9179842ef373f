"""What is published of one record, when its turn has come: at once, or in steps where it concerns much."""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from functools import lru_cache

from attrs import evolve

from mesaya_ws.core.access.channels import kind_of, parse_channel
from mesaya_ws.core.access.rights_changes import ENTITIES_OF_FACTS, Stakes, at_stake
from mesaya_ws.core.feed.broadcaster import Broadcaster
from mesaya_ws.core.feed.hub import Hub
from mesaya_ws.core.feed.intake import DECODED_EARLY
from mesaya_ws.core.feed.known import Known
from mesaya_ws.core.feed.progress import Progress
from mesaya_ws.core.feed.router import WIDE, is_wide, process, process_in_steps
from mesaya_ws.core.log.records import Partition, Record
from mesaya_ws.core.platform.envelope import AUTH, Decoded, Event, Interaction
from mesaya_ws.core.platform.outcome import PARTS_AT_ONCE, Message, Outcome
from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.window_notes import replaced_row
from mesaya_ws.core.recovery.window_redaction import redact

REPARENTED_AT_ONCE = 20
"""Channels of one record of which it is noted in one step that what belongs to them has changed, at some 50 µs each
where there are a hundred partitions."""

INTERACTION_WORK = 5
"""The weight in a step of a record that clients have brought in; others have 1. A message of a chat is looked up in the
state store, changes what finds its conversation, and is shown on three channels, in some 150 µs."""

MESSAGE_BYTES = 4096
"""Bytes of messages that are as much work as a record."""

_partition = lru_cache(1024)(Partition)  # to find one takes a quarter of the time that making one takes


class Age(Enum):
    """How old a record is: whether the window, or at least the history, is to hold what it becomes."""

    RECENT = auto()
    """It goes into the window, and into the history of the channels that have one."""
    KEPT = auto()
    """It is too old for the window."""
    PAST = auto()
    """It is too old for the history, too."""


class RecordProcessor:
    """Takes one record after the other, in their order, and publishes to `hub` what becomes of them.

    Each is applied to what is `known`; what it publishes, `coverage` has afterwards. `report` is called with every
    record and what became of it; `request_parent`, with the parents of records that are not known, as `<entity>:<id>`.
    """

    def __init__(
        self,
        hub: Hub,
        known: Known,
        coverage: Coverage,
        progress: Progress,
        report: Callable[[Record, Outcome], None],
        request_parent: Callable[[str], None],
    ) -> None:
        self._known = known
        self._coverage = coverage
        self._window, self._history = coverage.window, coverage.history
        self._cursor = coverage.cursor
        self._progress = progress
        self._leftovers = progress.leftovers
        self._broadcaster = Broadcaster(hub, coverage.window, coverage.cursor, coverage.history)
        self._report = report
        self._request_parent = request_parent

    def process(self, record: Record, event: Decoded) -> int:
        """Publish what becomes of a record; return how much work that was. What takes long is left over."""
        topic, number, offset, timestamp, _, value = record
        partition = _partition(topic, number)
        progress, projections = self._progress, self._known.projections
        self._cursor.advance(partition, offset + 1)
        progress.time = timestamp
        if timestamp > progress.reached:
            progress.reached = timestamp if timestamp <= progress.now else max(progress.reached, progress.now)
        age = Age.RECENT if progress.live else self._age()
        if self._history is not None:
            self._history.time = timestamp
        alone = age is Age.PAST or self._window.have_one_order
        stakes: Stakes | None = None
        if isinstance(event, Event):
            if event.entity in ENTITIES_OF_FACTS and progress.live:
                stakes = self._stakes(event)
            if event.entity in WIDE and is_wide(event, projections):
                self._leftovers.append(self._process_in_steps(record, partition, event, age, stakes, alone=alone))
                return 0
        outcome = process(event, projections, alone=alone)
        self._report(record, outcome)
        if outcome.redactions:
            self._leftovers.append(self._redact(outcome))
        is_large = outcome.parts > PARTS_AT_ONCE or len(outcome.messages) > PARTS_AT_ONCE
        size = len(value or b"")
        if is_large or (outcome.messages and size >= DECODED_EARLY):
            self._leftovers.append(self._publish_in_steps(record, partition, event, outcome, age))
            work = 0
        else:
            # See `weight`, which is a call more.
            work = (INTERACTION_WORK if isinstance(event, Interaction) else 1) + (size >> 10)
            self._note(record, partition, event, outcome, age)
            if outcome.messages and (messages := _kept(outcome, age)):
                made_at = self._made_at()
                size = self._broadcaster.publish(
                    record, partition, messages, made_at, are_news=progress.live, is_past=age is not Age.RECENT
                )
                work += size // MESSAGE_BYTES
        if projections.endings.pending:
            self._leftovers.append(projections.endings.end_in_steps())
        if projections.chats.pending:
            self._leftovers.append(projections.chats.finish())
        if stakes is not None and (change := stakes.changes(projections)) is not None:
            self._leftovers.append(progress.change_rights(change))
        return work

    def _process_in_steps(
        self, record: Record, partition: Partition, event: Event, age: Age, stakes: Stakes | None, *, alone: bool
    ) -> Iterator[None]:
        """Do what `process` does with an event that `is_wide`, yielding often."""
        projections = self._known.projections
        outcome = yield from process_in_steps(event, projections, alone=alone)
        self._report(record, outcome)
        yield from self._publish_in_steps(record, partition, event, outcome, age)
        yield from projections.endings.end_in_steps()
        if stakes is not None and (change := stakes.changes(projections)) is not None:
            yield from self._progress.change_rights(change)

    def _publish_in_steps(
        self, record: Record, partition: Partition, event: Decoded, outcome: Outcome, age: Age
    ) -> Iterator[None]:
        """Note and publish what becomes of a record, yielding often."""
        # Each piece says what the record depends on, which is noted once, however often it is said.
        for piece in _pieces(outcome):
            self._note(record, partition, event, piece, age)
            yield
        if messages := _kept(outcome, age):
            made_at = self._made_at()
            yield from self._broadcaster.publish_in_steps(
                record, partition, messages, made_at, are_news=self._progress.live, is_past=age is not Age.RECENT
            )

    def _redact(self, outcome: Outcome) -> Iterator[None]:
        """Forget of what was published what is to be forgotten, yielding often."""
        copy = None if self._history is None else self._history.window_copy
        if copy is None:
            return redact(self._window, outcome.redactions)
        return redact(self._window, outcome.redactions, lambda *replaced: copy.note(replaced_row(*replaced)))

    def _age(self) -> Age:
        """Return where what a record becomes belongs, while the feed is not live.

        No record is older than one before it: so the window has no hole, and the history has none either.
        """
        reached, now, history = self._progress.reached, self._progress.now, self._history
        if not self._window.is_past(reached, now):
            return Age.RECENT
        if history is None or history.is_past(reached, now):
            return Age.PAST
        return Age.KEPT

    def _note(self, record: Record, partition: Partition, event: Decoded, outcome: Outcome, age: Age) -> None:
        """Note what a record means for those who come back."""
        topic, offset, awaits = record.topic, record.offset, outcome.awaits
        for parent in awaits:
            self._request_parent(parent)
        for name in outcome.reparented:
            if (channel := parse_channel(name)) is not None and topic in channel.kind.topics:
                self._coverage.reparented(channel, partition)
        if age is Age.PAST:
            # To make frames that nobody can be sent any more would be a third of the work on a long log.
            self._coverage.raise_floor(partition, offset + 1)
            return
        if age is Age.KEPT:
            self._window.raise_floor(partition, offset + 1)
        # Other partitions of its topic may say something of the same entity.
        entity = f"{event.entity}:{event.id}" if self._cursor.has_several(topic) and isinstance(event, Event) else None
        if entity is not None or outcome.parents or outcome.known or awaits:
            self._coverage.dependencies.note(partition, offset, outcome, entity=entity)

    def _made_at(self) -> int:
        # News are as old as they have been here, whatever their producer's clock says.
        progress = self._progress
        return progress.steady if progress.live else progress.steady - max(0, progress.now - progress.reached)

    def _stakes(self, event: Event) -> Stakes | None:
        """Return what rights depend on that an event may change, which is one of the few that can."""
        projections = self._known.projections
        before = None if event.entity == AUTH else projections.lookup(event).data
        return at_stake(event, before, projections)


def _pieces(outcome: Outcome) -> Iterator[Outcome]:
    """Yield an outcome in pieces: of its messages and what it has reparented, some in each."""
    yield evolve(outcome, messages=outcome.messages[:PARTS_AT_ONCE], reparented=outcome.reparented[:REPARENTED_AT_ONCE])
    for first in range(PARTS_AT_ONCE, len(outcome.messages), PARTS_AT_ONCE):
        yield evolve(outcome, messages=outcome.messages[first : first + PARTS_AT_ONCE], reparented=(), concerned=())
    for first in range(REPARENTED_AT_ONCE, len(outcome.reparented), REPARENTED_AT_ONCE):
        reparented = outcome.reparented[first : first + REPARENTED_AT_ONCE]
        yield evolve(outcome, messages=(), reparented=reparented, concerned=())


def _kept(outcome: Outcome, age: Age) -> Sequence[Message]:
    """Return the messages that are published: of a record too old for the window, those that have a history."""
    if age is Age.RECENT:
        return outcome.messages
    if age is Age.KEPT:
        return [message for message in outcome.messages if kind_of(message.channel).has_history]
    return ()
