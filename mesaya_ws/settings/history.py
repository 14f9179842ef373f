"""Settings of what is kept for clients that come back."""

import typed_settings as ts

from mesaya_ws.settings.units import MIB
from mesaya_ws.settings.validators import within


@ts.settings(frozen=True, slots=False)
class HistorySettings:
    """What is kept for clients that come back, and how far back it is read again."""

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
    replay_timeout: float = ts.option(
        default=30.0,
        validator=within(0, 3600),
        help="Seconds that reading the log may take for clients whose position is older than the window.",
    )
    replay_bytes: int = ts.option(
        default=64 * MIB,
        validator=within(0, 64 * 1024 * MIB),
        help="Bytes of publications that such readings may keep, all together; the oldest are dropped first.",
    )
    replay_state_bytes: int = ts.option(
        default=256 * MIB,
        validator=within(0, 64 * 1024 * MIB),
        help="Bytes that a reading may need for the state of all entities, estimated from the records' sizes; if it "
        "needs more, the clients get a snapshot instead.",
    )
    replay_share: float = ts.option(
        default=0.2,
        validator=within(0.001, 1),
        help="Share of the time that such readings may take: after one, the next begins so much later.",
    )
