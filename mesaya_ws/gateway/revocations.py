"""Follows the topic of revocations, so that a token that is revoked on one instance is dead on all of them."""

from collections.abc import Callable, Sequence
from itertools import chain

import trio

from mesaya_ws.core.access.revocations import Revocation, RevokedTokens, revocation_of, revocation_record
from mesaya_ws.core.log.events import LogEvent, LogMetadata, PollResult, Records, TopicRecreated, Truncated
from mesaya_ws.core.log.interface import EventLog, LogUnavailableError
from mesaya_ws.core.log.records import Partition, Record, Source
from mesaya_ws.core.log.trouble import Hindrance, Trouble, lasting
from mesaya_ws.runtime.alarm import Alarm
from mesaya_ws.runtime.clocks import now_ms
from mesaya_ws.runtime.logs import get_logger

log = get_logger(__name__)

READ_BACK_SECONDS = 10.0
"""How long a revocation may take from its append until it is read."""


class TokenRevocations:
    """The revocations in `event_log`, which holds nothing else. `ready` is set once what it held has been read.

    `on_revoked` is called with each that is read, after it has taken effect here; those of the start included.
    """

    def __init__(self, event_log: EventLog, max_age: float, clock: Callable[[], int] = now_ms) -> None:
        self.ready = trio.Event()
        self.on_revoked: Callable[[Revocation], None] = lambda revocation: None
        self._event_log = event_log
        self._clock = clock
        self._revoked = RevokedTokens(max_age)
        # By user, for each revocation that is being appended, which of the user's was read last since that began. What
        # was read before says nothing: a log that has lost its end, or a topic created again, repeats its offsets.
        self._reads: dict[str, list[dict[Partition, int]]] = {}
        self._lags: dict[Source, int] = {}
        self._unread = False
        self._alarm = Alarm(log, "the revocations of tokens cannot be read", "the revocations of tokens are read again")
        self._has_read = trio.Event()

    def is_revoked(self, user: str, issued_at: float | None) -> bool:
        """Return whether tokens of a user that were issued then (s since 1970; None: not said) are dead."""
        revoked = self._revoked
        return revoked.concerns(user) and revoked.is_revoked(user, issued_at, self._clock())

    @property
    def floor(self) -> int:
        """The time (ms since 1970) before which the tokens of all users are dead (`RevokedTokens`)."""
        return self._revoked.floor

    async def run(self) -> None:
        """Follow the log, until cancelled."""
        await self._event_log.follow(self._deliver)

    async def revoke(self, user: str, before: int) -> int:
        """Revoke the tokens of a user that were issued before some time (ms since 1970); return it, or a later one.

        Returns when this has been read back, and holds here; other instances read it at the same time. Raises
        `LogUnavailableError` (it may have been revoked or not; to repeat it harms nothing) or `RecordRejectedError`.

        Of each user the log keeps the last record only, so it must not say less than those before it: whoever reads,
        up to its own record, that more had been revoked meanwhile, appends that again.
        """
        appended = False
        with trio.move_on_after(READ_BACK_SECONDS):
            while not appended or self._before(user) > before:
                before = max(before, self._before(user))
                await self._append(Revocation(user, before))
                appended = True
            return before
        raise LogUnavailableError("The revocation was not read back in time: it may have been made or not; repeat it.")

    def _before(self, user: str) -> int:
        return self._revoked.before(user, self._clock())

    async def _append(self, revocation: Revocation) -> None:
        """Append a revocation, and return when it has been read back."""
        user, read = revocation.user, dict[Partition, int]()
        reads = self._reads.setdefault(user, [])
        reads.append(read)
        try:
            [place] = await self._event_log.append([revocation_record(revocation)])
            partition = Partition(place.topic, place.partition)
            while read.get(partition, -1) < place.offset or self._before(user) < revocation.before:
                await self._has_read.wait()
        finally:
            reads[:] = [each for each in reads if each is not read]
            if not reads:
                del self._reads[user]

    async def _deliver(self, event: LogEvent) -> None:
        match event:
            case LogMetadata(_, lags, _, troubles):
                self._lags = dict(lags)
                self._note_troubles(troubles)
            case Records():
                self._take(event)
            case PollResult(batches):
                for batch in batches:
                    self._take(batch)
            # What is gone stays in force here: nobody has taken that back.
            case TopicRecreated():
                for read in chain.from_iterable(self._reads.values()):
                    read.clear()
            case Truncated(partition, next_offset):
                for read in chain.from_iterable(self._reads.values()):
                    read[partition] = min(next_offset - 1, read.get(partition, -1))
        # Of a part that cannot be read, no record counts as one to come.
        if isinstance(event, LogMetadata | Records | PollResult) and not any(self._lags.values()) and not self._unread:
            self.ready.set()
        self._has_read.set()
        self._has_read = trio.Event()
        await trio.lowlevel.checkpoint()

    def _note_troubles(self, troubles: Sequence[Trouble]) -> None:
        """Take note of what cannot be read; a topic that does not exist yet has revoked nothing."""
        hindered = [trouble for trouble in troubles if trouble.kind is not Hindrance.ABSENT]
        self._unread = bool(hindered)
        if reported := lasting(hindered, starting=not self.ready.is_set()):
            self._alarm.set(reason=reported[0].reason)
        elif not hindered:
            self._alarm.clear()

    def _take(self, batch: Records) -> None:
        for record in batch.records:
            self._note(record)
        self._lags[batch.source] = batch.lag

    def _note(self, record: Record) -> None:
        revocation = revocation_of(record)
        if revocation is not None:
            self._revoked.put(revocation, record.timestamp, self._clock())
            self.on_revoked(revocation)
            for read in self._reads.get(revocation.user, ()):
                read[Partition(record.topic, record.partition)] = record.offset
        elif record.value is not None:
            log.warning("a record of the revocations' topic cannot be understood", offset=record.offset)
