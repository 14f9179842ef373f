"""Settings of what is kept for clients that come back."""

import typed_settings as ts

from mesaya_ws.settings.units import MIB
from mesaya_ws.settings.validators import within


@ts.settings(frozen=True, slots=False)
class HistorySettings:
    """What is kept for clients that come back, in memory and on disk."""

    window_seconds: float = ts.option(
        default=300.0,
        # What is published while a snapshot is rendered must still be in the window when that is sent.
        validator=within(1, 86_400),
        help="Age in seconds up to which publications are kept in memory.",
    )
    window_bytes: int = ts.option(
        default=64 * MIB,
        validator=within(64 * 1024, 64 * 1024 * MIB),
        help="Bytes of publications that are kept in memory.",
    )
    state_dir: str = ts.option(
        default="",
        help="Directory of the service's own state on disk, a cache of the log. Empty: `mesaya-ws.state`, beside the "
        "embedded log, or in the working directory with Kafka.",
    )
    history_hours: float = ts.option(
        default=168.0,
        validator=within(0.01, 24 * 366),
        help="Age in hours up to which publications are kept on disk, on the channels that have a history: "
        "`restaurant:…:reservations`, `user:…:notifications` and `global:announcements`.",
    )
    history_bytes: int = ts.option(
        default=4096 * MIB,
        validator=within(MIB, 32 * 1024 * MIB),
        help="Bytes of publications that are kept on disk; the oldest are dropped first.",
    )
    entity_cache_bytes: int = ts.option(
        default=32 * MIB,
        validator=within(64 * 1024, 64 * 1024 * MIB),
        help="Bytes of memory for reservations that are on disk as they are, and as many for payments. Those that have "
        "changed since the last commit are in memory, too.",
    )
    inbox_events: int = ts.option(
        default=50,
        validator=within(1, 1000),
        help="How many of a user's latest notifications the snapshot of `user:…:notifications` shows, as far as they "
        "are kept in memory or on disk.",
    )
