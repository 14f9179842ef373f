"""Everything that can be set, in one place: names, defaults, units, and what each is for."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import typed_settings as ts

from mesaya_ws.core.platform.topics import PARENTS, TOPICS
from mesaya_ws.core.wire.hosts import canonical_host, split_port
from mesaya_ws.core.wire.origins import canonical_origin
from mesaya_ws.runtime.readiness import NOT_READY_WHEN, STATES

MIB = 1024 * 1024

LOOPBACK_ONLY = "127.0.0.1"

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")
SLOW_TABLES = ("close", "conflate")
SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def within(low: float, high: float) -> Callable[[object, "attrs.Attribute[Any]", float], None]:
    """Return an attrs validator for numbers from `low` to `high`."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"{attribute.name.upper()} must be from {low} to {high}, not {value}")

    return check


def one_of(*words: str) -> Callable[[object, "attrs.Attribute[Any]", str], None]:
    """Return an attrs validator for a word out of a fixed set."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
        if value not in words:
            raise ValueError(f"{attribute.name.upper()} must be one of {', '.join(words)}, not {value!r}")

    return check


def in_any_case(word: str) -> str:
    """Return the word of the settings that is meant, whatever its case, `-` and `_`; what means none stays as it is."""
    return _MEANT.get(_plain(word), word)


def words_in_any_case(words: Iterable[str]) -> tuple[str, ...]:
    """Convert several words likewise."""
    return tuple(map(in_any_case, words))


def _plain(word: str) -> str:
    return word.casefold().replace("_", "-")


_WORDS = (*LOG_LEVELS, *LOG_FORMATS, *SECURITY_PROTOCOLS, *SASL_MECHANISMS, *SLOW_TABLES, *STATES)
_MEANT = {_plain(word): word for word in _WORDS} | {
    "trace": "debug",
    "warn": "warning",
    "critical": "error",
    "fatal": "error",
}


def as_browsers_send(origins: Iterable[str]) -> tuple[str, ...]:
    """Convert origins, as far as they are any, to what can be compared with the header Origin (RFC 6454)."""
    return tuple(canonical_origin(origin) or origin for origin in origins)


def origins(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    """Validate origins that browsers send, and `*` for all."""
    for origin in value:
        if origin != "*" and canonical_origin(origin) is None:
            raise ValueError(
                f"{attribute.name.upper()} must be origins as browsers send them, such as https://app.example:8443 "
                f"(no path, no wildcard within), or `*` for all, not {origin!r}"
            )


def a_host(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate what can be listened on: an address, an IPv6 one without brackets, or a name."""
    with suppress(ValueError):
        ip_address(value)
        return
    if canonical_host(value) is None or value.startswith("["):
        raise ValueError(f"{attribute.name.upper()} must be an address or a name, such as 0.0.0.0, not {value!r}")


def brokers(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    """Validate `host:port`s."""
    for broker in value:
        place = split_port(broker)
        if place is None or not place[1]:
            raise ValueError(f"{attribute.name.upper()} must be host:port separated by commas, not {broker!r}")


def named_like_topics(_: object, attribute: "attrs.Attribute[Any]", value: str | tuple[str, ...]) -> None:
    """Validate what is empty, or a name that Kafka accepts for a topic, or several."""
    for name in (value,) if isinstance(value, str) else value:
        if name and (name in (".", "..") or not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name)):
            raise ValueError(f"{attribute.name.upper()} must be 1-249 of A-Z a-z 0-9 . _ -, not {name!r}")


