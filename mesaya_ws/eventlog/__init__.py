"""The event logs: Apache Kafka, and an SQLite file. Both implement `mesaya_ws.core.log.interface`."""

from contextlib import AbstractAsyncContextManager, nullcontext, suppress

import attrs
import trio

from mesaya_ws.core.interactions.topics import ACKS, CHAT, HOLDS, PRESENCE
from mesaya_ws.core.log.inspection import Inspection
from mesaya_ws.core.log.interface import EventLog
from mesaya_ws.core.platform.topics import PARENTS_TOPIC, REVOCATIONS
from mesaya_ws.eventlog.sqlite import open_sqlite_log
from mesaya_ws.settings import MIB, Settings, followed
from mesaya_ws.settings.tokens import DAY, token_sources


def open_event_log(settings: Settings) -> AbstractAsyncContextManager[EventLog]:
    """Return the configured log: Kafka if KAFKA_BROKERS is set, else the embedded one.

    Entering raises `SettingsError` when the log can never be used as configured. It does not wait for Kafka: that the
    brokers cannot be reached is reported by whatever is asked of the log.
    """
    topics = followed(settings)
    if settings.kafka_brokers:
        # The client takes 0.1 s to import: only those who use it pay for that.
        from mesaya_ws.eventlog.kafka import ACK_CONFIGS, CHAT_CONFIGS, HOLD_CONFIGS, RETAIN_FOREVER, open_kafka_log

        own = {PARENTS_TOPIC: RETAIN_FOREVER, CHAT: CHAT_CONFIGS, ACKS: ACK_CONFIGS, HOLDS: HOLD_CONFIGS}
        return open_kafka_log(attrs.evolve(settings, kafka_topics=topics), own)
    return open_sqlite_log(settings.event_log_file, topics)


def open_checkpoint_log(settings: Settings) -> AbstractAsyncContextManager[EventLog | None]:
    """Return a log of CHECKPOINT_TOPIC alone, which keeps the last record of each key; None when it is not set.

    Entering raises `SettingsError`, as that of the event log does.
    """
    topic = settings.checkpoint_topic
    if not topic:
        return nullcontext()
    if settings.kafka_brokers:
        from mesaya_ws.eventlog.kafka import COMPACTED, open_kafka_log

        # MAX_RECORD_BYTES is about the platform's records; ours stay below this bound.
        own = attrs.evolve(settings, kafka_topics=(topic,), max_record_bytes=4 * MIB)
        return open_kafka_log(own, {topic: COMPACTED})
    return open_sqlite_log(settings.event_log_file, (topic,), compact=True)


def open_revocation_log(settings: Settings) -> AbstractAsyncContextManager[EventLog | None]:
    """Return a log of the topic of revocations alone; None where no tokens are verified.

    It keeps the last record of every user; in Kafka, for a day longer than JWT_MAX_AGE, after which it says nothing.
    Entering raises `SettingsError`, as that of the event log does.
    """
    if not settings.auth or not token_sources(settings):
        return nullcontext()
    if settings.kafka_brokers:
        from mesaya_ws.eventlog.kafka import COMPACTED, open_kafka_log

        own = attrs.evolve(settings, kafka_topics=(REVOCATIONS,), max_record_bytes=MIB)
        kept = str(round((settings.jwt_max_age + DAY) * 1000))
        return open_kafka_log(
            own, {REVOCATIONS: {**COMPACTED, "cleanup.policy": "compact,delete", "retention.ms": kept}}
        )
    return open_sqlite_log(settings.event_log_file, (REVOCATIONS,), compact=True)


def open_presence_log(settings: Settings) -> AbstractAsyncContextManager[EventLog | None]:
    """Return a log of the topic of presence alone, which keeps the last record of each key; None where it is off.

    Entering raises `SettingsError`, as that of the event log does.
    """
    if not settings.presence_channels:
        return nullcontext()
    if settings.kafka_brokers:
        from mesaya_ws.eventlog.kafka import PRESENCE_CONFIGS, open_kafka_log

        own = attrs.evolve(settings, kafka_topics=(PRESENCE,), max_record_bytes=MIB)
        return open_kafka_log(own, {PRESENCE: PRESENCE_CONFIGS})
    return open_sqlite_log(settings.event_log_file, (PRESENCE,), compact=True)


def log_bytes(settings: Settings) -> int | None:
    """Return the size of the embedded log's files in bytes; None with Kafka, or when they cannot be examined."""
    if settings.kafka_brokers:
        return None
    path = settings.event_log_file
    try:
        size = path.stat().st_size
        with suppress(FileNotFoundError):  # the journal does not exist while everything is in the file itself
            size += path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return None
    return size


def why_silent(settings: Settings, start: float) -> str:
    """Return a sentence that says why the log has not answered since `start` (of the monotonic clock)."""
    if settings.kafka_brokers:
        from mesaya_ws.eventlog.kafka.diagnosis import reason
        from mesaya_ws.eventlog.kafka.driver.clients import connection_options

        return reason(connection_options(settings), start)
    return (
        f"{settings.event_log_file.absolute()} cannot be written yet: another program writes it, or the disk is slow."
    )


async def inspect_event_log(settings: Settings) -> Inspection:
    """Examine the configured log without creating or changing anything.

    Raises `LogUnavailableError` when it does not answer, and `SettingsError` when it can never be used as configured.
    """
    if settings.kafka_brokers:
        from mesaya_ws.eventlog.kafka.inspection import inspect
    else:
        from mesaya_ws.eventlog.sqlite.inspection import inspect
    return await trio.to_thread.run_sync(inspect, settings, abandon_on_cancel=True)
