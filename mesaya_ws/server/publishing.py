"""Publishing: appending a record to the log for a client, if this service will understand it when it is read back."""

from collections.abc import Collection
from time import time

import trio

from mesaya_ws.core.log.interface import EventLog, LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord, Record
from mesaya_ws.core.platform.envelope import Event, Rejected, decode, mistyped_id

APPEND_TIMEOUT = 25.0
"""Seconds for the log to acknowledge: longer than its own timeout, whose error says better what is wrong."""


class UnknownTopicError(RecordRejectedError):
    """The topic is none of those that are followed: nobody would receive the record."""


class UnusableRecordError(RecordRejectedError):
    """The service would not understand the record when it reads it back, or nobody would receive it."""


class Publisher:
    """Appends records to `event_log`, on the followed `topics` only; `timeout` is in seconds."""

    def __init__(self, event_log: EventLog, topics: Collection[str], timeout: float = APPEND_TIMEOUT) -> None:
        self._event_log = event_log
        self._topics = topics
        self._timeout = timeout

    async def publish(self, record: NewRecord) -> Appended:
        """Append a record, and return its place once the log has acknowledged it.

        Raises `UnknownTopicError` and `UnusableRecordError` for what would come to nothing, `RecordRejectedError` when
        the log will never take it, and `LogUnavailableError` when the log did not acknowledge in time. The message of
        each is a sentence.
        """
        if record.topic not in self._topics:
            raise UnknownTopicError(f"{record.topic!r} is none of KAFKA_TOPICS.")
        if problem := _problem(record):
            raise UnusableRecordError(problem)
        try:
            with trio.fail_after(self._timeout):
                [place] = await self._event_log.append([record])
        except (LogUnavailableError, trio.TooSlowError) as error:
            sentence = f"The event log did not acknowledge; the record may or may not have been appended. {error}"
            raise LogUnavailableError(sentence.strip()) from None
        return place


def _problem(record: NewRecord) -> str | None:
    """Return why nobody would receive a record, in a sentence; None if somebody may."""
    meaning = decode(Record(record.topic, 0, 0, round(time() * 1000), record.key, record.value))
    if isinstance(meaning, Rejected):
        return meaning.detail or f"Such a record is not sent to anybody: {meaning.reason}."
    if isinstance(meaning, Event) and (needed := mistyped_id(meaning)) is not None:
        return f"The {needed} is no id; without it nobody is concerned."
    return None
