"""The orders of a stretch of time with what was decided about them, by the score and by people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from ordervet.contract.verdicts import find_standing_verdicts
from ordervet.features.events import read_worth
from ordervet.policy import ACTIONS, Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ordervet.contract import MaliceKind

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

_PASS, _HOLD = ACTIONS.index(Action.PASS), ACTIONS.index(Action.HOLD)
_Z: Final = 1.96  # 95 %


@dataclass(frozen=True, slots=True)
class Period:
    """Orders, one entry each, in the order in which they were placed.

    Parameters
    ----------
    orders : shape (n, n_columns), keyed
    placed_us : shape (n,), UTC microseconds
    amount_minor : shape (n,), fen, at the rates of `currencies`
    p_malicious : shape (n,)
    risk_score : shape (n,), 0 to 1000
    actions : shape (n,), positions in ACTIONS
    kinds : n suspected kinds, None where none was named
    channels : n channels, empty where not known
    verdicts : n standing verdicts, `CORRECTED` after an upheld appeal, None where nobody judged
    decided_us : shape (n,), UTC microseconds, when the verdict became known; 0 without one
    agents : n agents who gave it, empty where not known
    bands : shape (n,), positions in BANDS
    rules : n names of the first rule that holds, empty without one
    handed_us : shape (n,), UTC microseconds, when it was handed to the desk; 0 where that is not known
    """

    orders: pa.Table
    placed_us: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    p_malicious: NDArray[np.float64]
    risk_score: NDArray[np.int64]
    actions: NDArray[np.int8]
    kinds: tuple[MaliceKind | None, ...]
    channels: tuple[str, ...]
    verdicts: tuple[str | None, ...]
    decided_us: NDArray[np.int64]
    agents: tuple[str, ...]
    bands: NDArray[np.int8]
    rules: tuple[str, ...]
    handed_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.placed_us)

    @property
    def is_flagged(self) -> NDArray[np.bool_]:
        """Whether anything but shipping was suggested, shape (n,)."""
        is_flagged: NDArray[np.bool_] = self.actions != _PASS
        return is_flagged

    @property
    def is_held(self) -> NDArray[np.bool_]:
        """Whether it was to be kept from shipping, shape (n,)."""
        is_held: NDArray[np.bool_] = self.actions == _HOLD
        return is_held

    def was_judged(self, *verdicts: str) -> NDArray[np.bool_]:
        """Find which orders have one of some verdicts, shape (n,)."""
        return np.array([verdict in verdicts for verdict in self.verdicts], dtype=bool)

    def between(self, start_us: int, end_us: int) -> Period:
        """Return the orders placed from one instant to before another."""
        return self.take((self.placed_us >= start_us) & (self.placed_us < end_us))

    def take(self, is_taken: NDArray[np.bool_]) -> Period:
        """Return some of the orders; `is_taken` has shape (n,)."""
        rows = np.flatnonzero(is_taken)
        return Period(
            orders=self.orders.take(pa.array(rows)),
            placed_us=self.placed_us[rows],
            amount_minor=self.amount_minor[rows],
            p_malicious=self.p_malicious[rows],
            risk_score=self.risk_score[rows],
            actions=self.actions[rows],
            kinds=tuple(self.kinds[row] for row in rows),
            channels=tuple(self.channels[row] for row in rows),
            verdicts=tuple(self.verdicts[row] for row in rows),
            decided_us=self.decided_us[rows],
            agents=tuple(self.agents[row] for row in rows),
            bands=self.bands[rows],
            rules=tuple(self.rules[row] for row in rows),
            handed_us=self.handed_us[rows],
        )

    def count_hours(
        self, start_us: int, n_hours: int, is_counted: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Count orders by the hour.

        Parameters
        ----------
        start_us : instant at which the first hour begins
        n_hours : hours to count
        is_counted : shape (n,); None counts all

        Returns
        -------
        shape (n_hours,)
        """
        placed = self.placed_us if is_counted is None else self.placed_us[is_counted]
        hours = (placed - start_us) // HOUR_US
        inside = hours[(hours >= 0) & (hours < n_hours)]
        return np.bincount(inside, minlength=n_hours).astype(np.int64)


def build_period(
    orders: pa.Table,
    *,
    p_malicious: NDArray[np.float64],
    risk_score: NDArray[np.int64],
    actions: NDArray[np.int8],
    bands: NDArray[np.int8],
    kinds: Mapping[int, MaliceKind],
    applied: Mapping[int, tuple[str, ...]],
    verdicts: pa.Table,
    corrections: pa.Table,
    handed_us: Mapping[str, int],
) -> Period:
    """Build a period of scored orders and what became of them.

    Parameters
    ----------
    orders : shape (n, n_columns), keyed, in any order
    p_malicious, risk_score, actions, bands : shape (n,), row by row
    kinds : row to the kind that was named
    applied : row to the codes of what lists and rules found
    verdicts, corrections : keyed tables, of these orders and of others
    handed_us : order id to when it was handed to the desk, UTC microseconds
    """
    placed_us = orders["placed_at"].cast(pa.int64()).to_numpy()
    rows = np.argsort(placed_us, kind="stable")
    standing = find_standing_verdicts(verdicts, corrections)
    ids = orders["order_id"].to_pylist()
    channels = orders["channel"].to_pylist()
    found = [standing.get(ids[row], (None, 0)) for row in rows]
    seen_us = verdicts["seen_at"].cast(pa.int64()).to_pylist()
    judged = zip(verdicts["order_id"].to_pylist(), seen_us, strict=True)
    agents = dict(zip(judged, verdicts["agent"].to_pylist(), strict=True))
    return Period(
        orders=orders.take(pa.array(rows)),
        placed_us=placed_us[rows],
        amount_minor=read_worth(orders)[rows],
        p_malicious=p_malicious[rows],
        risk_score=risk_score[rows],
        actions=actions[rows],
        kinds=tuple(kinds.get(int(row)) for row in rows),
        channels=tuple(channels[row] or "" for row in rows),
        verdicts=tuple(verdict for verdict, _ in found),
        decided_us=np.array([at for _, at in found], np.int64),
        agents=tuple(agents.get((ids[row], at)) or "" for row, (_, at) in zip(rows, found, strict=True)),
        bands=bands[rows],
        rules=tuple(_find_rule(applied.get(int(row), ())) for row in rows),
        handed_us=np.array([handed_us.get(ids[row], 0) for row in rows], np.int64),
    )


def _find_rule(codes: tuple[str, ...]) -> str:
    return next((code.removeprefix("rule_") for code in codes if code.startswith("rule_")), "")


def bound_share(n_hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927): between which values the true one may well lie."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = n_hits / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)
