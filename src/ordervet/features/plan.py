"""A feature spec laid out as the plain numbers that the core reads: one plan per entity, shared totals kept once.

The core (src/core/features/plan.hpp) checks every number of a plan, and gives cells and statistics their numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ordervet import _core
from ordervet.errors import MappingError
from ordervet.features.spec import (
    BASELINE_WINDOW,
    BASELINES,
    BURST_WINDOW,
    FIRST_REFUND_BIT,
    GROUP_KEYS,
    GROUP_MEASURES,
    GROUP_NAMES,
    LONG_WINDOW,
    PRIOR_PPM,
    RELATIVE,
    RUN_VERDICTS,
    SELECTOR_BIT,
    SIZED,
    SUM_COLUMNS,
    SYNCHRONY_WINDOW,
    USUAL,
    WINDOWS_US,
    Statistic,
    has_no_window,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.features.spec import Aggregation, FeatureSpec

#: Denominator of a share: verdict shares are of decided orders, all others of orders placed.
_SHARE_OF = {"malicious": "verdict", "innocent": "verdict"}

_WINDOW_RANK = {window: rank for rank, window in enumerate(WINDOWS_US)}

#: What a sum adds up, in place of a column of weights.
_SOURCES = {"amount": -1, "size": _core.SIZE_SOURCE, "capped": _core.CAPPED_SOURCE, "spike": _core.SPIKE_SOURCE}

#: In place of a selector among the columns of weights: how much of an order's amount counts as usual of an entity.
_USUAL = "usual"


class Cell(NamedTuple):
    """A running total over one window.

    Parameters
    ----------
    window : a key of ``WINDOWS_US``
    kind : "count" and "sum" of the events of a selector; "distinct" ids of another entity, "known" orders that have
        one; "run" of verdicts, and the "peak" of amounts
    column : a selector, or an entity; of a run or peak empty
    source : of a sum: "amount", "capped" amount, "size" of refunds, "spike", which is a millionfold 0 or 1, or the
        weight column that is added up, as (selector, baseline); of a count: "first" counts the orders that refunds are
        of
    """

    window: str
    kind: str
    column: str = ""
    source: str | tuple[str, str] = ""


class EntityPlan(NamedTuple):
    """What to keep and what to write for one entity; cells and clocks are named by their place in the tuples here.

    Parameters
    ----------
    entity : name
    level : entities of level 0 need no other's weights; those of level n need weights of levels below n
    values : the entities whose ids are counted once
    windows : names, shortest first
    cells : sorted by window
    clocks : selectors whose first and last times are kept
    asks : per weight of this entity: weight column, cells of the selector and of orders, selector bit, prior in parts
        per million
    usual : weight column, cells of the capped amounts and of orders; empty where no usual amount is asked for
    operations : per feature: statistic of the core, matrix column, up to four cells or a clock, parameter
    """

    entity: str
    level: int
    values: tuple[str, ...]
    windows: tuple[str, ...]
    cells: tuple[Cell, ...]
    clocks: tuple[str, ...]
    asks: list[tuple[int, int, int, int, int]]
    usual: list[int]
    operations: list[tuple[int, int, int, int, int, int, int]]


def list_weight_columns(spec: FeatureSpec) -> tuple[tuple[str, str], ...]:
    """List the columns of event weights: (selector, baseline) of features that are relative, or usual amounts."""
    relative = {(a.column, a.baseline) for _, a in spec.aggregations if a.statistic in RELATIVE}
    return tuple(sorted(relative | {(_USUAL, a.entity) for _, a in spec.aggregations if a.statistic in USUAL}))


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


def find_longest_windows(spec: FeatureSpec) -> dict[str, str]:
    """Find each entity's longest window, and under an empty name that of all: how far back a second answer knows."""
    longest = {plan.entity: plan.windows[-1] for plan in build_plans(spec) if plan.windows}
    return longest | {"": max(longest.values(), key=_WINDOW_RANK.__getitem__, default="")}


