"""What a session requests from others: what takes longer than a moment, or needs more than the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord

if TYPE_CHECKING:
    from mesaya_ws.core.session.delivery import Delivery
    from mesaya_ws.core.session.session import Session
    from mesaya_ws.core.wire.messages import Auth


Unfinished = Callable[[], Awaitable[None]]
"""The rest of what a message asks for."""


class TooManyAppendsError(Exception):
    """The session has as many commands waiting as it may: this one was not appended, and may be sent again later."""


AppendResult = Appended | LogUnavailableError | RecordRejectedError | TooManyAppendsError
"""Where the log has put a record, or why it has not, or may not have, taken it."""


@frozen
class Delay:
    """How long a command waits that would come too soon: so many `seconds`.

    Of all that wait for the same `purpose` then, the one with the highest `rank` is appended, and all are answered.
    """

    purpose: Hashable
    seconds: float
    rank: int


@frozen(eq=False)
class Command:
    """A `record` that a client appends to the log, and the frame that answers the client once the result is known.

    One that `is_read_back` has a result only when the feed has processed the record: then the answer can say what has
    become of it.
    """

    record: NewRecord
    answer: Callable[[AppendResult], bytes]
    is_read_back: bool = False
    delay: Delay | None = None


class SessionServices(Protocol):
    """What sessions and their deliveries request by themselves, as soon as they need it.

    Nothing here waits or does any I/O: a request is noted, and answered later by the method that each names. To repeat
    a request that is noted changes nothing, except for `append`.
    """

    def wait_for_feed(self, session: Session) -> None:
        """Call `session.retry_waiting` whenever the feed has moved on, while it `is_waiting_for_feed`."""
        ...

    def read_history(self, delivery: Delivery) -> None:
        """Read what `delivery` awaits from the state store, as long as it does; answered by `delivery.on_history`."""
        ...

    def render_snapshot(self, delivery: Delivery) -> None:
        """Render the snapshot of `delivery.to_render`, if it still is then; answered by `delivery.on_rendered`."""
        ...

    def authenticate(self, session: Session, message: Auth) -> Unfinished | None:
        """Find out who a client is; answered by `authenticating.on_authenticated`.

        At once if that can be; else what it returns is to be awaited before another message of the client is received.
        """
        ...

    def append(self, session: Session, command: Command) -> None:
        """Append the command's record to the log; answered by `session.on_appended`, once, in any case.

        Commands of one session are appended in their order; those of another one do not wait for them.
        """
        ...
