"""Who may come, and who is cut, and when: the rules of a swarm, without its sockets."""

from collections import deque
from collections.abc import Iterable, Iterator

from load.client import Client, State
from load.plan import Plan


class Admission:
    """Lets the clients of one process in, and has them cut. Times are in seconds of one clock.

    `entering` is how many are on their way in, which whoever uses it counts.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._waiting: deque[Client] = deque()
        self._back_at: deque[tuple[float, Client]] = deque()
        self._ramp = plan.ramp / plan.processes if plan.ramp else None
        self._next = 0.0
        self._to_cut: deque[Client] | None = None
        self._cut_next = 0.0
        self.entering = 0

    @property
    def busy(self) -> bool:
        """Whether there is something to come."""
        return bool(self._waiting or self._back_at or self._to_cut is not None)

    def queue(self, clients: Iterable[Client], now: float) -> None:
        """Queue clients to connect."""
        self._next = now
        self._waiting.extend(clients)

    def rush(self, clients: Iterable[Client]) -> None:
        """Queue clients to connect as fast as they can."""
        self._ramp = None
        self._waiting.extend(clients)

    def send_back(self, client: Client, at: float) -> None:
        """Queue a client to connect again at that time; such times never decrease by more than a moment."""
        self._back_at.append((at, client))

    def start_cutting(self, clients: Iterable[Client], now: float) -> None:
        """From now on, cut one after the other, each once in `cut_every`."""
        self._to_cut = deque(clients)
        self._cut_next = now

    def stop_cutting(self) -> None:
        """Cut nobody any more."""
        self._to_cut = None

    def cuts(self, now: float) -> Iterator[Client]:
        """Yield those whose connections are to be cut by now."""
        while self._to_cut and self._plan.cut_every and self._cut_next <= now:
            self._cut_next += self._plan.cut_every / len(self._to_cut)
            client = self._to_cut[0]
            self._to_cut.rotate(-1)
            if client.state is State.OPEN:
                yield client

    def entries(self, now: float) -> Iterator[Client]:
        """Yield those who may come by now, as long as not too many are entering."""
        while self._back_at and self._back_at[0][0] <= now:
            self._waiting.append(self._back_at.popleft()[1])
        while self._waiting and self.entering < self._plan.concurrency and (not self._ramp or self._next <= now):
            if self._ramp:
                self._next += 1 / self._ramp
            client = self._waiting.popleft()
            if client.state is State.AWAY:
                yield client
