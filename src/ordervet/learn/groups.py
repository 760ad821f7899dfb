"""Look-alike groups in a merchant's own data: who they are, and whether a model alerts their innocents too often.

The simulated suite tells whether a model is fair to look-alikes as the simulation has them; this tells it of the
merchant's own: orders to shared places, families, connections that a few share, heavy returners, newcomers by channel,
wholesale, bursts of an item and buyers of faulty goods, each told by the features of the order as they were served.
Plain is who is in none of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.learn.intervals import count_more, draw_weights
from ordervet.model.protections import Bound, Protection
from ordervet.model.starter import find_shift

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Places that many share by their kind: who gets parcels there is no family.
_SHARED = ("pick_up", "dormitory", "office")
_NO_SHARED_PLACE = tuple(Bound(feature=f"order__is__{place}", at_most=0, or_unknown=True) for place in _SHARED)
_HAS_ORDERED = Bound(feature="buyer__count__order__90d", at_least=1)
#: The order is the first on record of its buyer, as far as can be told.
IS_NEW = Bound(feature="buyer__count__order__90d", at_most=0, or_unknown=True)


def _share(entity: str, most: float | None) -> tuple[tuple[Bound, ...], ...]:
    """Bound who shares an entity with somebody else: one of its buyers is the order's own, unless that is new."""
    n_buyers = f"{entity}__distinct__buyer__90d"
    return (
        (Bound(feature=n_buyers, at_least=2, at_most=most), _HAS_ORDERED),
        (Bound(feature=n_buyers, at_least=1, at_most=most), IS_NEW),
    )


_MOST_IN_FAMILY = 4


def _share_with_few(entity: str) -> tuple[tuple[Bound, ...], ...]:
    """Bound who shares an entity with a few, of whom, and of whose linked buyers, no malice is known."""
    no_malice = tuple(
        Bound(feature=name, at_most=0, or_unknown=True)
        for name in (f"{entity}__count__malicious__90d", "group__count__malicious")
    )
    return tuple((*bounds, *no_malice) for bounds in _share(entity, _MOST_IN_FAMILY))


#: Families where doors are not known share a connection or a device. How often their innocents count in the fit of own
#: trees was chosen on worlds of `lab.foreign`, out of 3, 20 and 75 (docs/evaluation.md).
PROTECTED_FEW = tuple(
    Protection(where=bounds, weight=20) for entity in ("ip", "device") for bounds in _share_with_few(entity)
)
#: Who is in which group: within all bounds of one of several tuples, which never hold together. A group is left out
#: without its features, but for those that may be unknown.
GROUPS: dict[str, tuple[tuple[Bound, ...], ...]] = {
    **{place: ((Bound(feature=f"order__is__{place}", at_least=1),),) for place in _SHARED},
    "family": tuple((*bounds, *_NO_SHARED_PLACE) for bounds in _share("address", _MOST_IN_FAMILY)),
    "shared_door": ((Bound(feature="address__distinct__buyer__90d", at_least=_MOST_IN_FAMILY + 1),),),
    "shared_ip": _share_with_few("ip"),
    "heavy_returner": (
        (
            Bound(feature="buyer__count__order__90d", at_least=3),
            Bound(feature="buyer__share__refund_requested__90d", at_least=0.5),
        ),
    ),
    "newcomer": ((Bound(feature="order__value__account_age_days", at_least=0, at_most=7),),),
    "wholesale": ((Bound(feature="order__value__quantity", at_least=8),),),
    "burst": ((Bound(feature="item__burst__order__1h", at_least=3),),),
    "faulty_goods": (
        (
            Bound(feature="item__share__refund_requested__30d", at_least=0.3),
            Bound(feature="buyer__count__refund_requested__90d", at_least=1),
        ),
    ),
}
_LOW = 0.05
#: Where an interval is so many times as wide as the way to the bound, no date can be told.
_MOST_TIMES = 10.0
#: Turns that groups take to find their offsets beside each other's.
_N_TURNS = 3
#: What an offset may cost of average precision: a group that malice hides in keeps more of its alerts. And the smallest
#: offset, in log-odds.
_MOST_COST, _LEAST_SHIFT = 0.01, 0.05
#: More is not taken for judged: a share above it cannot be told from all.
_MOST_JUDGED = 0.8
#: What can be said of a group: too few innocent orders, surely within the bound, not decided yet, surely unfair.
FEW, FAIR, OPEN, UNFAIR = "few", "fair", "open", "unfair"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """How often the innocent orders of one group would not pass; rates are NaN where there are too few of them."""

    group: str
    n_orders: int  # innocent ones
    state: str  # `FEW`, `FAIR`, `OPEN` or `UNFAIR`: surely beyond the bound, and surely more than by the champion
    more: int | None = None  # innocent orders that are missing to tell, where that can be said
    by: str | None = None  # the day by which there will be so many more, ISO 8601
    #: alert_rate, champion_rate, plain_rate: of the group by the challenger and by the champion, of plain ones
    alert_rate: float = math.nan
    champion_rate: float = math.nan
    plain_rate: float = math.nan
    #: excess_low, excess_high: alert rate of the group less the bound times that of plain ones, its interval
    excess_low: float = math.nan
    excess_high: float = math.nan
    growth_low: float = math.nan  # alert rate of the group less the champion's, the lower end

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
    groups = {
        name: np.any([_find_within(bounds, names, features) for bounds in where], axis=0)
        for name, where in list_groups(names).items()
    }
    is_new = groups.get("newcomer", np.zeros(len(features), bool))
    for each in np.unique(channel[is_new & (channel != "")]).tolist():
        groups[f"newcomer:{each}"] = is_new & (channel == each)
    return {name: is_in for name, is_in in groups.items() if is_in.any()}