def plan_expectations(spec: FeatureSpec, entity: str) -> EntityPlan:
    """Lay out what a baseline leads one to expect, and nothing else."""
    return _plan_entity(entity, [], list_weight_columns(spec), 0)


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


def build_arrays(spec: FeatureSpec, plans: Sequence[EntityPlan], entities: Sequence[str]) -> list[_core.EntityArrays]:
    """Lay out what the core keeps for each entity; one without a plan is only counted by others."""
    of_entity = {plan.entity: plan for plan in plans}
    weights = list_weight_columns(spec)
    arrays = []
    for own, entity in enumerate(entities):
        plan = of_entity.get(entity, EntityPlan(entity, 0, (), (), (), (), [], [], []))
        arrays.append(
            _core.EntityArrays(
                name=entity,
                own=own,
                level=plan.level,
                windows_us=[WINDOWS_US[window] for window in plan.windows],
                values=[entities.index(value) for value in plan.values],
                cells=[_number_cell(cell, plan, weights) for cell in plan.cells],
                clocks=[SELECTOR_BIT[selector] for selector in plan.clocks],
                asks=plan.asks,
                usual=plan.usual,
                operations=plan.operations,
            )
        )
    return arrays


def build_groups(
    spec: FeatureSpec, entities: Sequence[str], columns: Sequence[int] | None = None
) -> _core.GroupPlan | None:
    """Lay out what the core needs for linked groups; None where no feature is of them.

    Parameters
    ----------
    spec : the features
    entities : in the order of an order's ids
    columns : of the spec, those that the matrix has; None has all
    """
    place = range(len(spec.names)) if columns is None else columns
    column_of = {name: place.index(column) for column, name in spec.group_columns if column in place}
    if not column_of:
        return None
    return _core.GroupPlan(
        buyer=entities.index("buyer"),
        keys=[entities.index(key) for key in GROUP_KEYS],
        address=GROUP_KEYS.index("address"),
        measures=[FIRST_REFUND_BIT.get(measure, SELECTOR_BIT[measure]) for measure in GROUP_MEASURES],
        columns=[column_of.get(name, -1) for name in GROUP_NAMES],
    )


def _number_cell(cell: Cell, plan: EntityPlan, weights: Sequence[tuple[str, str]]) -> tuple[int, int, int, int]:
    is_of_values = cell.kind in ("distinct", "known")
    selected = plan.values.index(cell.column) if is_of_values else SELECTOR_BIT.get(cell.column, 0)
    if cell.source == "first":
        selected = FIRST_REFUND_BIT[cell.column]
    source = weights.index(cell.source) if isinstance(cell.source, tuple) else _SOURCES.get(cell.source, -1)
    return plan.windows.index(cell.window), _core.CELL_KINDS.index(cell.kind), selected, source


def _plan_entity(
    entity: str, members: list[tuple[int, Aggregation]], weights: tuple[tuple[str, str], ...], level: int
) -> EntityPlan:
    asked = [(at, name) for at, (name, baseline) in enumerate(weights) if baseline == entity and name != _USUAL]
    wanted = {cell for _, a in members for cell in _list_cells(a)}
    has_usual = (_USUAL, entity) in weights
    wanted |= set(_USUAL_CELLS) if has_usual else set()
    wanted |= {_weigh(BASELINE_WINDOW, selector) for _, name in asked for selector in (name, "order")}
    cells = tuple(
        sorted(wanted, key=lambda cell: (_WINDOW_RANK[cell.window], cell.kind, cell.column, str(cell.source)))
    )
    clocks = tuple(sorted({a.column for _, a in members if has_no_window(a.statistic, a.column)}))
    place = {cell: at for at, cell in enumerate(cells)}
    asks = [
        (at, place[_weigh(BASELINE_WINDOW, name)], place[_weigh(BASELINE_WINDOW, "order")], SELECTOR_BIT[name],
         PRIOR_PPM[name])
        for at, name in asked
    ]  # fmt: skip
    return EntityPlan(
        entity=entity,
        level=level,
        values=tuple(sorted({cell.column for cell in cells if cell.kind in ("distinct", "known")})),
        windows=tuple(window for window in WINDOWS_US if any(cell.window == window for cell in cells)),
        cells=cells,
        clocks=clocks,
        asks=asks,
        usual=[weights.index((_USUAL, entity)), *(place[cell] for cell in _USUAL_CELLS)] if has_usual else [],
        operations=sorted(_plan_operation(column, a, place, clocks) for column, a in members),
    )


