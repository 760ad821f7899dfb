"""What becomes known of the orders: outcomes, mostly none, and the desk's verdicts, late, few and not always right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.drafts import CAMPAIGN_PHASES, Fate, Fault
from ordervet.lab.simulate.people import NONE
from ordervet.lab.simulate.requests import draw_requests
from ordervet.lab.simulate.season import DAY_S, HOUR_S, MINUTE_S

if TYPE_CHECKING:
    from ordervet.lab.simulate.dice import Dice, Flags, Floats, Ints
    from ordervet.lab.simulate.drafts import PlacedOrders, World

OUTCOME_KINDS = (
    *("cancelled_unpaid", "cancelled_paid", "refund_requested", "refund_completed", "refund_rejected"),
    *("return_received", "delivery_refused", "claim", "bad_review", "chargeback", "fulfilled"),
)
REFUND_TYPES = (
    *("return_and_refund", "refund_only", "before_shipping", "exchange", "price_protection", "freight", "other"),
)
BLAMES = ("buyer", "seller", "carrier", "platform", "unknown")

_UNPAID_RATES = (0.05, 0.05, 0.10, 0.09, 0.07, 0.05)
"""Share of ordinary orders never paid, by phase."""
_BEFORE_SHIPPING = ((Fate.CANCELLED_PAID, 0.012, 0.020), (Fate.REFUND_BEFORE_SHIPPING, 0.020, 0.040))
_AFTER_SHIPPING = (
    (Fate.EMPTY_RETURN, 0.003, 0.004),
    (Fate.REFUND_ONLY, 0.010, 0.012),
    (Fate.EXCHANGE, 0.008, 0.008),
    (Fate.PRICE_PROTECTION, 0.003, 0.015),
    (Fate.FREIGHT_CLAIM, 0.002, 0.002),
    (Fate.REFUSED, 0.003, 0.004),
    (Fate.CLAIM, 0.0005, 0.0005),
    (Fate.BAD_REVIEW, 0.006, 0.008),
    (Fate.CHARGEBACK, 0.0003, 0.0003),
)
"""Rates of ordinary orders: in ordinary weeks, at the campaign."""

_REFUND_OF = {
    Fate.REFUND_BEFORE_SHIPPING: "before_shipping",
    Fate.RETURN: "return_and_refund",
    Fate.EMPTY_RETURN: "return_and_refund",
    Fate.REFUND_ONLY: "refund_only",
    Fate.EXCHANGE: "exchange",
    Fate.PRICE_PROTECTION: "price_protection",
    Fate.FREIGHT_CLAIM: "freight",
    Fate.BAD_REVIEW_AND_REFUND: "refund_only",
}
_PARTIAL = {Fate.PRICE_PROTECTION: 0.08, Fate.FREIGHT_CLAIM: 0.0, Fate.EXCHANGE: 0.0}
_FREIGHT_MINOR = 1200
_FULFILLED_TOO = (Fate.FULFILLED, Fate.EXCHANGE, Fate.PRICE_PROTECTION, Fate.FREIGHT_CLAIM, Fate.CLAIM, Fate.BAD_REVIEW)
_REJECTED_RATES = (0.04, 0.01, 0.10, 0.20)
"""Share of refund requests rejected, by fault."""
_RECORDED_EARLY_RATE = 0.3
_BLAME_WEIGHTS = {
    Fault.ORDINARY: (0.55, 0.22, 0.06, 0.05, 0.01, 0.11),
    Fault.CARRIER: (0.25, 0.0, 0.0, 0.6, 0.0, 0.15),
    Fault.ABUSE: (0.55, 0.15, 0.03, 0.05, 0.0, 0.22),
}
"""Weights of: not recorded, then `BLAMES`."""
_UNBLAMED_SELLER = (0.6, 0.05, 0.0, 0.1, 0.0, 0.25)


VERDICTS = ("malicious", "innocent", "unsure")
DECIDERS = ("desk", "platform", "rule")
_DECIDER_WEIGHTS = (0.8, 0.15, 0.05)
_DELAY_SPREAD = 0.8
_RIGHT_BUT_VOIDED_RATE = 0.002

MISTAKEN_FOR = {
    "pickup_station": "freight_insurance_fraud",
    "dormitory": "coupon_farming",
    "office": "coupon_farming",
    "family": "coupon_farming",
    "heavy_returner": "freight_insurance_fraud",
    "gift_buyer": "stolen_payment",
    "group_leader": "scalping",
    "newcomer": "coupon_farming",
    "wholesale": "unpaid_hoarding",
    "rural_address": "delivery_refusal",
    "fault_wave": "refund_only_abuse",
    "live_burst": "coupon_farming",
    "top_up_return": "rival_bulk_refund",
    "presale_unpaid": "unpaid_hoarding",
    "packing_error": "return_swap",
    "courier_error": "fake_return",
    "safety_claim": "professional_claim",
    "honest_bad_review": "review_extortion",
}
"""The kind of malice that each look-alike is taken for by mistake."""
_PLAIN_MISTAKEN_FOR = "refund_only_abuse"


@dataclass(frozen=True)
class Outcomes:
    """Outcomes by time, every array of shape (n_outcomes,)."""

    row: Ints  # row of the order among the placed ones
    kind: Ints  # position in `OUTCOME_KINDS`
    happened_s: Ints  # seconds since 1970, UTC
    refund_type: Ints  # position in `REFUND_TYPES`, -1 = none
    amount_minor: Ints  # fen, -1 = none
    blame: Ints  # position in `BLAMES`, -1 = not recorded
    reason: Ints  # position in `requests.REASONS`, -1 = none
    evidence: Ints  # 1 = pictures or a video came with it, 0 = none, -1 = not told
    delivered_s: Ints  # seconds since 1970, UTC, of the delivery that a request is about; -1 = none


@dataclass(frozen=True)
class Verdicts:
    """Verdicts by time, every array of shape (n_verdicts,)."""

    row: Ints  # row of the order among the placed ones
    verdict: Ints  # position in `VERDICTS`
    kind: Ints  # position in the settings' `kind_weights`, -1 = none
    by: Ints  # position in `DECIDERS`
    decided_s: Ints  # seconds since 1970, UTC
    corrected_s: Ints  # seconds since 1970, UTC, when an appeal voided it; -1 = never


class _Log:
    """Outcomes as they are collected."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, ...]] = []

    def add(
        self,
        kind: str,
        row: Ints,
        happened_s: Ints,
        refund_type: Ints | int = NONE,
        amount_minor: Ints | int = NONE,
        blame: Ints | int = NONE,
        *,
        told: tuple[Ints | int, Ints | int, Ints | int] = (NONE, NONE, NONE),
    ) -> None:
        """Collect outcomes of one kind; `told` is reason, evidence and delivery."""
        n = len(row)
        code = np.full(n, OUTCOME_KINDS.index(kind))
        columns = (refund_type, amount_minor, blame, *told)
        rest = [np.broadcast_to(np.asarray(column, dtype=np.int64), n) for column in columns]
        self._parts.append((row, code, happened_s, *rest))

    def close(self, known_until_s: int | None) -> Outcomes:
        """Sort what was collected by time, and drop what nobody knows yet."""
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        order = np.argsort(columns[2], kind="stable")
        if known_until_s is not None:
            order = order[columns[2][order] < known_until_s]
        return Outcomes(*(column[order] for column in columns))


