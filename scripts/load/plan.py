"""What a run does: who connects, to which channels, what is fed into them, and how it is disturbed."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import orjson
from attrs import field, frozen

from load.tokens import token
from load.workload import TABLES, Record, Workload, iso, record


class Due(NamedTuple):
    """An event: its channel's number, its own number there (from 1 on), and when it is due (ns since the epoch)."""

    channel: int
    number: int
    at: int

    @property
    def stamp(self) -> str:
        """What the event says about itself (see `wire.STAMP`)."""
        return f"{self.channel}.{self.number}.{self.at}"


class Place(NamedTuple):
    """Where a client begins: the number of the event that it expects next, and its position; None: with what comes."""

    next: int
    position: str | None


@frozen(kw_only=True)
class Plan:
    """All of a run. Times in seconds, rates per second, in all processes together.

    A `rate` of None saturates: the next events are fed as soon as no more than `outstanding` of them have not been
    received everywhere. Disturbances: with `cut_every`, each client is cut that often; with `storm`, all but the
    `bystanders` are cut at once in the middle of the run. Who was cut is `away` for a while, and resumes. For the
    second half, so many more come that are `stopped`: they subscribe, and then read nothing at all. With a `backlog`,
    so many events are fed while the server stands still, and no more: it is seen how fast it catches up. With `places`,
    by channel, all but the bystanders have been away for long: they come in a storm, to the places of their channel in
    turn. So many events were `fed_before` the run, to all channels. Clients that
    `nap` look only that often at what has come: they take less of the processor, and their latencies count the wait.

    With a `secret`, which is the service's JWT_SECRET, each client signs in as the user whom its channel is about. With
    `expiring`, all tokens end within the same minute; clients renew them when warned, except the `lapsing` ones.
    """

    run: str
    host: str = "127.0.0.1"
    port: int = 8080
    path: str = "/ws"
    protocol: str = "mesaya"
    workload: Workload = TABLES
    connections: int = 1000
    channels: int = 1
    rate: float | None = 100.0
    outstanding: int = 200
    duration: float = 10.0
    ramp: float | None = None
    concurrency: int = 256
    sources: int = 8
    processes: int = 1
    watch: str | None = None
    storm: bool = False
    cut_every: float | None = None
    away: float = 1.0
    bystanders: int = 0
    stopped: int = 0
    backlog: int = 0
    places: Sequence[Sequence[Place]] = ()
    fed_before: int = 0
    nap: float = 0.0
    secret: str = field(default="", repr=False)
    expiring: bool = False
    lapsing: int = 0

    @property
    def feeds(self) -> bool:
        """Whether there is anything to feed."""
        return not self.watch and (self.rate != 0 or self.backlog > 0)

    @property
    def cuts(self) -> int:
        """How many times somebody is to be cut, if all come back in time."""
        return int(self.duration / self.cut_every * (self.connections - self.bystanders)) if self.cut_every else 0

    @property
    def present(self) -> int:
        """How many clients there are before a storm."""
        return self.bystanders if self.places else self.connections

    def place(self, client: int) -> Place:
        """Return where the client of that number begins."""
        turn, channel = divmod(client, self.channels)
        if self.places and client >= self.bystanders:
            places = self.places[channel]
            return places[turn % len(places)]
        whole, rest = divmod(self.fed_before, self.channels)
        return Place(whole + (channel < rest) + 1, None)

    def subject(self, channel: int) -> str:
        """Return the id that a channel is about; no other run uses it."""
        return f"load-{self.run}-{channel}"

    def channel(self, number: int) -> str:
        """Return the name of a channel."""
        return self.watch or self.workload.channel.format(self.subject(number))

    def token(self, channel: int, ends: float) -> str:
        """Return a token that opens a channel, and ends at a time (s since the epoch)."""
        return token(self.secret, self.subject(channel), ends)

    def setup(self) -> list[Record]:
        """Return the records that must be there before the first event."""
        return [record for number in range(self.channels) for record in self.workload.setup(self.subject(number))]

    def record(self, due: Due) -> Record:
        """Return the record that becomes the event `due` on its channel."""
        subject = self.subject(due.channel)
        data = self.workload.event(subject, due.stamp)
        return record(self.workload.topic, "updated", f"{subject}-e", data, due.at)

    def message(self, due: Due) -> Record:
        """Return the event `due` as a finished message, for servers that only pass messages on.

        It is what this service's clients get, with a position as long as theirs.
        """
        subject = self.subject(due.channel)
        channel = self.workload.channel.format(subject)
        message = {
            "type": f"{self.workload.topic.rstrip('s')}.updated",
            "channel": channel,
            "position": "ERiuAAAAnk8BAAAAAAAAoUZ3",
            "timestamp": iso(due.at),
            "data": {"tableId": f"{subject}-e", **self.workload.event(subject, due.stamp), "restaurantId": subject},
        }
        return channel, orjson.dumps(message)

    def events(self, first: int, count: int, at: Callable[[int], int]) -> Iterator[Due]:
        """Return `count` events from the one with the serial number `first` on, in turn over all channels."""
        for serial in range(first, first + count):
            yield Due(serial % self.channels, serial // self.channels + 1, at(serial))

    def fed(self, count: int) -> list[int]:
        """Return how many of the first `count` events are on each channel."""
        whole, rest = divmod(count, self.channels)
        return [whole + (channel < rest) for channel in range(self.channels)]