def some_of(*words: str) -> Callable[[object, "attrs.Attribute[Any]", tuple[str, ...]], None]:
    """Return an attrs validator for any words out of a fixed set."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
        if foreign := [word for word in value if word not in words]:
            raise ValueError(f"{attribute.name.upper()} must be some of {', '.join(words)}, not {foreign[0]!r}")

    return check


def an_http_url(_: object, attribute: "attrs.Attribute[Any]", value: str) -> None:
    """Validate what is empty or the beginning of an HTTP URL, without user, query and fragment."""
    found = re.fullmatch(r"https?://([^/]+)(?:/[!$&-;=A-Z_a-z~]*)?", value, re.IGNORECASE)
    place = split_port(found[1]) if found else None
    if value and (place is None or place[1] == 0):
        raise ValueError(f"{attribute.name.upper()} must be like http://backend:3000/api/v1, with no user or query")


@ts.settings(frozen=True)
class Settings:
    """All settings of the service; `help` texts are what the table in docs/configuration.md is made of."""

    # The server
    host: str = ts.option(
        default="0.0.0.0",  # noqa: S104 - a server in a container
        validator=a_host,
        help=f"Address to listen on. With AUTH=off it is {LOOPBACK_ONLY}, for this machine alone, unless it is set.",
    )
    port: int = ts.option(default=8080, validator=within(0, 65535), help="TCP port to listen on; 0 takes a free one.")
    allowed_origins: tuple[str, ...] = ts.option(
        default=("http://localhost:4200", "http://localhost:3000"),
        converter=as_browsers_send,
        validator=origins,
        help="Web origins whose pages may use the service, separated by commas; `*` allows all. Pages of the service's "
        "own host may as well; with AUTH=off those of this machine instead, from any port. Programs that send no "
        "Origin are not restricted.",
    )
    workers: int = ts.option(
        default=1,
        validator=within(1, 256),
        help="Processes that share the port. Limits per process, below, hold for each of them.",
    )
    reload_timeout: float = ts.option(
        default=120.0,
        validator=within(0.1, 86_400),
        help="Seconds that a new worker has to read the log at a reload (SIGHUP); else the old ones stay.",
    )
    drain_seconds: float = ts.option(
        default=5.0,
        validator=within(0, 3600),
        help="Seconds over which clients are closed at shutdown.",
    )
    not_ready_when: tuple[str, ...] = ts.option(
        default=NOT_READY_WHEN,
        converter=words_in_any_case,
        validator=some_of(*STATES),
        help="When `GET /health/ready` answers 503, separated by commas: `starting` (the event "
        "log's history is still being read), `draining`, `full`, `outage` (the event log does not answer), `trouble` "
        "(a part of it cannot be read). The last two affect all instances at once, which leaves a balancer none.",
    )
    log_level: str = ts.option(
        default="info",
        converter=in_any_case,
        validator=one_of(*LOG_LEVELS),
        help="Lowest level that is logged.",
    )
    log_format: str = ts.option(
        default="auto",
        converter=in_any_case,
        validator=one_of(*LOG_FORMATS),
        help="`auto`: text on a terminal, JSON elsewhere.",
    )

    # The event log
    event_log_file: Path = ts.option(
        default=Path("mesaya-ws.sqlite3"),
        help="File of the embedded log; used when KAFKA_BROKERS is not set.",
    )
    kafka_brokers: tuple[str, ...] = ts.option(
        default=(), validator=brokers, help="Kafka bootstrap servers, `host:port` separated by commas."
    )
    kafka_group_id: str = ts.option(
        default="mesaya-ws-group",
        help="Name of this deployment in Kafka (client id). It does not split the stream.",
    )
    kafka_topics: tuple[str, ...] = ts.option(
        default=TOPICS, validator=named_like_topics, help="Topics to follow, separated by commas."
    )
    kafka_security_protocol: str = ts.option(
        default="PLAINTEXT",
        converter=in_any_case,
        validator=one_of(*SECURITY_PROTOCOLS),
        help="Protocol of connections to the brokers.",
    )
    kafka_sasl_mechanism: str = ts.option(
        default="PLAIN",
        converter=in_any_case,
        validator=one_of(*SASL_MECHANISMS),
        help="SASL mechanism.",
    )
    kafka_sasl_username: str = ts.option(default="", help="SASL user.")
    kafka_sasl_password: ts.SecretStr = ts.secret(default=ts.SecretStr(""), help="SASL password.")
    kafka_ssl_cafile: str = ts.option(default="", help="PEM file of the brokers' authority; none: the system's.")
    kafka_ssl_certfile: str = ts.option(
        default="", help="PEM file of the service's client certificate, for mutual TLS."
    )
    kafka_ssl_keyfile: str = ts.option(default="", help="PEM file of that certificate's key.")
    kafka_ssl_check_hostname: bool = ts.option(
        default=True, help="Whether the brokers' certificates must name their hosts."
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
        validator=within(1024, 64 * MIB),
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

    # Who may do what
    auth: bool = ts.option(
        default=True,
        help="`off` opens private channels (`user:…`, `restaurant:…:reservations`) to everyone: for development only.",
    )
    publish_token: ts.SecretStr = ts.secret(
        default=ts.SecretStr(""),
        help="Bearer token for POST /publish and /broadcast; without it both are closed.",
    )

    # Limits
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
    window_seconds: float = ts.option(
        default=300.0,
        # What is published while a snapshot is written must be at hand when it is told.
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


def limits_of(settings: Settings) -> dict[str, float]:
    """Return the settings that are numbers, by name, for whoever watches how near to them the service comes."""
    values = {name.upper(): getattr(settings, name) for name in attrs.fields_dict(Settings) if name != "port"}
    return {name: value for name, value in values.items() if type(value) in (int, float)}


def followed(settings: Settings) -> tuple[str, ...]:
    """Return the topics that are followed: KAFKA_TOPICS, and that of our own if the platform's API is asked."""
    own = (PARENTS,) if settings.platform_api_url else ()
    return tuple(dict.fromkeys((*settings.kafka_topics, *own)))
