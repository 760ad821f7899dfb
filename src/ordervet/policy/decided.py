"""From probabilities to bands and actions, for one order or a million at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.codes import ACTIONS, Action
from ordervet.policy.policy import HUMAN_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.capacity import Capacity
    from ordervet.policy.overlay import Overlay
    from ordervet.policy.pacing import Pace
    from ordervet.policy.policy import Policy

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
RankArray = npt.NDArray[np.int8]

_PASS: Final = ACTIONS.index(Action.PASS)
_REVIEW: Final = ACTIONS.index(Action.REVIEW)
_HUMAN_RANKS: Final = [1 + list(MaliceKind).index(kind) for kind in sorted(HUMAN_KINDS)]


@dataclass(frozen=True, slots=True)
class Decided:
    """Bands and actions of a batch.

    Parameters
    ----------
    bands : shape (n_orders,), index into BANDS
    actions : shape (n_orders,), index into ACTIONS, which is the order of severity
    """

    bands: RankArray
    actions: RankArray


def decide(
    policy: Policy,
    p_malicious: npt.ArrayLike,
    *,
    amount_minor: npt.ArrayLike | None = None,
    kinds: Sequence[MaliceKind | str | None] | None = None,
    n_orders_known: npt.ArrayLike | None = None,
    p_without_own_history: npt.ArrayLike | None = None,
    order_ids: Sequence[str] | None = None,
    placed_at_us: npt.ArrayLike | None = None,
    capacity: int | None = None,
    overlay: Overlay | None = None,
    pace: Pace | None = None,
) -> Decided:
    """Return each order of a batch its band and its action.

    The band follows from the order alone. Minimum evidence: where fewer than ``evidence.min_orders`` orders of the
    buyer are on record, the band is that of ``min(p_malicious, p_without_own_history)``, so the buyer's own history can
    lower a band but not raise it.

    The action follows from band and kind; lists and rules then let the order pass or ask for more (see `Overlay`).
    With a review capacity n, orders come first whose kind a person always judges, or for which a list or rule asks more
    than to pass (all of them, even beyond n); the slots left go to the highest ranks (``capacity.rank_by``) among those
    from ``capacity.min_p`` on, which get ``review`` or their band's stricter action; every other order passes. Ties at
    the cut go to the larger amount, then to the smaller order id, then to the earlier row. With shifts, each shift's
    orders are cut to its own slots. Orders that come one by one are cut by a `Pace` instead.

    With everything else fixed, a higher probability never gets a milder band or action. Between two kinds no such order
    holds: a likelier ``stolen_payment`` is confirmed where another kind is held.

    Parameters
    ----------
    policy : from load_policy
    p_malicious : shape (n_orders,), calibrated probabilities, 0..1
    amount_minor : shape (n_orders,), minor units; needed for thresholds by expected cost, breaks ties at a capacity
    kinds : n_orders kinds, None where none was named; name a kind on flagged orders only, since naming one that a
        person always judges sends the order to a person
    n_orders_known : shape (n_orders,), earlier orders of the buyer on record, 0 for an unknown buyer
    p_without_own_history : shape (n_orders,), calibrated probability with the positive contributions of the buyer's own
        history taken out (`own_history_log_odds`); given with n_orders_known or not at all
    order_ids : n_orders ids, to break ties independently of row order
    placed_at_us : shape (n_orders,), UTC microseconds; needed where the capacity has shifts
    capacity : takes the place of the policy's ``capacity.n``
    overlay : what lists and rules say, from build_overlay; None for nothing
    pace : what is handed on at this instant, from a Pacer; takes the place of a capacity

    Returns
    -------
    Decided, shape (n_orders,)

    Raises
    ------
    PolicyError
        A probability is outside 0..1 or not a number, lengths differ, a kind is unknown, or an argument is missing that
        the policy or another argument needs.
    """
    p = _read_probabilities("p_malicious", p_malicious)
    amounts = _read_integers("amount_minor", amount_minor, len(p))
    named = _read_kinds(kinds, len(p))
    p_band = _cap_thin_evidence(policy, p, n_orders_known, p_without_own_history)
    bands = _cut_bands(policy, p_band, amounts)
    actions: RankArray = policy.severities[named, bands]
    is_first = np.isin(named, _HUMAN_RANKS)
    is_open = ~is_first
    if overlay is not None:
        _check_shape("overlay", overlay.least.shape, len(p))
        is_open &= ~overlay.is_allowed
        actions = np.maximum(np.where(is_first | is_open, actions, _PASS), overlay.least).astype(np.int8)
        is_first |= overlay.least >= _REVIEW
    cut = _choose_capacity(policy, capacity)
    if cut is None and pace is None:
        return Decided(bands, actions)
    ids = _read_ids(order_ids, len(p))
    capacity_of = cut or policy.capacity
    ranks = p_band if capacity_of is None else capacity_of.rank_orders(p_band, amounts)
    rank = _rank(ranks, amounts, ids)
    if pace is not None:
        is_open &= p_band >= (capacity_of.min_p if capacity_of else 0.0)
        is_open &= pace.admits(ranks, [str(row) for row in range(len(p))] if ids is None else ids.tolist()) & ~is_first
        chosen = rank[is_open[rank]][: max(0, pace.slots - int(is_first.sum()))]
    elif cut is not None:
        windows = _number_windows(cut, placed_at_us, len(p))
        chosen = _choose(cut, rank[(is_open & ~is_first & (p_band >= cut.min_p))[rank]], is_first, windows)
    is_looked_at = is_first.copy()
    is_looked_at[chosen] = True
    least = np.where(is_first, _PASS, _REVIEW)
    return Decided(bands, np.where(is_looked_at, np.maximum(actions, least), _PASS).astype(np.int8))


def _cap_thin_evidence(
    policy: Policy, p: FloatArray, n_orders_known: npt.ArrayLike | None, p_without: npt.ArrayLike | None
) -> FloatArray:
    if (n_orders_known is None) != (p_without is None):
        raise PolicyError(
            "minimum evidence needs both n_orders_known and p_without_own_history, or neither",
            hint="pass both to decide()",
        )
    n_known = _read_integers("n_orders_known", n_orders_known, len(p))
    if n_known is None or p_without is None:
        return p
    others = _read_probabilities("p_without_own_history", p_without, len(p))
    return np.where(n_known < policy.evidence.min_orders, np.minimum(p, others), p)


def _cut_bands(policy: Policy, p: FloatArray, amounts: IntArray | None) -> RankArray:
    cuts = policy.bands.build_cuts(len(p), amounts)
    bands: RankArray = np.sum(p[:, None] >= cuts, axis=1, dtype=np.int8)
    return bands


def _choose_capacity(policy: Policy, n: int | None) -> Capacity | None:
    if n is None:
        return policy.capacity
    if n < 0:
        raise PolicyError(f"got a capacity of {n} orders, expected 0 or more", hint="pass capacity=300, for example")
    return policy.with_capacity(n).capacity


def _rank(ranks: FloatArray, amounts: IntArray | None, order_ids: npt.NDArray[np.str_] | None) -> npt.NDArray[np.intp]:
    """Return the rows, the first to look at in front."""
    rows = np.arange(len(ranks))
    return np.lexsort(
        [rows, rows if order_ids is None else order_ids, rows * 0 if amounts is None else -amounts, -ranks]
    )


def _number_windows(capacity: Capacity, placed_at_us: npt.ArrayLike | None, n_orders: int) -> IntArray:
    """Find which shift serves each order; without shifts one serves all."""
    if not capacity.shifts:
        return np.zeros(n_orders, np.int64)
    instants = _read_integers("placed_at_us", placed_at_us, n_orders)
    if instants is None:
        raise PolicyError("a capacity with shifts needs every order's time", hint="pass placed_at_us= to decide()")
    return capacity.number_windows(instants)


def _choose(
    capacity: Capacity, ranked: npt.NDArray[np.intp], is_first: npt.NDArray[np.bool_], windows: IntArray
) -> npt.NDArray[np.intp]:
    """Choose the riskiest rows for the slots that each window has left."""
    slots = {int(number): capacity.windows[int(number) % len(capacity.windows)].n for number in np.unique(windows)}
    chosen = [np.zeros(0, np.intp)]
    for number, n_slots in slots.items():
        inside = ranked[windows[ranked] == number]
        chosen.append(inside[: max(0, n_slots - int((is_first & (windows == number)).sum()))])
    return np.concatenate(chosen)


def _read_probabilities(name: str, values: npt.ArrayLike, n_orders: int | None = None) -> FloatArray:
    p = np.asarray(values, dtype=np.float64)
    _check_shape(name, p.shape, n_orders)
    n_bad = int((~((p >= 0.0) & (p <= 1.0))).sum())
    if n_bad:
        raise PolicyError(
            f"{n_bad} of {p.size} probabilities in {name} are not numbers from 0 to 1",
            hint="leave out orders that could not be scored: Decision.unscored(...) lets them pass",
        )
    return p


def _read_integers(name: str, values: npt.ArrayLike | None, n_orders: int) -> IntArray | None:
    if values is None:
        return None
    array = np.asarray(values)
    _check_shape(name, array.shape, n_orders)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise PolicyError(f"got {name} of type {array.dtype}, expected integers", hint="pass an int64 array")
    return array.astype(np.int64)


def _read_kinds(kinds: Sequence[MaliceKind | str | None] | None, n_orders: int) -> npt.NDArray[np.int8]:
    if kinds is None:
        return np.zeros(n_orders, dtype=np.int8)
    _check_shape("kinds", (len(kinds),), n_orders)
    ranks: dict[str | None, int] = {None: 0} | {kind: rank for rank, kind in enumerate(MaliceKind, start=1)}
    unknown = sorted({str(kind) for kind in kinds if kind not in ranks})
    if unknown:
        raise PolicyError(
            f"{len(unknown)} kinds are not known: {', '.join(unknown[:5])}",
            hint=f"the kinds are {', '.join(MaliceKind)}",
        )
    return np.array([ranks[kind] for kind in kinds], dtype=np.int8)


def _read_ids(order_ids: Sequence[str] | None, n_orders: int) -> npt.NDArray[np.str_] | None:
    if order_ids is None:
        return None
    _check_shape("order_ids", (len(order_ids),), n_orders)
    return np.array(order_ids, dtype=np.str_)


def _check_shape(name: str, shape: tuple[int, ...], n_orders: int | None) -> None:
    if len(shape) != 1 or (n_orders is not None and shape[0] != n_orders):
        expected = "(n_orders,)" if n_orders is None else f"({n_orders},)"
        raise PolicyError(f"got {name} of shape {shape}, expected {expected}", hint="pass one value per order")
