"""A desk that judges only what was flagged, and an audit: a simulated merchant lived through night by night.

The orders and their outcomes are a simulation's; the verdicts are not, as they depend on what served. Day by day the
orders are scored by what serves then, from the features that were known; what the policy would not pass is judged, some
days later and seldom wrongly, and with an audit a random share of the rest. So is an order when its refund is requested
and not paid at once. Beside it stands a desk that in the end finds all malice: what nobody flagged once it shows, which
is at the first outcome that is bad, as the order itself shows nothing by then.

Numbers on simulated orders prove behaviour, not accuracy.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract import Decider, Events, OutcomeKind, VerdictValue, validate_events
from ordervet.entities import key_events
from ordervet.features import FeatureEngine
from ordervet.features.claim_features import CLAIM_NAMES, build_claim_events, build_claim_spec
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.history.stored_rows import read_ints
from ordervet.lab.past_nights import find_own_share
from ordervet.learn.claim_replay import RequestReplay
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
    from ordervet.learn.claim_replay import ReplayedRequests
    from ordervet.learn.night import Night
    from ordervet.learn.night_settings import NightSettings
    from ordervet.model import Model
    from ordervet.policy import Policy

_DELAY_DAYS, _DELAY_SPREAD = 3.0, 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskSettings:
    """How a simulated desk judges.

    Parameters
    ----------
    sees_everything : it finds all malice in the end; else only what was flagged
    judges_requests : refund requests that the policy would not pay at once are flagged, too
    audit_share : share of the orders that pass that it judges at random; 0 for none
    error_rate : share of its verdicts that are wrong; an order of the audit is malicious only by two people's verdict
    seed : of delays and errors
    """

    sees_everything: bool = False
    judges_requests: bool = True
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
    n_known: int  # of those, judged by now, or as soon as people come to it
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
    shop = _Shop.open(events, is_malicious, both, rules, desk, key=key, n_threads=n_threads)
    stretches: list[Stretch] = []
    with tempfile.TemporaryDirectory(prefix="ordervet-desk-") as folder:
        history, models = History.open(Path(folder) / "history", key, create=True), Path(folder) / "models"
        for from_us, until_us in pairwise(_list_edges(events, cut_offs_us)):
            night = None
            if from_us >= cut_offs_us[0]:
                report_step(f"night {len(stretches) + 1} of {len(cut_offs_us)}")
                slices = HistorySlices.open(history, until_us=from_us)
                night = run_night(slices, models, spec, settings=settings, policy=rules, n_threads=n_threads)
            model = load_model(find_serving_model(models)) if night else starter
            serving = Contender.of(model, both.names)
            edges = pairwise([*range(from_us, until_us, DAY_US), until_us])
            days = [shop.live_day(serving, *each, n_threads=n_threads) for each in edges]
            history.ingest(Events.concat(day.events for day in days))
            if night:
                stretches.append(_measure_stretch(shop, night, model, from_us, days))
    return stretches


class _Day(NamedTuple):
    """What a day brought; arrays of shape (n_orders,)."""

    events: Events
    rows: NDArray[np.int64]  # of its orders among all
    raw: NDArray[np.float64]
    is_flagged: NDArray[np.bool_]


@dataclass(slots=True)
class _Shop:
    """A merchant whose orders and requests are scored day by day; arrays of shape (n_orders,), in the events' order."""

    events: Events
    people: People
    policy: Policy
    key: Key
    replay: RequestReplay
    #: ids, by_id: keyed ids of the orders, and their rows by ascending id
    ids: NDArray[np.uint64]
    by_id: NDArray[np.int64]
    order_p: NDArray[np.float64]  # what they were given when they were placed; NaN before
    is_missed: NDArray[np.bool_]  # malicious, and passed
    verdicts: pa.Table  # that are still to come

    @classmethod
    def open(
        cls,
        events: Events,
        is_malicious: NDArray[np.bool_],
        spec: FeatureSpec,
        policy: Policy,
        desk: DeskSettings,
        *,
        key: Key,
        n_threads: int,
    ) -> Self:
        keyed, n = key_events(events, key), len(is_malicious)
        ids = keyed.orders["id__order"].to_numpy().astype(np.uint64)
        asked = np.unique(build_claim_events(keyed.outcomes).order_id) if desk.judges_requests else ids[:0]
        replay = RequestReplay(FeatureEngine(build_claim_spec(spec), n_jobs=n_threads), asked)
        return cls(
            events, People.hire(events, is_malicious, desk), policy, key, replay, ids, np.argsort(ids),
            np.full(n, np.nan), np.zeros(n, bool), Events.empty().verdicts,
        )  # fmt: skip

    def live_day(self, serving: Contender, from_us: int, until_us: int, *, n_threads: int) -> _Day:
        """Score what comes on a day, and have the desk judge some of it; nothing is judged before the day has ended."""
        events, rows = _cut(self.events, self.verdicts, from_us, until_us)
        orders, features = self.replay.advance(key_events(events, self.key))
        raw = serving.predictor.predict_raw(np.ascontiguousarray(features[:, serving.columns]), n_threads=n_threads)
        self.order_p[rows] = serving.model.calibration(raw)
        is_flagged = flag_orders(self.policy, self.order_p[rows], orders.compute_worth())
        audit = self.policy.audit
        is_drawn = ~is_flagged & (orders.order_id < np.uint64(audit.below if audit else 0))
        requests = self.replay.take_requests()
        asked = self.by_id[np.searchsorted(self.ids, requests.order_id, sorter=self.by_id)]
        is_doubted = _find_doubted(requests, serving.model, self.order_p[asked], self.policy, n_threads=n_threads)
        judge = partial(self.people.judge, not_before_us=until_us)
        found = [
            judge(rows[is_flagged], orders.seen_at[is_flagged]),
            judge(rows[is_drawn], orders.seen_at[is_drawn], by=Decider.AUDIT),
            judge(asked[is_doubted], requests.seen_at[is_doubted]),
            judge(*self.people.find_what_shows(rows)),
        ]
        self.verdicts = pa.concat_tables([_keep_from(self.verdicts, until_us), *found])
        self.is_missed[rows] = self.people.is_malicious[rows] & ~is_flagged
        return _Day(events, rows, raw, is_flagged)


