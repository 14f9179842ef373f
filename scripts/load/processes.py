"""The processes of a run: swarms of clients, and a feed."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_uint64
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from load.feed import Feed, run_feed
from load.plan import Plan
from load.received import Finished, Sample
from load.swarm import run_swarm


class RunError(Exception):
    """The run cannot go on; the text says why."""


class Processes:
    """The processes of a run, and the words with which they are led."""

    def __init__(self, plan: Plan, feed: Feed | None) -> None:
        context = multiprocessing.get_context("spawn")
        counters = context.RawArray(c_uint64, plan.processes)
        self._processes: list[BaseProcess] = []

        def start(target: Callable[..., None], *arguments: object) -> Pipe:
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(*arguments, theirs, counters), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            return ours

        self._swarms = [start(run_swarm, plan, index) for index in range(plan.processes)]
        self._feed = start(run_feed, plan, feed) if feed else None

    def end(self) -> None:
        """End the processes, however far they are."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def order(self, command: str, *arguments: object) -> None:
        """Call all swarms; the name of a method of theirs, and its arguments."""
        for pipe in self._swarms:
            pipe.send((command, *arguments))

    def samples(self, seconds: float) -> Iterator[tuple[int, Sample]]:
        """Yield what the swarms have seen, each with its number; wait for the first at most so long."""
        for pipe in wait(self._swarms, timeout=seconds):
            yield self._swarms.index(pipe), _receive(pipe)

    def finish(self, fed: list[int]) -> Iterator[tuple[int, Sample | Finished]]:
        """End the swarms; yield the last that they have seen, and at last what is missing of what was `fed`."""
        for index, pipe in enumerate(self._swarms):
            pipe.send(("finish", fed))
            while not isinstance(message := _receive(pipe), Finished):
                yield index, message
            yield index, message

    def wait_for_feed(self) -> None:
        """Wait until the feed is ready to begin."""
        if self._feed is not None:
            _receive(self._feed)

    def start_feed(self) -> None:
        """Start the feed."""
        if self._feed is not None:
            self._feed.send("start")

    def stop_feed(self) -> tuple[int, float]:
        """Stop the feed; return how many events it has fed, and the processor time that it took."""
        if self._feed is None:
            return 0, 0.0
        if not self.has_fed:
            self._feed.send("stop")
        return _receive(self._feed)

    @property
    def has_fed(self) -> bool:
        """Whether the feed has ended by itself, as it was to feed so many events and no more."""
        return self._feed is not None and self._feed.poll()


def _receive(pipe: Pipe):
    try:
        return pipe.recv()
    except EOFError:
        raise RunError("A process of the load test ended; what it said is above.") from None


@contextmanager
def starting(plan: Plan, feed: Feed | None) -> Iterator[Processes]:
    """Start the processes of a run; they end with the context."""
    processes = Processes(plan, feed)
    try:
        yield processes
    finally:
        processes.end()
