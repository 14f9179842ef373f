"""Settings of clients that are slow, or silent."""

import typed_settings as ts

from mesaya_ws.settings.units import MIB
from mesaya_ws.settings.validators import one_of, within
from mesaya_ws.settings.words import SLOW_TABLES, in_any_case


@ts.settings(frozen=True, slots=False)
class SlowClientSettings:
    """What may wait for a client, and when one that is slow or silent is closed."""

    send_queue_messages: int = ts.option(
        default=2048,
        validator=within(1, 10_000_000),
        help="Messages that may wait for one slow client; more close with 4008.",
    )
    send_queue_bytes: int = ts.option(
        default=MIB,
        validator=within(1024, 1024 * MIB),
        help="Bytes that may wait for one slow client; more close with 4008.",
    )
    snapshot_bytes: int = ts.option(
        default=64 * MIB,
        validator=within(0, 64 * 1024 * MIB),
        help="Bytes of large snapshots that clients have not taken yet, all together; each is shared by all clients "
        "that take it. The oldest are dropped first, and clients that still take them are closed with 4008; a single "
        "one may be larger.",
    )
    slow_tables: str = ts.option(
        default="close",
        converter=in_any_case,
        validator=one_of(*SLOW_TABLES),
        help="What happens to a slow client on `restaurant:…:tables`. `close`: it is closed with 4008, as on all "
        "channels. `conflate`: nothing is queued; once it has caught up it receives the newest state of each table.",
    )
    ping_interval: float = ts.option(
        default=25.0,
        validator=within(0.1, 3600),
        help="Seconds of a client's silence after which it is pinged.",
    )
    ping_timeout: float = ts.option(
        default=20.0,
        validator=within(0.1, 3600),
        help="Seconds without an answer to a ping after which a client is dropped; so is a client that takes nothing "
        "of what waits for it for so long, whatever it sends.",
    )
    close_timeout: float = ts.option(
        default=5.0, validator=within(0.1, 600), help="Seconds that a client has to take part in a close."
    )
