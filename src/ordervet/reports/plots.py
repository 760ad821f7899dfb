"""Plots as inline SVG, of lines and of bars by the hour: no script, no style attribute, nothing fetched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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


_BARS_WIDTH, _BARS_HEIGHT = 960, 230
_BARS_LEFT, _BARS_RIGHT, _BARS_TOP, _BARS_BOTTOM = 58, 10, 26, 26
_BAR_COLOURS: Final = ("#93c5fd", "#f97316", "#b91c1c")
_PLAN_COLOUR: Final = "#111827"
_N_TICKS: Final = 4
_MAX_LABELS: Final = 13


def draw_bars(
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    *,
    plan: tuple[str, Sequence[float]] | None = None,
    alt: str,
) -> Markup:
    """Draw bars side by side over labels, and a line above them.

    Parameters
    ----------
    labels : n labels of the groups
    series : at most three, each a name and n values >= 0
    plan : a name and n values >= 0, drawn as a line
    alt : what the plot shows, for those who do not see it
    """
    every = [*series, *([plan] if plan else [])]
    top = _round_up(max((value for _, values in every for value in values), default=1.0))
    colours = [*_BAR_COLOURS[: len(series)], _PLAN_COLOUR]
    legend = [_draw_bar_legend(at, name, colours[at]) for at, (name, _) in enumerate(every)]
    parts = [_draw_bar_axis(top), _draw_bar_labels(labels), *legend]
    for at, (_, values) in enumerate(series):
        parts.append(_draw_series(at, len(series), values, top))
    if plan:
        parts.append(_draw_plan(plan[1], top))
    drawing = '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    return Markup(drawing).format(_BARS_WIDTH, _BARS_HEIGHT, alt, Markup("").join(parts))  # noqa: S704 -- format escapes


def _draw_bar_axis(top: float) -> Markup:
    line = Markup(
        '<line x1="{}" x2="{}" y1="{y}" y2="{y}" stroke="#e5e7eb"/>'
        '<text x="{}" y="{}" font-size="11" fill="#4b5563" text-anchor="end">{}</text>'
    )
    ticks = [top * tick / _N_TICKS for tick in range(_N_TICKS + 1)]
    return Markup("").join(
        line.format(
            _BARS_LEFT,
            _BARS_WIDTH - _BARS_RIGHT,
            _BARS_LEFT - 6,
            f"{_y(tick, top) + 4:.1f}",
            f"{tick:,.4g}",
            y=f"{_y(tick, top):.1f}",
        )
        for tick in ticks
    )


def _draw_bar_labels(labels: Sequence[str]) -> Markup:
    step = math.ceil(len(labels) / _MAX_LABELS)
    text = Markup('<text x="{}" y="{}" font-size="11" fill="#4b5563" text-anchor="middle">{}</text>')
    return Markup("").join(
        text.format(f"{_x(at + 0.5, len(labels)):.1f}", _BARS_HEIGHT - 8, label)
        for at, label in enumerate(labels)
        if at % step == 0
    )


def _draw_bar_legend(at: int, name: str, colour: str) -> Markup:
    x = _BARS_LEFT + 150 * at
    return Markup(
        '<rect x="{}" y="6" width="12" height="10" fill="{}"/>'
        '<text x="{}" y="15" font-size="12" fill="#111827">{}</text>'
    ).format(x, colour, x + 17, name)


def _draw_series(at: int, n_series: int, values: Sequence[float], top: float) -> Markup:
    bar = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>')
    width = (_BARS_WIDTH - _BARS_LEFT - _BARS_RIGHT) / max(len(values), 1) * 0.8 / n_series
    return Markup("").join(
        bar.format(
            f"{_x(number + 0.1, len(values)) + at * width:.1f}", f"{_y(value, top):.1f}", f"{width:.1f}",
            f"{_y(0, top) - _y(value, top):.1f}", _BAR_COLOURS[at], f"{value:,.4g}",
        )
        for number, value in enumerate(values)
    )  # fmt: skip


def _draw_plan(values: Sequence[float], top: float) -> Markup:
    points = " ".join(f"{_x(at + 0.5, len(values)):.1f},{_y(value, top):.1f}" for at, value in enumerate(values))
    return Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(points, _PLAN_COLOUR)


def _x(at: float, n: int) -> float:
    return _BARS_LEFT + at * (_BARS_WIDTH - _BARS_LEFT - _BARS_RIGHT) / max(n, 1)


def _y(value: float, top: float) -> float:
    return _BARS_HEIGHT - _BARS_BOTTOM - value / top * (_BARS_HEIGHT - _BARS_TOP - _BARS_BOTTOM)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 5, 8 times a power of ten, so that quarters of it are short numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 4.0, 5.0, 8.0, 10.0) if step * power >= value)
