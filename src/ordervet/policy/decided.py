"""From probabilities to bands and actions, for one order or a million at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.codes import ACTIONS, Action
from ordervet.policy.desk import Mark, Standing
from ordervet.policy.policy import HUMAN_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordervet.policy.capacity import Capacity
    from ordervet.policy.desk import DeskMemory
    from ordervet.policy.overlay import OneOverlay, Overlay
    from ordervet.policy.pacing import Pace
    from ordervet.policy.policy import Policy

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
RankArray = npt.NDArray[np.int8]

_PASS: Final = ACTIONS.index(Action.PASS)
_HOLD: Final = ACTIONS.index(Action.HOLD)
_REVIEW: Final = ACTIONS.index(Action.REVIEW)
_HUMAN_RANKS: Final = [1 + list(MaliceKind).index(kind) for kind in sorted(HUMAN_KINDS)]


@dataclass(frozen=True, slots=True)
class Decided:
    """Bands and actions of a batch.

    Parameters
    ----------
    bands : shape (n_orders,), index into BANDS
    actions : shape (n_orders,), index into ACTIONS, which is the order of severity
    marks : shape (n_orders,), values of `Mark`: what the review capacity did
    standings : shape (n_orders,), values of `Standing`: where each order stood with the desk before
    """

    bands: RankArray
    actions: RankArray
    marks: RankArray
    standings: RankArray

    @property
    def takes_slot(self) -> npt.NDArray[np.bool_]:
        """Which orders are handed on now and take a slot, shape (n_orders,)."""
        is_new = (self.marks != Mark.FREE) & (self.standings == Standing.NEW)
        is_taken: npt.NDArray[np.bool_] = (self.actions != _PASS) & is_new
        return is_taken


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
    desk: DeskMemory | None = None,
    strictest: RankArray | None = None,
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

    What the desk knows already stands: an order that a person released passes, one judged malicious is held, one handed
    on before stays handed on, and none of them takes a slot. Slots of a window that were taken before are gone, and of
    the window being served so many are due as the plan expects of its orders by now, or else as its hours passed.

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
    desk : what was judged and handed on before; None for nothing
    strictest : shape (n_orders,), index into ACTIONS: what the stage of each order allows at most (`STRICTEST`)

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
    is_drawn, is_audited = np.zeros(len(p), bool), np.zeros(len(p), bool)
    if overlay is not None:
        _check_shape("overlay", overlay.least.shape, len(p))
        is_open &= ~overlay.is_allowed
        actions = np.maximum(np.where(is_first | is_open, actions, _PASS), overlay.least).astype(np.int8)
        is_forced_on = is_first | (overlay.least >= _REVIEW)
        if overlay.is_drawn is not None:
            is_drawn = overlay.is_drawn & is_open & ~is_forced_on
            is_audited = is_drawn & (actions == _PASS)
            actions[is_audited] = _REVIEW
        is_first = is_forced_on | is_drawn
    if strictest is not None:
        actions = np.minimum(actions, strictest).astype(np.int8)
    standings = np.zeros(len(p), np.int8) if desk is None else desk.find_standings(order_ids or ())
    _check_shape("order_ids", standings.shape, len(p))
    marks = np.zeros(len(p), np.int8)
    cut = _choose_capacity(policy, capacity)
    is_known = np.isin(standings, (Standing.NEW, Standing.HANDED))
    if cut is None and pace is None:
        marks[is_audited & is_known] = Mark.AUDIT
        return Decided(bands, _settle(actions, standings, strictest), marks, standings)
    ids = _read_ids(order_ids, len(p))
    capacity_of = cut or policy.capacity
    ranks = p_band if capacity_of is None else capacity_of.rank_orders(p_band, amounts)
    rank = _rank(ranks, amounts, ids)
    is_new = standings == Standing.NEW
    if capacity_of is not None and not capacity_of.count_holds:
        marks[is_new & (actions == _HOLD)] = Mark.FREE
    is_new &= marks == Mark.NONE
    is_first &= is_new
    is_open &= is_new & ~is_first & (p_band >= (capacity_of.min_p if capacity_of else 0.0))
    if pace is not None:
        is_open &= pace.admits(ranks, [str(row) for row in range(len(p))] if ids is None else ids.tolist())
        windows, slots = np.zeros(len(p), np.int64), {0: pace.slots}
    elif cut is not None:
        windows, slots = _count_slots(cut, placed_at_us, len(p), desk)
    chosen, beyond = _choose(rank, is_open, is_first, windows, slots)
    marks[beyond[~is_drawn[beyond]]] = Mark.BEYOND
    left_out = beyond[is_drawn[beyond]]  # an audit takes slots, and never makes any
    is_first[left_out] = False
    actions[is_audited & ~is_first & is_new] = _PASS
    is_audited &= actions != _PASS
    is_forced = is_first | (marks == Mark.FREE)
    is_looked_at = is_forced | (standings == Standing.HANDED)
    is_looked_at[chosen] = True
    marks[~is_looked_at & is_new & (actions != _PASS)] = Mark.FULL
    looked_at = np.maximum(actions, np.where(is_forced, _PASS, _REVIEW))
    marks[is_audited & is_known] = Mark.AUDIT
    final = np.where(is_looked_at, looked_at, np.where(is_new, _PASS, actions)).astype(np.int8)
    return Decided(bands, _settle(final, standings, strictest), marks, standings)


def decide_one(
    policy: Policy,
    p_band: float,
    action: int,
    *,
    is_human: bool,
    worth_minor: int,
    order_id: str,
    overlay: OneOverlay | None,
    pace: Pace | None,
    strictest: int,
    standing: Standing = Standing.NEW,
) -> tuple[int, Mark]:
    """Return one live order its action, and what the review capacity did to it.

    Parameters
    ----------
    policy : with a capacity only where there is a pace
    p_band : probability that its band is of, after minimum evidence
    action : index into ACTIONS: that of its band and kind
    is_human : whether a person always judges its kind
    worth_minor, order_id : break ties at the pace
    overlay : what lists and rules say
    pace : what is handed on now
    strictest : index into ACTIONS: what its stage allows
    standing : where it stands with the desk

    References
    ----------
    Truth: `decide`.
    """
    is_first, is_open, is_drawn = is_human, not is_human, False
    if overlay is not None:
        is_open &= not overlay.is_allowed
        action = max(action if is_first or is_open else _PASS, overlay.least)
        is_first |= overlay.least >= _REVIEW
        is_drawn = overlay.is_drawn and is_open and not is_first
    is_audited = is_drawn and action == _PASS
    action = min(action, strictest)
    if standing is not Standing.NEW:
        return _settle_one(_REVIEW if is_audited else action, standing, is_audited, pace, strictest)
    capacity = policy.capacity
    if is_audited and (pace is None or pace.slots > 0):
        return _REVIEW, Mark.AUDIT
    if pace is None or capacity is None:
        return action, Mark.NONE
    if not capacity.count_holds and action == _HOLD:
        return action, Mark.FREE
    if is_drawn and pace.slots > 0:
        return max(action, _REVIEW), Mark.NONE
    if is_first:
        return action, Mark.NONE if pace.slots > 0 else Mark.BEYOND
    is_open &= p_band >= capacity.min_p and pace.slots > 0
    if is_open and pace.admits_one(capacity.rank_order(p_band, worth_minor), order_id):
        return max(action, _REVIEW), Mark.NONE
    return _PASS, Mark.NONE if action == _PASS else Mark.FULL


def _settle_one(
    action: int, standing: Standing, is_audited: bool, pace: Pace | None, strictest: int
) -> tuple[int, Mark]:
    """Let what the desk knows of one order stand."""
    if standing is Standing.RELEASED:
        return _PASS, Mark.NONE
    if standing is Standing.HANDED:
        return action if pace is None else max(action, _REVIEW), Mark.AUDIT if is_audited else Mark.NONE
    return strictest if standing is Standing.MALICIOUS else action, Mark.NONE


def _settle(actions: RankArray, standings: RankArray, strictest: RankArray | None) -> RankArray:
    """Let a person's judgement stand."""
    settled = np.where(standings == Standing.MALICIOUS, _HOLD if strictest is None else strictest, actions)
    return np.where(standings == Standing.RELEASED, _PASS, settled).astype(np.int8)


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


