"""The table of the matrix: what was done to the log, the gateways and their clients, and what came of it."""

import re
from pathlib import Path
from typing import NamedTuple

from .verdict import Verdict

_MARKED = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)


class Row(NamedTuple):
    """A line of the table: a fault, and what came of it.

    `gaps` is how often a channel of a client was sent a gap; `silence` is in seconds.
    """

    fault: str
    log: str
    done: str
    clients: int
    verdict: Verdict
    gaps: int
    silence: float

    @property
    def cells(self) -> dict[str, str]:
        """What the table shows, by its heads."""
        return {
            "fault": self.fault,
            "log": self.log,
            "what was done": self.done,
            "clients": str(self.clients),
            "events": str(self.verdict.events),
            "lost": str(self.verdict.lost),
            "repeated": str(self.verdict.repeated),
            "out of order": str(self.verdict.disordered),
            "gaps": str(self.gaps),
            "longest silence": f"{self.silence:.1f} s",
            "verdict": "**broken**" if self.verdict.wrong else "holds",
        }


class Results:
    """What a run of the matrix has found, line by line."""

    def __init__(self) -> None:
        self.lines: list[dict[str, str]] = []

    def add(self, row: Row) -> None:
        """Add a line."""
        self.lines.append(row.cells)

    def table(self) -> str:
        """Return all of it as Markdown."""
        heads = list(self.lines[0])
        rows = [heads, ["---"] * len(heads), *sorted(list(line.values()) for line in self.lines)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def write(self, page: Path) -> None:
        """Put the table between its marks on a page."""
        text = page.read_text(encoding="utf-8")
        page.write_text(_MARKED.sub(lambda found: f"{found[1]}{self.table()}\n{found[2]}", text), encoding="utf-8")
