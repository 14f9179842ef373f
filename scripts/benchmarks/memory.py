"""The figures of earlier runs, by the state of the code that they are of, so that a change can be seen."""

import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import orjson
from rich.table import Table

from benchmarks.figures import FIGURES, NOT_COMPARED, Figures

Cases = dict[str, dict[str, Figures]]

KEPT = 30
"""States that are remembered."""

CHANGE = 1.1
"""From this ratio on, a difference is more than what two runs of the same code show."""


def state_of(folder: Path) -> str:
    """Return a name for the code in a work tree: its commit, and what was changed since."""
    commit = _git(folder, "rev-parse", "--short", "HEAD").decode().strip() or "no commit"
    changes = _git(folder, "diff", "HEAD")
    return f"{commit}+{sha256(changes).hexdigest()[:4]}" if changes else commit


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(("git", *arguments), cwd=folder, capture_output=True, check=False).stdout
    except OSError:
        return b""


def remembered(path: Path) -> dict[str, Cases]:
    """Return what is remembered of each state, in the order in which they were last measured."""
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def remember(path: Path, state: str, cases: Cases) -> None:
    """Remember these cases of a state, in place of what was remembered of them."""
    states = remembered(path)
    states[state] = states.pop(state, {}) | cases
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(dict(list(states.items())[-KEPT:]), option=orjson.OPT_INDENT_2))


def before(states: dict[str, Cases], state: str, cases: Cases) -> tuple[str, Cases] | None:
    """Return the latest other state of which one of the `cases` is remembered."""
    for name, known in reversed(states.items()):
        if name != state and known.keys() & cases.keys():
            return name, known
    return None


def change(name: str, old: Cases, new: Cases, server: str, yardstick: str) -> Table:
    """Return a table of what was measured of `server` before and now, with the ratio.

    The same ratio of the `yardstick`, which does not change, shows what the machine has to do with it.
    """
    grid = Table(title=f"{server}, before ({name}) and now", title_justify="left", box=None, pad_edge=False)
    grid.title_style = "bold"
    for column in ("case", "figure"):
        grid.add_column(column)
    for column in ("before", "now", "ratio", yardstick):
        grid.add_column(column, justify="right")
    for case, figure, was, now in _common(old, new, server):
        ratio = now / was
        others = [now / was for at, name, was, now in _common(old, new, yardstick) if (at, name) == (case, figure)]
        better = ratio < 1 / CHANGE if FIGURES[figure].smaller_is_better else ratio > CHANGE
        style = "" if 1 / CHANGE <= ratio <= CHANGE else "green" if better else "red"
        form = FIGURES[figure].form
        measured = [form.format(was), form.format(now), f"{ratio:.2f}", *(f"{other:.2f}" for other in others)]
        grid.add_row(case, figure, *measured, style=style)
    return grid


def _common(old: Cases, new: Cases, server: str) -> Iterator[tuple[str, str, float, float]]:
    for case in new:
        for name in FIGURES:
            was = old.get(case, {}).get(server, {}).get(name)
            now = new[case].get(server, {}).get(name)
            if was and now and name not in NOT_COMPARED:
                yield case, name, was, now