def _count_slots(
    capacity: Capacity, placed_at_us: npt.ArrayLike | None, n_orders: int, desk: DeskMemory | None
) -> tuple[IntArray, dict[int, int]]:
    """Find which window serves each order, and how many slots each window has left; without shifts one serves a batch.

    A desk that remembers has windows of a day where it has no shifts.
    """
    if not capacity.shifts and desk is None:
        return np.zeros(n_orders, np.int64), {0: capacity.windows[0].n}
    instants = _read_integers("placed_at_us", placed_at_us, n_orders)
    if instants is None:
        raise PolicyError("a capacity with shifts needs every order's time", hint="pass placed_at_us= to decide()")
    windows = capacity.number_windows(instants)
    numbers = np.unique(windows).tolist()
    if desk is not None:
        return windows, desk.count_left(capacity, numbers)
    return windows, {number: capacity.windows[number % len(capacity.windows)].n for number in numbers}


def _choose(
    rank: npt.NDArray[np.intp],
    is_open: npt.NDArray[np.bool_],
    is_first: npt.NDArray[np.bool_],
    windows: IntArray,
    slots: Mapping[int, int],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Choose the riskiest rows for the slots that each window has left, and find those looked at beyond them."""
    chosen, beyond = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for number, n_slots in slots.items():
        inside = rank[windows[rank] == number]
        first, left = inside[is_first[inside]], max(0, n_slots)
        beyond.append(first[left:])
        chosen.append(inside[is_open[inside]][: max(0, left - len(first))])
    return np.concatenate(chosen), np.concatenate(beyond)


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
