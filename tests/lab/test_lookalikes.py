from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.features import build_spec
from ordervet.lab.lookalikes import (
    MIN_ALLOWED_ALERTS,
    MIN_TWIN_RECALL,
    SCENARIOS,
    _draw_rates,
    _Scored,
    _summarise,
    measure_fits,
    measure_lookalikes,
)
from ordervet.model import Curve, FitSettings, TrainingSet, fit_model, load_starter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ordervet.lab.lookalikes import LookalikeRow
    from ordervet.model import Model

QUICK = FitSettings(num_rounds=10, learning_rate=0.5, num_leaves=4, min_data_in_leaf=20, feature_fraction=1.0)


def learn_rule(name: str, is_bad: Callable[[np.ndarray], np.ndarray], n: int = 4_000) -> Model:
    """Fit a model that flags exactly the orders whose one feature is bad."""
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(-2, 6, (n, 1))).astype(np.float32)
    spec = build_spec(use_defaults=False, names=(name,))
    return fit_model(TrainingSet(values, is_bad(values[:, 0]), rng.permutation(n)), spec, QUICK, origin={})


@pytest.fixture(scope="module")
def flags_young_accounts() -> Model:
    return learn_rule("order__value__account_age_days", lambda days: days < 3)


def test_model_that_flags_young_accounts_is_unfair_to_newcomers(flags_young_accounts: Model) -> None:
    report = measure_lookalikes(flags_young_accounts, n_orders=800, scenarios=("newcomer", "wholesale"))

    newcomer, wholesale = report.rows
    assert newcomer.ratio.low > newcomer.max_ratio
    assert not newcomer.is_fair
    assert wholesale.is_fair
    assert report.failed[0] == "newcomer"
    assert not report.passed


def test_several_models_are_measured_as_each_alone(flags_young_accounts: Model) -> None:
    always = replace(flags_young_accounts, calibration=Curve(np.array([0.0]), np.array([1.0])))
    options = {"n_orders": 600, "scenarios": ("newcomer", "office")}

    reports = measure_fits([flags_young_accounts, always], **options)

    alone = [measure_lookalikes(model, **options) for model in (flags_young_accounts, always)]
    assert [report.as_dict() for report in reports] == [report.as_dict() for report in alone]
    assert reports[0].plain_alert_rate < reports[1].plain_alert_rate


def test_model_that_flags_nobody_is_fair_and_misses_the_twin(flags_young_accounts: Model) -> None:
    never = Curve(np.array([0.0]), np.array([0.0]))

    report = measure_lookalikes(replace(flags_young_accounts, calibration=never), n_orders=600, scenarios=("family",))

    assert report.plain_alert_rate == 0
    assert report.rows[0].is_fair
    assert report.rows[0].twin_recall < MIN_TWIN_RECALL
    assert not report.passed


def test_model_that_flags_everybody_is_as_hard_on_all(flags_young_accounts: Model) -> None:
    always = Curve(np.array([0.0]), np.array([1.0]))

    report = measure_lookalikes(replace(flags_young_accounts, calibration=always), n_orders=600, scenarios=("office",))

    row = report.rows[0]
    assert (row.ratio.low, row.ratio.value, row.ratio.high) == (1.0, 1.0, 1.0)
    assert row.n_alerts == row.n_orders
    assert report.passed


def test_report_is_the_same_on_two_threads_and_for_the_same_seed(flags_young_accounts: Model) -> None:
    chosen = ("newcomer", "family")

    one = measure_lookalikes(flags_young_accounts, n_orders=600, seed=3, scenarios=chosen)
    two = measure_lookalikes(flags_young_accounts, n_orders=600, seed=3, scenarios=chosen, n_jobs=2)

    assert one.to_json() == two.to_json()


def test_later_orders_of_a_buyer_with_a_faulty_parcel_are_protected_too(flags_young_accounts: Model) -> None:
    row = measure_lookalikes(flags_young_accounts, n_orders=2_000, scenarios=("fault_wave",)).rows[0]

    assert row.n_orders > 0.15 * 2_000 + 20
    assert row.max_ratio == 1.0


