"""What is compared: the figures of a run, and their table with ratios."""

from collections.abc import Sequence
from statistics import median

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
        Figure("deliveries/write", "{:.1f}", False),
        Figure("writes/s", "{:,.0f}", False),
        Figure("deliveries/s", "{:,.0f}", False),
        Figure("p50 ms", "{:.2f}"),
        Figure("p99 ms", "{:.2f}"),
        Figure("kB/connection", "{:.1f}"),
        Figure("connections/s", "{:,.0f}", False),
        Figure("CPU µs/handshake", "{:,.0f}"),
        Figure("CPU µs/record", "{:.1f}"),
        Figure("records/s", "{:,.0f}", False),
        Figure("ready s", "{:.1f}"),
        Figure("CPU s", "{:.1f}"),
        Figure("from checkpoint s", "{:.1f}"),
        Figure("CPU of that s", "{:.1f}"),
        Figure("from disk s", "{:.1f}"),
        Figure("CPU of it s", "{:.1f}"),
        Figure("changelog kB", "{:,.0f}"),
        Figure("storm s", "{:.1f}"),
        Figure("p99 in it ms", "{:.1f}"),
        Figure("lost", "{:,.0f}"),
        Figure("server cores", "{:.2f}"),
        Figure("load cores", "{:.2f}"),
        Figure("load CPU", "{:.0%}"),
        Figure("others' cores", "{:.1f}"),
    )
}
MANY = 500
"""Connections; fewer say little about what one costs."""

NOT_COMPARED = ("deliveries/write", "lost", "server cores", "load cores", "load CPU", "others' cores")


def figures_of(result: Result) -> Figures:
    """Return the figures of a run; what it did not measure, or what would mean little, is None."""
    catches_up = result.records_per_second is not None
    many = result.connections >= MANY
    seen = {
        "CPU µs/delivery": None if catches_up else _times(result.cpu_per_delivery, 1e6),
        "deliveries/write": None if catches_up or not result.deliveries else result.deliveries_per_write,
        "writes/s": None if catches_up or not result.deliveries else result.writes_per_second,
        "deliveries/s": None if catches_up else result.deliveries_per_second or None,
        "p50 ms": None if catches_up else _percentile(result.latency, 50),
        "p99 ms": None if catches_up else _percentile(result.latency, 99),
        "kB/connection": _times(result.memory_per_connection, 1e-3) if many else None,
        "connections/s": result.connections_per_second if many else None,
        "CPU µs/handshake": _times(result.cpu_per_connection, 1e6) if many else None,
        "CPU µs/record": _times(result.cpu_per_record, 1e6),
        "records/s": result.records_per_second,
        "storm s": result.storm_seconds,
        "p99 in it ms": _percentile(result.storm_latency, 99),
        "server cores": result.cpu_share,
        "load cores": result.load_cpu,
        "load CPU": max(result.client_cpu_share, result.feed_cpu_share),
        "others' cores": result.others_cpu,
    }
    return {**seen, "lost": float(result.lost)} if result.expected else seen


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def middle(turns: Sequence[Figures]) -> Figures:
    """Return the median of each figure over several turns."""
    names = {name: None for turn in turns for name, value in turn.items() if value is not None}
    return {name: median(value for turn in turns if (value := turn.get(name)) is not None) for name in names}


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


def _cell(name: str, value: float | None, first: float | None, is_first: bool) -> str:
    if value is None:
        return ""
    text = FIGURES[name].form.format(value)
    if is_first or not first or name in NOT_COMPARED:
        return text
    return f"{text} ({value / first:.2f}×)"


def markdown(title: str, rows: dict[str, Figures]) -> str:
    """Return the same table for a page."""
    shown = [name for name in FIGURES if any(figures.get(name) is not None for figures in rows.values())]
    first = next(iter(rows.values()))
    lines = [f"**{title}**", "", f"| | {' | '.join(shown)} |", f"|---|{'---:|' * len(shown)}"]
    for server, figures in rows.items():
        cells = [_cell(name, figures.get(name), first.get(name), figures is first) for name in shown]
        lines.append(f"| {server} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
