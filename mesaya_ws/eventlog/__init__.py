"""The event logs: Apache Kafka, and a file. Both keep the promises of `mesaya_ws.core.event_log`."""

from contextlib import AbstractAsyncContextManager

from mesaya_ws.core.event_log import EventLog
from mesaya_ws.eventlog.sqlite import open_sqlite_log
from mesaya_ws.settings import Settings


def open_event_log(settings: Settings) -> AbstractAsyncContextManager[EventLog]:
    """Return the log that the settings name: Kafka when they name brokers, else the embedded one.

    Entering raises `SettingsError` when the log can never be used as configured; a Kafka that cannot be reached now is
    waited for.
    """
    if settings.kafka_brokers:
        # The client takes a tenth of a second to import: only who uses it pays.
        from mesaya_ws.eventlog.kafka import open_kafka_log

        return open_kafka_log(settings)
    return open_sqlite_log(settings.event_log, settings.kafka_topics)
