"""Protected look-alikes: honest buyers who look like abusers are flagged as seldom as others, the abusers are caught.

One scenario per look-alike: a simulated merchant where that look-alike is common beside plain buyers, and the kind of
malice that it is taken for. The merchants of all scenarios are made up from one seed. Numbers on simulated orders prove
behaviour, not accuracy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from joblib import Parallel, delayed

from ordervet.contract.files.outputs import drop_nan
from ordervet.entities import key_events, load_key
from ordervet.entities.keyed import complete_columns
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.lab.simulate.aftermath import MISTAKEN_FOR
from ordervet.lab.simulate.simulation_settings import KIND_WEIGHTS, LOOK_ALIKE_SHARES
from ordervet.learn.intervals import Interval, draw_weights, find_wilson_interval
from ordervet.model import ForestPredictor
from ordervet.policy import ACTIONS, Action, decide, load_policy
from ordervet.policy.claims import ClaimAnswer
from ordervet.score.claim_batch import judge_claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ordervet.entities import Key, KeyedEvents
    from ordervet.lab.simulate import Simulation
    from ordervet.model import Model
    from ordervet.policy import Policy

#: Alert rate of a look-alike, at most so many times that of plain honest buyers.
MAX_RATIO = 1.25
#: Buyers of a faulty batch are not flagged more often than plain ones at all.
MAX_RATIOS = {"fault_wave": 1.0}
#: Share of the malicious twin's orders that must still be flagged.
MIN_TWIN_RECALL = 0.55

#: Share of a look-alike's refund requests that is paid at once, at least so many times that of plain buyers.
MIN_PAID = 0.95
#: Buyers of a faulty batch are paid at once as often as plain ones.
MIN_PAIDS = {"fault_wave": 1.0}

_LOOK_ALIKE_SHARE = 0.15
_TWIN_SHARE = 0.03
#: From so many alerts on that the bound would allow a look-alike, the ratio itself decides: its noise is about a fifth.
MIN_ALLOWED_ALERTS = 20
#: With fewer, a scenario fails only when this quantile of its bootstrap draws is above the bound: unfair beyond doubt.
_SURE = 0.05
_N_DRAWS = 400
_PASS = ACTIONS.index(Action.PASS)
SCENARIOS = tuple(LOOK_ALIKE_SHARES)


@dataclass(frozen=True, slots=True)
class LookalikeRow:
    """What one scenario measured."""

    scenario: str  # the look-alike
    twin: str  # the kind of malice that it is taken for
    #: n_orders, n_alerts: orders of the look-alike, and how many of them would be reviewed or stopped
    n_orders: int
    n_alerts: int
    alert_rate: float  # the share
    #: alert rate over that of plain honest buyers of all scenarios, with its bootstrap interval by buyer
    ratio: Interval
    max_ratio: float  # the bound
    #: n_twin, twin_recall: orders of the malicious twin, and the share of them that would be reviewed or stopped
    n_twin: int
    twin_recall: float
    is_decided: bool  # the bound would allow at least `MIN_ALLOWED_ALERTS` alerts, so that the ratio itself decides
    is_fair: bool  # the ratio is not above its bound; where it is not decided, its 5th percentile is not
    is_twin_caught: bool  # the twin's recall is at least `MIN_TWIN_RECALL`
    #: n_claims, paid: refund requests of the look-alike, and the share of them that is paid at once
    n_claims: int
    paid: float
    min_paid: float  # the bound: so many times the share of plain buyers
    is_paid_fairly: bool  # the share, or the upper end of its interval, is not below its bound

    @property
    def passed(self) -> bool:
        """Fair to the look-alike, its requests too, and the twin still caught."""
        return self.is_fair and self.is_twin_caught and self.is_paid_fairly


@dataclass(frozen=True, slots=True)
class LookalikeReport:
    """The scenarios of one model.

    Parameters
    ----------
    model_id : the model measured
    n_plain, plain_alert_rate : plain honest orders of all scenarios, and the share of them that would be flagged
    n_plain_claims, plain_paid : their refund requests, and the share of them that is paid at once; 0 and NaN where the
        model has none of claims
    rows : one per scenario
    """

    model_id: str
    n_plain: int
    plain_alert_rate: float
    n_plain_claims: int
    plain_paid: float
    rows: tuple[LookalikeRow, ...]

    @property
    def passed(self) -> bool:
        """Every scenario passed."""
        return all(row.passed for row in self.rows)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The scenarios that so few orders cannot decide: that they passed proves nothing."""
        return tuple(row.scenario for row in self.rows if not row.is_decided)

    @property
    def failed(self) -> tuple[str, ...]:
        """The scenarios that did not pass."""
        return tuple(row.scenario for row in self.rows if not row.passed)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; a figure that could not be measured is None."""
        rows = [asdict(row) | {"passed": row.passed} for row in self.rows]
        report = {
            "model_id": self.model_id,
            "is_simulated": True,
            "n_plain": self.n_plain,
            "plain_alert_rate": self.plain_alert_rate,
            "n_plain_claims": self.n_plain_claims,
            "plain_paid": self.plain_paid,
            "passed": self.passed,
            "undecided": list(self.undecided),
            "rows": rows,
        }
        return {key: drop_nan(value) for key, value in report.items()}

    def to_json(self) -> str:
        """Write the report as one JSON document."""
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class _Scored:
    """Orders of one scenario: who they are and which would be flagged, every array of shape (n_orders,).

    Of refund requests, `claim_row` is which order each is of, and `is_paid` whether it is paid at once.
    """

    is_plain: NDArray[np.bool_]
    is_look_alike: NDArray[np.bool_]
    is_twin: NDArray[np.bool_]
    is_flagged: NDArray[np.bool_]
    buyer: NDArray[np.int64]
    claim_row: NDArray[np.int64]
    is_paid: NDArray[np.bool_]


def measure_lookalikes(
    model: Model,
    *,
    n_orders: int = 4_000,
    seed: int = 20251111,
    scenarios: Sequence[str] = SCENARIOS,
    policy: Policy | None = None,
    lacking: frozenset[str] = frozenset(),
    n_jobs: int = 1,
) -> LookalikeReport:
    """Measure how often a model would have honest look-alikes reviewed, beside plain honest buyers.

    An order counts as flagged when the policy would do anything but pass it, by its probability alone. A look-alike's
    orders are those that carry its mark, and all later honest orders of the same buyer: who had a faulty parcel must
    not become a suspect afterwards.

    Parameters
    ----------
    model : fitted, with built-in entities
    n_orders : simulated orders of each scenario, at least 500
    seed : the same seed gives the same orders
    scenarios : names among `SCENARIOS`
    policy : where review begins; None takes the shipped default
    lacking : entities that are taken away from the simulated orders, such as ``device``: a merchant's own lack them
    n_jobs : threads; the results do not depend on it
    """
    (report,) = measure_fits(
        [model], n_orders=n_orders, seed=seed, scenarios=scenarios, policy=policy, lacking=lacking, n_jobs=n_jobs
    )
    return report


def measure_fits(
    models: Sequence[Model],
    *,
    n_orders: int = 4_000,
    seed: int = 20251111,
    scenarios: Sequence[str] = SCENARIOS,
    policy: Policy | None = None,
    lacking: frozenset[str] = frozenset(),
    n_jobs: int = 1,
) -> list[LookalikeReport]:
    """Measure several models of the same features on the same orders; the parameters are those of `measure_lookalikes`.

    Returns
    -------
    of each model its report
    """
    rules, key = policy or load_policy(), load_key()
    predictors = [ForestPredictor(model.booster_text) for model in models]
    scored = Parallel(n_jobs=n_jobs, backend="threading")(
        delayed(_score_scenario)(name, models, predictors, rules, key, n_orders, seed + SCENARIOS.index(name), lacking)
        for name in scenarios
    )
    return [
        _report(model, scenarios, of_model, seed)
        for model, of_model in zip(models, zip(*scored, strict=True), strict=True)
    ]


def _report(model: Model, scenarios: Sequence[str], scored: Sequence[_Scored], seed: int) -> LookalikeReport:
    plain = np.concatenate([each.is_flagged[each.is_plain] for each in scored])
    plain_groups = _join_groups([each.buyer[each.is_plain] for each in scored])
    plain_rates = _draw_rates(plain, plain_groups, seed)
    rate = _share(plain)
    plain_paid = np.concatenate([each.is_paid[each.is_plain[each.claim_row]] for each in scored])
    paid = _share(plain_paid)
    rows = tuple(
        _summarise(name, each, rate, plain_rates, paid, seed) for name, each in zip(scenarios, scored, strict=True)
    )
    return LookalikeReport(model.model_id, len(plain), rate, len(plain_paid), paid, rows)


def _score_scenario(
    name: str,
    models: Sequence[Model],
    predictors: Sequence[ForestPredictor],
    policy: Policy,
    key: Key,
    n_orders: int,
    seed: int,
    lacking: frozenset[str],
) -> list[_Scored]:
    simulation = simulate(describe_merchant(name, n_orders, seed))
    keyed = _take_away(key_events(simulation.events, key), lacking)
    spec = models[0].spec
    orders, later = build_order_events(keyed.orders, spec), build_later_events(keyed)
    features = FeatureEngine(spec).advance(orders, later)
    scored = []
    for model, predictor in zip(models, predictors, strict=True):
        p = model.calibration(predictor.predict_raw(features))
        actions = decide(policy, p, amount_minor=orders.amount_minor).actions
        scored.append(sort_out(simulation, actions != _PASS, *_judge_claims(keyed, model, policy)))
    return scored


def _judge_claims(keyed: KeyedEvents, model: Model, policy: Policy) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which order each refund request is of, and whether it is paid at once."""
    if model.claims is None:
        return np.zeros(0, np.int64), np.zeros(0, bool)
    judged = judge_claims(keyed, model, policy)
    requests, decisions = judged.requests, judged.decisions
    row = pc.index_in(requests["id__order"], keyed.orders["id__order"]).to_numpy().astype(np.int64)
    return row, np.array([each.answer is ClaimAnswer.PAY_NOW for each in decisions], bool)