def list_groups(names: tuple[str, ...]) -> dict[str, tuple[tuple[Bound, ...], ...]]:
    """List the groups that can be told by some features, each with its bounds on those."""
    found = {}
    for name, where in GROUPS.items():
        if all(bound.or_unknown or bound.feature in names for bounds in where for bound in bounds):
            found[name] = tuple(tuple(bound for bound in bounds if bound.feature in names) for bounds in where)
    return found


def _find_within(bounds: tuple[Bound, ...], names: tuple[str, ...], features: NDArray[np.float32]) -> NDArray[np.bool_]:
    is_within: NDArray[np.bool_] = np.all(
        [bound.find(features[:, names.index(bound.feature)]) for bound in bounds], axis=0
    )
    return is_within


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
    min_orders : groups of fewer innocent orders are not judged
    n_draws, seed : of the bootstrap

    Returns
    -------
    a row for each group, those alerted most first, and those that are not judged last
    """
    is_plain = ~np.any([*groups.values(), np.zeros(len(flags), bool)], axis=0)
    n_innocent = {name: int(weight[is_in & ~is_malicious].sum()) for name, is_in in groups.items()}
    has_plain = bool((is_plain & ~is_malicious).any())
    kept = {name: is_in for name, is_in in groups.items() if has_plain and n_innocent[name] >= min_orders}
    few = [GroupRow(name, n, FEW, max(min_orders - n, 1)) for name, n in n_innocent.items() if name not in kept]
    if not kept:
        return few
    # NOTE: of an alerted order, in innocent ones.
    worth = np.where(is_malicious, -count_not_found(judged_share), 1.0)

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
        state = FAIR if high <= 0 else UNFAIR if low > 0 and growth_low > 0 else OPEN
        n = n_innocent[name]
        more = _find_more(n, rate - bound * plain_rate, low, high) if state == OPEN and low <= 0 else None
        rows.append(GroupRow(name, n, state, more, None, rate, champion_rate, plain_rate, low, high, growth_low))
    return sorted(rows, key=lambda row: (-row.alert_rate, row.group)) + few


def count_not_found(judged_share: float) -> float:
    """Count the malicious orders that nobody found for each one that is known, by the judged share."""
    return 1 / min(judged_share, _MOST_JUDGED) - 1


def _find_more(n: int, excess: float, low: float, high: float) -> int | None:
    """Return how many more orders an interval takes that leaves out 0; None where that cannot be said."""
    half = excess - low if excess > 0 else high - excess
    if excess == 0 or half > _MOST_TIMES * abs(excess):
        return None
    return count_more(abs(excess), half, n)


def find_offsets(
    groups: dict[str, NDArray[np.bool_]],
    raw: NDArray[np.float64],
    innocent: NDArray[np.float64],
    flag: Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.bool_]],
    *,
    times: float,
    most: float,
    min_orders: int,
    measure: Callable[[NDArray[np.float64]], float],
) -> dict[str, float]:
    """Find the smallest offsets that hold the alerts of each group's innocents to so many times those of plain ones.

    A threshold of its own for each group, on one ranking that is as good as can be, is what loses least malice under
    such a bound. Orders in several groups have the sum of their offsets, so the groups take turns.

    Parameters
    ----------
    groups : name to shape (n,), see `find_groups`
    raw : shape (n,), log-odds by trees that did not know the orders
    innocent : shape (n,), how many innocent orders a row stands for, see `find_innocence`
    flag : from log-odds and their rows, both of shape (n_some,), to what the policy would not pass
    times : bound
    most : the largest offset, in log-odds
    min_orders : groups of fewer innocent orders have no offset
    measure : from log-odds, shape (n,), to how well they rank; an offset that costs more than `_MOST_COST` of it is
        halved until it does not

    Returns
    -------
    name to what is added to the group's log-odds, below 0; groups that need none are left out

    References
    ----------
    Menon and Williamson, "The cost of fairness in binary classification", FAT* 2018.
    """
    is_plain = ~np.any([*groups.values(), np.zeros(len(raw), bool)], axis=0)
    if not innocent[is_plain].any():
        return {}
    # SPEED: offsets only lower what is alerted, so what is not alerted without any needs no second look.
    is_alerted = flag(raw, np.arange(len(raw)))
    # NOTE: at least one alert, as in `measure_groups`.
    rate = times * max(float(innocent[is_alerted & is_plain].sum()), 1.0) / float(innocent[is_plain].sum())
    n_innocent = {name: float(innocent[is_in].sum()) for name, is_in in groups.items()}
    rows = {
        name: np.flatnonzero(is_in & is_alerted) for name, is_in in groups.items() if n_innocent[name] >= min_orders
    }
    by = dict.fromkeys(rows, 0.0)
    for turn in range(_N_TURNS):
        for name, some in rows.items():
            others = raw[some] - sum(shift * groups[other][some] for other, shift in by.items() if other != name)
            needed = min(most, _find_needed(others, some, innocent[some], flag, rate * n_innocent[name]))
            # NOTE: what holds for one group still holds when another's offset grows, not when it shrinks.
            by[name] = max(needed, by[name]) if turn == _N_TURNS - 1 else needed
    return _limit_cost({name: shift for name, shift in by.items() if shift > 0}, groups, raw, measure)


def _limit_cost(
    by: dict[str, float],
    groups: dict[str, NDArray[np.bool_]],
    raw: NDArray[np.float64],
    measure: Callable[[NDArray[np.float64]], float],
) -> dict[str, float]:
    """Halve each shift until the ranking loses no more by it; what is left of it is an offset."""
    found: dict[str, float] = {}
    for name, shift in by.items():
        before, left = measure(raw), shift
        while left >= _LEAST_SHIFT and measure(raw - left * groups[name]) < before - _MOST_COST:
            left /= 2
        if left >= _LEAST_SHIFT:
            raw = raw - left * groups[name]
            found[name] = -left
    return found


def _find_needed(
    raw: NDArray[np.float64],
    rows: NDArray[np.int64],
    innocent: NDArray[np.float64],
    flag: Callable[[NDArray[np.float64], NDArray[np.int64]], NDArray[np.bool_]],
    most: float,
) -> float:
    """Find the smallest shift of some rows' log-odds by which no more than so many innocents are alerted."""
    return find_shift(lambda by: float(innocent[flag(raw - by, rows)].sum()), most)


def find_innocence(
    p: NDArray[np.float64], is_malicious: NDArray[np.bool_], judged_share: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Estimate how likely orders are innocent that are not known as malicious, shape (n,); 0 where they are.

    Parameters
    ----------
    p : shape (n,), probabilities of malice, known or not
    is_malicious : shape (n,), known as such
    judged_share : of the malicious orders, those that are known, of all or of each order's age; more than four in five
        cannot be told from all

    References
    ----------
    Elkan and Noto, "Learning classifiers from only positive and unlabeled data", KDD 2008, section 3.
    """
    share = np.minimum(judged_share, _MOST_JUDGED)
    innocence: NDArray[np.float64] = np.where(is_malicious, 0.0, (1 - p) / (1 - p * share))
    return innocence


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
