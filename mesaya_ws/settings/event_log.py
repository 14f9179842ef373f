"""Settings of the event log, whichever it is."""

from pathlib import Path

import typed_settings as ts

from mesaya_ws.core.interactions.strict import MAX_RECORD_BYTES
from mesaya_ws.settings.units import MIB
from mesaya_ws.settings.validators import an_http_url, named_like_topics, within


@ts.settings(frozen=True, slots=False)
class EventLogSettings:
    """The event log, whether it is Kafka or the embedded one."""

    event_log_file: Path = ts.option(
        default=Path("mesaya-ws.sqlite3"),
        help="File of the embedded log; used when KAFKA_BROKERS is not set.",
    )
    checkpoint_topic: str = ts.option(
        default="",
        validator=named_like_topics,
        help="The service's own compacted topic for checkpoints, say `mesaya-ws.state`: an instance starts from the "
        "newest one, not from the beginning of the log. Empty: none are kept.",
    )
    platform_api_url: str = ts.option(
        default="",
        validator=an_http_url,
        help="The platform's REST API, say `http://backend:3000/api/v1`, which is asked for sections and restaurants "
        "without a record. Empty: no API is asked.",
    )
    parent_timeout: float = ts.option(
        default=1.0,
        validator=within(0, 60),
        help="How many seconds a record waits for its parent (a table for its section) before it counts as an orphan.",
    )
    max_record_bytes: int = ts.option(
        default=4 * MIB,
        # Chat, holds and acknowledgements are records, too, and what is appended must be read back.
        validator=within(MAX_RECORD_BYTES, 64 * MIB),
        help="Size of a record of the log, unpacked, in bytes; larger ones are skipped.",
    )
    buffered_records: int = ts.option(
        default=1000,
        validator=within(1, 1_000_000),
        help="Records of one partition that may wait for older ones of other partitions; past that, the partition is "
        "paused until half of them have been taken.",
    )
    buffered_bytes: int = ts.option(
        default=MIB,
        validator=within(1024, 1024 * MIB),
        help="Bytes of records of one partition that may wait so.",
    )
