"""Whether balancers should send clients to this instance, and what it cannot serve."""

from collections.abc import Collection, Iterator, Sequence

from attrs import define, field

from mesaya_ws.core.log.trouble import Hindrance, Trouble, sentences

STATES = ("starting", "draining", "full", "outage", "trouble", "state")
"""States of an instance that may make it not ready."""

NOT_READY_WHEN = ("starting", "draining", "full")
"""The default of that setting: states that make one instance worse than the others. An outage of the event log concerns
all of them, and a balancer without instances serves nobody."""


@define
class Status:
    """What decides on readiness; the gateway keeps it up to date.

    `outage` is why the event log does not answer, or None; `since`, when that last changed (seconds since the
    epoch; None: never); `troubles`, the parts that cannot be read though it answers. `caught_up`: the log's history
    has been read. `state` is why the state directory cannot be used, or None. `full` names the bound that is
    reached, or is None. In a state of `not_ready_when`, the instance is not ready.
    """

    outage: str | None = None
    since: float | None = None
    caught_up: bool = False
    draining: bool = False
    full: str | None = None
    troubles: Sequence[Trouble] = ()
    state: str | None = None
    not_ready_when: Collection[str] = NOT_READY_WHEN
    unread: dict[str, str] = field(factory=dict)
    """What else is to be read before clients can be served, by name, each with the sentence that says so."""

    @property
    def ready(self) -> bool:
        """Whether balancers should send clients here."""
        return not any(state in self.not_ready_when for state, _ in self._states())

    @property
    def reasons(self) -> list[str]:
        """Why this instance is not ready, and what it cannot serve although it is; empty when all is well."""
        return [sentence for _, sentence in self._states()]

    def _states(self) -> Iterator[tuple[str, str]]:
        if self.draining:
            yield "draining", "This instance is going away."
        if self.full is not None:
            yield "full", f"This instance is full: {self.full}"
        if self.outage is not None:
            # Before it has caught up, it is not ready in any case.
            yield "outage" if self.caught_up else "starting", f"The event log does not answer: {self.outage}"
        elif not self.caught_up:
            yield "starting", "The history in the event log is still being read."
        for sentence in self.unread.values():
            yield "starting", sentence
        if self.outage is None:
            # A missing topic has no records: nothing is withheld from clients.
            for sentence in sentences([trouble for trouble in self.troubles if trouble.kind is not Hindrance.ABSENT]):
                yield "trouble", sentence
        if self.state is not None:
            yield "state", f"The state directory cannot be used, so what is older than the window is lost: {self.state}"
