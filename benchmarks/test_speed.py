"""What every stage costs, in sizes that a minute has room for: make bench.

Orders are simulated: figures prove speed, not accuracy. One thread where nothing else is said. The larger comparisons
with other engines are commands of their own: the files bench_*.py beside this one.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import pytest
from bench_intake import write_export
from bench_path import build_parts, score_by_path

from ordervet import Scorer
from ordervet.contract import read_counted_events, validate_events
from ordervet.entities import key_addresses, key_events, key_orders, new_key
from ordervet.features import FeatureEngine, LaterEvents, build_later_events, build_order_events
from ordervet.model import ForestPredictor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

    from ordervet.contract import Events
    from ordervet.model import Model

KEY = new_key()
ROUNDS = 5
SLOW_ROWS = 2_000


@pytest.fixture(scope="session")
def features(merchant: Events, model: Model) -> NDArray[np.float32]:
    events = build_order_events(key_orders(merchant.orders, KEY), model.spec)
    return FeatureEngine(model.spec).advance(events, LaterEvents.empty())


def measure(benchmark: BenchmarkFixture, n_rows: int, run: Callable[..., Any], *arguments: Any) -> Any:
    """Run once to compile, then ROUNDS times; the number of rows stands beside the figure."""
    benchmark.extra_info["rows"] = n_rows
    return benchmark.pedantic(run, arguments, rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.benchmark(group="score")
def test_forest(benchmark: BenchmarkFixture, model: Model, features: NDArray[np.float32]) -> None:
    raw = measure(benchmark, len(features), ForestPredictor(model.booster_text).predict_raw, features)

    assert np.isfinite(raw).all()


@pytest.mark.benchmark(group="score")
def test_forest_by_lightgbm(benchmark: BenchmarkFixture, model: Model, features: NDArray[np.float32]) -> None:
    booster, some = lightgbm.Booster(model_str=model.booster_text), features[:SLOW_ROWS]

    raw = measure(
        benchmark, len(some), lambda: np.asarray(booster.predict(some, raw_score=True, num_threads=1), np.float64)
    )

    np.testing.assert_array_equal(raw, ForestPredictor(model.booster_text).predict_raw(some))


@pytest.mark.benchmark(group="explain")
def test_explanations(benchmark: BenchmarkFixture, model: Model, features: NDArray[np.float32]) -> None:
    shares = measure(benchmark, len(features), ForestPredictor(model.booster_text).explain, features)

    assert shares.shape == (len(features), features.shape[1] + 1)


@pytest.mark.benchmark(group="explain")
def test_explanations_by_lightgbm(benchmark: BenchmarkFixture, model: Model, features: NDArray[np.float32]) -> None:
    booster, some = lightgbm.Booster(model_str=model.booster_text), features[: SLOW_ROWS // 10]

    shares = measure(benchmark, len(some), lambda: np.asarray(booster.predict(some, pred_contrib=True, num_threads=1)))

    np.testing.assert_allclose(shares, ForestPredictor(model.booster_text).explain(some), atol=1e-9)


@pytest.mark.benchmark(group="features")
def test_features(benchmark: BenchmarkFixture, merchant: Events, model: Model) -> None:
    keyed = key_events(merchant, KEY)
    orders, later = build_order_events(keyed.orders, model.spec), build_later_events(keyed)

    built = measure(benchmark, len(orders), lambda: FeatureEngine(model.spec).advance(orders, later))

    assert built.shape == (len(orders), len(model.spec.names))


@pytest.mark.benchmark(group="keys")
def test_addresses(benchmark: BenchmarkFixture, merchant: Events) -> None:
    addresses = merchant.orders["address"].drop_null()

    keyed = measure(benchmark, len(addresses), key_addresses, addresses, KEY)

    assert (keyed.places != 0).mean() > 0.9


@pytest.mark.benchmark(group="keys")
def test_all_keys_of_an_order(benchmark: BenchmarkFixture, merchant: Events) -> None:
    keyed = measure(benchmark, len(merchant.orders), key_orders, merchant.orders, KEY)

    assert len(keyed) == len(merchant.orders)


@pytest.mark.benchmark(group="intake")
def test_validation(benchmark: BenchmarkFixture, merchant: Events) -> None:
    checked = measure(benchmark, len(merchant.orders), validate_events, "orders", merchant.orders)

    assert len(checked) == len(merchant.orders)


@pytest.mark.benchmark(group="intake")
def test_tmall_export(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    path, n_rows = tmp_path / "ExportOrderList.csv", 50_000
    write_export(path, n_rows)

    events, failures, _ = measure(benchmark, n_rows, read_counted_events, [path])

    assert (len(events.orders), len(failures)) == (n_rows, 0)


@pytest.mark.benchmark(group="path")
def test_whole_path_on_two_threads(
    benchmark: BenchmarkFixture, orders_file: Path, model: Model, merchant: Events, tmp_path: Path
) -> None:
    flagged = measure(
        benchmark,
        len(merchant.orders),
        lambda: score_by_path(orders_file, tmp_path / "flags.parquet", build_parts(model, 2)),
    )

    assert 0 < len(flagged) < len(merchant.orders) / 10


@pytest.mark.benchmark(group="path")
def test_live_order(benchmark: BenchmarkFixture, merchant: Events) -> None:
    scorer = Scorer.open()
    coming = iter(merchant.orders.slice(0, 4_000).to_pylist())
    benchmark.extra_info["rows"] = 1

    decision = benchmark.pedantic(scorer.score, setup=lambda: ((next(coming),), {}), rounds=2_000, warmup_rounds=200)

    assert decision.code == "SCORED"


FIRST_SCORE = """
import ordervet
order = ordervet.Order(order_id="T", placed_at="2025-11-11", amount_minor=1)
assert ordervet.Scorer.open().score(order).code == "SCORED"
"""


@pytest.mark.benchmark(group="start")
@pytest.mark.parametrize(
    "command",
    [["-c", "import ordervet"], ["-m", "ordervet", "--help"], ["-c", FIRST_SCORE]],
    ids=["import", "help", "first_score"],
)
def test_start_of_a_process(benchmark: BenchmarkFixture, command: list[str]) -> None:
    measure(benchmark, 1, lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True))
