"""What the service desk decided: late, not about every order, and not always rightly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ordervet.lab.simulate.aftermath import OUTCOME_KINDS
from ordervet.lab.simulate.people import NONE
from ordervet.lab.simulate.season import DAY_S, HOUR_S

if TYPE_CHECKING:
    from ordervet.lab.simulate.aftermath import Outcomes
    from ordervet.lab.simulate.dice import Dice, Flags, Floats, Ints
    from ordervet.lab.simulate.drafts import World
    from ordervet.lab.simulate.ledger import Ledger

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
class Verdicts:
    """Verdicts by time, every array of shape (n_verdicts,).

    Parameters
    ----------
    row : position of the order in the ledger
    verdict : position in `VERDICTS`
    kind : position in the settings' `kind_weights`, -1 = none
    by : position in `DECIDERS`
    decided_s : seconds since 1970, UTC
    corrected_s : seconds since 1970, UTC, when an appeal voided it; -1 = never
    """

    row: Ints
    verdict: Ints
    kind: Ints
    by: Ints
    decided_s: Ints
    corrected_s: Ints


def draw_verdicts(world: World, ledger: Ledger, outcomes: Outcomes) -> Verdicts:
    """Draw which orders were reviewed, when, and what was decided."""
    dice, settings, draft = world.dice, world.settings, ledger.draft
    row = np.flatnonzero(dice.chance(_find_review_rates(world, ledger), len(ledger)))
    n, is_malicious = len(row), draft.kind[row] != NONE
    noticed_s = _find_notice(dice, ledger, outcomes)[row]
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


def _find_review_rates(world: World, ledger: Ledger) -> Floats:
    """Find how likely each order is reviewed: abuse mostly, look-alikes sometimes, the rest by audit."""
    settings, draft = world.settings, ledger.draft
    honest = np.where(draft.look_alike == NONE, settings.audit_rate, settings.look_alike_review_rate)
    return np.where(draft.kind == NONE, honest, settings.review_rate)


def _find_notice(dice: Dice, ledger: Ledger, outcomes: Outcomes) -> Ints:
    """Find when each order drew attention: at its first bad outcome, or some hours after it was placed."""
    noticed = ledger.draft.placed_s + dice.log_normal(20.0 * HOUR_S, 0.7, len(ledger)).astype(np.int64)
    is_bad: Flags = outcomes.kind != OUTCOME_KINDS.index("fulfilled")
    noticed[outcomes.row[is_bad][::-1]] = outcomes.happened_s[is_bad][
        ::-1
    ]  # NOTE: sorted; the earliest is written last
    return noticed


def _find_mistaken_kinds(world: World, look_alike: Ints) -> Ints:
    kinds = list(world.settings.kind_weights)
    mistaken = [kinds.index(MISTAKEN_FOR[name]) for name in world.settings.look_alike_shares]
    table = np.array([*mistaken, kinds.index(_PLAIN_MISTAKEN_FOR)])  # NOTE: -1, no look-alike, reads the last entry
    drawn: Ints = table[look_alike]
    return drawn
