"""Which cells an event touches, by its class: events with the same mask are one class, and there are few masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.features.book import IS_ASKED, IS_JUDGEMENT, IS_LISTED, IS_ORDER
from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.spec import JUDGED, SELECTOR_BIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.features.plan import Cell, EntityPlan

_ASK_BIT = 3


@dataclass(frozen=True, slots=True)
class ClassTables:
    """For one entity, what every class of events does to a slot and its record; all arrays int32.

    Parameters
    ----------
    flags : shape (n_classes,), see `book.IS_LISTED` and the following
    count_start, sum_start : shape (n_classes * n_windows + 1,), into the lists of cells
    count_cell : 32-bit places that go up by one
    sum_cell, sum_source : 64-bit places that go up by the amount (-1) or by a weight column
    clock_start, clock_at : shape (n_classes + 1,) and the 64-bit places it points into
    distinct_start, known_start : shape (n_windows + 1,), into the lists of cells of orders
    distinct_column, known_column : whose ids
    distinct_at, known_at : 32-bit places
    """

    flags: NDArray[np.int32]
    count_start: NDArray[np.int32]
    count_cell: NDArray[np.int32]
    sum_start: NDArray[np.int32]
    sum_cell: NDArray[np.int32]
    sum_source: NDArray[np.int32]
    clock_start: NDArray[np.int32]
    clock_at: NDArray[np.int32]
    distinct_start: NDArray[np.int32]
    distinct_column: NDArray[np.int32]
    distinct_at: NDArray[np.int32]
    known_start: NDArray[np.int32]
    known_column: NDArray[np.int32]
    known_at: NDArray[np.int32]


def build_class_tables(
    plan: EntityPlan, masks: Sequence[int], weight_columns: Sequence[tuple[str, str]]
) -> ClassTables:
    """Build the tables of one entity for all classes of events there are.

    Parameters
    ----------
    plan : of the entity
    masks : per class, its selector bits
    weight_columns : of `plan.list_weight_columns`
    """
    places = list(zip(plan.cells, plan.layout.cell_at, strict=True))
    counts = [_select(places, mask, window, "count") for mask in masks for window in plan.windows]
    sums = [_select(places, mask, window, "sum") for mask in masks for window in plan.windows]
    clocks = [
        [at for selector, at in zip(plan.clocks, plan.layout.clock_at, strict=True) if mask & SELECTOR_BIT[selector]]
        for mask in masks
    ]
    distinct = [_select_ids(places, window, "distinct") for window in plan.windows]
    known = [_select_ids(places, window, "known") for window in plan.windows]
    flat_sums = [pair for each in sums for pair in each]
    return ClassTables(
        flags=np.array([_find_flags(plan, mask) for mask in masks], np.int32),
        count_start=_find_starts(counts),
        count_cell=np.array([at for each in counts for _, at in each], np.int32),
        sum_start=_find_starts(sums),
        sum_cell=np.array([at for _, at in flat_sums], np.int32),
        sum_source=np.array(
            [-1 if cell.source == "amount" else weight_columns.index(cell.source) for cell, _ in flat_sums], np.int32
        ),
        clock_start=_find_starts(clocks),
        clock_at=np.array([at for each in clocks for at in each], np.int32),
        distinct_start=_find_starts(distinct),
        distinct_column=np.array([_find_column(plan, cell) for each in distinct for cell, _ in each], np.int32),
        distinct_at=np.array([at for each in distinct for _, at in each], np.int32),
        known_start=_find_starts(known),
        known_column=np.array([_find_column(plan, cell) for each in known for cell, _ in each], np.int32),
        known_at=np.array([at for each in known for _, at in each], np.int32),
    )


def _select(places: list[tuple[Cell, int]], mask: int, window: str, kind: str) -> list[tuple[Cell, int]]:
    of_window = [(cell, at) for cell, at in places if cell.window == window and cell.kind == kind]
    return [(cell, at) for cell, at in of_window if mask & SELECTOR_BIT[cell.column]]


def _select_ids(places: list[tuple[Cell, int]], window: str, kind: str) -> list[tuple[Cell, int]]:
    return [(cell, at) for cell, at in places if cell.window == window and cell.kind == kind]


def _find_column(plan: EntityPlan, cell: Cell) -> int:
    return plan.distinct_entities.index(cell.column)


def _find_flags(plan: EntityPlan, mask: int) -> int:
    listens = sum(SELECTOR_BIT[selector] for selector in plan.selectors)
    is_judgement = bool(mask & JUDGEMENT_BIT) and not plan.selectors.isdisjoint(JUDGED)
    is_order = bool(mask & SELECTOR_BIT["order"])
    is_asked = bool(len(plan.asks)) and (is_order or bool(mask & int(np.bitwise_or.reduce(plan.asks[:, _ASK_BIT]))))
    flags = {
        IS_LISTED: bool(mask & listens), IS_JUDGEMENT: is_judgement, IS_ORDER: is_order, IS_ASKED: is_asked,
    }  # fmt: skip
    return sum(flag for flag, is_set in flags.items() if is_set)


def _find_starts(lists: Sequence[Sequence[object]]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum([len(each) for each in lists], dtype=np.int64)]).astype(np.int32)
