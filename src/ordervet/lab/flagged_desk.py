"""A desk that judges only what was flagged to it, and an audit: a simulated merchant lived through night by night.

The orders and their outcomes are a simulation's; the verdicts are not, as they depend on what served. After every night
the orders up to the next are scored by what serves then, from the features that were known; what the policy would not
pass is judged, some days later and seldom wrongly, and with an audit a random share of the rest. Beside it stands a
desk that in the end finds all malice, flagged or not.

Numbers on simulated orders prove behaviour, not accuracy.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import Decider, Events, VerdictValue, validate_events
from ordervet.entities import key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.learn.labels import DAY_US
from ordervet.learn.night import run_night
from ordervet.learn.ranking import Ranking
from ordervet.learn.trial import Contender, flag_orders
from ordervet.model import find_serving_model, load_model, load_starter
from ordervet.policy import load_policy
from ordervet.policy.policy import Audit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.entities import Key
    from ordervet.features import FeatureSpec
    from ordervet.learn.night_settings import NightSettings
    from ordervet.policy import Policy

_DELAY_DAYS, _DELAY_SPREAD = 3.0, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskSettings:
    """How a simulated desk judges.

    Parameters
    ----------
    sees_everything : it finds all malice in the end; else only what was flagged
    audit_share : share of the orders that pass that it judges at random; 0 for none
    error_rate : share of its verdicts that are wrong; an order of the audit is malicious only by two people's verdict
    seed : of delays and errors
    """

    sees_everything: bool = False
    audit_share: float = 0.0
    error_rate: float = 0.015
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The orders from one night to the next."""

    as_of_us: int
    outcome: str  # of the night
    own_share: float  # of the merchant's own trees in what serves
    n_orders: int
    n_malicious: int
    ap: float  # average precision of what serves
    recall: float  # of the malicious orders, the share that the policy does not pass
    alert_rate: float
    n_missed: int  # malicious orders that passed, an audit aside
    audit: dict[str, Any] | None  # what the night's audit estimates of the days before it
    #: malicious orders that passed in the days that the estimate is of
    truly_missed: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def live_through(
    events: Events,
    is_malicious: NDArray[np.bool_],
    cut_offs_us: Sequence[int],
    spec: FeatureSpec,
    *,
    key: Key,
    desk: DeskSettings,
    settings: NightSettings,
    policy: Policy | None = None,
    n_threads: int = 1,
    report_step: Callable[[str], None] = lambda _: None,
) -> list[Stretch]:
    """Live through a simulated merchant's nights with a desk.

    Parameters
    ----------
    events : its orders and outcomes; its verdicts are left aside
    is_malicious : shape (n_orders,), the truth, in the order of ``events.orders``
    cut_offs_us : of the nights, at least two, ascending, UTC microseconds; before the first night the starter serves
    spec : the features of the merchant's own trees
    key : of the ids
    desk : how it judges
    settings : of every night
    policy : None takes the default
    n_threads : threads; the result does not depend on it
    report_step : called with what is being done
    """
    rules = policy or load_policy()
    if desk.audit_share:
        rules = rules.model_copy(update={"audit": Audit(share=desk.audit_share)})
    starter = load_starter()
    both = replace(
        spec,
        names=tuple(dict.fromkeys([*spec.names, *starter.spec.names])),
        entities=tuple(dict.fromkeys([*spec.entities, *starter.spec.entities])),
    )
    rng = np.random.default_rng(desk.seed)
    engine, missed_at = FeatureEngine(both, n_jobs=n_threads), np.zeros(0, np.int64)
    stretches: list[Stretch] = []
    waiting = Events.empty().verdicts
    with tempfile.TemporaryDirectory(prefix="ordervet-desk-") as folder:
        history, models = History.open(Path(folder) / "history", key, create=True), Path(folder) / "models"
        for from_us, until_us in pairwise(_list_edges(events, cut_offs_us)):
            night = None
            if from_us >= cut_offs_us[0]:
                report_step(f"night {len(stretches) + 1} of {len(cut_offs_us)}")
                slices = HistorySlices.open(history, until_us=from_us)
                night = run_night(slices, models, spec, settings=settings, policy=rules, n_threads=n_threads)
            part, rows = _cut(events, waiting, from_us, until_us)
            history.ingest(part)
            keyed = key_events(part, key)
            orders = build_order_events(keyed.orders, both)
            features = engine.advance(orders, build_later_events(keyed))
            model = load_model(find_serving_model(models)) if night else starter
            at = [both.names.index(name) for name in model.spec.names]
            raw = Contender.of(model, model.spec.names).predictor.predict_raw(np.ascontiguousarray(features[:, at]))
            flags = flag_orders(rules, model.calibration(raw), orders.compute_worth())
            ids, truth = keyed.orders["id__order"].to_numpy(), is_malicious[rows]
            drawn = ~flags & (ids < np.uint64(rules.audit.below)) if rules.audit else np.zeros(len(ids), bool)
            seen = flags | drawn | (truth & desk.sees_everything)
            verdicts = _judge(part.orders, seen, drawn, truth, desk, until_us, rng)
            waiting = pa.concat_tables([_keep_from(waiting, until_us), verdicts])
            if night:
                audit = night.record["audit"]
                in_audit = (
                    (missed_at >= audit["since_us"]) & (missed_at <= audit["until_us"]) if audit else missed_at < 0
                )
                stretches.append(
                    Stretch(
                        from_us, night.outcome, (model.origin.get("blend") or {"share": 0.0})["share"], len(truth),
                        int(truth.sum()), Ranking(raw, truth).measure_ap(np.ones(len(raw))),
                        float(flags[truth].mean()) if truth.any() else math.nan, float(flags.mean()),
                        int((truth & ~flags).sum()), audit, int(in_audit.sum()),
                    )
                )  # fmt: skip
            missed_at = np.concatenate([missed_at, orders.seen_at[truth & ~flags]])
    return stretches


