"""What the clients of one process have received: each event counted once, by its number on its channel."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from attrs import define

from load.client import Client, State
from load.counts import Counts
from load.wire import POSITION, TICK, TIMESTAMP, Chunk, Stamp


@define
class Sample(Counts):
    """What a swarm has seen since its last sample. Made where it is counted, and sent as it is.

    `open` is the number of clients now, `behind` that of those to which events of the past are still to come; `cpu`
    the processor time up to now; `last` when the latest event came; `at` when the sample was taken.
    """

    open: int = 0
    behind: int = 0
    cpu: float = 0.0
    last: float = 0.0
    at: float = 0.0


class Finished(NamedTuple):
    """How many events a swarm never received, and how many came only after later ones."""

    lost: int
    late: int


class Received:
    """The counts of a swarm: `now` is what has been seen since `close`, `total` are all deliveries up to now.

    Nearly all that comes has come before, on another connection: it is in `chunks`, by its size and its beginning, and
    its arrivals are only counted; `fresh` are those chunks whose arrivals have not been entered yet.
    """

    def __init__(self) -> None:
        self.now = Sample()
        self.total = 0
        self.chunks: dict[tuple[int, bytes], Chunk] = {}
        self.fresh: list[Chunk] = []
        self._late = 0

    def enter(self, client: Client, stamp: Stamp, now: int) -> None:
        """Enter one event that came to a client at the time `now` (ns since the epoch)."""
        if stamp.channel != client.channel or client.state is State.LAPSED:
            self.now.misrouted += 1
            return
        if stamp.number >= client.next:
            if stamp.number > client.next:
                client.missing = (client.missing or set()).union(range(client.next, stamp.number))
            client.next = stamp.number + 1
        elif client.missing and stamp.number in client.missing:
            client.missing.remove(stamp.number)
            self._late += 1
        else:
            self.now.duplicates += 1
            return
        self.now.deliveries += 1
        self.total += 1
        if client.replaying:
            client.replaying -= 1
            self.now.replayed += 1
            if not client.replaying:
                self.now.catching_up.record((now - client.began) // 1000)
            return
        latency = (now - stamp.due) // 1000
        self.now.latency.record(latency)
        if client.bystander:
            self.now.bystander_latency.record(latency)

    def notice(self, payload: bytes, now: float) -> None:
        """Enter a message that came at `now` (s since the epoch), if it is an event: only its time is read."""
        sent = TIMESTAMP.search(payload)
        if sent and POSITION.search(payload):
            self.now.deliveries += 1
            self.total += 1
            self.now.latency.record(int((now - datetime.fromisoformat(sent[1].decode()).timestamp()) * 1e6))

    def fail(self, reason: str) -> None:
        """Count a connection that did not come about, or that broke."""
        self.now.failures[reason] += 1

    def close(self) -> Sample:
        """Return what was seen since the last time, and begin anew."""
        sample, self.now = self.now, Sample()
        for chunk in self.fresh:
            for stamp in chunk.stamps:
                for arrivals, at_bystanders in ((chunk.arrivals, False), (chunk.bystanders, True)):
                    for tick, times in arrivals.items():
                        latency = (((2 * tick + 1) << (TICK - 1)) - stamp.due) // 1000
                        sample.latency.record(latency, times)
                        if at_bystanders:
                            sample.bystander_latency.record(latency, times)
        self.chunks.clear()
        self.fresh.clear()
        return sample

    def finish(self, clients: Iterable[Client], fed: list[int]) -> Finished:
        """Return what is missing of the events that were `fed`, by channel; of those that lapsed, up to that."""
        lost = sum(
            len(client.missing or ())
            + (0 if client.state is State.LAPSED else max(0, fed[client.channel] - client.next + 1))
            for client in clients
        )
        return Finished(lost, self._late)
