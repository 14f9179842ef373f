"""Whether this instance should be given clients, and why not."""

from attrs import define


@define
class Status:
    """What decides on readiness; the gateway keeps it true.

    `outage` says why the event log does not answer, or is None; `since`, when that changed last (seconds since the
    epoch; None: never); `caught_up`, that the log's history has been read; `full`, which bound has been met, or None.
    """

    outage: str | None = None
    since: float | None = None
    caught_up: bool = False
    draining: bool = False
    full: str | None = None

    @property
    def reasons(self) -> list[str]:
        """Why this instance is not ready; nothing when it is."""
        reasons = []
        if self.draining:
            reasons.append("This instance is going away.")
        if self.full is not None:
            reasons.append(f"This instance is full: {self.full}")
        if self.outage is not None:
            reasons.append(f"The event log does not answer: {self.outage}")
        elif not self.caught_up:
            reasons.append("The history in the event log is still being read.")
        return reasons
