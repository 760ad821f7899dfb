"""What Spark computes is what one machine computes, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ordervet.policy
from night_settings import AS_OF_US, LENIENT
from ordervet.contract import Events, validate_events
from ordervet.entities import Key, key_events
from ordervet.errors import ContractError, KeyMismatchError, PolicyError, TrainingError
from ordervet.features import build_spec
from ordervet.history import History
from ordervet.history.slices import HistorySlices
from ordervet.learn.labels import DAY_US, label_mature_orders
from ordervet.learn.promotion import unite_specs
from ordervet.learn.training_data import plan_training_data, read_training_data, replay_training_data
from ordervet.model import load_starter
from ordervet.policy import load_policy
from ordervet.score import Scorer
from ordervet.spark import build_features, build_training_rows, read_history, score
from ordervet.spark.frames import _read_keyed, to_us
from spark_sessions import assert_same, compute_here, connecting, running_spark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from ordervet.entities import KeyedEvents
    from ordervet.lab.simulate import Simulation

#: Of pyspark's own, about the version of pandas and about its sockets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
KEY = Key(bytes(range(1, 17)))
KINDS = ("orders", "outcomes", "verdicts", "corrections")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with running_spark(tmp_path_factory.mktemp("spark")) as found:
        yield found


@pytest.fixture(autouse=True)
def _clear(session: SparkSession) -> Iterator[None]:
    yield
    session.catalog.clearCache()  # else each plan is compared with those of all tests before


@pytest.fixture(scope="module")
def events(simulation: Simulation) -> Events:
    """A part of the season, with corrections, ties, and orders that are sent again."""
    orders = simulation.orders.sort_by("seen_at").slice(0, 1_500)
    first = orders.slice(0, 200)
    later = pc.add(first["seen_at"], pa.scalar(timedelta(days=2)))
    again = first.set_column(first.schema.get_field_index("seen_at"), "seen_at", later.cast(first["seen_at"].type))
    upheld = [
        {"order_id": row["order_id"], "corrected_at": row["seen_at"] + timedelta(hours=1)}
        for row in simulation.verdicts.slice(0, 20).to_pylist()
    ]
    corrections = pa.concat_tables([simulation.corrections, validate_events("corrections", upheld)])
    return Events(pa.concat_tables([orders, again]), simulation.outcomes, simulation.verdicts, corrections)


def to_frames(session: SparkSession, events: Events | KeyedEvents, seed: int = 1) -> list[DataFrame]:
    """Make a DataFrame of each kind of event, its rows in no order, ids as Spark has them."""
    rng, frames = np.random.default_rng(seed), []
    for kind in KINDS:
        table = getattr(events, kind)
        table = table.take(pa.array(rng.permutation(table.num_rows)))
        columns = [
            pc.cast(each, pa.int64(), safe=False) if pa.types.is_uint64(each.type) else each for each in table.columns
        ]
        frames.append(session.createDataFrame(pa.table(columns, table.column_names)))
    return frames


def read_keyed(frames: dict[str, DataFrame], until: datetime) -> KeyedEvents:
    """Read what was seen before from keyed DataFrames, as one machine does."""
    parts = [
        _read_keyed(frame.filter(f"seen_at < timestamp_micros({to_us(until)})").toArrow(), kind, KEY)
        for kind, frame in frames.items()
    ]
    return replace(parts[0], **{kind: getattr(part, kind) for kind, part in zip(frames, parts, strict=True)})


def test_built_in_features_are_one_machines(session: SparkSession, events: Events) -> None:
    spec = build_spec()

    found = build_features(*to_frames(session, events), key=KEY, n_partitions=3)

    assert found.columns == ["order_id", "id__order", "seen_at", *spec.names]
    assert_same(found, compute_here(key_events(events, KEY), spec))


def test_features_of_keyed_events_are_the_same_where_a_worker_was_killed(
    session: SparkSession, events: Events, tmp_path: Path
) -> None:
    spec = build_spec(use_defaults=False, names=("buyer__count__order__90d", "group__size__buyer"))
    frames = to_frames(session, key_events(events, KEY))
    marker = str(tmp_path / "killed")

    def die_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if not Path(marker).exists():
                Path(marker).touch()
                os.kill(os.getpid(), signal.SIGKILL)

    frames[0] = frames[0].mapInArrow(die_once, frames[0].schema)

    found = build_features(*frames, spec=spec, key=KEY, n_partitions=2)

    assert_same(found, compute_here(key_events(events, KEY), spec))
    assert Path(marker).exists()


def test_scores_through_spark_connect_are_one_machines(session: SparkSession, events: Events) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    scorer = Scorer(load_starter(), load_policy(), KEY, lang="en")
    scored = scorer.score_events(key_events(events, KEY), now_us=int(now.timestamp() * 1e6), explain_all=True)
    here = scored.build_table()

    with connecting(session) as remote:
        frames = to_frames(remote, events)
        found = score(*frames, key=KEY, lang="en", explain_all=True, now=now, n_partitions=3).toArrow()

    assert found.column_names == here.column_names
    # A sight is known by all that it was given: of one order several may be there.
    assert_same(found, here, by=tuple(here.column_names))
    assert {"pass", "review"} <= set(here["action"].to_pylist())


def test_policies_that_compare_orders_are_refused(session: SparkSession, events: Events, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    default = Path(ordervet.policy.__file__).with_name("default_policy.toml").read_text(encoding="utf-8")
    policy.write_text(f"{default}\n[capacity]\nn = 10\n", encoding="utf-8")

    with pytest.raises(PolicyError, match="the policy has capacity"):
        score(*to_frames(session, events), key=KEY, policy=policy)


def test_wrong_columns_and_rows_are_named(session: SparkSession, events: Events) -> None:
    orders = to_frames(session, events)[0]
    strange = orders.withColumnRenamed("amount_minor", "amont_minor")
    negative = orders.selectExpr(*(f"-1 AS {name}" if name == "amount_minor" else name for name in orders.columns))

    with pytest.raises(ContractError, match="amount_minor"):
        build_features(strange, key=KEY)
    with pytest.raises(Exception, match="'amount_minor': got") as raised:
        build_features(
            negative.coalesce(1), key=KEY, spec=build_spec(use_defaults=False, names=("order__value__amount",))
        ).toArrow()
    assert "phone" not in str(raised.value)


@pytest.fixture(scope="module")
def history(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spark") / "history"
    store = History.open(folder, KEY, create=True)
    store.ingest(simulation.events)
    blamed = simulation.outcomes.filter(pc.equal(simulation.outcomes["kind"], "refund_completed")).slice(0, 50)
    at = blamed.schema.get_field_index("blame")
    blamed = blamed.set_column(at, "blame", pa.repeat("seller", blamed.num_rows).cast(blamed.schema.field(at).type))
    store.ingest(replace(Events.empty(), outcomes=blamed))  # who was to blame became known later
    return folder


@pytest.fixture(scope="module")
def rows(session: SparkSession, history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows to learn from, as a user builds them."""
    folder = tmp_path_factory.mktemp("spark") / "rows"
    frames = read_history(session, history, key=KEY)
    as_of = datetime.fromtimestamp(AS_OF_US / 1e6, UTC)
    build_training_rows(**frames, as_of=as_of, key=KEY, n_partitions=2).write.parquet(str(folder))
    return folder