def _take_away(keyed: KeyedEvents, lacking: frozenset[str]) -> KeyedEvents:
    """Let orders lack entities, as if their columns had never been there."""
    columns = [f"{part}__{each}" for each in lacking for part in ("id", "evidence")]
    kept = keyed.orders.drop_columns([each for each in columns if each in keyed.orders.column_names])
    return replace(keyed, orders=complete_columns(kept, keyed.orders.schema))


def describe_merchant(name: str, n_orders: int, seed: int) -> SimulationSettings:
    """Describe the merchant of a scenario."""
    return SimulationSettings(
        n_orders=n_orders,
        seed=seed,
        malicious_share=_TWIN_SHARE,
        kind_weights=dict.fromkeys(KIND_WEIGHTS, 0.0) | {MISTAKEN_FOR[name]: 1.0},
        look_alike_shares=dict.fromkeys(LOOK_ALIKE_SHARES, 0.0) | {name: _LOOK_ALIKE_SHARE},
    )


def sort_out(
    simulation: Simulation, is_flagged: NDArray[np.bool_], claim_row: NDArray[np.int64], is_paid: NDArray[np.bool_]
) -> _Scored:
    """Tell plain buyers, look-alikes and twins apart; the orders are sorted by time."""
    truth = simulation.truth
    buyer = pc.rank(simulation.orders["buyer_id"], tiebreaker="dense").to_numpy().astype(np.int64) - 1
    is_malicious = truth["is_malicious"].to_numpy()
    is_marked = truth["look_alike"].is_valid().to_numpy()
    first_marked = np.full(int(buyer.max(initial=-1)) + 1, len(buyer))
    np.minimum.at(first_marked, buyer[is_marked], np.flatnonzero(is_marked))
    is_look_alike = (np.arange(len(buyer)) >= first_marked[buyer]) & ~is_malicious
    return _Scored(
        ~is_look_alike & ~is_malicious, is_look_alike, is_malicious, is_flagged, buyer, claim_row, is_paid
    )  # fmt: skip


