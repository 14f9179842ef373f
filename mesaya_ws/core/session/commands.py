"""What a client appends to the log: a record, and how the client is answered once it is known what has become of it."""

from collections.abc import Callable, Hashable
from enum import Enum, auto
from typing import Literal

from attrs import frozen

from mesaya_ws.core.log.interface import LogUnavailableError, RecordRejectedError
from mesaya_ws.core.log.records import Appended, NewRecord


class TooManyAppendsError(Exception):
    """The session has as many commands waiting as it may: this one was not appended, and may be sent again later."""


class Turn(Enum):
    """Whether a command's record is to be appended."""

    DUE = auto()
    NEEDLESS = auto()
    """What the record would come to is known without it."""


@frozen
class WaitsFor:
    """The turn of a command on which another one decides, which is on its way: the one with this `key`."""

    key: Hashable


AppendResult = Appended | LogUnavailableError | RecordRejectedError | TooManyAppendsError | Literal[Turn.NEEDLESS]
"""Where the log has put a record, or why it has not, or may not have, taken it; `Turn.NEEDLESS`: it need not."""


def due() -> Turn:
    """Return the turn of a command that waits for no other."""
    return Turn.DUE


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
    become of it. Its `turn` is asked before it is appended, and again when the command that it waits for, by that one's
    `key`, has its answer. Unless it is due then, it has its result without a record: what `turn` has returned.
    """

    record: NewRecord
    answer: Callable[[AppendResult], bytes]
    is_read_back: bool = False
    delay: Delay | None = None
    turn: Callable[[], Turn | WaitsFor | LogUnavailableError] = due
    key: Hashable = None