#: The usual amount is the mean of capped amounts.
_USUAL_CELLS = (Cell(LONG_WINDOW, "sum", "order", "capped"), Cell(LONG_WINDOW, "count", "order"))


def _weigh(window: str, selector: str) -> Cell:
    """Name what weighs a selector's events: how many, or of refunds the sum of their sizes."""
    return Cell(window, "sum", selector, "size") if selector in SIZED else Cell(window, "count", selector)


def _list_cells(aggregation: Aggregation) -> list[Cell]:
    """Name the running totals a feature is made of, in the order in which its operation reads them."""
    window, column = aggregation.window, aggregation.column

    def total(of_window: str) -> list[Cell]:
        selector = SUM_COLUMNS[column]
        return [Cell(of_window, "sum", selector, "amount"), Cell(of_window, "count", selector)]

    match aggregation.statistic:
        case Statistic.COUNT:
            return [Cell(window, "count", column, "first" if column in SIZED else "")]
        case Statistic.SUM:
            return total(window)[:1]
        case Statistic.MEAN | Statistic.RATIO:
            return total(window)
        case Statistic.DRIFT:
            return [*total(window), *total(LONG_WINDOW)]
        case Statistic.SHARE:
            return [_weigh(window, column), _weigh(window, _SHARE_OF.get(column, "order"))]
        case Statistic.DISTINCT:
            return [Cell(window, "distinct", column)]
        case Statistic.SAMENESS:
            return [Cell(window, "distinct", column), Cell(window, "known", column)]
        case Statistic.BURST:
            return [_weigh(window, column), _weigh(BURST_WINDOW, column)]
        case Statistic.SYNCHRONY:
            return [_weigh(SYNCHRONY_WINDOW, column), _weigh(window, column)]
        case Statistic.EXCESS:
            return [Cell(window, "sum", column, (column, aggregation.baseline))]
        case Statistic.EXPECTED:
            return [Cell(window, "sum", "order", (column, aggregation.baseline))]
        case Statistic.LIFT:
            return [_weigh(window, column), Cell(window, "sum", "order", (column, aggregation.baseline))]
        case Statistic.RUN | Statistic.RUN_AGE | Statistic.RECENCY if window:
            return [Cell(window, "run")]
        case Statistic.PEAK:
            return [Cell(window, "peak"), *_USUAL_CELLS]
        case Statistic.SPIKES:
            return [Cell(window, "sum", "order", "spike")]
        case _:
            return []


#: What the core calls the way from cells or a clock to the value.
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
    Statistic.RUN: "run",
    Statistic.RUN_AGE: "run_age",
    Statistic.PEAK: "peak",
    Statistic.SPIKES: "count",
}


def _plan_operation(
    column: int, aggregation: Aggregation, place: dict[Cell, int], clocks: tuple[str, ...]
) -> tuple[int, int, int, int, int, int, int]:
    statistic, parameter, name = aggregation.statistic, 0, _OPERATION_OF[aggregation.statistic]
    read = [place[cell] for cell in _list_cells(aggregation)]
    if has_no_window(statistic, aggregation.column):
        read = [clocks.index(aggregation.column)]
    elif statistic is Statistic.RECENCY:
        name = "verdict_recency"
    if name in ("run", "run_age", "verdict_recency"):
        parameter = RUN_VERDICTS.index(aggregation.column)
    if statistic is Statistic.BURST:
        parameter = WINDOWS_US[BURST_WINDOW] // WINDOWS_US[aggregation.window]
    first, second, third, fourth = (*read, *[0] * (4 - len(read)))
    return _core.STATISTICS.index(name), column, first, second, third, fourth, parameter
