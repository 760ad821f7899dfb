"""Look-alike groups in a merchant's own data: who they are, and whether a model alerts their innocents too often.

The simulated suite tells whether a model is fair to look-alikes as the simulation has them; this tells it of the
merchant's own: orders to shared places, families, heavy returners, newcomers by channel, wholesale, bursts of an item
and buyers of faulty goods, each told by the features of the order as they were served. Plain is who is in none of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn.intervals import draw_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARED = ("pick_up", "dormitory", "office")
_NEW_DAYS, _FEW_ORDERS, _MOST_IN_FAMILY = 7, 3, 4
_HEAVY_SHARE, _FAULTY_SHARE = 0.5, 0.3
_WHOLESALE_QUANTITY, _BURST = 8, 3
_LOW = 0.05
#: More is not taken for judged: a share above it cannot be told from all.
_MOST_JUDGED = 0.8


@dataclass(frozen=True, slots=True)
class GroupRow:
    """How often the innocent orders of one group would not pass."""

    group: str
    n_orders: int
    #: alert_rate, champion_rate, plain_rate: of the group by the challenger and by the champion, of plain ones
    alert_rate: float
    champion_rate: float
    plain_rate: float
    #: excess_low, excess_high: alert rate of the group less the bound times that of plain ones, its interval
    excess_low: float
    excess_high: float
    growth_low: float  # alert rate of the group less the champion's, the lower end

    @property
    def is_unfair(self) -> bool:
        """Surely beyond the bound, and surely more than by the champion."""
        return self.excess_low > 0 and self.growth_low > 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def find_groups(
    names: tuple[str, ...], features: NDArray[np.float32], channel: NDArray[np.str_]
) -> dict[str, NDArray[np.bool_]]:
    """Find who is in which look-alike group, by the features that there are; a group without its features is left out.

    Parameters
    ----------
    names : of the columns of `features`, shape (n, n_features)
    channel : shape (n,), names; empty where not known

    Returns
    -------
    name to shape (n,); newcomers as one group for each channel beside all of them
    """
    at = {name: place for place, name in enumerate(names)}
    groups: dict[str, NDArray[np.bool_]] = {}

    def has(*wanted: str) -> bool:
        return all(name in at for name in wanted)

    def column(name: str) -> NDArray[np.float32]:
        return np.nan_to_num(features[:, at[name]], nan=-1.0)

    is_shared = np.zeros(len(features), bool)
    for place in _SHARED:
        if has(f"order__is__{place}"):
            groups[place] = column(f"order__is__{place}") > 0
            is_shared |= groups[place]
    if has("address__distinct__buyer__90d"):
        n_buyers = column("address__distinct__buyer__90d")
        groups["family"] = ~is_shared & (n_buyers >= 1) & (n_buyers < _MOST_IN_FAMILY)
    if has("buyer__share__refund_requested__90d", "buyer__count__order__90d"):
        is_known = column("buyer__count__order__90d") >= _FEW_ORDERS
        groups["heavy_returner"] = is_known & (column("buyer__share__refund_requested__90d") >= _HEAVY_SHARE)
    if has("order__value__account_age_days"):
        age = column("order__value__account_age_days")
        is_new = (age >= 0) & (age <= _NEW_DAYS)
        groups["newcomer"] = is_new
        for each in np.unique(channel[is_new & (channel != "")]).tolist():
            groups[f"newcomer:{each}"] = is_new & (channel == each)
    if has("order__value__quantity"):
        groups["wholesale"] = column("order__value__quantity") >= _WHOLESALE_QUANTITY
    if has("item__burst__order__1h"):
        groups["burst"] = column("item__burst__order__1h") >= _BURST
    if has("item__share__refund_requested__30d", "buyer__count__refund_requested__90d"):
        is_faulty = column("item__share__refund_requested__30d") >= _FAULTY_SHARE
        groups["faulty_goods"] = is_faulty & (column("buyer__count__refund_requested__90d") >= 1)
    return {name: is_in for name, is_in in groups.items() if is_in.any()}


def measure_groups(
    groups: dict[str, NDArray[np.bool_]],
    is_malicious: NDArray[np.bool_],
    flags: NDArray[np.bool_],
    champion_flags: NDArray[np.bool_],
    weight: NDArray[np.int64],
    buyer: NDArray[np.int64],
    *,
    judged_share: float,
    bound: float,
    min_orders: int,
    n_draws: int,
    seed: int,
) -> list[GroupRow]:
    """Measure how often innocent orders of each group are alerted, on draws of whole buyers; the most first.

    An order that nobody judged counts as innocent, though malice that was not found is among them, and most of it among
    the alerted. So for each alerted order that is known as malicious as many are taken off as the judged share says.
    Of several groups one must be the worst by chance: the ends are as far out as there are groups (Bonferroni).

    Parameters
    ----------
    groups : of `find_groups`
    is_malicious, flags, champion_flags, weight, buyer : shape (n,); what the policy would not pass by either model
    judged_share : of the malicious orders, those that are known as such, as far as can be told
    bound : alerts of a group, at most so many times those of plain orders
    min_orders : groups of fewer innocent orders are left out
    n_draws, seed : of the bootstrap
    """
    is_plain = ~np.any([*groups.values(), np.zeros(len(flags), bool)], axis=0)
    n_innocent = {name: int(weight[is_in & ~is_malicious].sum()) for name, is_in in groups.items()}
    kept = {name: is_in for name, is_in in groups.items() if n_innocent[name] >= min_orders}
    if not kept or not (is_plain & ~is_malicious).any():
        return []
    share = min(judged_share, _MOST_JUDGED)
    worth = np.where(is_malicious, -(1 - share) / share, 1.0)  # of an alerted order, in innocent ones

    def measure(weights: NDArray[np.float64]) -> dict[str, tuple[float, float, float]]:
        innocent, alerts = weights * ~is_malicious, weights * worth
        # NOTE: at least one alert. None among so many does not show that they are never alerted.
        plain = _find_rate(flags & is_plain, is_plain, innocent, alerts, least=1.0)
        return {
            name: (
                _find_rate(flags & is_in, is_in, innocent, alerts),
                _find_rate(champion_flags & is_in, is_in, innocent, alerts),
                plain,
            )
            for name, is_in in kept.items()
        }

    rng = np.random.default_rng(seed)
    draws = [measure(weight * draw_weights(buyer, rng)) for _ in range(n_draws)]
    found, rows, end = measure(weight.astype(np.float64)), [], _LOW / len(kept)
    for name, (rate, champion_rate, plain_rate) in found.items():
        drawn = np.array([each[name] for each in draws])
        excess, growth = drawn[:, 0] - bound * drawn[:, 2], drawn[:, 0] - drawn[:, 1]
        low, high = (float(each) for each in np.nanquantile(excess, [end, 1 - end]))
        growth_low = float(np.nanquantile(growth, end))
        rows.append(GroupRow(name, n_innocent[name], rate, champion_rate, plain_rate, low, high, growth_low))
    return sorted(rows, key=lambda row: (-row.alert_rate, row.group))


def _find_rate(
    is_alerted: NDArray[np.bool_],
    is_in: NDArray[np.bool_],
    innocent: NDArray[np.float64],
    alerts: NDArray[np.float64],
    *,
    least: float = 0.0,
) -> float:
    # NOT: a matrix product. BLAS adds in an order that depends on the threads it may use.
    total = float(innocent[is_in].sum())
    return max(float(alerts[is_alerted].sum()), least) / total if total > 0 else float("nan")
