from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from ordervet.entities import Key, load_key
from ordervet.errors import KeyMismatchError
from ordervet.history import History
from ordervet.lab.simulate import write_simulation
from ordervet.model import load_model
from ordervet.score import Scorer

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation

HEADER = "order_id,placed_at,amount_minor,buyer_id,phone"
ORDERS = (HEADER, "t1,2025-11-11 20:00:00,1200,b1,19900001111", "t2,2025-11-11 21:00:00,1300,b1,19900001111")
ORDER = {"order_id": "new", "placed_at": "2026-01-15", "amount_minor": 5_000}
OUTCOMES = ("order_id,kind,happened_at,blame", "t1,claim,2025-11-13,", "t9,claim,2025-11-14,")

MAPPING = (
    "[order]",
    'order_id = "ID"',
    'placed_at = "AT"',
    'amount_minor = "SUM"',
    "[order.entities]",
    'terminal = "POS"',
    "[labels]",
    'column = "BAD"',
    'malicious = ["1"]',
    'innocent = ["0"]',
    'delay = "1d"',
)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Key:
    key = Key(bytes(range(16)))
    monkeypatch.setenv("ORDERVET_KEY", key.to_hex())
    return key


@pytest.fixture(scope="session")
def files(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_simulation(simulation, tmp_path_factory.mktemp("merchant"), format="parquet", truth=False)


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def list_sums(ended) -> list[bool]:
    names = ("n_accepted", "n_merged", "n_known", "n_quarantined")
    return [each["n_read"] == sum(each[name] for name in names) for each in ended.json["files"]]


def test_help_of_ingest_has_an_example_and_the_exit_codes(ordervet) -> None:
    ended = ordervet("ingest", "--help")

    assert ended.code == 0
    assert "Example: ordervet ingest orders.csv refunds.csv --history history" in " ".join(ended.out.split())
    assert "Exit codes:" in ended.out


@pytest.mark.usefixtures("key")
def test_ingest_accounts_for_every_row(ordervet, tmp_path: Path) -> None:
    orders = write(tmp_path, "orders.csv", *ORDERS, "t3,soon,1,b2,")
    late = "t1,refund_completed,2025-10-01,"
    outcomes = write(tmp_path, "outcomes.csv", *OUTCOMES, late)
    blamed = write(tmp_path, "outcomes-blamed.csv", OUTCOMES[0], "t1,claim,2025-11-13,seller")
    common = ("ingest", orders, outcomes, blamed, "--history", tmp_path / "history", "--json")

    first = ordervet(*common, "--quarantine", tmp_path / "aside.parquet")
    again = ordervet(*common)

    counts = [[tuple(each.values())[2:7] for each in ended.json["files"]] for ended in (first, again)]
    assert counts == [
        [(3, 2, 0, 0, 1), (3, 2, 0, 0, 1), (1, 0, 1, 0, 0)],
        [(3, 0, 0, 2, 1), (3, 0, 0, 2, 1), (1, 0, 0, 1, 0)],
    ]
    assert list_sums(first) == list_sums(again) == [True] * 3
    assert (first.code, again.code) == (4, 4)
    assert (first.json["version"], again.json["version"]) == (1, 1)
    assert (first.json["n_waiting"], again.json["n_waiting"]) == (1, 0)
    aside = pq.read_table(tmp_path / "aside.parquet").to_pylist()
    assert [(row["file"], row["row"], row["rule"]) for row in aside] == [
        ("orders.csv", 2, "instant"),
        ("outcomes.csv", 2, "order_first"),
    ]


@pytest.mark.usefixtures("key")
def test_ingest_says_what_it_did_in_words(ordervet, tmp_path: Path) -> None:
    outcomes = write(tmp_path, "outcomes.csv", *OUTCOMES)
    dearer = write(tmp_path, "orders.csv", HEADER, ORDERS[1].replace("1200", "1500"))
    ordervet("ingest", write(tmp_path, "orders-1.csv", *ORDERS), "--history", tmp_path / "history")

    ended = ordervet("ingest", outcomes, dearer, "--history", tmp_path / "history")

    assert ended.code == 0
    assert "outcomes.csv: 2 rows read = 2 accepted + 0 merged + 0 already known + 0 quarantined" in ended.out
    assert "waiting for their order, to count once it is ingested: 1" in ended.out
    assert "orders.csv: 1 row read = 0 accepted + 1 merged + 0 already known + 0 quarantined" in ended.out


def test_ingest_through_a_mapping_counts_rows_not_events(ordervet, key: Key, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", *MAPPING)
    orders = write(tmp_path, "mine.csv", "ID,AT,SUM,POS,BAD", "t1,2025-11-11,5,P,1", "t2,2025-11-12,5,P,0")

    ended = ordervet("ingest", orders, "--mapping", mapping, "--history", tmp_path / "history", "--json")

    assert [tuple(each.values())[1:7] for each in ended.json["files"]] == [("mapping", 2, 2, 0, 0, 0)]
    read = History.open(tmp_path / "history", key).read()
    assert (read.verdicts.num_rows, read.extras["entity"]) == (2, ("terminal",))


def test_ingest_without_a_lasting_key_makes_nothing(ordervet, tmp_path: Path) -> None:
    ended = ordervet("ingest", write(tmp_path, "orders.csv", *ORDERS), "--history", tmp_path / "history")

    assert ended.code == 3
    assert "hint: create one: ordervet key new" in ended.err
    assert not (tmp_path / "history").exists()


@pytest.mark.usefixtures("key")
def test_ingest_of_a_bad_file_makes_nothing(ordervet, tmp_path: Path) -> None:
    bad = write(tmp_path, "orders.csv", "what,is,this", "1,2,3")

    ended = ordervet("ingest", bad, "--history", tmp_path / "history")

    assert ended.code == 3
    assert not (tmp_path / "history").exists()


@pytest.mark.usefixtures("key")
def test_ingest_with_another_key_is_refused(ordervet, monkeypatch, tmp_path: Path) -> None:
    orders = write(tmp_path, "orders.csv", *ORDERS)
    ordervet("ingest", orders, "--history", tmp_path / "history")
    monkeypatch.setenv("ORDERVET_KEY", bytes(range(16, 32)).hex())

    ended = ordervet("ingest", orders, "--history", tmp_path / "history")

    assert ended.code == 3
    assert "was made with key" in ended.err


def test_score_with_a_history_equals_score_of_all_files_and_brings_them_in(
    ordervet, key: Key, files, models_dir, tmp_path: Path
) -> None:
    history = tmp_path / "history"
    orders = pq.read_table(files[0]).sort_by("placed_at")
    new = tmp_path / "orders-new.parquet"
    pq.write_table(orders.slice(orders.num_rows - 500), new)
    pq.write_table(orders.slice(0, orders.num_rows - 500), tmp_path / "orders-old.parquet")
    common = ("--models", models_dir, "--all", "--out")
    ordervet("score", *files, *common, tmp_path / "whole.parquet")
    ordervet("ingest", *files[1:], "--history", history)
    ordervet("ingest", tmp_path / "orders-old.parquet", "--history", history)

    dry = ordervet("score", new, "--history", history, "--dry-run", *common, tmp_path / "dry.parquet")
    version = History.open(history, key).version
    wet = ordervet("score", new, "--history", history, *common, tmp_path / "wet.parquet")
    again = ordervet("score", new, "--history", history, *common, tmp_path / "again.parquet")

    assert (dry.code, wet.code, again.code) == (0, 0, 0)
    assert (version, History.open(history, key).version) == (2, 3)
    scores = []
    for name in ("dry", "wet", "again"):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        scores.append(dict(zip(table["order_id"].to_pylist(), table["p_malicious"].to_pylist(), strict=True)))
    whole = pq.read_table(tmp_path / "whole.parquet")
    expected = dict(zip(whole["order_id"].to_pylist(), whole["p_malicious"].to_pylist(), strict=True))
    assert len(scores[0]) == 500
    assert scores[0] == scores[1] == scores[2] == {order_id: expected[order_id] for order_id in scores[0]}


@pytest.mark.usefixtures("key")
def test_dry_run_without_a_history_is_an_error_and_makes_none(ordervet, models_dir, tmp_path: Path) -> None:
    orders = write(tmp_path, "orders.csv", *ORDERS)

    ended = ordervet("score", orders, "--history", tmp_path / "history", "--dry-run", "--models", models_dir)

    assert ended.code == 3
    assert "there is no history in history" in ended.err
    assert not (tmp_path / "history").exists()


@pytest.mark.usefixtures("key")
def test_train_and_backtest_learn_from_a_history_what_they_learn_from_files(ordervet, files, tmp_path: Path) -> None:
    history = tmp_path / "history"
    ordervet("ingest", *files, "--history", history)
    settings = write(tmp_path, "fit.toml", "num_rounds = 3", "num_leaves = 7", "min_data_in_leaf = 20")

    by_files = ordervet("backtest", *files, "--settings", settings, "--json").json
    by_history = ordervet("backtest", "--history", history, "--settings", settings, "--json").json
    trained = ordervet("train", "--history", history, "--models", tmp_path / "m", "--settings", settings, "--json").json

    counts = [
        [each["splits"][0][name] for name in ("split", "n_train", "n_train_malicious", "n_orders", "n_malicious")]
        for each in (by_history, by_files)
    ]
    assert counts[0] == counts[1]
    assert by_history["n_features"] == by_files["n_features"]
    assert trained["origin"]["history_version"] == 1
    assert load_model(tmp_path / "m" / trained["model_id"]).origin["history_version"] == 1


@pytest.mark.parametrize("command", ["train", "backtest"])
@pytest.mark.usefixtures("key")
def test_learning_takes_files_or_a_history(ordervet, tmp_path: Path, command: str) -> None:
    models = ("--models", tmp_path / "models") if command == "train" else ()

    neither = ordervet(command, *models)
    both = ordervet(command, "orders.csv", "--history", tmp_path, *models)

    assert (neither.code, both.code) == (3, 3)
    assert "give files or a history, one of them" in neither.err
    assert "give files or a history, not both" in both.err


def test_scorer_opens_a_history_store_as_it_opens_files(key: Key, files, models_dir, ordervet, tmp_path: Path) -> None:
    ordervet("ingest", *files, "--history", tmp_path / "history")
    buyer_id = pq.read_table(files[0])["buyer_id"][7].as_py()
    order = ORDER | {"buyer_id": buyer_id}
    clock = lambda: 1_768_464_000_000_000  # noqa: E731 - a clock that stands still

    with Scorer.open(models_dir, history=tmp_path / "history", clock=clock) as scorer:
        from_store = scorer.score(order)
    from_files = Scorer.open(models_dir, history=files, clock=clock).score(order)

    assert load_key() == key
    assert from_store == from_files


def test_commands_tell_of_a_running_scorer_and_read_beside_it(key: Key, models_dir, ordervet, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", key, create=True).path
    orders = write(tmp_path, "orders.csv", *ORDERS)
    with Scorer.open(models_dir, history=history) as scorer:
        scorer.score(ORDER)

        refused = [
            ordervet(*command, orders, "--history", history)
            for command in (("ingest",), ("score", "--models", models_dir))
        ]
        beside = ordervet("score", orders, "--history", history, "--models", models_dir, "--dry-run")

    after = ordervet("score", orders, "--history", history, "--models", models_dir)
    assert [ended.code for ended in refused] == [3, 3]
    assert all(f"is being written by process {os.getpid()}" in ended.err for ended in refused)
    assert (beside.code, after.code) == (0, 0)
    assert History.open(history, key).read().orders.num_rows == 3


def test_scorer_passes_orders_when_the_history_store_is_damaged(key: Key, models_dir, tmp_path: Path) -> None:
    history = History.open(tmp_path / "history", key, create=True)
    next((history.path / "_delta_log").glob("*.json")).write_text("{")

    decision = Scorer.open(models_dir, history=history.path).score(ORDER)

    assert (str(decision.action), str(decision.code)) == ("pass", "UNSCORED_BROKEN_HISTORY")


@pytest.mark.usefixtures("key")
def test_scorer_refuses_a_history_store_of_another_key(models_dir, tmp_path: Path) -> None:
    History.open(tmp_path / "history", Key(bytes(16)), create=True)

    with pytest.raises(KeyMismatchError, match="was made with key"):
        Scorer.open(models_dir, history=tmp_path / "history")


@pytest.mark.usefixtures("key")
def test_explain_from_a_history_equals_explain_from_the_files(
    ordervet, simulation: Simulation, models_dir: Path, tmp_path: Path
) -> None:
    files = write_simulation(simulation, tmp_path / "files", truth=False)
    order_id = simulation.orders["order_id"][5_000].as_py()
    ordervet("ingest", *files, "--history", tmp_path / "history")

    from_history = ordervet(
        "explain", order_id, "--history", tmp_path / "history", "--models", models_dir, "--json"
    ).json
    from_files = ordervet("explain", order_id, *files, "--models", models_dir, "--json").json

    assert from_history == from_files
