"""What all sessions together have come to: what became of positions that clients brought, and snapshots sent."""

from collections import Counter

from attrs import Factory, define

RECOVERED, LOST, RESTARTED = "recovered", "lost", "restarted"
"""What came of a position: all that was missed was replayed; it could not be; or a stream began anew, unasked."""


@define
class Tally:
    """Counts of all sessions of one feed.

    `resumes` are by outcome, and by the reason: where what was missed came from (`window`, `store`), or why it could
    not be replayed (`recovery.verdict.Unrecoverable`). `snapshots` are those that were sent, for whatever reason.
    """

    resumes: Counter[tuple[str, str]] = Factory(Counter)
    snapshots: int = 0
