"""How late the event loop is, and for how long the garbage collector stops it."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

import trio

from mesaya_ws.runtime.metrics import Histogram, Metrics

PROBE_SECONDS = 0.1
"""Seconds between two probes."""


async def watch_loop(metrics: Metrics) -> None:
    """Measure how late the loop wakes a task, and how long the garbage collector pauses it, until cancelled."""
    with _timed_collections(metrics.gc_pauses):
        while True:
            due = trio.current_time() + PROBE_SECONDS
            await trio.sleep_until(due)
            metrics.loop_lag.observe(trio.current_time() - due)


@contextmanager
def _timed_collections(pauses: tuple[Histogram, ...]) -> Iterator[None]:
    started = 0.0

    def note(phase: str, info: Mapping[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = perf_counter()
        else:
            pauses[info["generation"]].observe(perf_counter() - started)

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)
