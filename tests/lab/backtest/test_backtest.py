from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ordervet.contract import Events, load_mapping, read_events
from ordervet.currencies import find_rate
from ordervet.entities import new_key
from ordervet.entities.keyed import key_events
from ordervet.errors import ContractError, MappingError, TrainingError
from ordervet.features import (
    FeatureEngine,
    LaterEvents,
    OrderEvents,
    build_later_events,
    build_order_events,
    build_spec,
)
from ordervet.lab.backtest.baselines import score_by_points
from ordervet.lab.backtest.protocol import Protocol, parse_protocol
from ordervet.lab.backtest.report import build_report, check_truth, find_rings
from ordervet.lab.backtest.splits import _choose_test, _count_days, plan_splits, run_backtest
from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.learn.labels import DAY_US, label_orders
from ordervet.learn.train import Prepared, prepare
from ordervet.model import FitSettings
from ordervet.reports.backtest import describe_claims
from ordervet.reports.backtest_page import build_backtest_page

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.features import FeatureSpec
    from ordervet.lab.simulate import Simulation

START = date(2025, 1, 1)
MIDNIGHT_US = int(pd.Timestamp("2025-01-01", tz="UTC").value // 1_000)
NOTHING = key_events(Events.empty(), new_key())
QUICK = FitSettings(num_rounds=20, min_data_in_leaf=20)


def build_prepared(day: np.ndarray, buyer: np.ndarray, is_bad: np.ndarray) -> Prepared:
    n = len(day)
    orders = OrderEvents(
        order_id=np.arange(1, n + 1).astype(np.uint64),
        seen_at=MIDNIGHT_US + day * DAY_US + np.arange(n),
        amount_minor=np.ones(n, np.int64),
        ids={"buyer": buyer.astype(np.uint64) + np.uint64(1)},
        own=np.zeros((n, 0), np.float32),
    )
    return Prepared(orders, np.zeros((n, 0), np.float32), is_bad.astype(np.int8), LaterEvents.empty(), NOTHING)


def test_test_rows_leave_out_the_known_bad_as_the_handbook_does() -> None:
    rng = np.random.default_rng(3)
    n = 3_000
    frame = pd.DataFrame({"day": rng.integers(-5, 25, n), "card": rng.integers(0, 120, n), "bad": rng.random(n) < 0.02})
    prepared = build_prepared(frame["day"].to_numpy(), frame["card"].to_numpy(), frame["bad"].to_numpy())
    protocol = Protocol(starts=(START,), leave_out_known="buyer")

    chosen = _choose_test(prepared, protocol, frame["day"].to_numpy(), frame["bad"].to_numpy(), np.ones(n, bool))

    known = set(frame.loc[frame["day"].between(0, 6) & frame["bad"], "card"])
    expected: list[int] = []
    for test_day in range(7):
        known |= set(frame.loc[(frame["day"] == 7 + test_day - 1) & frame["bad"], "card"])
        of_day = frame[frame["day"] == 14 + test_day]
        expected += list(of_day.index[~of_day["card"].isin(known)])
    assert chosen.tolist() == expected


def test_days_are_counted_from_local_midnight() -> None:
    times = pd.to_datetime(
        ["2024-12-31 15:59:59", "2024-12-31 16:00:00", "2025-01-01 15:59:59", "2025-01-01 16:00:00"], utc=True
    )

    days = _count_days(times.as_unit("us").asi8, START, "Asia/Shanghai")

    assert days.tolist() == [-1, 0, 0, 1]


def test_protocol_errors_are_told_all_at_once() -> None:
    with pytest.raises(MappingError) as caught:
        parse_protocol({"starts": [], "train_days": 0, "delay": 7})

    assert all(name in caught.value.message for name in ("starts", "train_days", "delay"))


def test_no_protocol_is_none() -> None:
    assert parse_protocol({}) is None


@pytest.mark.usefixtures("fits_on_threads")
def test_backtest_is_the_same_on_two_threads(merchant: Events) -> None:
    one = run_backtest(merchant, build_spec(), None, settings=QUICK, n_jobs=1)
    two = run_backtest(merchant, build_spec(), None, settings=QUICK, n_jobs=2)

    assert [each.as_dict() for each in one] == [each.as_dict() for each in two]


def test_backtest_says_how_refund_requests_of_the_test_orders_would_have_been_answered() -> None:
    merchant = simulate(SimulationSettings(n_orders=4_000, malicious_share=0.2, seed=5)).events
    spec = build_spec(use_defaults=False, names=("order__value__amount", "phone__distinct__buyer__90d"))
    (result,) = run_backtest(merchant, spec, None, settings=QUICK)
    report = build_report([result], n_features=9, is_simulated=True)

    claims = report["claims"]
    assert claims["n_orders"] > 50
    assert 0 < claims["ap_order"] <= 1
    said = describe_claims(report, "en")
    assert f"{claims['ap']:.3f}" in said
    assert f"{claims['honest_paid']:.1%} of the honest" in said
    assert f"{claims['malicious_paid']:.1%} of the malicious" in said
    for lang in ("zh", "en"):
        assert describe_claims(report, lang) in build_backtest_page(report, lang=lang)
    assert describe_claims(report | {"claims": None}, "en") == ""


def test_backtest_follows_a_protocol(merchant: Events) -> None:
    protocol = Protocol(
        starts=(date(2025, 11, 1),), train_days=9, delay_days=1, test_days=10, daily_precision_of="buyer"
    )

    results = run_backtest(merchant, build_spec(), protocol, settings=QUICK, maturity_days=1)

    assert [result.name for result in results] == ["2025-11-01"]
    assert results[0].n_train > 500
    assert 0 <= results[0].metrics["cp_at_k"] <= 1


def test_backtest_from_a_time_trains_on_what_was_known_then(merchant: Events) -> None:
    cut = datetime(2025, 11, 10, 20, tzinfo=ZoneInfo("Asia/Shanghai"))
    prepared = prepare(merchant, build_spec(use_defaults=False, names=("order__value__amount",)), maturity_days=30)

    (split,) = plan_splits(prepared, build_spec(), None, test_from=cut)

    later = prepared.later
    cut_us = int(cut.timestamp() * 1_000_000)
    judged_later = prepared.orders.order_id[split.train_rows][split.label[split.train_rows] == 1]
    known = later.order_id[(later.seen_at <= cut_us) & (later.rank > 1)]
    assert np.isin(judged_later, known).all()
    assert prepared.orders.seen_at[split.train_rows].max() < cut_us <= prepared.orders.seen_at[split.test_rows].min()


def test_backtest_against_the_truth_tests_every_order_of_the_test_part(simulation: Simulation) -> None:
    cut = datetime(2025, 11, 10, 20, tzinfo=ZoneInfo("Asia/Shanghai"))

    (result,) = run_backtest(
        simulation.events, build_spec(), None, settings=QUICK, test_from=cut, truth=check_truth(simulation.truth)
    )

    placed = simulation.orders["placed_at"].to_numpy()
    is_tested = placed >= np.datetime64("2025-11-10T12:00:00")
    assert result.metrics["n_orders"] == is_tested.sum()
    assert result.metrics["n_malicious"] == simulation.truth["is_malicious"].to_numpy()[is_tested].sum()
    assert {"kind", "look_alike", "channel", "month"} == set(result.tested.parts)
    every, *by_kind = build_report([result], n_features=1, is_simulated=True)["evaluation"]["rings"]
    began = simulation.truth.append_column("placed_at", simulation.orders["placed_at"])
    began = began.filter(began["is_malicious"]).group_by("ring").aggregate([("placed_at", "min")])
    assert every["n_rings"] == pc.sum(pc.greater_equal(began["placed_at_min"], pa.scalar(cut))).as_py() > 0
    assert every["n_rings"] == sum(row["n_rings"] for row in by_kind)
    assert every["ever"]["n"] == sum(row["ever"]["n"] for row in by_kind)
    assert every["n_orders"] >= every["orders_before"]


def test_linked_rings_are_parts_of_the_simulations_own(simulation: Simulation) -> None:
    truth = check_truth(simulation.truth)
    prepared = prepare(simulation.events, build_spec(use_defaults=False), maturity_days=30)

    own, linked = (find_rings(prepared, each).number for each in (truth, truth.drop_columns(["ring"])))

    rows = np.flatnonzero(own >= 0)
    assert (rows == np.flatnonzero(linked >= 0)).all()
    pairs = [(one, other) for one in rows for other in rows[rows > one] if linked[one] == linked[other]]
    assert len(pairs) > 100
    assert np.mean([own[one] == own[other] for one, other in pairs]) > 0.95


def test_rings_and_points_are_the_same_in_a_currency_that_only_the_mapping_knows(simulation: Simulation) -> None:
    orders, at = simulation.orders, simulation.orders.schema.get_field_index("currency")
    foreign = orders.set_column(at, orders.schema.field(at), pa.repeat(pa.scalar("XPT"), orders.num_rows))

    of_cny, of_xpt = (
        prepare(events, build_spec(use_defaults=False, rates=rates), maturity_days=30)
        for events, rates in ((simulation.events, {}), (replace(simulation.events, orders=foreign), {"XPT": 7000.0}))
    )

    assert (find_rings(of_xpt).number == find_rings(of_cny).number).all()
    assert (score_by_points(of_xpt) == score_by_points(of_cny)).all()


def test_truth_of_another_simulation_is_refused(simulation: Simulation) -> None:
    with pytest.raises(ContractError, match="truth lacks 1,203 of 1,203 test orders"):
        run_backtest(simulation.events, build_spec(), None, settings=QUICK, truth=check_truth(simulation.truth[:100]))


def test_truth_without_its_columns_is_refused() -> None:
    with pytest.raises(ContractError, match="has no column is_malicious, kind, look_alike"):
        check_truth(pa.table({"order_id": ["o1"]}))


def test_split_without_anything_to_learn_from_is_refused(merchant: Events) -> None:
    with pytest.raises(TrainingError, match="0 malicious of 0 labelled train orders"):
        run_backtest(merchant, build_spec(), Protocol(starts=(date(2020, 1, 1),)))


def test_protocol_with_an_unknown_entity_is_refused(merchant: Events) -> None:
    protocol = Protocol(starts=(date(2025, 11, 1),), leave_out_known="terminal")

    with pytest.raises(MappingError, match="terminal"):
        run_backtest(merchant, build_spec(), protocol, maturity_days=1)


def roll(frame: pd.DataFrame, key: str, column: str, window: str, closed: str) -> tuple[np.ndarray, np.ndarray]:
    """Count and sum of a column per key over a trailing window, by pandas, row by row of the frame."""
    rolling = frame.set_index("TX_DATETIME").groupby(key)[column].rolling(window, closed=closed)
    rows = np.concatenate([at for _, at in sorted(frame.groupby(key).indices.items())])
    result = np.empty((2, len(frame)))
    result[0, rows], result[1, rows] = rolling.count().to_numpy(), rolling.sum().to_numpy()
    if closed == "right":
        # pandas sees of the rows of one instant only those above it in the file; the definition sees all of them.
        times = [frame[key], frame["TX_DATETIME"]]
        result = np.stack([pd.Series(values).groupby(times).transform("last") for values in result])
    result = np.nan_to_num(result)
    result[:, frame[key] == 0] = np.nan  # an id of 0 is nobody's
    return result[0], result[1]


@dataclass
class Handbook:
    frame: pd.DataFrame
    spec: FeatureSpec
    orders: OrderEvents
    later: LaterEvents


@pytest.fixture(scope="module")
def handbook(shared_data: Path) -> Handbook:
    path = shared_data / "handbook_raw" / "transactions.parquet"
    events, failures = read_events([path], mapping=load_mapping("handbook.toml"))
    assert failures.num_rows == 0
    names = (
        "buyer__count__order__{1d,7d,30d}",
        "buyer__mean__amount__{1d,7d,30d}",
        "terminal__count__verdict__{1d,7d,30d}",
        "terminal__share__malicious__{1d,7d,30d}",
    )
    spec = build_spec(use_defaults=False, entities=("terminal",), names=names, time_zone="UTC")
    keyed = key_events(events, new_key())
    frame = pd.read_parquet(path, columns=["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"])
    frame["minor"] = np.floor(np.rint(frame["TX_AMOUNT"] * 100) * find_rate("EUR") + 0.5)
    return Handbook(frame, spec, build_order_events(keyed.orders, spec), build_later_events(keyed))


@pytest.fixture(scope="module")
def early(handbook: Handbook) -> Handbook:
    """The first seven weeks: longer than any window."""
    rows = np.arange(450_000)
    orders = handbook.orders.take(rows)
    is_of_them = np.isin(handbook.later.order_id, orders.order_id)
    return replace(
        handbook,
        frame=handbook.frame[: len(rows)],
        orders=orders,
        later=handbook.later.take(np.flatnonzero(is_of_them)),
    )


@pytest.mark.shared_data
def test_engine_equals_pandas_on_windows_that_end_before_the_order(early: Handbook) -> None:
    served = FeatureEngine(early.spec, n_jobs=2).advance(early.orders, early.later)

    columns = dict(zip(early.spec.names, served.T, strict=True))
    count, total = roll(early.frame, "CUSTOMER_ID", "minor", "7D", closed="left")
    np.testing.assert_array_equal(columns["buyer__count__order__7d"], count.astype(np.float32))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(columns["buyer__mean__amount__7d"], (total / count).astype(np.float32))


@pytest.mark.shared_data
def test_engine_equals_pandas_on_the_features_that_the_handbooks_authors_ship(early: Handbook) -> None:
    """Theirs include the transaction itself: (t - w, t] in whole seconds is what ours sees one second later."""
    # Asked by somebody who is no order, and so is told of the transaction too.
    orders, none = early.orders, np.zeros(len(early.orders), np.int64)
    again = replace(orders, order_id=~orders.order_id, seen_at=orders.seen_at + 1_000_000, mask=none)

    served = FeatureEngine(early.spec, n_jobs=2).advance(OrderEvents.concat([early.orders, again]), early.later)[
        len(again) :
    ]

    columns, frame = dict(zip(early.spec.names, served.T, strict=True)), early.frame
    n_delay, fraud_delay = roll(frame, "TERMINAL_ID", "TX_FRAUD", "7D", closed="right")
    for days in (1, 7, 30):
        count, total = roll(frame, "CUSTOMER_ID", "minor", f"{days}D", closed="right")
        n_delayed, fraud_delayed = roll(frame, "TERMINAL_ID", "TX_FRAUD", f"{7 + days}D", closed="right")
        n_judged, n_fraud = n_delayed - n_delay, fraud_delayed - fraud_delay
        with np.errstate(invalid="ignore"):
            expected = {
                f"buyer__count__order__{days}d": count,
                f"buyer__mean__amount__{days}d": total / count,
                f"terminal__count__verdict__{days}d": n_judged,
                f"terminal__share__malicious__{days}d": n_fraud / n_judged,
            }
        for name, values in expected.items():
            np.testing.assert_array_equal(columns[name], values.astype(np.float32), err_msg=name)


@pytest.mark.shared_data
def test_handbook_split_has_the_published_size(handbook: Handbook) -> None:
    label = label_orders(handbook.orders, handbook.later, as_of=2**62, maturity_us=0)
    prepared = Prepared(handbook.orders, np.zeros((len(label), 0), np.float32), label, handbook.later, NOTHING)
    protocol = parse_protocol(load_mapping("handbook.toml").backtest)
    assert protocol is not None

    day = _count_days(handbook.orders.seen_at, protocol.starts[0], "UTC")
    test_rows = _choose_test(prepared, protocol, day, label == 1, label >= 0)

    is_train = (day >= 0) & (day < 7)
    assert (int(is_train.sum()), int((label[is_train] == 1).sum())) == (67_240, 598)
    assert (len(test_rows), int((label[test_rows] == 1).sum())) == (58_264, 385)
