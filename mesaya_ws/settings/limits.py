"""Settings of what clients may send, and how many there may be."""

import typed_settings as ts

from mesaya_ws.settings.units import MIB
from mesaya_ws.settings.validators import networks, within


@ts.settings(frozen=True, slots=False)
class LimitSettings:
    """What clients may send, and how many of them there may be."""

    max_connections: int = ts.option(
        default=50_000,
        validator=within(1, 10_000_000),
        help="Open TCP connections, as far as the system allows open files; more are answered 503.",
    )
    max_connections_per_address: int = ts.option(
        default=0,
        validator=within(0, 10_000_000),
        help="Open TCP connections of one address (of IPv6: of one /64); more are answered 429, but for probes. 0: no "
        "limit. All clients behind a proxy have one address, unless the proxy is in TRUSTED_PROXIES.",
    )
    max_connections_per_user: int = ts.option(
        default=20,
        validator=within(0, 1_000_000),
        help="Open WebSockets of one user, in one process; the newest is closed with 4429. 0: no limit.",
    )
    handshakes_per_second: float = ts.option(
        default=0.0,
        validator=within(0, 1_000_000),
        help="WebSocket handshakes of one address per second, on average over ten seconds; more are answered 429. "
        "0: no limit.",
    )
    trusted_proxies: tuple[str, ...] = ts.option(
        default=(),
        validator=networks,
        help="Addresses and networks (`10.0.0.0/8`) of proxies, separated by commas. Where a client is that comes "
        "through one, its header X-Forwarded-For says: the right-most address that is not trusted. The limits for "
        "addresses, and the log, use that one. From others, the header is ignored.",
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
    max_fragments: int = ts.option(
        default=256,
        validator=within(1, 10_000_000),
        help="Frames that one message of a client may have; more close with 4029.",
    )
    message_timeout: float = ts.option(
        default=30.0,
        validator=within(0.1, 3600),
        help="Seconds from the first byte of a client's message to its last; what takes longer closes with 4408.",
    )
    messages_per_second: int = ts.option(
        default=50,
        validator=within(1, 1_000_000),
        help="Frames that a client may send per second, on average over ten seconds; more close with 4029.",
    )
    bytes_per_second: int = ts.option(
        default=MIB,
        validator=within(1024, 1024 * MIB),
        help="Bytes that a client may send per second, on average over ten seconds; more close with 4029. One message "
        "of MAX_MESSAGE_BYTES may always come at once.",
    )