def _summarise(
    name: str,
    scored: _Scored,
    plain_rate: float,
    plain_rates: NDArray[np.float64],
    plain_paid: float,
    seed: int,
) -> LookalikeRow:
    flagged = scored.is_flagged[scored.is_look_alike]
    rates = _draw_rates(flagged, _join_groups([scored.buyer[scored.is_look_alike]]), seed + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        draws, value = rates / plain_rates, float(np.divide(_share(flagged), plain_rate))
    low, high = _find_ends(draws)
    bound = MAX_RATIOS.get(name, MAX_RATIO)
    is_decided = bound * plain_rate * len(flagged) >= MIN_ALLOWED_ALERTS
    recall = _share(scored.is_flagged[scored.is_twin])
    paid = scored.is_paid[scored.is_look_alike[scored.claim_row]]
    min_paid = MIN_PAIDS.get(name, MIN_PAID)
    most_paid = find_wilson_interval(int(paid.sum()), len(paid))[1] if len(paid) else 1.0
    return LookalikeRow(
        scenario=name,
        twin=MISTAKEN_FOR[name],
        n_orders=len(flagged),
        n_alerts=int(flagged.sum()),
        alert_rate=_share(flagged),
        ratio=Interval(value, low, high),
        max_ratio=bound,
        n_twin=int(scored.is_twin.sum()),
        twin_recall=recall,
        is_decided=is_decided,
        is_fair=not (value if is_decided else low) > bound,
        is_twin_caught=recall >= MIN_TWIN_RECALL,
        n_claims=len(paid),
        paid=_share(paid),
        min_paid=min_paid,
        is_paid_fairly=not most_paid < min_paid * plain_paid,
    )


def _find_ends(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the interval; NaN where nobody at all was flagged."""
    measured = np.sort(draws[~np.isnan(draws)])  # NOT np.quantile: it cannot interpolate to an infinite ratio
    if len(measured) == 0:
        return float("nan"), float("nan")
    last = len(measured) - 1
    return float(measured[int(_SURE * last)]), float(measured[int((1 - _SURE) * last)])


def _draw_rates(flagged: NDArray[np.bool_], groups: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Draw the alert rate of bootstrap samples of buyers, shape (n_draws,)."""
    rng = np.random.default_rng(seed)
    of_buyers = np.stack([np.bincount(groups, flagged), np.bincount(groups)], axis=1)  # alerts and orders
    buyers = np.arange(len(of_buyers))
    alerts, orders = np.array([draw_weights(buyers, rng) @ of_buyers for _ in range(_N_DRAWS)]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        rates: NDArray[np.float64] = alerts / orders
    return rates


def _join_groups(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the buyers of several merchants numbers from 0, none twice."""
    numbered, n = [], 0
    for part in parts:
        distinct, number = np.unique(part, return_inverse=True)
        numbered.append(number + n)
        n += len(distinct)
    return np.concatenate(numbered)


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