def test_history_gives_the_training_data_of_a_replay(history: Path, rows: Path, tmp_path: Path) -> None:
    spec = unite_specs(build_spec(), load_starter())
    slices = HistorySlices.open(History.open(history, KEY), until_us=AS_OF_US)
    labels = label_mature_orders(slices.timeline, as_of_us=AS_OF_US, maturity=LENIENT.maturity)
    plan = plan_training_data(slices.timeline, labels, as_of_us=AS_OF_US, settings=LENIENT)
    asked: dict[str, Any] = {"settings": LENIENT, "as_of_us": AS_OF_US, "report_step": lambda _: None}
    replayed = replay_training_data(slices, spec, plan, scratch=tmp_path / "sorted", n_threads=1, **asked)

    read = read_training_data(rows, slices.timeline, plan, spec, **asked)

    for name in type(read).__slots__:
        if name not in ("plan", "requests"):  # what is asked on the way of a replay is asked again where there is none
            np.testing.assert_equal(getattr(read, name), getattr(replayed, name), err_msg=name)
    known = dict(zip(slices.timeline.order_id.view(np.int64).tolist(), labels.verdict.tolist(), strict=True))
    told = pq.read_table(rows, columns=["id__order", "label"])
    assert all(
        label == known[order]
        for order, label in zip(told["id__order"].to_pylist(), told["label"].to_pylist(), strict=True)
        if known[order] >= 0
    )