def _list_edges(events: Events, cut_offs_us: Sequence[int]) -> list[int]:
    """List the ends of stretches: as long as between the last two nights, from before the first order."""
    step_us = cut_offs_us[-1] - cut_offs_us[-2]
    first_us = int(events.orders["seen_at"].cast(pa.int64()).to_numpy().min())
    before = [cut_offs_us[0]]
    while before[-1] > first_us:
        before.append(before[-1] - step_us)
    return [*before[:0:-1], *cut_offs_us, cut_offs_us[-1] + step_us]


def _cut(events: Events, verdicts: pa.Table, from_us: int, until_us: int) -> tuple[Events, NDArray[np.int64]]:
    """Return what was seen in a span of time, and the rows of its orders."""
    found = {}
    for name, table in (("orders", events.orders), ("outcomes", events.outcomes), ("verdicts", verdicts)):
        seen_at = table["seen_at"].cast(pa.int64()).to_numpy()
        found[name] = np.flatnonzero((seen_at >= from_us) & (seen_at < until_us))
    tables = {
        name: table.take(pa.array(found[name]))
        for name, table in (("orders", events.orders), ("outcomes", events.outcomes), ("verdicts", verdicts))
    }
    return Events(corrections=Events.empty().corrections, **tables), found["orders"]


def _keep_from(verdicts: pa.Table, from_us: int) -> pa.Table:
    return verdicts.filter(pc.greater_equal(verdicts["seen_at"].cast(pa.int64()), from_us))


def _judge(
    orders: pa.Table,
    is_seen: NDArray[np.bool_],
    is_audit: NDArray[np.bool_],
    is_malicious: NDArray[np.bool_],
    desk: DeskSettings,
    until_us: int,
    rng: np.random.Generator,
) -> pa.Table:
    """Judge orders some days after they were placed, and not before the span of time that they are of has ended."""
    n = len(is_seen)
    delay_us = (rng.lognormal(math.log(_DELAY_DAYS), _DELAY_SPREAD, n) * DAY_US).astype(np.int64)
    at_us = np.maximum(orders["seen_at"].cast(pa.int64()).to_numpy() + delay_us, until_us)
    # NOTE: two people. Where one passed order in five hundred is malicious, one person errs more often than that.
    chance = np.where(is_audit & ~is_malicious, desk.error_rate**2, desk.error_rate)
    is_found = is_malicious ^ (rng.random(n) < chance)
    rows = np.flatnonzero(is_seen)
    if len(rows) == 0:
        return Events.empty().verdicts
    times = pa.array(at_us[rows]).cast(pa.timestamp("us", tz="UTC"))
    values = np.where(is_found[rows], VerdictValue.MALICIOUS, VerdictValue.INNOCENT)
    by = np.where(is_audit[rows], Decider.AUDIT, Decider.DESK)
    table = {"order_id": orders["order_id"].take(pa.array(rows)), "verdict": values, "by": by, "decided_at": times}
    return validate_events("verdicts", pa.table(table))
