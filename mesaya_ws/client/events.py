"""What a session of the client delivers: events of channels, and notices of its connection."""

from typing import Any

from attrs import frozen


@frozen
class Event:
    """Something that arrived on a channel.

    `type` is that of the event; or `snapshot`; or `gap`, with the reason in `data`, when events may have been missed,
    and a snapshot follows; or `presence` or `chat.typing`, which have no position. `complete` is false for a snapshot
    when the log does not reach back far enough.
    """

    channel: str
    type: str
    data: Any
    timestamp: str | None = None
    position: str | None = None
    complete: bool | None = None


@frozen
class Acknowledged:
    """A reservation was acknowledged `by` a user first, `at` some time of the log (RFC 3339)."""

    reservation: str
    by: str
    at: str


@frozen
class Connected:
    """The gateway has sent `welcome`; `connection` is the id of the connection in the gateway's log."""

    connection: str


@frozen
class Disconnected:
    """There is no connection, for a `reason` without a full stop; the next attempt begins within 30 s."""

    reason: str


@frozen
class Subscribed:
    """The gateway has answered a subscription; `recovered` is from its answer, None without a position."""

    channel: str
    recovered: bool | None


Notice = Connected | Disconnected | Subscribed
"""What `notify` is called with."""
