"""What is compared: the figures of a run, their table with ratios, and their memory from one run to the next."""

from collections.abc import Iterable
from pathlib import Path

import orjson
from attrs import frozen
from load.histogram import Histogram
from load.result import Result
from rich.table import Table

Figures = dict[str, float | None]


@frozen
class Figure:
    """A column; smaller is better, or larger."""

    name: str
    form: str
    smaller_is_better: bool = True


FIGURES = {
    figure.name: figure
    for figure in (
        Figure("CPU µs/delivery", "{:.2f}"),
        Figure("deliveries/s", "{:,.0f}", False),
        Figure("p50 ms", "{:.2f}"),
        Figure("p99 ms", "{:.2f}"),
        Figure("kB/connection", "{:.1f}"),
        Figure("connections/s", "{:,.0f}", False),
        Figure("CPU µs/record", "{:.1f}"),
        Figure("records/s", "{:,.0f}", False),
        Figure("storm s", "{:.1f}"),
        Figure("p99 in it ms", "{:.1f}"),
        Figure("lost", "{:,.0f}"),
        Figure("load CPU", "{:.0%}"),
    )
}
NOT_COMPARED = ("lost", "load CPU")


def figures_of(result: Result) -> Figures:
    """Return the figures of a run; what it did not measure is None."""
    seen = {
        "CPU µs/delivery": result.cpu_per_delivery and result.cpu_per_delivery * 1e6,
        "deliveries/s": result.deliveries_per_second or None,
        "p50 ms": _percentile(result.latency, 50),
        "p99 ms": _percentile(result.latency, 99),
        "kB/connection": result.memory_per_connection and result.memory_per_connection / 1000,
        "connections/s": result.connections_per_second,
        "storm s": result.storm_seconds,
        "p99 in it ms": _percentile(result.storm_latency, 99),
        "load CPU": max(result.client_cpu_share, result.feed_cpu_share),
    }
    return {**seen, "lost": float(result.lost)} if result.expected else seen


def _percentile(latency: Histogram, percent: float) -> float | None:
    microseconds = latency.percentile(percent)
    return None if microseconds is None else microseconds / 1000


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
            for name in FIGURES:
                if name in after[case][server] and name in before[case][server]:
                    yield case, server, name


def _cell(name: str, value: float | None, first: float | None, is_first: bool) -> str:
    if value is None:
        return ""
    text = FIGURES[name].form.format(value)
    if is_first or not first or name in NOT_COMPARED:
        return text
    return f"{text} ({value / first:.2f}×)"


def remembered(path: Path) -> dict[str, dict[str, Figures]]:
    """Return what was remembered; nothing when nothing was."""
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def remember(path: Path, cases: dict[str, dict[str, Figures]]) -> None:
    """Remember these cases in place of what was remembered of them."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(remembered(path) | cases, option=orjson.OPT_INDENT_2))