def _find_doubted(
    requests: ReplayedRequests, model: Model, order_p: NDArray[np.float64], policy: Policy, *, n_threads: int
) -> NDArray[np.bool_]:
    """Find the requests that a policy would not pay at once, limits, trust and reasons of safety aside."""
    n = len(requests.order_id)
    if model.claims is None or n == 0:
        return np.zeros(n, bool)
    p = model.claims.predict(requests.select(model.spec, np.arange(n), order_p), n_threads=n_threads)
    free = [CLAIM_NAMES.index(f"claim__is__{name}") for name in ("before_shipping", "seller_fault")]
    is_doubted: NDArray[np.bool_] = (p >= policy.claims.pay_below) & ~(requests.own[:, free] == 1).any(axis=1)
    return is_doubted


def _measure_stretch(shop: _Shop, night: Night, model: Model, as_of_us: int, days: list[_Day]) -> Stretch:
    rows, raw, is_flagged = (np.concatenate([getattr(day, name) for day in days]) for name in _Day._fields[1:])
    truth, audit = shop.people.is_malicious[rows], night.record["audit"]
    placed_us = shop.people.placed_us
    in_audit = (placed_us >= audit["since_us"]) & (placed_us <= audit["until_us"]) if audit else placed_us < 0
    return Stretch(
        as_of_us, night.outcome, find_own_share(model), len(truth), int(truth.sum()),
        Ranking(raw, truth).measure_ap(np.ones(len(raw))), float(is_flagged[truth].mean()) if truth.any() else math.nan,
        float(is_flagged.mean()), int(shop.is_missed[rows].sum()),
        int((shop.is_missed & shop.people.is_judged)[rows].sum()), audit, int((shop.is_missed & in_audit).sum()),
    )  # fmt: skip


@dataclass(slots=True)
class People:
    """Who judges. Each order is judged once, with a delay and an error of its own; arrays of shape (n_orders,)."""

    settings: DeskSettings
    order_id: pa.ChunkedArray
    is_malicious: NDArray[np.bool_]
    placed_us: NDArray[np.int64]
    shows_us: NDArray[np.int64]  # when its malice shows: at the first bad outcome, without one as it is placed
    delay_us: NDArray[np.int64]
    luck: NDArray[np.float64]  # 0 to 1: judged wrongly below the chance of that
    is_judged: NDArray[np.bool_]

    @classmethod
    def hire(cls, events: Events, is_malicious: NDArray[np.bool_], settings: DeskSettings) -> Self:
        """Draw how long each order of a merchant takes, and when its malice shows."""
        rng, n = np.random.default_rng(settings.seed), len(is_malicious)
        placed_us, shows_us = read_ints(events.orders["seen_at"]), np.full(n, np.iinfo(np.int64).max)
        bad = events.outcomes.filter(pc.not_equal(events.outcomes["kind"], OutcomeKind.FULFILLED))
        at = pc.index_in(bad["order_id"], value_set=events.orders["order_id"].combine_chunks()).to_numpy()
        np.minimum.at(shows_us, at, read_ints(bad["seen_at"]))
        shows_us[np.setdiff1d(np.arange(n), at)] = placed_us[np.setdiff1d(np.arange(n), at)]
        delay_us = (rng.lognormal(math.log(_DELAY_DAYS), _DELAY_SPREAD, n) * DAY_US).astype(np.int64)
        return cls(
            settings, events.orders["order_id"], is_malicious, placed_us, shows_us, delay_us, rng.random(n),
            np.zeros(n, bool),
        )  # fmt: skip

    def find_what_shows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the malice among some orders that is found however little was flagged, and when it shows."""
        rows = rows[self.is_malicious[rows] & self.settings.sees_everything]
        return rows, self.shows_us[rows]

    def judge(
        self, rows: NDArray[np.int64], at_us: NDArray[np.int64], *, not_before_us: int, by: Decider = Decider.DESK
    ) -> pa.Table:
        """Judge orders that drew attention at some times, those that nobody has judged yet; return the verdicts."""
        rows, first = np.unique(rows, return_index=True)
        is_new = ~self.is_judged[rows]
        rows, at_us = rows[is_new], at_us[first[is_new]]
        self.is_judged[rows] = True
        if len(rows) == 0:
            return Events.empty().verdicts
        # NOTE: two people. Where one passed order in five hundred is malicious, one person errs more often than that.
        is_audit = by is Decider.AUDIT
        error = self.settings.error_rate
        chance = np.where(is_audit & ~self.is_malicious[rows], error**2, error)
        is_found = self.is_malicious[rows] ^ (self.luck[rows] < chance)
        times = pa.array(np.maximum(at_us + self.delay_us[rows], not_before_us)).cast(pa.timestamp("us", tz="UTC"))
        values = np.where(is_found, VerdictValue.MALICIOUS, VerdictValue.INNOCENT)
        order_id = self.order_id.take(pa.array(rows))
        table = {"order_id": order_id, "verdict": values, "by": [by] * len(rows), "decided_at": times}
        return validate_events("verdicts", pa.table(table))


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
