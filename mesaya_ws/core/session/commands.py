"""What a client appends to the log: a record, and how the client is answered once it is known what has become of it."""

from collections.abc import Callable, Hashable

from attrs import frozen

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord


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
