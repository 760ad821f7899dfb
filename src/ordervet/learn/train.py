"""Learn a model from events: mature labels, features by the engine that serves, a time split, measured figures.

A label is mature once enough time has passed for the truth to come out; see docs/definitions.md L1 to L4.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from ordervet.entities import KeyedEvents, key_events, load_key
from ordervet.entities.keys import name_key
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.learn import gates
from ordervet.learn.claim_training import fit_claims, measure_claims, replay_requests, score_orders_across_time
from ordervet.learn.evaluation import FLAGS_PER_MALICIOUS
from ordervet.learn.intervals import number_buyers
from ordervet.learn.labels import DAY_US, label_orders
from ordervet.learn.ranking import ALERT_RATES, Holdout, Ranking, measure_at_rate, measure_ranking
from ordervet.learn.rings import Rings, link_orders, look_up_links, measure_rings
from ordervet.learn.trust_bound import measure_trust
from ordervet.model import ForestPredictor, TrainingSet, fit_model
from ordervet.model.fit import MIN_MALICIOUS, split_by_time
from ordervet.model.kinds import fit_kinds, measure_kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ordervet.contract import Events
    from ordervet.features import FeatureSpec, LaterEvents, OrderEvents
    from ordervet.learn.night_settings import GateBounds
    from ordervet.model import FitSettings, Model
    from ordervet.model.claim_model import ClaimModel
    from ordervet.model.kinds import KindModel

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Prepared:
    """Orders with their features and labels, row by row.

    Parameters
    ----------
    orders : the orders as arrays
    features : shape (n_orders, n_features), as of each order's own time
    label : shape (n_orders,), int8: 1 malicious, 0 innocent, -1 not known (yet)
    later : what became known about the orders
    keyed : the tables that all this was made from, orders row by row as above
    """

    orders: OrderEvents
    features: NDArray[np.float32]
    label: NDArray[np.int8]
    later: LaterEvents
    keyed: KeyedEvents

    def pick_labelled(self) -> TrainingSet:
        """Return the labelled orders."""
        rows = np.flatnonzero(self.label >= 0)
        return TrainingSet(self.features[rows], self.label[rows] == 1, self.orders.seen_at[rows])


def prepare(events: Events | KeyedEvents, spec: FeatureSpec, *, maturity_days: float, n_jobs: int = 1) -> Prepared:
    """Compute features and labels of all orders.

    Parameters
    ----------
    events : everything known, keyed already or not yet
    maturity_days : an order that nobody judged counts as innocent this long after it was placed, not before
    n_jobs : threads
    """
    keyed = events if isinstance(events, KeyedEvents) else key_events(events, load_key())
    orders, later = build_order_events(keyed.orders, spec), build_later_events(keyed)
    features = FeatureEngine(spec, n_jobs=n_jobs).advance(orders, later)
    as_of = max(int(orders.seen_at.max(initial=0)), int(later.seen_at.max(initial=0)))
    label = label_orders(orders, later, as_of=as_of, maturity_us=int(maturity_days * DAY_US))
    return Prepared(orders, features, label, later, keyed)


@dataclass(frozen=True, slots=True)
class Learned:
    """A model, and the orders that it was made and measured on."""

    model: Model  # measured on `newest`
    #: older, newest: what it was fitted and calibrated on, and what came after that
    older: TrainingSet
    newest: TrainingSet
    buyer: NDArray[np.uint64]  # shape (len(newest),), uint64 keyed ids; 0 where the buyer is not known
    amount_minor: NDArray[np.int64]  # shape (len(newest),)


def learn_model(
    merchants: Iterable[Events | KeyedEvents | Prepared],
    spec: FeatureSpec,
    settings: FitSettings,
    *,
    maturity_days: float = 30.0,
    origin: Mapping[str, Any] | None = None,
    n_jobs: int = 1,
) -> Learned:
    """Train one model on the older orders, and measure it on the newest fifth, which it has not seen.

    Parameters
    ----------
    merchants : everything known to each, at least one, or what `prepare` made of it; each one's history is its own
    spec : the features
    settings : LightGBM parameters and seed
    maturity_days : see `prepare`
    origin : notes about the data for the manifest, such as ``{"data": "simulated"}``
    n_jobs : threads; the model does not depend on it

    Raises
    ------
    TrainingError
        Too few labelled orders of either class.
    """
    parts = [
        each if isinstance(each, Prepared) else prepare(each, spec, maturity_days=maturity_days, n_jobs=n_jobs)
        for each in merchants
    ]
    labelled = _join_labelled([_pick_labelled(part, n_jobs) for part in parts])
    older, newest = split_by_time(labelled.orders, 1 - TEST_SHARE)
    is_newest = labelled.orders.seen_at >= newest.seen_at.min(initial=2**62)
    notes = dict(origin or {}) | _describe_data(parts, maturity_days) | {"seed": settings.seed}
    model = fit_model(older, spec, settings, origin=notes, n_threads=n_jobs)
    kinds = _learn_kinds(labelled, ~is_newest, spec, settings, n_threads=n_jobs)
    metrics = _measure_model(model, labelled.take(np.flatnonzero(is_newest)), n_threads=n_jobs)
    claims = _learn_claims(parts, labelled, model, older, is_newest, settings, n_threads=n_jobs)
    if claims is not None:
        metrics["claims"] = claims[1]
    if kinds is not None:
        rows = np.flatnonzero(is_newest & labelled.orders.is_malicious)
        metrics["kinds"] = measure_kinds(kinds, labelled.orders.features[rows], labelled.kind[rows])
    return Learned(
        model=replace(model, metrics=metrics, kinds=kinds, claims=None if claims is None else claims[0]),
        older=older,
        newest=newest,
        buyer=labelled.buyer[is_newest],
        amount_minor=labelled.amount_minor[is_newest],
    )


@dataclass(frozen=True, slots=True)
class _Labelled:
    """Labelled orders, and beside each its buyer, amount, ring, and the kind that a verdict names."""

    orders: TrainingSet
    buyer: NDArray[np.uint64]
    amount_minor: NDArray[np.int64]
    kind: NDArray[np.str_]
    rings: Rings

    def take(self, rows: NDArray[np.int64]) -> _Labelled:
        """Pick rows, in the order given."""
        orders = TrainingSet(self.orders.features[rows], self.orders.is_malicious[rows], self.orders.seen_at[rows])
        return _Labelled(
            orders, self.buyer[rows], self.amount_minor[rows], self.kind[rows], self.rings.take(rows)
        )  # fmt: skip


def _pick_labelled(prepared: Prepared, n_jobs: int) -> _Labelled:
    rows = np.flatnonzero(prepared.label >= 0)
    buyer = prepared.orders.ids.get("buyer", np.zeros(len(prepared.orders), np.uint64))
    kind = find_kinds(prepared.keyed)
    keys, is_denied = look_up_links(prepared.orders, prepared.later, n_jobs=n_jobs)
    rings = Rings.of(
        link_orders(prepared.label == 1, number_buyers(buyer), keys), prepared.orders.seen_at, is_denied
    )  # fmt: skip
    return _Labelled(
        prepared.pick_labelled(), buyer[rows], prepared.orders.compute_worth()[rows], kind[rows], rings.take(rows)
    )  # fmt: skip


def _join_labelled(parts: list[_Labelled]) -> _Labelled:
    if len(parts) == 1:
        return parts[0]
    return _Labelled(
        join_training_sets([part.orders for part in parts]),
        np.concatenate([part.buyer for part in parts]),
        np.concatenate([part.amount_minor for part in parts]),
        np.concatenate([part.kind for part in parts]),
        Rings.join([part.rings for part in parts]),
    )


def join_training_sets(sets: Sequence[TrainingSet]) -> TrainingSet:
    """Put orders, or requests, behind each other; without weights."""
    return TrainingSet(
        np.concatenate([each.features for each in sets]),
        np.concatenate([each.is_malicious for each in sets]),
        np.concatenate([each.seen_at for each in sets]),
    )


def _describe_data(parts: list[Prepared], maturity_days: float) -> dict[str, Any]:
    """Describe what was learned from, for the manifest."""
    return {
        "key_id": name_key(parts[0].keyed.key_id),
        "n_orders": sum(len(part.orders) for part in parts),
        "n_labelled": sum(int((part.label >= 0).sum()) for part in parts),
        "first_order_at": format_time(min(part.orders.seen_at.min(initial=2**62) for part in parts)),
        "last_order_at": format_time(max(part.orders.seen_at.max(initial=0) for part in parts)),
        "maturity_days": maturity_days,
        "versions": {name: importlib.metadata.version(name) for name in ("ordervet", "lightgbm", "numpy")},
    }


def _learn_kinds(
    labelled: _Labelled, is_older: NDArray[np.bool_], spec: FeatureSpec, settings: FitSettings, *, n_threads: int
) -> KindModel | None:
    """Fit the model that names kinds on the older malicious orders; None where too few verdicts name one."""
    rows = np.flatnonzero(is_older & labelled.orders.is_malicious)
    rows = rows[np.argsort(labelled.orders.seen_at[rows], kind="stable")]
    return fit_kinds(labelled.orders.features[rows], labelled.kind[rows], spec.names, settings, n_threads=n_threads)


def _learn_claims(
    parts: Sequence[Prepared],
    labelled: _Labelled,
    model: Model,
    older: TrainingSet,
    is_newest: NDArray[np.bool_],
    settings: FitSettings,
    *,
    n_threads: int,
) -> tuple[ClaimModel, dict[str, Any]] | None:
    """Fit the model of claims on the older requests, and measure it on the newest; None where there are too few."""
    requests = [replay_requests(part, model.spec, n_jobs=n_threads) for part in parts]
    if sum(int((each.label == 1).sum()) for each in requests) < 2 * MIN_MALICIOUS:
        return None
    p = np.empty(len(labelled.orders))
    p[~is_newest] = score_orders_across_time(older, model.spec.names, settings, n_threads=n_threads)
    newest = labelled.orders.features[is_newest]
    p[is_newest] = model.calibration(ForestPredictor(model.booster_text).predict_raw(newest, n_threads=n_threads))
    sets, at = [], 0
    for part, of_part in zip(parts, requests, strict=True):
        rows = np.flatnonzero(part.label >= 0)
        order_p = np.full(len(part.orders), np.nan)
        order_p[rows] = p[at : at + len(rows)]
        at += len(rows)
        sets.append(of_part.build_training_set(order_p))
    claims = join_training_sets(sets)
    before = claims.seen_at < labelled.orders.seen_at[is_newest].min(initial=np.iinfo(np.int64).max)
    fitted = fit_claims(claims.take(np.flatnonzero(before)), model.spec, settings, n_threads=n_threads)
    if fitted is None:
        return None
    return fitted, measure_claims(fitted, claims.take(np.flatnonzero(~before)), model.spec, n_threads=n_threads)


def find_kinds(keyed: KeyedEvents) -> NDArray[np.str_]:
    """Find the kind of malice that the latest verdict on each order names.

    Returns
    -------
    shape (n_orders,); empty where no verdict names one
    """
    verdicts = keyed.verdicts.sort_by("seen_at")
    kinds = np.full(keyed.orders.num_rows, "", dtype="U40")
    at = pc.index_in(verdicts["id__order"], keyed.orders["id__order"])
    is_known = at.is_valid().to_numpy()
    named = np.asarray(pc.fill_null(verdicts["kind"], "").to_pylist(), dtype="U40")
    kinds[pc.fill_null(at, 0).to_numpy()[is_known]] = named[is_known]
    return kinds


def find_own_columns(names: tuple[str, ...]) -> NDArray[np.int64] | None:
    """Find the columns that are the order's own; None where all are, or none is."""
    own = np.flatnonzero([name.startswith("order__") for name in names])
    return own if 0 < len(own) < len(names) else None


