"""Who used how much processor time on this machine."""

import time
from collections.abc import Mapping, Sequence

from attrs import frozen

from load.process import Observed, cpu_of, machine_cpu


@frozen
class Cores:
    """How many cores were busy in some time: with whom, with the `busiest` of the swarms, and in `all`."""

    server: float
    load: float
    busiest: float
    others: float
    all: float


@frozen
class Clocks:
    """Processor time up to a moment, in seconds; `guests` are the server and its company."""

    at: float
    server: float
    guests: float
    load: float
    swarms: dict[int, float]
    all: float

    def since(self, before: "Clocks") -> Cores:
        """Return how many cores were busy since then."""
        past = max(0.001, self.at - before.at)
        load, everything = self.load - before.load, self.all - before.all
        return Cores(
            server=(self.server - before.server) / past,
            load=load / past,
            busiest=max(self.swarms[index] - before.swarms.get(index, 0.0) for index in self.swarms) / past,
            others=max(0.0, everything - load - (self.guests - before.guests)) / past,
            all=everything / past,
        )


def read_clocks(server: Observed | None, company: Sequence[Observed], swarms: Mapping[int, float]) -> Clocks:
    """Return what has been used up to now; the `swarms` say it of themselves."""
    used = server.cpu() if server else 0.0
    # The run's processes are children of this one, and so may the server be, and its company.
    guests = {pid for one in (server, *company) if one for pid in one.family()}
    return Clocks(
        at=time.time(),
        server=used,
        guests=sum(map(cpu_of, guests)),
        load=sum(map(cpu_of, set(Observed.here().family()) - guests)),
        swarms=dict(swarms),
        all=machine_cpu(),
    )
