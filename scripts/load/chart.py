"""What pictures are drawn from: panels with a scale, and lines, as SVG that any browser shows."""

import math
from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 960
LEFT, RIGHT, TOP, GAP, BOTTOM = 84, 24, 64, 56, 48

_STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; fill: #444 }
.grid { stroke: #e6e6e6 } .axis { stroke: #999 } .title { font-size: 17px; font-weight: 600; fill: #111 }
.panel { font-weight: 600; fill: #111 } .line { fill: none; stroke-width: 2; stroke-linejoin: round }
"""
_STEPS = (1, 2, 2.5, 5, 10)


def picture(title: str, height: int, parts: Iterable[str]) -> str:
    """Return an SVG document of these parts."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="28">{escape(title)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def panel(top: float, height: float, name: str, ticks: Iterable[tuple[float, str]]) -> list[str]:
    """Return a panel with a name, and lines at these shares of its height, each with a text."""
    parts = [f'<text class="panel" x="{LEFT}" y="{top - 10}">{escape(name)}</text>']
    for share, text in ticks:
        y = top + height * (1 - share)
        kind = "axis" if share == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return parts


def line(points: Sequence[tuple[float, float]], color: str) -> str:
    """Return a line through these points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line" stroke="{color}" points="{path}"/>'


def linear(most: float) -> list[float]:
    """Return about five round numbers from 0 to `most` or a little more."""
    rough = max(most, 1e-9) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in _STEPS if factor * unit >= rough)
    return [step * number for number in range(math.ceil(max(most, 1e-9) / step) + 1)]
