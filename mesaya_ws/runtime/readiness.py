"""Whether this instance should be given clients, and what it cannot serve."""

from collections.abc import Collection, Iterator, Sequence

from attrs import define

from mesaya_ws.core.log.trouble import Hindrance, Trouble, sentences

STATES = ("starting", "draining", "full", "outage", "trouble")
"""What an instance can be in that may take its readiness away."""

NOT_READY_WHEN = ("starting", "draining", "full")
"""What does, unless a setting says otherwise: what makes one instance worse than the others. An event log that does not
answer is the same for all of them, and a balancer without instances serves nobody."""


@define
class Status:
    """What decides on readiness; the gateway keeps it true.

    `outage` says why the event log does not answer, or is None; `since`, when that changed last (seconds since the
    epoch; None: never); `troubles`, what cannot be read of it though it answers. `caught_up`: the log's history is
    read. `full` says which bound is met, or is None. Not ready is who is in one of the states `not_ready_when`.
    """

    outage: str | None = None
    since: float | None = None
    caught_up: bool = False
    draining: bool = False
    full: str | None = None
    troubles: Sequence[Trouble] = ()
    not_ready_when: Collection[str] = NOT_READY_WHEN

    @property
    def ready(self) -> bool:
        """Whether this instance should be given clients."""
        return not any(state in self.not_ready_when for state, _ in self._states())

    @property
    def reasons(self) -> list[str]:
        """Why this instance is not ready, and what it cannot serve though it is; nothing when all is well."""
        return [sentence for _, sentence in self._states()]

    def _states(self) -> Iterator[tuple[str, str]]:
        if self.draining:
            yield "draining", "This instance is going away."
        if self.full is not None:
            yield "full", f"This instance is full: {self.full}"
        if self.outage is not None:
            # Who has nothing to serve yet is not ready for that.
            yield "outage" if self.caught_up else "starting", f"The event log does not answer: {self.outage}"
        elif not self.caught_up:
            yield "starting", "The history in the event log is still being read."
        if self.outage is None:
            # A topic that does not exist is empty: there is nothing that could not be served.
            for sentence in sentences([trouble for trouble in self.troubles if trouble.kind is not Hindrance.ABSENT]):
                yield "trouble", sentence
