"""A picture of a run: throughput and latency over time, as SVG that any browser shows."""

import math
from collections.abc import Iterable, Sequence
from html import escape

from load.tally import Moment

WIDTH, HEIGHT = 960, 560
LEFT, RIGHT, TOP, GAP, BOTTOM = 84, 24, 64, 56, 48
PANEL = (HEIGHT - TOP - GAP - BOTTOM) // 2

_STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; fill: #444 }
.grid { stroke: #e6e6e6 } .axis { stroke: #999 } .title { font-size: 17px; font-weight: 600; fill: #111 }
.panel { font-weight: 600; fill: #111 } .line { fill: none; stroke-width: 2; stroke-linejoin: round }
"""
_SERIES = (("max", "#aaaaaa"), ("p99", "#d1495b"), ("p50", "#2e6f95"))
_STEPS = (1, 2, 2.5, 5, 10)


def plot(moments: Sequence[Moment], title: str) -> str:
    """Return the picture of `moments` as an SVG document."""
    if not moments:
        moments = [Moment(0.0, 0.0, None, None, None, 0)]
    end = max(1.0, moments[-1].at)

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / end

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>',
    ]
    most = max(moment.deliveries for moment in moments)
    ticks = _linear(most)
    parts += _panel(TOP, "deliveries/s", [(tick / ticks[-1], f"{tick:,.0f}") for tick in ticks])
    parts.append(_line([(x(m.at), TOP + PANEL * (1 - m.deliveries / ticks[-1])) for m in moments], "#3a7d44"))

    top = TOP + PANEL + GAP
    measured = [value for m in moments for value in (m.p50, m.p99, m.worst) if value]
    low = math.floor(math.log10(min(measured, default=100)))
    high = max(low + 1, math.ceil(math.log10(max(measured, default=1000))))
    decades = range(low, high + 1)
    parts += _panel(top, "latency", [((d - low) / (high - low), _duration(d)) for d in decades])
    for number, (name, color) in enumerate(_SERIES):
        values = [(m.at, {"max": m.worst, "p99": m.p99, "p50": m.p50}[name]) for m in moments]
        scale = PANEL / (high - low)
        parts.append(_line([(x(at), top + scale * (high - math.log10(value))) for at, value in values if value], color))
        end_of_text = WIDTH - RIGHT - 56 * number
        parts.append(f'<text x="{end_of_text}" y="{top - 10}" text-anchor="end" style="fill:{color}">{name}</text>')
    for tick in _linear(end):
        if tick <= end:
            parts.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - 20}" text-anchor="middle">{tick:g} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(top: int, name: str, ticks: Iterable[tuple[float, str]]) -> list[str]:
    parts = [f'<text class="panel" x="{LEFT}" y="{top - 10}">{name}</text>']
    for share, text in ticks:
        y = top + PANEL * (1 - share)
        kind = "axis" if share == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return parts


def _line(points: Sequence[tuple[float, float]], color: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line" stroke="{color}" points="{path}"/>'


def _linear(most: float) -> list[float]:
    """Return about five round numbers from 0 to `most` or a little more."""
    rough = max(most, 1e-9) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in _STEPS if factor * unit >= rough)
    return [step * number for number in range(math.ceil(max(most, 1e-9) / step) + 1)]


def _duration(decade: int) -> str:
    """Return the name of 10**decade microseconds."""
    if decade < 3:
        return f"{10**decade:g} µs"
    return f"{10 ** (decade - 3):g} ms" if decade < 6 else f"{10 ** (decade - 6):g} s"
