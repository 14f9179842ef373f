"""What became of a record: the messages that it is, or why it is none."""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, TypeVar

from attrs import define

from mesaya_ws.core.platform.disposition import Disposition
from mesaya_ws.core.platform.entity import Data

PARTS_AT_ONCE = 200
"""How many parts of something, or messages of one record, are worked on in one go: 2 ms, at most."""

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work with a result that yields whenever others should run."""


@define
class Message:
    """What a record says on one channel. Messages of one record share their `data` where it is the same.

    Where a list in the data can be long, it may be `Derived` (see `views.contents`).
    """

    channel: str
    type: str
    timestamp: str
    data: Data


class Redaction(NamedTuple):
    """What of a channel is to be forgotten that was published already: `change` returns what is left of a message.

    Those that do not hold the bytes `naming` are not concerned. What is changed says where it is, as before. Where
    it is not known which channels are concerned, `channel` says of the name of each whether it is.
    """

    channel: str | Callable[[str], bool]
    naming: bytes
    change: Callable[[bytes], bytes]


@define
class Outcome:
    """What became of a record; it belongs to the router, which adds to it, until it is returned from there.

    `detail` is a sentence for the log, of a record that could not be understood. `reparented` are the channels of which
    this record changed what belongs to them, so that other records concern them from now on, or no longer. `mistyped`
    are fields of a wrong type, which were left out.

    `parents` are those on which it depends whom this record concerns, and `known` are the names of a parent that no
    record was about before this one; `concerned` are the channels on which its parts are shown from now on. `awaits`
    are those that must be known for this record to concern somebody (else).

    The `redactions` take back what earlier records have said.

    The messages show so many `parts` of what the record is about, known from other records: what shows many is
    written in pieces.
    """

    messages: Sequence[Message]
    reason: Disposition
    detail: str = ""
    reparented: tuple[str, ...] = ()
    mistyped: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    concerned: tuple[str, ...] = ()
    awaits: tuple[str, ...] = ()
    parts: int = 0
    redactions: tuple[Redaction, ...] = ()


def outcome_of(
    messages: Sequence[Message],
    otherwise: Disposition = Disposition.ORPHAN,
    reparented: Iterable[str] = (),
    parts: int = 0,
) -> Outcome:
    """Return the outcome of a record that was understood, whose reason is `otherwise` if it is no message."""
    reason = Disposition.PUBLISHED if messages else otherwise
    return Outcome(messages, reason, "", tuple(reparented), parts=parts)


def at_once(steps: Steps[T]) -> T:
    """Return the result of steps, taken all in one go."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
