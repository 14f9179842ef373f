"""The gateway, with every step of every task timed: who holds the event loop, and for how long.

Processor time is counted: when a neighbour takes the processor away, that is no fault of the gateway.

Arguments: a file; at SIGUSR1, what has been seen since the last time is added to it, as a line of JSON. The settings
come from the environment, as always.
"""

import gc
import os
import signal
import sys
from collections.abc import Mapping
from time import thread_time

import orjson
import trio

from mesaya_ws.environment import load_settings
from mesaya_ws.gateway import serve
from mesaya_ws.runtime import logs

PATH = sys.argv[1]


class Watch(trio.abc.Instrument):
    """Times the steps of tasks, and what the loop does between two looks at its sockets (a turn)."""

    def __init__(self) -> None:
        self._step_began = self._turn_began = thread_time()
        self._reset()
        gc.callbacks.append(self._collected)

    def _reset(self) -> None:
        self._steps: dict[str, float] = {}
        self._turns = [0.0]
        self._collection = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin a step."""
        self._step_began = thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """End a step."""
        self._steps[task.name] = max(self._steps.get(task.name, 0.0), thread_time() - self._step_began)

    def after_io_wait(self, timeout: float) -> None:
        """Begin a turn."""
        self._turn_began = thread_time()

    def before_io_wait(self, timeout: float) -> None:
        """End a turn."""
        self._turns.append(thread_time() - self._turn_began)

    def _collected(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._collection_began = thread_time()
        else:
            self._collection = max(self._collection, thread_time() - self._collection_began)

    def report(self, *_: object) -> None:
        """Write down what has been seen, and begin anew."""
        turns = sorted(self._turns)
        seen = {
            "steps": self._steps,
            "turn": turns[-1],
            "turn_p99": turns[len(turns) * 99 // 100],
            "collection": self._collection,
        }
        self._reset()
        with open(PATH, "ab") as file:
            file.write(orjson.dumps(seen, option=orjson.OPT_APPEND_NEWLINE))


watch = Watch()
signal.signal(signal.SIGUSR1, watch.report)
settings = load_settings(os.environ)
logs.configure(settings.log_level, settings.log_format)
trio.run(serve.serve, settings, instruments=[watch])