def check_learned(
    learned: Learned, fit: FitSettings, bounds: GateBounds, *, seed: int, n_threads: int
) -> list[gates.Gate]:
    """Check the skill of a model that was just learned with settings `fit`, on the orders it was measured on."""
    model, newest = learned.model, learned.newest
    holdout = Holdout(
        newest.is_malicious, np.ones(len(newest), np.int64), learned.amount_minor, number_buyers(learned.buyer)
    )
    raw = ForestPredictor(model.booster_text).predict_raw(newest.features, n_threads=n_threads)
    own = find_own_columns(model.spec.names)
    if own is None:
        return gates.check_skill(raw, None, holdout, bounds, seed=seed)
    spec = replace(model.spec, names=tuple(model.spec.names[at] for at in own))
    older = replace(learned.older, features=np.ascontiguousarray(learned.older.features[:, own]))
    alone = ForestPredictor(fit_model(older, spec, fit, origin={}, n_threads=n_threads).booster_text)
    own_raw = alone.predict_raw(np.ascontiguousarray(newest.features[:, own]), n_threads=n_threads)
    return gates.check_skill(raw, own_raw, holdout, bounds, seed=seed)


def _measure_model(model: Model, labelled: _Labelled, *, n_threads: int) -> dict[str, Any]:
    """Measure a model on orders that it was not trained on.

    Returns
    -------
    ``auc``, ``ap``, counts, ``calibration_error`` (mean predicted minus share malicious), recall and precision at
    `ALERT_RATES`, ``rings`` at `FLAGS_PER_MALICIOUS`, and ``trust``, unless the orders are made up
    """
    orders = labelled.orders
    raw = ForestPredictor(model.booster_text).predict_raw(orders.features, n_threads=n_threads)
    p = model.calibration(raw)
    predicted = float(p.mean()) if len(orders) else float("nan")
    share = float(orders.is_malicious.mean()) if len(orders) else 0.0
    flags = Ranking(raw, orders.is_malicious).flag(min(1.0, FLAGS_PER_MALICIOUS * share))
    rings = measure_rings(labelled.rings, flags, amount_minor=labelled.amount_minor, kind=labelled.kind)
    return (
        measure_ranking(raw, orders.is_malicious)
        | {
            "calibration_error": predicted - float(orders.is_malicious.mean()) if len(orders) else float("nan"),
            "at_alert_rate": [measure_at_rate(raw, orders.is_malicious, rate) for rate in ALERT_RATES]
            if len(orders)
            else [],
            "rings": [row.as_dict() for row in rings],
        }
        | ({} if model.origin.get("is_simulated") else {"trust": _measure_trust(p, labelled, model.spec.names)})
    )


def _measure_trust(p: NDArray[np.float64], labelled: _Labelled, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Measure how low a risk says little of malice; trust rests on no made-up orders, so there it is not asked."""
    return measure_trust(
        p, labelled.orders.is_malicious, np.ones(len(p), np.int64), number_buyers(labelled.buyer), names=names,
        features=labelled.orders.features, trust=None,
    )  # fmt: skip


def format_time(time_us: int) -> str:
    """Format UTC microseconds as ISO 8601."""
    return str(np.datetime64(int(time_us), "us")) + "Z"