def test_report_is_plain_json_that_says_that_it_is_simulated(flags_young_accounts: Model) -> None:
    report = measure_lookalikes(flags_young_accounts, n_orders=600, scenarios=("gift_buyer",))

    read = json.loads(report.to_json())
    assert read["is_simulated"] is True
    assert read["rows"][0]["scenario"] == "gift_buyer"
    assert read["rows"][0]["passed"] is report.rows[0].passed


def summarise(n_look_alike: int, ratio: float, scenario: str = "family", paid: float = 0.98) -> LookalikeRow:
    """Sum up a scenario in which one plain order in fifty is flagged, and a look-alike's `ratio` times as often.

    Of every buyer a refund is asked for, and of plain ones 98 % are paid at once.
    """
    n_plain, plain_rate = 20_000, 0.02
    n = n_plain + n_look_alike
    is_plain = np.arange(n) < n_plain
    flagged = np.zeros(n, bool)
    flagged[: round(n_plain * plain_rate)] = True
    flagged[n_plain : n_plain + round(n_look_alike * plain_rate * ratio)] = True
    is_paid = np.arange(n) < n_plain + round(n_look_alike * paid)
    scored = _Scored(is_plain, ~is_plain, np.zeros(n, bool), flagged, np.arange(n), np.arange(n), is_paid)
    plain_rates = _draw_rates(flagged[is_plain], np.arange(n_plain), 0)
    return _summarise(scenario, scored, plain_rate, plain_rates, 0.98, 0)


def test_ratio_itself_decides_where_the_bound_allows_enough_alerts() -> None:
    assert summarise(4_000, 1.2).is_fair
    assert not summarise(4_000, 1.4).is_fair
    assert summarise(4_000, 1.4).ratio.low < 1.25
    assert not summarise(4_000, 1.2, "fault_wave").is_fair


def test_scenario_with_few_orders_fails_only_beyond_doubt_and_says_that_it_is_not_decided() -> None:
    few = summarise(400, 1.5)

    assert (few.is_decided, few.is_fair) == (False, True)
    assert not summarise(400, 4.0).is_fair
    assert summarise(int(MIN_ALLOWED_ALERTS / 0.02 / 1.25) + 1, 1.0).is_decided


def test_look_alike_whose_requests_are_surely_paid_less_often_fails() -> None:
    assert summarise(4_000, 1.0, paid=0.94).is_paid_fairly
    assert not summarise(4_000, 1.0, paid=0.91).is_paid_fairly
    assert not summarise(4_000, 0.9, "fault_wave", paid=0.96).is_paid_fairly
    assert summarise(4_000, 0.9, "fault_wave", paid=0.98).is_paid_fairly
    assert summarise(40, 1.0, paid=0.9).is_paid_fairly  # so few prove nothing
    assert summarise(0, 1.0).is_paid_fairly


def test_requests_of_look_alikes_are_judged_where_there_is_a_model_of_them(flags_young_accounts: Model) -> None:
    starter = load_starter()
    none = measure_lookalikes(flags_young_accounts, n_orders=600, scenarios=("fault_wave",))
    some = measure_lookalikes(starter, n_orders=600, scenarios=("fault_wave",))

    assert (none.n_plain_claims, none.rows[0].n_claims, none.rows[0].is_paid_fairly) == (0, 0, True)
    assert none.as_dict()["plain_paid"] is None
    assert some.rows[0].n_claims > 50
    assert some.n_plain_claims > 20
    assert some.rows[0].paid > 0.9


def test_every_look_alike_of_the_simulation_has_a_scenario() -> None:
    assert len(SCENARIOS) == 18
    assert {"fault_wave", "pickup_station", "newcomer", "top_up_return", "safety_claim"} <= set(SCENARIOS)
