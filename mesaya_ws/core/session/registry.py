"""All sessions of this instance: who is connected, and who waits for the feed to move on."""

from collections.abc import Collection, Iterator
from typing import Generic, Protocol, TypeVar

from mesaya_ws.core.recovery.verdict import Unrecoverable
from mesaya_ws.core.session.opening import retry_waiting
from mesaya_ws.core.session.session import Session
from mesaya_ws.core.session.step_budget import StepBudget


class Connected(Protocol):
    """A connection, as far as the registry knows it: it has a session."""

    @property
    def session(self) -> Session:
        """Its session."""
        ...


C = TypeVar("C", bound=Connected)


class SessionRegistry(Generic[C]):
    """The connections that are open, each with its session, and the sessions that wait for the feed.

    A method that visits many sessions yields on the way, so that others have their turn; sessions may come and go
    meanwhile.
    """

    def __init__(self) -> None:
        self.connections: set[C] = set()
        self._waiting: set[Session] = set()

    def add(self, connection: C) -> None:
        """Add a connection that was opened."""
        self.connections.add(connection)

    def remove(self, connection: C) -> None:
        """Remove a connection, and what its session waits for, if it is still here."""
        self.connections.discard(connection)
        self._waiting.discard(connection.session)

    def wait_for_feed(self, session: Session) -> None:
        """Retry the waiting subscriptions of a session in `retry_waiting`, until none is left."""
        self._waiting.add(session)

    @property
    def has_waiting(self) -> bool:
        """Whether any session waits for the feed."""
        return bool(self._waiting)

    def retry_waiting(self) -> Iterator[None]:
        """Open the subscriptions that the feed has come far enough for.

        Yields after each that was opened, or checked again, and after some sessions.
        """
        budget = StepBudget()
        for session in list(self._waiting):
            yield from retry_waiting(session)
            if not session.is_waiting_for_feed:
                self._waiting.discard(session)
            if budget.spend(session.work):
                yield

    def resync(self, gaps: Collection[tuple[str, Unrecoverable]]) -> Iterator[None]:
        """Send snapshots to every session where the log lost records of a topic that feeds its subscriptions.

        `gaps` are topics, each with the reason; a session takes all in one step. Yields after some; those that come
        meanwhile begin after the gaps.
        """
        budget = StepBudget()
        for connection in list(self.connections):
            work = 0
            for topic, reason in gaps:
                connection.session.resync(topic, reason)
                work += connection.session.work
            if budget.spend(work):
                yield
