"""A picture of a run: throughput and latency over time, as SVG that any browser shows."""

import math
from collections.abc import Sequence

from load.chart import BOTTOM, GAP, LEFT, RIGHT, TOP, WIDTH, line, linear, panel, picture
from load.totals import Moment

HEIGHT = 560
PANEL = (HEIGHT - TOP - GAP - BOTTOM) // 2

_SERIES = (("max", "#aaaaaa"), ("p99", "#d1495b"), ("p50", "#2e6f95"))


def plot(moments: Sequence[Moment], title: str) -> str:
    """Return the picture of `moments` as an SVG document."""
    if not moments:
        moments = [Moment(0.0, 0.0, None, None, None, 0)]
    end = max(1.0, moments[-1].at)

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / end

    most = max(moment.deliveries for moment in moments)
    ticks = linear(most)
    parts = panel(TOP, PANEL, "deliveries/s", [(tick / ticks[-1], f"{tick:,.0f}") for tick in ticks])
    parts.append(line([(x(m.at), TOP + PANEL * (1 - m.deliveries / ticks[-1])) for m in moments], "#3a7d44"))

    top = TOP + PANEL + GAP
    measured = [value for m in moments for value in (m.p50, m.p99, m.worst) if value]
    low = math.floor(math.log10(min(measured, default=100)))
    high = max(low + 1, math.ceil(math.log10(max(measured, default=1000))))
    decades = range(low, high + 1)
    parts += panel(top, PANEL, "latency", [((d - low) / (high - low), _duration(d)) for d in decades])
    for number, (name, color) in enumerate(_SERIES):
        values = [(m.at, {"max": m.worst, "p99": m.p99, "p50": m.p50}[name]) for m in moments]
        scale = PANEL / (high - low)
        parts.append(line([(x(at), top + scale * (high - math.log10(value))) for at, value in values if value], color))
        end_of_text = WIDTH - RIGHT - 56 * number
        parts.append(f'<text x="{end_of_text}" y="{top - 10}" text-anchor="end" style="fill:{color}">{name}</text>')
    for tick in linear(end):
        if tick <= end:
            parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - 20}" text-anchor="middle">{tick:g} s</text>')
    return picture(title, HEIGHT, parts)


def _duration(decade: int) -> str:
    """Return the name of 10**decade microseconds."""
    if decade < 3:
        return f"{10**decade:g} µs"
    return f"{10 ** (decade - 3):g} ms" if decade < 6 else f"{10 ** (decade - 6):g} s"