def test_night_on_rows_learns_what_a_replay_learns(history: Path, rows: Path, tmp_path: Path) -> None:
    settings = tmp_path / "night.toml"
    settings.write_text(
        "[maturity]\norder_days = 8\n[gates]\nexpected = ['*']\nn_draws = 50\nlookalike_orders = 0\n"
        "[fit]\nnum_rounds = 6\nnum_leaves = 6\nmin_data_in_leaf = 20\n"
    )
    night = [
        sys.executable, "-m", "ordervet", "retrain", "--history", history, "--settings", settings, "--simulated",
        "--as-of", datetime.fromtimestamp(AS_OF_US / 1e6, UTC).isoformat(), "--threads", "1", "--json",
    ]  # fmt: skip

    replayed = subprocess.run([*night, "--models", tmp_path / "replayed"], capture_output=True, check=False)
    read = subprocess.run([*night, "--models", tmp_path / "read", "--rows", rows], capture_output=True, check=False)

    assert read.returncode == replayed.returncode in (0, 7), read.stderr
    records = [json.loads(ended.stdout) for ended in (read, replayed)]
    assert records[0]["model_id"] == records[1]["model_id"] is not None
    gates = [[gate for gate in each["gates"] if gate["name"] != "scoring_us"] for each in records]  # NOT: a time
    assert gates[0] == gates[1]


def test_rows_of_other_events_or_features_are_refused(
    session: SparkSession, history: Path, rows: Path, tmp_path: Path
) -> None:
    spec = unite_specs(build_spec(), load_starter())
    slices = HistorySlices.open(History.open(history, KEY), until_us=AS_OF_US)
    labels = label_mature_orders(slices.timeline, as_of_us=AS_OF_US, maturity=LENIENT.maturity)
    plan = plan_training_data(slices.timeline, labels, as_of_us=AS_OF_US, settings=LENIENT)
    built = pq.read_table(rows)
    (tmp_path / "early").mkdir()
    early = built.filter(pc.less(built["seen_at"], pa.scalar((AS_OF_US - 3 * DAY_US), built["seen_at"].type)))
    pq.write_table(early, tmp_path / "early" / "rows.parquet")

    def read(path: Path, spec: Any) -> None:
        read_training_data(
            path, slices.timeline, plan, spec, settings=LENIENT, as_of_us=AS_OF_US, report_step=lambda _: None
        )

    with pytest.raises(TrainingError, match="have no features"):
        read(tmp_path / "early", spec)
    with pytest.raises(TrainingError, match="lack 1 columns: buyer__count__refund_only__10m"):
        read(rows, build_spec(use_defaults=False, names=("buyer__count__refund_only__10m",)))
    with pytest.raises(TrainingError, match="Europe/Berlin"):
        read(rows, replace(spec, time_zone="Europe/Berlin"))
    with pytest.raises(TrainingError, match="cannot be read"):
        read(tmp_path / "nothing", spec)
    with pytest.raises(KeyMismatchError):
        read_history(session, history, key=Key(bytes(16)))


def test_epochs_are_one_go_and_what_was_erased_was_never_there(
    session: SparkSession, history: Path, tmp_path: Path
) -> None:
    names = ("buyer__excess__refund_requested__item__90d", "group__count__order", "order__value__amount")
    spec = build_spec(use_defaults=False, names=names)
    frames = {name: frame.persist() for name, frame in read_history(session, history).items()}
    last = datetime.fromtimestamp(AS_OF_US / 1e6, UTC)
    ends = [last - timedelta(days=30), last]
    compute = partial(build_features, spec=spec, n_partitions=1)

    parts = [compute(**frames, states=tmp_path / "states", until=end).toArrow() for end in ends]

    before = pa.concat_tables(parts)
    assert 0 < parts[1].num_rows < before.num_rows
    erased = frames["orders"].filter(f"seen_at > timestamp_micros({to_us(ends[0])})").first()["id__buyer"]
    gone = frames["orders"].filter(f"id__buyer = {erased}").select("order_id")
    left = {name: frame.join(gone, "order_id", "left_anti") for name, frame in frames.items()}
    again = compute(**left, states=tmp_path / "states", until=last + timedelta(days=1)).toArrow()
    is_replaced = pc.is_in(before["order_id"], pa.concat_arrays([*again["order_id"].chunks, *gone.toArrow()[0].chunks]))
    now = pa.concat_tables([before.filter(pc.invert(is_replaced)), again])
    assert_same(now, compute_here(read_keyed(left, until=last + timedelta(days=1)), spec))
    assert 0 < again.num_rows < before.num_rows