def draw_outcomes(world: World, placed: PlacedOrders, known_until_s: int | None) -> Outcomes:
    """Draw what became of every order."""
    dice, draft, n = world.dice, placed.draft, len(placed)
    fate = np.where(draft.fate == Fate.ORDINARY, _draw_fates(world, placed), draft.fate)
    is_campaign = np.isin(placed.phase, CAMPAIGN_PHASES)
    shipped_s = dice.log_normal(26.0 * HOUR_S, 0.6, n) * np.where(is_campaign, 1.7, 1.0)
    signed_s = draft.placed_s + (shipped_s + dice.log_normal(58.0 * HOUR_S, 0.4, n)).astype(np.int64)
    log = _Log()
    _log_cancellations(log, dice, placed, fate)
    _log_refunds(log, world, placed, fate, signed_s)
    _log_refusals(log, dice, placed, fate, signed_s)
    _log_complaints(log, world, placed, fate, signed_s)
    done = np.flatnonzero(np.isin(fate, _FULFILLED_TOO))
    log.add("fulfilled", done, signed_s[done] + dice.log_normal(9.0 * DAY_S, 0.3, len(done)).astype(np.int64))
    return log.close(known_until_s)


def _draw_fates(world: World, placed: PlacedOrders) -> Ints:
    """Draw ordinary fates by the phase's, the item's and the merchant's rates."""
    dice, item, n = world.dice, placed.draft.item, len(placed)
    is_campaign = np.isin(placed.phase, CAMPAIGN_PHASES)
    unpaid = np.array(_UNPAID_RATES)[placed.phase]
    returned = np.where(is_campaign, world.catalogue.campaign_return_rate[item], world.catalogue.return_rate[item])
    early = [(Fate.CANCELLED_UNPAID, unpaid)]
    early += [(fate, np.where(is_campaign, high, low)) for fate, low, high in _BEFORE_SHIPPING]
    late = [(fate, np.where(is_campaign, high, low)) for fate, low, high in _AFTER_SHIPPING]
    fates = np.full(n, int(Fate.FULFILLED))
    for steps in ([*late, (Fate.RETURN, returned)], early):
        u, edge = dice.unit(n), np.zeros(n)
        for fate, rate in steps:
            fates[(u >= edge) & (u < edge + rate)] = fate
            edge = edge + rate
    return fates


