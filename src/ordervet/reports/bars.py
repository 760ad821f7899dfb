"""Bars over the hours of an evening as inline SVG, with a line of what was planned: no script, nothing fetched."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH, _HEIGHT = 960, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 26, 26
_COLOURS: Final = ("#93c5fd", "#f97316", "#b91c1c")
_PLAN: Final = "#111827"
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
    colours = [*_COLOURS[: len(series)], _PLAN]
    legend = [_draw_legend(at, name, colours[at]) for at, (name, _) in enumerate(every)]
    parts = [_draw_axis(top), _draw_labels(labels), *legend]
    for at, (_, values) in enumerate(series):
        parts.append(_draw_series(at, len(series), values, top))
    if plan:
        parts.append(_draw_plan(plan[1], top))
    drawing = '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    return Markup(drawing).format(_WIDTH, _HEIGHT, alt, Markup("").join(parts))  # noqa: S704 -- format escapes


def _draw_axis(top: float) -> Markup:
    line = Markup(
        '<line x1="{}" x2="{}" y1="{y}" y2="{y}" stroke="#e5e7eb"/>'
        '<text x="{}" y="{}" font-size="11" fill="#4b5563" text-anchor="end">{}</text>'
    )
    ticks = [top * tick / _N_TICKS for tick in range(_N_TICKS + 1)]
    return Markup("").join(
        line.format(
            _LEFT, _WIDTH - _RIGHT, _LEFT - 6, f"{_y(tick, top) + 4:.1f}", f"{tick:,.4g}", y=f"{_y(tick, top):.1f}"
        )
        for tick in ticks
    )


def _draw_labels(labels: Sequence[str]) -> Markup:
    step = math.ceil(len(labels) / _MAX_LABELS)
    text = Markup('<text x="{}" y="{}" font-size="11" fill="#4b5563" text-anchor="middle">{}</text>')
    return Markup("").join(
        text.format(f"{_x(at + 0.5, len(labels)):.1f}", _HEIGHT - 8, label)
        for at, label in enumerate(labels)
        if at % step == 0
    )


def _draw_legend(at: int, name: str, colour: str) -> Markup:
    x = _LEFT + 150 * at
    return Markup(
        '<rect x="{}" y="6" width="12" height="10" fill="{}"/>'
        '<text x="{}" y="15" font-size="12" fill="#111827">{}</text>'
    ).format(x, colour, x + 17, name)


def _draw_series(at: int, n_series: int, values: Sequence[float], top: float) -> Markup:
    bar = Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>')
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(values), 1) * 0.8 / n_series
    return Markup("").join(
        bar.format(
            f"{_x(number + 0.1, len(values)) + at * width:.1f}", f"{_y(value, top):.1f}", f"{width:.1f}",
            f"{_y(0, top) - _y(value, top):.1f}", _COLOURS[at], f"{value:,.4g}",
        )
        for number, value in enumerate(values)
    )  # fmt: skip


def _draw_plan(values: Sequence[float], top: float) -> Markup:
    points = " ".join(f"{_x(at + 0.5, len(values)):.1f},{_y(value, top):.1f}" for at, value in enumerate(values))
    return Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(points, _PLAN)


def _x(at: float, n: int) -> float:
    return _LEFT + at * (_WIDTH - _LEFT - _RIGHT) / max(n, 1)


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)


def _round_up(value: float) -> float:
    """Give the next of 1, 2, 4, 5, 8 times a power of ten, so that quarters of it are short numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 4.0, 5.0, 8.0, 10.0) if step * power >= value)
