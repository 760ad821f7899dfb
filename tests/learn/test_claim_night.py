"""What a night learns of refund requests, and when the trees that serve stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
import pytest

from night_settings import AS_OF_US, LENIENT
from ordervet.features import FeatureEngine, build_spec
from ordervet.features.claim_features import build_claim_spec
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn import claim_night
from ordervet.learn.claim_night import KEPT, LEARNED, MISSING, UNDECIDED, is_worse
from ordervet.learn.claim_replay import ReplayedRequests, RequestReplay, replay_claims
from ordervet.learn.claim_training import replay_requests
from ordervet.learn.labels import label_mature_orders
from ordervet.learn.night import PROMOTED, run_night
from ordervet.learn.train import prepare
from ordervet.learn.training_data import plan_training_data, replay_training_data
from ordervet.model import find_live_model, load_model, load_starter
from ordervet.reports.nightly import build_nightly_page, describe_claims

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.entities import Key
    from ordervet.features import FeatureSpec
    from ordervet.learn.night import Night


@pytest.fixture(scope="module")
def history(night_key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("claims") / "history"
    merchant = simulate(SimulationSettings(n_orders=4_000, malicious_share=0.2, seed=12)).events
    History.open(folder, night_key, create=True).ingest(merchant)
    return folder


@pytest.fixture
def night(history: Path, night_key: Key, spec: FeatureSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(name: str = "models", *, needed: int = 20, needed_later: int = 5) -> Night:
        monkeypatch.setattr(claim_night, "NEEDED", needed)
        monkeypatch.setattr(claim_night, "NEEDED_LATER", needed_later)
        slices = HistorySlices.open(History.open(history, night_key), until_us=AS_OF_US)
        return run_night(slices, tmp_path / name, spec, settings=LENIENT, about={"is_simulated": True})

    return run


def test_night_learns_requests_of_the_merchant_and_serves_them_only_where_they_are_not_worse(
    night, tmp_path: Path
) -> None:
    found = night()

    claims, serves = found.record["claims"], load_model(find_live_model(tmp_path / "models"))
    starter = load_starter().claims.move(serves.spec)
    assert found.outcome == PROMOTED
    assert claims["outcome"] in (LEARNED, KEPT)
    assert (claims["outcome"] == KEPT) == is_worse(claims["metrics"], claims["champion_metrics"])
    assert (serves.claims.booster_text == starter.booster_text) == (claims["outcome"] == KEPT)
    shown = claims["metrics"] if claims["outcome"] == LEARNED else claims["champion_metrics"]
    assert serves.metrics["claims"] == shown
    assert claims["counts"]["train"]["malicious"] >= 20
    for lang in ("zh", "en"):
        page = build_nightly_page(found.record, lang=lang)
        assert describe_claims(found.record, lang) in page.replace("&#39;", "'")
    older = {name: value for name, value in found.record.items() if name != "claims"}
    assert describe_claims(older, "en") == ""
    assert "Refund requests" not in build_nightly_page(older, lang="en")


def test_night_with_own_trees_in_front_serves_the_same_bytes_again(
    night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_night, "is_worse", lambda *_: False)

    one, other = night("one"), night("other")

    served = [load_model(find_live_model(tmp_path / name)) for name in ("one", "other")]
    assert one.record["claims"]["outcome"] == LEARNED
    assert one.record["claims"] == other.record["claims"]
    assert served[0].model_id == served[1].model_id
    assert served[0].claims.booster_text != load_starter().claims.move(served[0].spec).booster_text


def test_requests_met_on_the_way_give_the_night_that_a_replay_of_its_own_gives(
    night, monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = Mock(wraps=replay_claims)
    monkeypatch.setattr("ordervet.learn.claim_night.replay_claims", replays)

    on_the_way = night("one")
    assert replays.call_count == 0
    monkeypatch.setattr(ReplayedRequests, "suits", lambda *_: False)
    of_its_own = night("other")

    assert replays.call_count == 1
    assert on_the_way.record["claims"]["metrics"] is not None
    assert on_the_way.record["claims"] == of_its_own.record["claims"]
    assert on_the_way.record["model_id"] == of_its_own.record["model_id"]


def test_requests_suit_a_model_of_the_same_windows_alone() -> None:
    wide = build_spec(use_defaults=False, names=("buyer__count__order__{7d,90d}", "address__count__order__7d"))
    replayed = replay_claims_of_none(wide)

    same, shorter, more = (
        build_spec(use_defaults=False, names=names)
        for names in (("buyer__count__order__90d",), ("buyer__count__order__7d",), ("device__count__order__7d",))
    )

    assert replayed.suits(wide)
    assert replayed.suits(same)
    assert not replayed.suits(shorter)
    assert not replayed.suits(more)


def replay_claims_of_none(spec: FeatureSpec) -> ReplayedRequests:
    engine = FeatureEngine(build_claim_spec(spec))
    return RequestReplay(engine, np.zeros(0, np.uint64)).build_requests()


@pytest.mark.parametrize(
    ("needed", "outcome", "what"),
    [((10**6, 1), MISSING, ["malicious", "innocent"]), ((1, 10**6), UNDECIDED, ["later_malicious", "later_innocent"])],
)
def test_night_with_too_few_requests_keeps_the_trees_that_serve_and_says_what_is_missing(
    night, tmp_path: Path, needed: tuple[int, int], outcome: str, what: list[str]
) -> None:
    found = night(needed=needed[0], needed_later=needed[1])

    claims, serves = found.record["claims"], load_model(find_live_model(tmp_path / "models"))
    assert claims["outcome"] == outcome
    assert [each["what"] for each in claims["missing"]] == what
    assert serves.claims.booster_text == load_starter().claims.move(serves.spec).booster_text
    assert "claims" not in serves.metrics
    assert f"{max(needed):,}" in describe_claims(found.record, "en")
    assert f"{max(needed):,}" in describe_claims(found.record, "zh")


def test_requests_are_replayed_slice_by_slice_as_at_once(
    history: Path, night_key: Key, spec: FeatureSpec, tmp_path: Path
) -> None:
    store = History.open(history, night_key)
    slices = HistorySlices.open(store, until_us=2**62)
    labels = label_mature_orders(slices.timeline, as_of_us=AS_OF_US, maturity=LENIENT.maturity)
    plan = plan_training_data(slices.timeline, labels, as_of_us=AS_OF_US, settings=LENIENT)
    told: dict[str, Any] = {"scratch": tmp_path / "sorted", "n_threads": 1}
    data = replay_training_data(slices, spec, plan, settings=LENIENT, as_of_us=AS_OF_US, report_step=str, **told)
    rows = np.flatnonzero((plan.weight > 0) & (plan.label >= 0))[::2]
    order_p = np.linspace(0, 1, len(plan.rows))

    order_ids = slices.timeline.order_id[plan.rows[rows]]
    replayed = replay_claims(
        slices, spec, order_ids, slice_orders=700, scratch=tmp_path / "again", n_threads=1
    )  # fmt: skip
    requests, row = claim_night._select_requests(replayed, spec, order_ids, rows, data, order_p)

    prepared = prepare(store.read(), spec, maturity_days=0)
    label = np.full(len(prepared.orders), -1, np.int8)
    at = np.searchsorted(np.sort(prepared.orders.order_id), order_ids)
    of_rows = np.argsort(prepared.orders.order_id)[at]
    label[of_rows] = plan.label[rows]
    p = np.full(len(label), np.nan)
    p[of_rows] = order_p[rows]
    at_once = replay_requests(prepared, spec, label=label)
    expected = at_once.build_training_set(p)
    ours = np.lexsort((slices.timeline.order_id[plan.rows[row]], requests.seen_at))
    theirs = np.lexsort((at_once.orders.order_id, expected.seen_at))
    assert len(requests) == len(expected) > 100
    np.testing.assert_array_equal(requests.features[ours], expected.features[theirs])
    np.testing.assert_array_equal(requests.is_malicious[ours], expected.is_malicious[theirs])


BEFORE = {"ap": 0.9, "honest_paid": 0.95, "malicious_paid": 0.03}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"ap": 0.89}, True),
        ({"honest_paid": 0.94}, True),
        ({"malicious_paid": 0.031}, True),
        ({"malicious_paid": 0.0}, False),
        ({"ap": 0.95, "honest_paid": 0.99}, False),
    ],
)
def test_trees_are_worse_that_rank_worse_pay_less_of_the_honest_or_more_of_the_rest(
    change: dict[str, float], expected: bool
) -> None:
    assert is_worse(BEFORE | change, BEFORE) is expected
    assert is_worse(BEFORE | change, None) is False
    strict = replace_paid(BEFORE, 0.0)
    assert is_worse(replace_paid(BEFORE, 0.02), strict) is False
    assert is_worse(replace_paid(BEFORE, 0.021), strict) is True


def replace_paid(figures: dict[str, float], share: float) -> dict[str, float]:
    return figures | {"malicious_paid": share}
