"""What is known of the connections of visitors, as far as what they noted has been read."""

from bisect import bisect_right
from typing import NamedTuple

from attrs import define, field

from .rights_page import Claims
from .visitors import Connection, Entry

Nexts = dict[str, int | None]
"""What comes next on each channel, by its number among what is due; None: nobody knows."""


class Question(NamedTuple):
    """What was sent, or an opening; by then, which moment its gateway had reached, and how many revocations it knew of.

    Its client had been so many others before that, at least.
    """

    entry: Entry
    since: int
    revocations: int
    others: int


@define(eq=False)
class Subscription:
    """`begins` are the moments at which it may have begun with a right that has lasted; `next` is what comes next.

    All that was in the log after the moment `opened` must come, and before that, so many messages that were `missed`.
    `is_renewed`: its client has another token since.
    """

    channel: str
    begins: list[int]
    next: int | None
    opened: int
    missed: float = 0
    is_renewed: bool = False

    def last_without(self, moment: int) -> None:
        """Take note of a moment at which there was no right."""
        del self.begins[: bisect_right(self.begins, moment)]


@define(eq=False)
class Conversation:
    """What is known of a connection: who it is, and was (`identities`), what was asked, and its subscriptions."""

    made: Connection
    identities: list[Claims | None]
    asked: dict[object, Question] = field(factory=dict)
    subscriptions: dict[str, Subscription] = field(factory=dict)
    nexts: Nexts = field(factory=dict)
    opening: Question | None = None
    is_open: bool = True

    @property
    def claims(self) -> Claims | None:
        """Who it is."""
        return self.identities[-1]

    @property
    def former(self) -> Claims | None:
        """Who it is, or has been last."""
        return next((each for each in reversed(self.identities) if each is not None), None)

    def is_other(self, claims: Claims | None) -> bool:
        """Return whether those are another user's claims."""
        return None not in (self.claims, claims) and self.claims.user != claims.user
