"""What is compared: the figures of a run, their table with ratios, and their memory from one run to the next."""

from collections.abc import Callable, Iterable
from pathlib import Path

import orjson
from attrs import frozen
from load.histogram import Histogram
from load.run import Result
from rich.table import Table

Figures = dict[str, float | None]


@frozen
class Figure:
    """A column; `smaller_is_better`, or larger."""

    name: str
    of: Callable[[Result], float | None]
    form: str
    smaller_is_better: bool = True


def _percentile(latency: Histogram, percent: float) -> float | None:
    microseconds = latency.percentile(percent)
    return None if microseconds is None else microseconds / 1000


FIGURES = {
    figure.name: figure
    for figure in (
        Figure("CPU µs/delivery", lambda r: r.cpu_per_delivery and r.cpu_per_delivery * 1e6, "{:.2f}"),
        Figure("deliveries/s", lambda r: r.deliveries_per_second if r.deliveries else None, "{:,.0f}", False),
        Figure("p50 ms", lambda r: _percentile(r.latency, 50), "{:.2f}"),
        Figure("p99 ms", lambda r: _percentile(r.latency, 99), "{:.2f}"),
        Figure("kB/connection", lambda r: r.memory_per_connection and r.memory_per_connection / 1000, "{:.1f}"),
        Figure("connections/s", lambda r: r.connections_per_second, "{:,.0f}", False),
        Figure("storm s", lambda r: r.storm_seconds, "{:.1f}"),
        Figure("p99 in it ms", lambda r: _percentile(r.storm_latency, 99), "{:.1f}"),
        Figure("lost", lambda r: float(r.lost), "{:,.0f}"),
        Figure("load CPU", lambda r: max(r.client_cpu_share, r.feed_cpu_share), "{:.0%}"),
    )
}
COMPARED = ("CPU µs/delivery", "deliveries/s", "p50 ms", "p99 ms", "kB/connection", "connections/s")


def figures_of(result: Result) -> Figures:
    """Return the figures of a run."""
    return {name: figure.of(result) for name, figure in FIGURES.items()}


def table(title: str, rows: dict[str, Figures]) -> Table:
    """Return a table of servers, each with its figures, and in brackets how many times that of the first one it is."""
    shown = [name for name in FIGURES if any(figures.get(name) is not None for figures in rows.values())]
    first = next(iter(rows.values()))
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    grid.add_column("")
    for name in shown:
        grid.add_column(name, justify="right")
    for server, figures in rows.items():
        grid.add_row(server, *(_cell(name, figures.get(name), first.get(name), figures is first) for name in shown))
    return grid


def change(before: dict[str, dict[str, Figures]], after: dict[str, dict[str, Figures]]) -> Table:
    """Return a table of what was measured before and now, with the ratio."""
    grid = Table(title="before and now", title_justify="left", box=None, pad_edge=False, title_style="bold")
    for name in ("case", "server", "figure"):
        grid.add_column(name)
    for name in ("before", "now", "ratio"):
        grid.add_column(name, justify="right")
    for case, server, name in _common(before, after):
        old, new = before[case][server][name], after[case][server][name]
        if not old or new is None:
            continue
        figure = FIGURES[name]
        ratio = new / old
        worse = ratio > 1.1 if figure.smaller_is_better else ratio < 1 / 1.1
        better = ratio < 1 / 1.1 if figure.smaller_is_better else ratio > 1.1
        style = "red" if worse else "green" if better else ""
        grid.add_row(case, server, name, figure.form.format(old), figure.form.format(new), f"{ratio:.2f}", style=style)
    return grid


def _common(before: dict[str, dict[str, Figures]], after: dict[str, dict[str, Figures]]) -> Iterable[tuple[str, ...]]:
    for case in after.keys() & before.keys():
        for server in after[case].keys() & before[case].keys():
            for name in COMPARED:
                if name in after[case][server] and name in before[case][server]:
                    yield case, server, name


def _cell(name: str, value: float | None, first: float | None, is_first: bool) -> str:
    if value is None:
        return ""
    text = FIGURES[name].form.format(value)
    if is_first or not first or name not in COMPARED:
        return text
    return f"{text} ({value / first:.2f}×)"


def remembered(path: Path) -> dict[str, dict[str, Figures]]:
    """Return what was remembered; nothing when nothing was."""
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def remember(path: Path, cases: dict[str, dict[str, Figures]]) -> None:
    """Remember these cases in place of what was remembered of them."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(remembered(path) | cases, option=orjson.OPT_INDENT_2))
