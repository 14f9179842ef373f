"""A parent whose workers are small scripts; real ones are in `tests/e2e`."""

import pytest
import trio

from tests.timing import PATIENCE

WORKER = """
import os, signal, sys
behaviour = open("behaviour").read()
with open("arguments", "a") as arguments:
    print(*sys.argv[1:], file=arguments)
if behaviour == "dies":
    sys.exit(3)
if behaviour != "is slow":
    os.write(1, b"accepting\\n")
if behaviour == "dies later":
    sys.exit(4)
while os.read(0, 100):
    pass
while behaviour == "is deaf":
    signal.pause()
"""
"""What a worker does is said in a file of the working directory."""


class Parent:
    """A parent that runs: what it has logged, and the settings that it will find next."""

    def __init__(self, settings, logged):
        self.settings = settings
        self.ended = trio.Event()
        self._logged = logged

    def load(self):
        if isinstance(self.settings, Exception):
            raise self.settings
        return self.settings

    def events(self, event):
        return [entry for entry in self._logged() if entry["event"] == event]

    async def until(self, event, count=1):
        """Return what has been logged under that name, once it is so much."""
        await self.until_true(lambda: len(self.events(event)) >= count, f"{event!r} is logged {count} times")
        return self.events(event)

    async def until_true(self, condition, what):
        with trio.move_on_after(PATIENCE):
            while not condition():  # noqa: ASYNC110 - the log sets no events
                await trio.sleep(0.005)
            return
        pytest.fail(f"not within {PATIENCE} s: {what}; logged was {self.story()}")

    async def until_ended(self):
        with trio.move_on_after(PATIENCE):
            await self.ended.wait()
            return
        pytest.fail(f"it has not ended within {PATIENCE} s; logged was {self.story()}")

    def story(self):
        """Return the names of all events, each with the worker that it is about."""
        return [(entry["event"], entry.get("worker")) for entry in self._logged()]

    @property
    def numbers(self):
        """The numbers of the workers that live."""
        started = [entry["worker"] for entry in self.events("worker started")]
        for event in ("worker ended", "worker ended by itself"):
            for entry in self.events(event):
                started.remove(entry["worker"])
        return sorted(started)
