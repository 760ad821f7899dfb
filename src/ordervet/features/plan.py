"""A feature spec laid out as the plain arrays that the kernel reads: one plan per entity, shared totals kept once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ordervet.errors import MappingError
from ordervet.features.slots import SlotLayout
from ordervet.features.spec import (
    BASELINE_WINDOW,
    BASELINES,
    BURST_WINDOW,
    LONG_WINDOW,
    PRIOR_PPM,
    RELATIVE,
    SELECTOR_BIT,
    SUM_COLUMNS,
    SYNCHRONY_WINDOW,
    WINDOWS_US,
    Statistic,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.features.spec import Aggregation, FeatureSpec

#: How the kernel makes a value of what a record holds, and the value where it holds nothing;
#: `write_kernel.write_features` has one loop for each, in this order.
_NAN = float("nan")
OPERATIONS = {
    "count": 0.0, "total": 0.0, "millionths": 0.0, "quotient": _NAN, "mean": _NAN, "ratio": _NAN, "drift": _NAN,
    "recency": _NAN, "age": _NAN, "burst": 1.0, "sameness": _NAN, "lift": 1.0,
}  # fmt: skip
_OPERATION_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}

#: Denominator of a share: verdict shares are of decided orders, all others of orders placed.
_SHARE_OF = {"malicious": "verdict", "innocent": "verdict"}

_WINDOW_RANK = {window: rank for rank, window in enumerate(WINDOWS_US)}


class Cell(NamedTuple):
    """A running total over one window.

    Parameters
    ----------
    window : a key of ``WINDOWS_US``
    kind : "count" and "sum" of the events of a selector; "distinct" ids of another entity, "known" orders that have one
    column : a selector, or an entity
    source : of a sum: "amount", or the weight column that is added up, as (selector, baseline)
    """

    window: str
    kind: str
    column: str
    source: str | tuple[str, str] = ""


@dataclass(frozen=True, slots=True)
class EntityPlan:
    """What to keep and what to write for one entity.

    Parameters
    ----------
    entity : name
    level : entities of level 0 need no other's weights; those of level n need weights of levels below n
    distinct_entities : the entities whose ids are counted once
    windows : names, shortest first
    layout : where a slot keeps its clocks, and a record its cells
    cells : sorted by window
    clocks : selectors whose first and last instants are kept
    asks : shape (n_asks, 5), int64: weight column, record words of the selector's and the orders' count, selector bit,
        prior in parts per million
    operations : shape (n_features, 6), int32, sorted by operation: matrix column, up to four words, parameter
    operation_start : shape (len(OPERATIONS) + 1,), int32
    empty_values : shape (n_features,), float32, row by row of `operations`: the value where nothing is in any window
    """

    entity: str
    level: int
    distinct_entities: tuple[str, ...]
    windows: tuple[str, ...]
    layout: SlotLayout
    cells: tuple[Cell, ...]
    clocks: tuple[str, ...]
    asks: NDArray[np.int64]
    operations: NDArray[np.int32]
    operation_start: NDArray[np.int32]
    empty_values: NDArray[np.float32]

    @property
    def window_us(self) -> NDArray[np.int64]:
        """The windows in microseconds, shape (n_windows,)."""
        return np.array([WINDOWS_US[window] for window in self.windows], np.int64)

    @property
    def selectors(self) -> frozenset[str]:
        """All selectors that any cell or clock listens to."""
        counted = {cell.column if cell.kind in ("count", "sum") else "order" for cell in self.cells}
        return frozenset(counted | set(self.clocks))


def list_weight_columns(spec: FeatureSpec) -> tuple[tuple[str, str], ...]:
    """List the (selector, baseline) pairs that some feature is relative to, sorted: the columns of event weights."""
    return tuple(sorted({(a.column, a.baseline) for _, a in spec.aggregations if a.statistic in RELATIVE}))


def build_plans(spec: FeatureSpec) -> tuple[EntityPlan, ...]:
    """Lay out one plan per entity that has features or is a baseline, lower levels first.

    Raises
    ------
    MappingError
        Two entities are each measured against the other.
    """
    members: dict[str, list[tuple[int, Aggregation]]] = {}
    for column, aggregation in spec.aggregations:
        members.setdefault(aggregation.entity, []).append((column, aggregation))
    weights = list_weight_columns(spec)
    for _, baseline in weights:
        members.setdefault(baseline, [])
    levels = _find_levels(members)
    plans = [_plan_entity(entity, members[entity], weights, levels[entity]) for entity in members]
    return tuple(sorted(plans, key=lambda plan: plan.level))


def _find_levels(members: dict[str, list[tuple[int, Aggregation]]]) -> dict[str, int]:
    needs = {entity: {a.baseline for _, a in each if a.baseline} for entity, each in members.items()}
    levels: dict[str, int] = {}
    while len(levels) < len(needs):
        ready = [entity for entity in needs if entity not in levels and needs[entity] <= levels.keys()]
        if not ready:
            circle = ", ".join(sorted(entity for entity in needs if entity not in levels and entity in BASELINES))
            raise MappingError(
                f"features of {circle} are measured against each other",
                hint="declare excess, expected and lift in one direction only: of the item against the category, say",
            )
        level = 1 + max(levels.values(), default=-1)
        levels |= dict.fromkeys(ready, level)
    return levels


def _plan_entity(
    entity: str, members: list[tuple[int, Aggregation]], weights: tuple[tuple[str, str], ...], level: int
) -> EntityPlan:
    asked = [(at, selector) for at, (selector, baseline) in enumerate(weights) if baseline == entity]
    wanted = {cell for _, a in members for cell in _list_cells(a)}
    wanted |= {Cell(BASELINE_WINDOW, "count", selector) for _, name in asked for selector in (name, "order")}
    cells = tuple(
        sorted(wanted, key=lambda cell: (_WINDOW_RANK[cell.window], cell.kind, cell.column, str(cell.source)))
    )
    clocks = tuple(sorted({a.column for _, a in members if a.statistic in (Statistic.RECENCY, Statistic.AGE)}))
    windows = tuple(window for window in WINDOWS_US if any(cell.window == window for cell in cells))
    layout = SlotLayout.build(len(windows), [cell.kind == "sum" for cell in cells], len(clocks))
    place = dict(zip(cells, layout.cell_at, strict=True))
    rows = sorted(
        [_plan_operation(column, a, place, dict(zip(clocks, layout.clock_at, strict=True))) for column, a in members]
    )
    operations = np.array([row[1:] for row in rows], np.int32).reshape(-1, 6)
    asks = [
        [at, place[Cell(BASELINE_WINDOW, "count", name)], place[Cell(BASELINE_WINDOW, "count", "order")],
         SELECTOR_BIT[name], PRIOR_PPM[name]]
        for at, name in asked
    ]  # fmt: skip
    return EntityPlan(
        entity=entity,
        level=level,
        distinct_entities=tuple(sorted({cell.column for cell in cells if cell.kind in ("distinct", "known")})),
        windows=windows,
        layout=layout,
        cells=cells,
        clocks=clocks,
        asks=np.array(asks, np.int64).reshape(-1, 5),
        operations=operations,
        operation_start=np.searchsorted([row[0] for row in rows], np.arange(len(OPERATIONS) + 1)).astype(np.int32),
        empty_values=np.array([[*OPERATIONS.values()][row[0]] for row in rows], np.float32),
    )


def _list_cells(aggregation: Aggregation) -> list[Cell]:
    """Name the running totals a feature is made of, in the order in which its operation reads them."""
    window, column = aggregation.window, aggregation.column

    def total(of_window: str) -> list[Cell]:
        selector = SUM_COLUMNS[column]
        return [Cell(of_window, "sum", selector, "amount"), Cell(of_window, "count", selector)]

    match aggregation.statistic:
        case Statistic.COUNT:
            return [Cell(window, "count", column)]
        case Statistic.SUM:
            return total(window)[:1]
        case Statistic.MEAN | Statistic.RATIO:
            return total(window)
        case Statistic.DRIFT:
            return [*total(window), *total(LONG_WINDOW)]
        case Statistic.SHARE:
            return [Cell(window, "count", column), Cell(window, "count", _SHARE_OF.get(column, "order"))]
        case Statistic.DISTINCT:
            return [Cell(window, "distinct", column)]
        case Statistic.SAMENESS:
            return [Cell(window, "distinct", column), Cell(window, "known", column)]
        case Statistic.BURST:
            return [Cell(window, "count", column), Cell(BURST_WINDOW, "count", column)]
        case Statistic.SYNCHRONY:
            return [Cell(SYNCHRONY_WINDOW, "count", column), Cell(window, "count", column)]
        case Statistic.EXCESS:
            return [Cell(window, "sum", column, (column, aggregation.baseline))]
        case Statistic.EXPECTED:
            return [Cell(window, "sum", "order", (column, aggregation.baseline))]
        case Statistic.LIFT:
            return [Cell(window, "count", column), Cell(window, "sum", "order", (column, aggregation.baseline))]
        case _:
            return []


_OPERATION_OF = {
    Statistic.COUNT: "count",
    Statistic.DISTINCT: "count",
    Statistic.SUM: "total",
    Statistic.EXCESS: "millionths",
    Statistic.EXPECTED: "millionths",
    Statistic.SHARE: "quotient",
    Statistic.SYNCHRONY: "quotient",
    Statistic.MEAN: "mean",
    Statistic.RATIO: "ratio",
    Statistic.DRIFT: "drift",
    Statistic.RECENCY: "recency",
    Statistic.AGE: "age",
    Statistic.BURST: "burst",
    Statistic.SAMENESS: "sameness",
    Statistic.LIFT: "lift",
}


def _plan_operation(column: int, aggregation: Aggregation, place: dict[Cell, int], clocks: dict[str, int]) -> list[int]:
    statistic, parameter = aggregation.statistic, 0
    words = [place[cell] for cell in _list_cells(aggregation)]
    if statistic in (Statistic.RECENCY, Statistic.AGE):
        words = [clocks[aggregation.column]]
    if statistic is Statistic.BURST:
        parameter = WINDOWS_US[BURST_WINDOW] // WINDOWS_US[aggregation.window]
    operation = _OPERATION_NUMBER[_OPERATION_OF[statistic]]
    return [operation, column, *words, *[0] * (4 - len(words)), parameter]