def _draw_lags(dice: Dice, lag_s: Ints, median_s: float, spread: float) -> Ints:
    """Take the lags given, and draw those that are not."""
    drawn = dice.log_normal(median_s, spread, len(lag_s)).astype(np.int64) + MINUTE_S
    return np.where(lag_s == NONE, drawn, lag_s)


def _log_cancellations(log: _Log, dice: Dice, placed: PlacedOrders, fate: Ints) -> None:
    draft = placed.draft
    unpaid = np.flatnonzero(fate == Fate.CANCELLED_UNPAID)
    lag = np.minimum(_draw_lags(dice, draft.lag_s[unpaid], 70.0 * MINUTE_S, 1.2), DAY_S)
    log.add("cancelled_unpaid", unpaid, draft.placed_s[unpaid] + lag)
    paid = np.flatnonzero(fate == Fate.CANCELLED_PAID)
    soon = dice.log_normal(3.0 * HOUR_S, 0.9, len(paid)).astype(np.int64) + MINUTE_S
    log.add("cancelled_paid", paid, draft.placed_s[paid] + soon)


def _log_refunds(log: _Log, world: World, placed: PlacedOrders, fate: Ints, signed_s: Ints) -> None:
    """Log requests, parcels that come back, and how the requests ended."""
    dice, draft = world.dice, placed.draft
    row = np.flatnonzero(np.isin(fate, list(_REFUND_OF)))
    mine, n = fate[row], len(row)
    type_of = np.full(len(Fate), NONE)
    for of_fate, name in _REFUND_OF.items():
        type_of[of_fate] = REFUND_TYPES.index(name)
    refund_type = type_of[mine]
    early = mine == Fate.REFUND_BEFORE_SHIPPING
    lag = np.where(
        early,
        _draw_lags(dice, draft.lag_s[row], 5.0 * HOUR_S, 0.9),
        _draw_lags(dice, draft.lag_s[row], 45.0 * HOUR_S, 0.8),
    )
    requested_s = np.where(early, draft.placed_s[row], signed_s[row]) + lag
    comes_back = (mine == Fate.RETURN) | (mine == Fate.EXCHANGE)
    received_s = requested_s + dice.log_normal(4.5 * DAY_S, 0.4, n).astype(np.int64)
    log.add("return_received", row[comes_back], received_s[comes_back])
    amount = _find_refund_amounts(placed, row, mine)
    rejected = dice.chance(np.array(_REJECTED_RATES)[draft.fault[row]], n) & ~early
    blame = _draw_blames(world, draft.fault[row])
    known_early = np.where(dice.chance(_RECORDED_EARLY_RATE, n), blame, NONE)
    wait = np.where(early, 2.0 * HOUR_S, 26.0 * HOUR_S)
    ended_s = np.where(comes_back, received_s, requested_s) + dice.log_normal(wait, 0.6, n).astype(np.int64)
    delivered_s = np.where(early, NONE, signed_s[row])
    told = (*draw_requests(world, placed, row, mine), delivered_s)
    log.add("refund_requested", row, requested_s, refund_type, amount, known_early, told=told)
    for ending, flags in (("refund_completed", ~rejected), ("refund_rejected", rejected)):
        log.add(ending, row[flags], ended_s[flags], refund_type[flags], amount[flags], blame[flags])
    reviewed = mine == Fate.BAD_REVIEW_AND_REFUND
    before = dice.log_normal(2.0 * HOUR_S, 0.8, n).astype(np.int64) + MINUTE_S
    log.add("bad_review", row[reviewed], (requested_s + before)[reviewed])


def _find_refund_amounts(placed: PlacedOrders, row: Ints, fate: Ints) -> Ints:
    amount = placed.amount_minor[row]
    for of_fate, share in _PARTIAL.items():
        part = np.rint(amount * share).astype(np.int64)
        amount = np.where(fate == of_fate, part, amount)
    return np.where(fate == Fate.FREIGHT_CLAIM, _FREIGHT_MINOR, amount)


def _draw_blames(world: World, fault: Ints) -> Ints:
    """Draw the recorded blame: often none, and not always the right one."""
    dice, n = world.dice, len(fault)
    blame = np.full(n, NONE)
    for of_fault, weights in _BLAME_WEIGHTS.items():
        mine = fault == of_fault
        blame[mine] = dice.pick(weights, int(mine.sum())) - 1
    at_seller = np.flatnonzero(fault == Fault.SELLER)
    recorded = dice.chance(world.settings.fault_blame_rate, len(at_seller))
    otherwise = dice.pick(_UNBLAMED_SELLER, len(at_seller)) - 1
    blame[at_seller] = np.where(recorded, BLAMES.index("seller"), otherwise)
    return blame


