"""A feature spec laid out as the plain arrays that the kernel reads: one plan per entity, shared totals kept once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.features.spec import (
    LONG_WINDOW,
    SELECTOR_BIT,
    SUM_COLUMNS,
    WINDOWS_US,
    Statistic,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features.spec import (
        Aggregation,
        FeatureSpec,
    )

#: What the kernel writes into a column, from the cells that the row names.
OP_CELL, OP_QUOTIENT, OP_DISTINCT, OP_RECENCY, OP_AGE, OP_RELATIVE, OP_DRIFT = range(7)

#: Denominator of a share: verdict shares are of decided orders, all others of orders placed.
_SHARE_OF = {"malicious": "verdict", "innocent": "verdict"}


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """What to keep and what to write for one entity.

    Cells are running totals. They are sorted by window, so that expiring an event from window w touches the cells
    ``cell_start[w]:cell_start[w + 1]`` only.

    Parameters
    ----------
    entity : name
    distinct_entities : the entities whose ids are counted once
    event_mask : bits of all selectors that any cell or clock of this entity listens to
    window_us : shape (n_windows,), microseconds
    cell_start : shape (n_windows + 1,)
    cell_bit, cell_is_sum : shape (n_cells,), the selector bit; 1 where the event's amount is added instead of one
    distinct_start : shape (n_windows + 1,)
    distinct_column : shape (n_distinct_cells,), position in `distinct_entities`
    clock_bit : shape (n_clocks,), selectors whose first and last instants are kept
    write : shape (n_features, 6), columns: operation, matrix column, and up to four cells
    """

    entity: str
    distinct_entities: tuple[str, ...]
    event_mask: int
    window_us: NDArray[np.int64]
    cell_start: NDArray[np.int64]
    cell_bit: NDArray[np.int64]
    cell_is_sum: NDArray[np.uint8]
    distinct_start: NDArray[np.int64]
    distinct_column: NDArray[np.int64]
    clock_bit: NDArray[np.int64]
    write: NDArray[np.int64]


def build_plans(spec: FeatureSpec) -> tuple[EntityPlan, ...]:
    """Lay out one plan per entity that has features, in the order in which the spec first names them."""
    by_entity: dict[str, list[tuple[int, Aggregation]]] = {}
    for column, aggregation in spec.aggregations:
        by_entity.setdefault(aggregation.entity, []).append((column, aggregation))
    return tuple(_plan_entity(entity, members) for entity, members in by_entity.items())


def _plan_entity(entity: str, members: list[tuple[int, Aggregation]]) -> EntityPlan:
    used = {window for _, a in members for window, _, _ in _list_cells(a)} | {a.window for _, a in members}
    windows = [window for window in WINDOWS_US if window in used]
    cells = sorted({c for _, a in members for c in _list_cells(a)}, key=lambda c: windows.index(c[0]))
    distincts = sorted(
        {(a.window, a.column) for _, a in members if a.statistic is Statistic.DISTINCT},
        key=lambda c: windows.index(c[0]),
    )
    counted = tuple(sorted({column for _, column in distincts}))
    clocks = sorted({a.column for _, a in members if a.statistic in (Statistic.RECENCY, Statistic.AGE)})
    write = [_plan_write(column, a, cells, distincts, clocks) for column, a in members]
    listened = {selector for _, selector, _ in cells} | set(clocks) | ({"order"} if distincts else set())
    return EntityPlan(
        entity=entity,
        distinct_entities=counted,
        event_mask=sum(SELECTOR_BIT[selector] for selector in listened),
        window_us=np.array([WINDOWS_US[w] for w in windows], np.int64),
        cell_start=_find_starts([window for window, _, _ in cells], windows),
        cell_bit=np.array([SELECTOR_BIT[selector] for _, selector, _ in cells], np.int64),
        cell_is_sum=np.array([is_sum for _, _, is_sum in cells], np.uint8),
        distinct_start=_find_starts([window for window, _ in distincts], windows),
        distinct_column=np.array([counted.index(column) for _, column in distincts], np.int64),
        clock_bit=np.array([SELECTOR_BIT[selector] for selector in clocks], np.int64),
        write=np.array(write, np.int64).reshape(-1, 6),
    )


def _list_cells(aggregation: Aggregation) -> list[tuple[str, str, bool]]:
    """Name the running totals a feature is made of: (window, selector, is a sum), the numerator first."""
    window, column = aggregation.window, aggregation.column
    match aggregation.statistic:
        case Statistic.COUNT:
            return [(window, column, False)]
        case Statistic.SUM:
            return [(window, SUM_COLUMNS[column], True)]
        case Statistic.MEAN | Statistic.RATIO:
            return [(window, SUM_COLUMNS[column], True), (window, SUM_COLUMNS[column], False)]
        case Statistic.DRIFT:
            return [(w, SUM_COLUMNS[column], is_sum) for w in (window, LONG_WINDOW) for is_sum in (True, False)]
        case Statistic.SHARE:
            return [(window, column, False), (window, _SHARE_OF.get(column, "order"), False)]
        case _:
            return []


def _plan_write(
    column: int,
    aggregation: Aggregation,
    cells: list[tuple[str, str, bool]],
    distincts: list[tuple[str, str]],
    clocks: list[str],
) -> list[int]:
    used = [cells.index(cell) for cell in _list_cells(aggregation)]
    match aggregation.statistic:
        case Statistic.COUNT | Statistic.SUM:
            operation = OP_CELL
        case Statistic.MEAN | Statistic.SHARE:
            operation = OP_QUOTIENT
        case Statistic.RATIO:
            operation = OP_RELATIVE
        case Statistic.DRIFT:
            operation = OP_DRIFT
        case Statistic.DISTINCT:
            operation, used = OP_DISTINCT, [distincts.index((aggregation.window, aggregation.column))]
        case Statistic.RECENCY:
            operation, used = OP_RECENCY, [clocks.index(aggregation.column)]
        case Statistic.AGE:
            operation, used = OP_AGE, [clocks.index(aggregation.column)]
    return [operation, column, *used, *[0] * (4 - len(used))]


def _find_starts(cell_windows: list[str], windows: list[str]) -> NDArray[np.int64]:
    counts = [cell_windows.count(window) for window in windows]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
