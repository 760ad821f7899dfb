"""Has it learned anything: it ranks better than chance, and better than without a history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ordervet.learn.figures import Held, Ranking, draw_intervals, number_groups
from ordervet.learn.gates import Gate
from ordervet.model import ForestPredictor, fit_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.night_settings import GateBounds
    from ordervet.learn.train import Learned
    from ordervet.model import FitSettings


def find_own_columns(names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Find the columns that are the order's own; None where all are, or none is."""
    own = np.flatnonzero([name.startswith("order__") for name in names])
    return own if 0 < len(own) < len(names) else None


def check_learned(learned: Learned, fit: FitSettings, bounds: GateBounds, *, seed: int, n_threads: int) -> list[Gate]:
    """Check the skill of a model that was just learned, on the orders it was measured on.

    Parameters
    ----------
    learned : of `retrain.learn_model`
    fit : the settings it was fitted with
    bounds, seed : see `check_skill`
    n_threads : threads; the result does not depend on it
    """
    model, newest = learned.model, learned.newest
    held = Held(newest.is_malicious, np.ones(len(newest), np.int64), learned.amount_minor, number_groups(learned.buyer))
    raw = ForestPredictor(model.booster_text).predict_raw(newest.features, n_threads=n_threads)
    own = find_own_columns(model.spec.names)
    if own is None:
        return check_skill(raw, None, held, bounds, seed=seed)
    spec = replace(model.spec, names=tuple(model.spec.names[at] for at in own))
    older = replace(learned.older, features=np.ascontiguousarray(learned.older.features[:, own]))
    alone = ForestPredictor(fit_model(older, spec, fit, origin={}, n_threads=n_threads).booster_text)
    own_raw = alone.predict_raw(np.ascontiguousarray(newest.features[:, own]), n_threads=n_threads)
    return check_skill(raw, own_raw, held, bounds, seed=seed)


def check_skill(
    raw: NDArray[np.float64], own_raw: NDArray[np.float64] | None, held: Held, bounds: GateBounds, *, seed: int
) -> list[Gate]:
    """Check that a model ranks better than chance, and better than one without the history, both beyond noise.

    Parameters
    ----------
    raw : shape (n,), the model's scores of held orders
    own_raw : shape (n,), of a model fitted on the same orders by their own columns alone; None where there is none
    held : the orders, on which neither was fitted
    bounds : sureness, draws and margins
    seed : of the draws
    """
    whole, own = Ranking(raw, held), None if own_raw is None else Ranking(own_raw, held)
    measures = {"ap": whole.measure_ap}
    if own is not None:
        measures["ap_gain"] = lambda weight: whole.measure_ap(weight) - own.measure_ap(weight)
        measures["auc_gain"] = lambda weight: whole.measure_auc(weight) - own.measure_auc(weight)
    found = draw_intervals(measures, held, sureness=bounds.sureness, n_draws=bounds.n_draws, seed=seed)
    return [_check_chance(found["ap"], held, bounds), _check_history(found, bounds)]


def find_chance_ap(n_malicious: int, n_orders: int) -> float:
    """Give the average precision that a random ranking has in expectation.

    References
    ----------
    Bestgen, "Exact expected average precision of the random baseline for system evaluation", 2015.
    """
    if n_orders <= 1:
        return float(n_malicious > 0)
    harmonic = float((1 / np.arange(1, n_orders + 1)).sum())
    return (harmonic + (n_malicious - 1) / (n_orders - 1) * (n_orders - harmonic)) / n_orders


def _check_chance(ap: dict[str, float], held: Held, bounds: GateBounds) -> Gate:
    n_malicious, n_orders = int(held.weight[held.is_malicious].sum()), int(held.weight.sum())
    chance = find_chance_ap(n_malicious, n_orders)
    told = {"ap": ap["value"], "low": ap["low"], "chance": chance}
    # NOTE: not a number, such as where no order is malicious, does not pass.
    times = ap["low"] / chance if chance > 0 else float("nan")
    return Gate("skill", times, bounds.chance_times, times > bounds.chance_times, "chance", told)


def _check_history(found: dict[str, dict[str, float]], bounds: GateBounds) -> Gate:
    if "ap_gain" not in found:
        return Gate("history_gain", None, bounds.history_margin, passed=True, note="one_sort_of_columns")
    best = max(found[name]["low"] for name in ("ap_gain", "auc_gain"))
    told = {
        f"{name}_{part}": found[name][part] for name in ("ap_gain", "auc_gain") for part in ("value", "low", "high")
    }
    return Gate("history_gain", best, bounds.history_margin, best > bounds.history_margin, "history", told)
