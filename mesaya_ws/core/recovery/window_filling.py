"""How the window is filled from its copy when a process starts: as of the last commit, but for what is too old."""

from collections.abc import Iterator

from mesaya_ws.core.recovery.coverage import Coverage
from mesaya_ws.core.recovery.window import Window
from mesaya_ws.core.recovery.window_copy import StoredWindow, WindowCopy
from mesaya_ws.core.recovery.window_notes import apply_rows
from mesaya_ws.core.state.entries import COLUMNS

FILLED_AT_ONCE = 1000
"""Publications that are added in one go, at some 2 µs each; and rows of notes."""


def fill(
    window: Window, copy: WindowCopy, coverage: Coverage, stored: StoredWindow, now: int, steady: int
) -> Iterator[None]:
    """Fill a window that is empty, and whose floors are those of what was `stored`; yields often.

    `now` is the time (ms since the epoch), `steady` that of the window's clock. Raises `CorruptStateError`.
    """
    copy.begin(stored)
    floors, work = stored.floors, 0
    for part in stored.publications:
        for start in range(0, len(part.flat), COLUMNS):
            channel, partition, offset, time, frame = part.flat[start : start + COLUMNS]
            if offset < floors.get(partition, 0):
                continue  # it had left the window already
            made_at = steady - max(0, now - time)
            if window.is_past(made_at, steady):
                window.raise_floor(partition, offset + 1)
            else:
                window.add(channel, partition, offset, made_at, frame)
        work += part.published
        if work >= FILLED_AT_ONCE or part is stored.publications[-1]:
            copy.loaded(part.last)
            work = 0
            yield
    for record in copy.last_records.take():
        coverage.dependencies.load_last(record)
    for rows in stored.notes.values():
        for _ in apply_rows(rows, coverage.dependencies, coverage.reparentings, window):
            work += 1
            if work >= FILLED_AT_ONCE:
                work = 0
                yield
