"""Small plots as inline SVG: no script, no style attribute, nothing fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 420, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 24, 12, 40
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_COLOURS = ("#1d4ed8", "#a16207", "#6b7280")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot.

    Parameters
    ----------
    name : for the legend; empty leaves it out of it
    x, y : points, in shares of the axes
    has_dots : draw the points too
    is_dashed : for what is only a guide
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    has_dots: bool = False
    is_dashed: bool = False


def draw_lines(
    lines: Sequence[Line],
    *,
    x_title: str,
    y_title: str,
    x_max: float = 1.0,
    y_max: float = 1.0,
    x_ticks: Sequence[str] = (),
    alt: str,
) -> Markup:
    """Draw lines over two axes that begin at 0 and are written in percent.

    Parameters
    ----------
    lines : at most three
    x_title, y_title : of the axes
    x_max, y_max : where the axes end; points beyond are drawn at the edge
    x_ticks : five texts from left to right, in place of the percent below the plot
    alt : what the plot shows, for those who do not see it
    """
    ticks = x_ticks or [_percent(tick * x_max) for tick in _TICKS]
    parts = [_draw_axes(x_title, y_title, ticks, y_max)]
    for at, line in enumerate(lines):
        parts.append(_draw_line(line, _COLOURS[at], x_max, y_max))
        if line.name:
            parts.append(_draw_legend(line, _COLOURS[at], at))
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, alt, Markup("").join(parts)
    )


def _draw_axes(x_title: str, y_title: str, x_ticks: Sequence[str], y_max: float) -> Markup:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for tick, x_text in zip(_TICKS, x_ticks, strict=True):
        x, y = _place(tick, tick)
        parts.append(
            Markup(
                '<line x1="{0}" x2="{0}" y1="{1}" y2="{2}" stroke="#e5e7eb"/>'
                '<line x1="{3}" x2="{4}" y1="{5}" y2="{5}" stroke="#e5e7eb"/>'
                '<text x="{0}" y="{6}" font-size="11" fill="#4b5563" text-anchor="middle">{7}</text>'
                '<text x="{8}" y="{9}" font-size="11" fill="#4b5563" text-anchor="end">{10}</text>'
            ).format(x, _TOP, bottom, _LEFT, right, y, bottom + 15, x_text, _LEFT - 5, y + 4,
                     _percent(tick * y_max))
        )  # fmt: skip
    parts.append(
        Markup(
            '<text x="{}" y="{}" font-size="12" fill="#111827" text-anchor="middle">{}</text>'
            '<text x="12" y="{}" font-size="12" fill="#111827" text-anchor="middle" '
            'transform="rotate(-90 12 {})">{}</text>'
        ).format((_LEFT + right) / 2, _HEIGHT - 6, x_title, (_TOP + bottom) / 2, (_TOP + bottom) / 2, y_title)
    )
    return Markup("").join(parts)


def _draw_line(line: Line, colour: str, x_max: float, y_max: float) -> Markup:
    points = [_place(min(x / x_max, 1), min(y / y_max, 1)) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = Markup(' stroke-dasharray="4 4"') if line.is_dashed else Markup("")
    drawn = Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"{}/>').format(path, colour, dash)
    if not line.has_dots:
        return drawn
    dots = [
        Markup('<circle cx="{}" cy="{}" r="3.5" fill="{}"/>').format(f"{x:.1f}", f"{y:.1f}", colour) for x, y in points
    ]
    return drawn + Markup("").join(dots)


def _draw_legend(line: Line, colour: str, at: int) -> Markup:
    y = _TOP + 14 + 16 * at
    return Markup(
        '<line x1="{0}" x2="{1}" y1="{2}" y2="{2}" stroke="{3}" stroke-width="2"/>'
        '<text x="{4}" y="{5}" font-size="12" fill="#111827" text-anchor="end">{6}</text>'
    ).format(_WIDTH - _RIGHT - 26, _WIDTH - _RIGHT - 6, y, colour, _WIDTH - _RIGHT - 30, y + 4, line.name)


def _place(x: float, y: float) -> tuple[float, float]:
    return _LEFT + x * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y * (_HEIGHT - _TOP - _BOTTOM)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
