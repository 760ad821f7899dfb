"""The decisions about a batch of orders, row by row or as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from ordervet.policy import (
    ACTIONS,
    BANDS,
    STAGES,
    Action,
    Decision,
    DecisionCode,
    FoundReasons,
    Reason,
    is_guess,
    name_script,
)
from ordervet.policy.desk import MARK_CODES, Mark, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from ordervet.contract import MaliceKind
    from ordervet.policy import Pace


_T = TypeVar("_T")
BEYOND = MARK_CODES[Mark.BEYOND]
_PASS = ACTIONS.index(Action.PASS)

DECISION_SCHEMA = pa.schema(
    {
        "order_id": pa.string(),
        "placed_at": pa.timestamp("us", "UTC"),
        "p_malicious": pa.float64(),
        "risk_score": pa.int64(),
        "band": pa.string(),
        "action": pa.string(),
        "kind": pa.string(),
        "is_kind_guess": pa.bool_(),
        "reasons": pa.string(),
        "script": pa.string(),
        "missing": pa.string(),
        "model_id": pa.string(),
        "code": pa.string(),
        "route": pa.string(),
        "applied": pa.string(),
    }
)


@dataclass(frozen=True, slots=True)
class ScoredOrders:
    """Decisions about a batch of orders, row by row.

    Parameters
    ----------
    order_ids : n_orders ids
    placed_at : shape (n_orders,), times
    raw : shape (n_orders,), the model's log-odds
    p_malicious : shape (n_orders,)
    risk_score : shape (n_orders,), int64, 0 to 1000
    bands, actions : shape (n_orders,), positions in BANDS and ACTIONS
    standings : shape (n_orders,), values of `Standing`: where they stood with the desk before
    takes_slot : shape (n_orders,), whether they are handed on now and take a slot of the desk
    stages : shape (n_orders,), positions in STAGES
    reasons, kinds : row → what was found; only rows that were explained
    missing : per order, codes of missing evidence
    model_id, policy_id : ids of the model and the policy
    orders : shape (n_orders, n_columns), the keyed orders, row by row
    pace : what could be passed to review at the time of these orders; None if they were cut at once, or not at all
    routes, applied : row → who reviews it, and which lists and rules apply; only rows with any
    codes : row → why it was left unscored; only such rows
    history_version : version of the history store that was open; None without a store
    """

    order_ids: list[str]
    placed_at: pa.ChunkedArray
    raw: NDArray[np.float64]
    p_malicious: NDArray[np.float64]
    risk_score: NDArray[np.int64]
    bands: NDArray[np.int8]
    actions: NDArray[np.int8]
    standings: NDArray[np.int8]
    takes_slot: NDArray[np.bool_]
    stages: NDArray[np.int8]
    reasons: RowReasons
    kinds: dict[int, MaliceKind]
    missing: list[tuple[str, ...]]
    model_id: str
    policy_id: str
    orders: pa.Table
    pace: Pace | None = None
    routes: dict[int, str] = field(default_factory=dict)
    applied: dict[int, tuple[str, ...]] = field(default_factory=dict)
    codes: dict[int, DecisionCode] = field(default_factory=dict)
    history_version: int | None = None

    def __len__(self) -> int:
        return len(self.order_ids)

    @classmethod
    def concat(cls, parts: Sequence[ScoredOrders]) -> ScoredOrders:
        """Concatenate batches of one model and policy; at least one."""
        starts = np.cumsum([0, *map(len, parts)]).tolist()

        def shift(name: str) -> dict[int, Any]:
            pairs = zip(starts, parts, strict=False)
            return {start + row: each for start, part in pairs for row, each in getattr(part, name).items()}

        def join(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        first = parts[0]
        return replace(
            first,
            order_ids=[each for part in parts for each in part.order_ids],
            placed_at=pa.chunked_array(
                [chunk for part in parts for chunk in part.placed_at.chunks], first.placed_at.type
            ),
            raw=join("raw"),
            p_malicious=join("p_malicious"),
            risk_score=join("risk_score"),
            bands=join("bands"),
            actions=join("actions"),
            standings=join("standings"),
            takes_slot=join("takes_slot"),
            stages=join("stages"),
            reasons=RowReasons.concat([part.reasons for part in parts], starts),
            kinds=shift("kinds"),
            routes=shift("routes"),
            applied=shift("applied"),
            codes=shift("codes"),
            missing=[each for part in parts for each in part.missing],
            orders=pa.concat_tables([part.orders for part in parts]),
        )

    def take(self, rows: NDArray[np.int64]) -> ScoredOrders:
        """Take rows, in ascending order; they are renumbered."""
        chosen, places = rows.tolist(), pa.array(rows, pa.int64())

        def pick(name: str) -> dict[int, Any]:
            known = getattr(self, name)
            return {number: known[row] for number, row in enumerate(chosen) if row in known} if known else {}

        return replace(
            self,
            order_ids=[self.order_ids[row] for row in chosen],
            placed_at=self.placed_at.take(places),
            raw=self.raw[rows],
            p_malicious=self.p_malicious[rows],
            risk_score=self.risk_score[rows],
            bands=self.bands[rows],
            actions=self.actions[rows],
            standings=self.standings[rows],
            takes_slot=self.takes_slot[rows],
            stages=self.stages[rows],
            reasons=self.reasons.take(rows),
            kinds=pick("kinds"),
            routes=pick("routes"),
            applied=pick("applied"),
            codes=pick("codes"),
            missing=[self.missing[row] for row in chosen],
            orders=self.orders.take(places),
        )

    def rank_flagged(self) -> NDArray[np.int64]:
        """Return the rows of flagged orders that nobody judged.

        Those handed on now come before those handed on earlier, the strictest action first, then the riskiest.
        """
        rows = np.flatnonzero((self.actions != _PASS) & (self.standings <= Standing.HANDED))
        ids = np.array([self.order_ids[row] for row in rows.tolist()], np.str_)
        order = np.lexsort((ids, -self.raw[rows], -self.p_malicious[rows], -self.actions[rows], self.standings[rows]))
        return rows[order]

    def build_decision(self, row: int) -> Decision:
        """Build the decision of one row."""
        return self._build(row, self.orders["seen_at"][row].as_py())

    def _build(self, row: int, seen_at: datetime) -> Decision:
        if row in self.codes:
            return Decision.unscored(
                self.order_ids[row], self.codes[row], model_id=self.model_id, policy_id=self.policy_id
            )
        kind, band = self.kinds.get(row), BANDS[self.bands[row]]
        reasons = tuple(self.reasons.get(row, ()))
        return Decision(
            order_id=self.order_ids[row],
            action=ACTIONS[self.actions[row]],
            band=band,
            p_malicious=float(self.p_malicious[row]),
            risk_score=int(self.risk_score[row]),
            kind=kind,
            reasons=reasons,
            script=self._name_script(row) if self.actions[row] != _PASS else None,
            missing=self.missing[row],
            model_id=self.model_id,
            policy_id=self.policy_id,
            code=DecisionCode.SCORED,
            seen_at=seen_at,
            history_version=self.history_version,
            pace=self.pace and replace(self.pace, slots=self._count_slot(row)),
            route=self.routes.get(row),
            applied=self.applied.get(row, ()),
        )

    def _name_script(self, row: int) -> str:
        stage, applied = STAGES[self.stages[row]], self.applied.get(row, ())
        return name_script(self.kinds.get(row), BANDS[self.bands[row]], stage, applied)

    def _count_slot(self, row: int) -> int:
        """Return the slot an order had, 0 or 1: none where it is looked at beyond the capacity."""
        return int(self.actions[row] != _PASS and BEYOND not in self.applied.get(row, ()))

    def build_table(self, rows: NDArray[np.int64] | None = None) -> pa.Table:
        """Build a table of plain columns, `DECISION_SCHEMA`, of some rows; by default of all, in order.

        References
        ----------
        Truth: `build_decision`.
        """
        chosen = np.arange(len(self)) if rows is None else np.asarray(rows, np.int64)
        listed, places = chosen.tolist(), pa.array(chosen, pa.int64())
        is_unscored = np.isin(chosen, list(self.codes)) if self.codes else np.zeros(len(chosen), bool)
        kinds = [self.kinds.get(row) for row in listed]
        bands = [BANDS[at] for at in self.bands[chosen].tolist()]
        actions = self.actions[chosen].tolist()
        columns = {
            "order_id": self.orders["order_id"].take(places),
            "placed_at": self.placed_at.take(places),
            "p_malicious": pa.array(self.p_malicious[chosen], mask=is_unscored),
            "risk_score": pa.array(self.risk_score[chosen], mask=is_unscored),
            "band": _name(self.bands[chosen], BANDS, is_unscored),
            "action": _name(self.actions[chosen], ACTIONS),
            "kind": _blank([kind and str(kind) for kind in kinds], is_unscored),
            "is_kind_guess": _blank(
                [is_guess(band) if kind else None for band, kind in zip(bands, kinds, strict=True)], is_unscored
            ),
            "reasons": _blank(self.reasons.write_lines(chosen), is_unscored),
            "script": [
                self._name_script(row) if action != _PASS else None for row, action in zip(listed, actions, strict=True)
            ],
            "missing": _blank([_join(self.missing[row]) for row in listed], is_unscored),
            "model_id": [self.model_id] * len(chosen),
            "code": [str(self.codes.get(row, DecisionCode.SCORED)) for row in listed],
            "route": _blank([self.routes.get(row) for row in listed], is_unscored),
            "applied": _blank([_join(self.applied.get(row, ())) for row in listed], is_unscored),
        }
        return pa.table(
            [_as_type(columns[name], type_)
             for name, type_ in zip(DECISION_SCHEMA.names, DECISION_SCHEMA.types, strict=True)],
            schema=DECISION_SCHEMA,
        )  # fmt: skip


def _name(
    positions: NDArray[np.int8], names: Sequence[Any], is_blank: NDArray[np.bool_] | None = None
) -> pa.Array[Any]:
    indices = pa.array(positions, mask=is_blank)
    return pa.DictionaryArray.from_arrays(indices, [str(name) for name in names])


def _blank(values: list[_T | None], is_blank: NDArray[np.bool_]) -> list[_T | None]:
    for at in np.flatnonzero(is_blank).tolist():
        values[at] = None
    return values


@cache
def _join(codes: tuple[str, ...]) -> str | None:
    return " ".join(codes) or None


def _as_type(column: Any, type_: pa.DataType) -> Any:
    return pa.array(column, type_) if isinstance(column, list) else column.cast(type_)


class RowReasons(Mapping[int, list[Reason]]):
    """Row → its reasons, strongest first; only rows that were explained.

    Parameters
    ----------
    rows : shape (n_explained,), ascending
    found : their reasons, in the same order
    """

    def __init__(self, rows: NDArray[np.int64], found: FoundReasons) -> None:
        self._rows, self.found = rows, found

    def __getitem__(self, row: int) -> list[Reason]:
        place = int(self._find(np.array([row], np.int64))[0])
        if place < 0:
            raise KeyError(row)
        return self.found[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows.tolist())

    def __len__(self) -> int:
        return len(self._rows)

    def _find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the position of each row among those that were explained, -1 for others."""
        places = np.searchsorted(self._rows, rows)
        is_explained = places < len(self._rows)
        is_explained[is_explained] = self._rows[places[is_explained]] == rows[is_explained]
        return np.where(is_explained, places, -1)

    def list_codes(self, rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """Return, row by row, the codes of the reasons, strongest first."""
        codes = [*self.found.list_codes(), ()]
        return [codes[place] for place in self._find(rows).tolist()]

    def write_lines(self, rows: NDArray[np.int64]) -> list[str | None]:
        """Return, row by row, all reasons on one line; None where there are none."""
        lines = [*self.found.write_lines(), None]
        return [lines[place] for place in self._find(rows).tolist()]

    def take(self, rows: NDArray[np.int64]) -> RowReasons:
        """Take rows of the batch, in ascending order; they are renumbered."""
        places = self._find(rows)
        return RowReasons(np.flatnonzero(places >= 0), self.found.take(places[places >= 0]))

    @classmethod
    def concat(cls, parts: Sequence[RowReasons], starts: Sequence[int]) -> RowReasons:
        """Concatenate those of batches; at least one.

        Parameters
        ----------
        parts : of one model and one language
        starts : the first row of each
        """
        rows = [start + part._rows for start, part in zip(starts, parts, strict=False)]  # noqa: SLF001 - of the same class
        return cls(np.concatenate(rows), FoundReasons.concat([part.found for part in parts]))
