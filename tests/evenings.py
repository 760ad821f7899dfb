"""Evenings made up to pace a desk through: more or fewer orders than planned, in bursts, malice uneven over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.policy.capacity import Capacity, Shift
from ordervet.policy.pacing import Pacer

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

START_US = 1_762_862_400_000_000
"""2025-11-11 20:00 in Shanghai."""
HALF_HOUR_SHARES = (0.30, 0.12, 0.10, 0.08, 0.09, 0.08, 0.08, 0.15)
"""What the plan expects of each half hour from 20:00 to 24:00."""
N_SLOTS = 300
_NO_ORDERS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Evening:
    """Orders in the order they came.

    Parameters
    ----------
    at_us, p, amount_minor, is_malicious : shape (n_orders,)
    """

    at_us: NDArray[np.int64]
    p: NDArray[np.float64]
    amount_minor: NDArray[np.int64]
    is_malicious: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.p)


def make_capacity(n_planned: int, n_slots: int = N_SLOTS) -> Capacity:
    clocks = [f"{20 + half // 2}:{30 * (half % 2):02d}" for half in range(8)]
    plan = {clock: share * n_planned for clock, share in zip(clocks, HALF_HOUR_SHARES, strict=True)}
    return Capacity(n=n_slots, shifts=(Shift(start="20:00", end="24:00"),), plan=plan, min_p=0.0001)


def simulate_evening(seed: int, n_orders: int) -> Evening:
    """Draw an evening whose curve departs from the plan, with bursts on the hour and malice uneven over time."""
    rng = np.random.default_rng(seed)
    shares = np.array(HALF_HOUR_SHARES) * rng.lognormal(0.0, 0.25, 8)
    half = rng.choice(8, n_orders, p=shares / shares.sum())
    is_burst = (rng.random(n_orders) < 0.2) & (half % 2 == 0)
    second = 1800.0 * (half + np.where(is_burst, rng.beta(1.0, 8.0, n_orders), rng.random(n_orders)))
    second.sort()
    is_odd = rng.random(n_orders) < 0.03 * rng.lognormal(0.0, 0.25, 8)[half]
    log_odds = np.where(is_odd, rng.normal(0.5, 1.5, n_orders), rng.normal(-5.0, 1.0, n_orders))
    p = 1.0 / (1.0 + np.exp(-log_odds))
    amount = rng.lognormal(9.2, 0.8, n_orders).astype(np.int64)
    return Evening(START_US + (second * 1e6).astype(np.int64), p, amount, rng.random(n_orders) < p)


def draw_day(seed: int, n_orders: int, shares: Sequence[float], first_hour: int = 0) -> Evening:
    """Draw the orders of a day, or of its evening, that come by the hour as given."""
    rng = np.random.default_rng(seed)
    hours = rng.choice(24, n_orders, p=np.array(shares) / sum(shares))
    seconds = np.sort(3600.0 * (hours + rng.random(n_orders)))
    seconds = seconds[seconds >= 3600 * first_hour]
    is_odd = rng.random(len(seconds)) < 0.03
    log_odds = np.where(is_odd, rng.normal(0.5, 1.5, len(seconds)), rng.normal(-5.0, 1.0, len(seconds)))
    p = 1.0 / (1.0 + np.exp(-log_odds))
    midnight_us = START_US - 20 * 3_600_000_000
    amount = rng.lognormal(9.2, 0.8, len(seconds)).astype(np.int64)
    return Evening(midnight_us + (seconds * 1e6).astype(np.int64), p, amount, rng.random(len(seconds)) < p)


def pace_evening(
    evening: Evening,
    capacity: Capacity,
    batch_size: int = 1,
    came_at_us: NDArray[np.int64] | None = None,
    restarts: Collection[int] = (),
    prior_p: NDArray[np.float64] | None = None,
    prior_minor: NDArray[np.int64] = _NO_ORDERS,
) -> NDArray[np.bool_]:
    """Hand orders on as they come, shape (n_orders,).

    Parameters
    ----------
    evening, capacity : what comes, and how many the desk can look at
    batch_size : how many orders come at once
    came_at_us : when orders came on the days before
    restarts : rows at which another process goes on
    prior_p, prior_minor : probabilities and amounts of orders of the past
    """
    pacer = Pacer(capacity, prior_p, prior_minor)
    if came_at_us is not None:
        pacer.resume(int(evening.at_us[0]), came_at_us, 0)
    is_handed = np.zeros(len(evening), bool)
    ranks = capacity.rank_orders(evening.p, evening.amount_minor)
    for start in range(0, len(evening), batch_size):
        if start in restarts:
            pacer = Pacer(capacity, prior_p, np.concatenate([prior_minor, evening.amount_minor[:start]]))
            came = np.concatenate([_NO_ORDERS if came_at_us is None else came_at_us, evening.at_us[:start]])
            pacer.resume(int(evening.at_us[start]), came, int(is_handed.sum()))
        rows = slice(start, start + batch_size)
        at_us, p = int(evening.at_us[rows][-1]), ranks[rows]
        pace = pacer.find_pace(at_us)
        chosen = np.flatnonzero(pace.admits(p, [str(row) for row in range(start, start + len(p))]))
        chosen = chosen[np.argsort(-p[chosen], kind="stable")][: pace.slots]
        is_handed[start + chosen] = True
        pacer.record(at_us, p, len(chosen))
    return is_handed


def cut_afterwards(evening: Evening, capacity: Capacity) -> NDArray[np.bool_]:
    """Choose the first of all with the whole evening known, shape (n_orders,)."""
    is_chosen = np.zeros(len(evening), bool)
    ranks = capacity.rank_orders(evening.p, evening.amount_minor)
    is_chosen[np.argsort(-ranks, kind="stable")[: capacity.n]] = True
    return is_chosen


def sum_expected(evening: Evening, is_handed: NDArray[np.bool_]) -> float:
    """Add up probability times amount of the orders handed on, minor units: what is caught on average."""
    return float((evening.p * evening.amount_minor)[is_handed].sum())


def sum_caught(evening: Evening, is_handed: NDArray[np.bool_]) -> int:
    """Add up the amounts of malicious orders among those handed on, minor units."""
    return int(evening.amount_minor[is_handed & evening.is_malicious].sum())