def _log_refusals(log: _Log, dice: Dice, placed: PlacedOrders, fate: Ints, signed_s: Ints) -> None:
    row = np.flatnonzero(fate == Fate.REFUSED)
    log.add("delivery_refused", row, signed_s[row])
    refunded_s = signed_s[row] + dice.log_normal(3.0 * DAY_S, 0.4, len(row)).astype(np.int64)
    log.add("refund_completed", row, refunded_s, REFUND_TYPES.index("other"), placed.amount_minor[row])


def _log_complaints(log: _Log, world: World, placed: PlacedOrders, fate: Ints, signed_s: Ints) -> None:
    """Log claims, bad reviews and chargebacks."""
    dice, draft = world.dice, placed.draft
    claims = np.flatnonzero(fate == Fate.CLAIM)
    claimed_s = signed_s[claims] + _draw_lags(dice, draft.lag_s[claims], 25.0 * DAY_S, 0.7)
    log.add("claim", claims, claimed_s, NONE, placed.amount_minor[claims], _draw_blames(world, draft.fault[claims]))
    reviews = np.flatnonzero(fate == Fate.BAD_REVIEW)
    log.add("bad_review", reviews, signed_s[reviews] + _draw_lags(dice, draft.lag_s[reviews], 3.0 * DAY_S, 0.8))
    disputes = np.flatnonzero(fate == Fate.CHARGEBACK)
    disputed_s = draft.placed_s[disputes] + _draw_lags(dice, draft.lag_s[disputes], 30.0 * DAY_S, 0.5)
    log.add("chargeback", disputes, disputed_s, NONE, placed.amount_minor[disputes])


def draw_verdicts(world: World, placed: PlacedOrders, outcomes: Outcomes) -> Verdicts:
    """Draw which orders were reviewed, when, and what was decided."""
    dice, settings, draft = world.dice, world.settings, placed.draft
    row = np.flatnonzero(dice.chance(_find_review_rates(world, placed), len(placed)))
    n, is_malicious = len(row), draft.kind[row] != NONE
    noticed_s = _find_notice(dice, placed, outcomes)[row]
    wait = dice.log_normal(settings.verdict_delay_days * DAY_S, _DELAY_SPREAD, n).astype(np.int64) + HOUR_S
    is_wrong = dice.chance(settings.desk_error_rate, n)
    is_unsure = dice.chance(settings.unsure_rate, n)
    condemned = is_malicious ^ is_wrong
    verdict = np.where(is_unsure, VERDICTS.index("unsure"), np.where(condemned, 0, VERDICTS.index("innocent")))
    kind = np.where(is_malicious, draft.kind[row], _find_mistaken_kinds(world, draft.look_alike[row]))
    by = dice.pick(_DECIDER_WEIGHTS, n)
    decided_s = noticed_s + wait
    upheld = dice.chance(np.where(is_wrong, settings.appeal_rate, _RIGHT_BUT_VOIDED_RATE), n) & (verdict == 0)
    appealed_s = decided_s + dice.log_normal(8.0 * DAY_S, 0.6, n).astype(np.int64) + HOUR_S
    order = np.argsort(decided_s, kind="stable")
    columns = (*(row, verdict, np.where(verdict == 0, kind, NONE), by, decided_s, np.where(upheld, appealed_s, NONE)),)
    return Verdicts(*(column[order] for column in columns))


def _find_review_rates(world: World, placed: PlacedOrders) -> Floats:
    """Find how likely each order is reviewed: abuse mostly, look-alikes sometimes, the rest by audit."""
    settings, draft = world.settings, placed.draft
    honest = np.where(draft.look_alike == NONE, settings.audit_rate, settings.look_alike_review_rate)
    return np.where(draft.kind == NONE, honest, settings.review_rate)


def _find_notice(dice: Dice, placed: PlacedOrders, outcomes: Outcomes) -> Ints:
    """Find when each order drew attention: at its first bad outcome, or some hours after it was placed."""
    noticed = placed.draft.placed_s + dice.log_normal(20.0 * HOUR_S, 0.7, len(placed)).astype(np.int64)
    is_bad: Flags = outcomes.kind != OUTCOME_KINDS.index("fulfilled")
    # NOTE: outcomes are sorted, so that the earliest is written last.
    noticed[outcomes.row[is_bad][::-1]] = outcomes.happened_s[is_bad][::-1]
    return noticed


def _find_mistaken_kinds(world: World, look_alike: Ints) -> Ints:
    kinds = list(world.settings.kind_weights)
    mistaken = [kinds.index(MISTAKEN_FOR[name]) for name in world.settings.look_alike_shares]
    table = np.array([*mistaken, kinds.index(_PLAIN_MISTAKEN_FOR)])  # NOTE: -1, no look-alike, reads the last entry
    drawn: Ints = table[look_alike]
    return drawn
