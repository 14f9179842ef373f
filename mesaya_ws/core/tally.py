"""What all sessions together have come to: what became of the positions that clients brought, and the states told."""

from collections import Counter

from attrs import Factory, define

RECOVERED, LOST, RESTARTED = "recovered", "lost", "restarted"
"""What came of a position: all that was missed was told; it could not be; or a stream had to begin anew, unasked."""


@define
class Tally:
    """Counts of all sessions of one feed.

    `resumes` are by outcome, and by the reason: where what was missed came from (`window`, `log`), or why it could not
    be told (`core.resume.Lost`). `snapshots` are the states that were told, for whatever reason.
    """

    resumes: Counter[tuple[str, str]] = Factory(Counter)
    snapshots: int = 0
