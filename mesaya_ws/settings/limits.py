"""Settings of what clients may send, and how many there may be."""

import typed_settings as ts

from mesaya_ws.settings.units import MIB
from mesaya_ws.settings.validators import within


@ts.settings(frozen=True, slots=False)
class LimitSettings:
    """What clients may send, and how many of them there may be."""

    max_connections: int = ts.option(
        default=50_000,
        validator=within(1, 10_000_000),
        help="Open TCP connections, as far as the system allows open files; more are answered 503.",
    )
    max_head_bytes: int = ts.option(
        default=16_384,
        validator=within(1024, MIB),
        help="Size of a request's head, in bytes; larger ones are answered 431.",
    )
    max_body_bytes: int = ts.option(
        default=MIB, validator=within(1024, 64 * MIB), help="Size of an HTTP request's body, in bytes."
    )
    handshake_timeout: float = ts.option(
        default=10.0,
        validator=within(0.1, 600),
        help="Seconds for a request's head, and for the WebSocket handshake.",
    )
    max_message_bytes: int = ts.option(
        default=65_536,
        validator=within(256, 64 * MIB),
        help="Size of a client's message, in bytes; larger ones close with 1009.",
    )
    max_subscriptions: int = ts.option(
        default=100, validator=within(1, 1_000_000), help="Channels that one connection may be subscribed to."
    )
    messages_per_second: int = ts.option(
        default=50,
        validator=within(1, 1_000_000),
        help="Frames that a client may send per second, on average over ten seconds; more close with 4029.",
    )
