"""What a session of the client tells: events of channels, and notices of its connections."""

from typing import Any

from attrs import frozen


@frozen
class Event:
    """Something that arrived on a channel.

    `type` is that of the event, or `snapshot`, or, when events may have been missed, `gap` with the reason in `data`,
    and a snapshot follows. `complete` is that of a snapshot: false when the log does not reach back far enough.
    """

    channel: str
    type: str
    data: Any
    timestamp: str | None = None
    position: str | None = None
    complete: bool | None = None


@frozen
class Connected:
    """The gateway has greeted us; `connection` is the id under which its log knows the connection."""

    connection: str


@frozen
class Disconnected:
    """There is no connection, for a `reason` without a full stop; the next attempt begins within 30 s."""

    reason: str


@frozen
class Subscribed:
    """The gateway has answered a subscription; `recovered` as it says itself, None without a position."""

    channel: str
    recovered: bool | None


Notice = Connected | Disconnected | Subscribed
"""What a session tells of its connections, beside the events."""
