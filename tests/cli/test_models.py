"""The commands of the night and of its models, as a user calls them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ordervet.entities.keys import Key
from ordervet.history import History
from ordervet.model import promote_model, save_model
from ordervet.score.shadow import SHADOW_NAME, ShadowLog, ShadowRecord

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation
    from ordervet.model import Model

KEY = "000102030405060708090a0b0c0d0e0f"
NIGHT = """
[maturity]
order_days = 8.0
[learning]
holdout_days = 14
n_folds = 2
[gates]
n_draws = 50
ap_margin = -1.0
money_margin = -1.0
mature_loss = 1.0
policy_recall_loss = 1.0
policy_alerts_times = 100.0
chance_times = 0.0
history_margin = -1.0
calibration_error = 1.0
calibration_bias = 9.0
channel_false_positives = 1.0
new_buyer_false_positives = 1.0
alert_rate_change = 1.0
expected = ["*"]
label_auc = 0.0
duplicates = 1.0
max_us_per_order = 1e6
group_times = 1e6
lookalike_orders = {lookalikes}
max_model_mb = {max_mb}
[fit]
num_rounds = 6
num_leaves = 6
min_data_in_leaf = 20
"""


@pytest.fixture
def shop(tmp_path: Path, simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a history in it."""
    monkeypatch.setenv("ORDERVET_KEY", KEY)
    History.open(tmp_path / "history", Key(bytes.fromhex(KEY)), create=True).ingest(simulation.events)
    return tmp_path


def write_settings(shop: Path, *, max_mb: float = 16.0, lookalikes: int = 0) -> Path:
    path = shop / "night.toml"
    path.write_text(NIGHT.format(max_mb=max_mb, lookalikes=lookalikes))
    return path


def list_retrain(shop: Path, settings: Path, day: int) -> list[object]:
    return [
        "retrain", "--history", shop / "history", "--models", shop / "models", "--settings", settings, "--as-of",
        f"2025-12-{day:02} 00:00", "--simulated", "--threads", 1,
    ]  # fmt: skip


def test_retrain_promotes_then_refuses_with_its_own_code_and_report(ordervet, shop: Path) -> None:
    first = ordervet(*list_retrain(shop, write_settings(shop, lookalikes=500), 1), "--metrics", shop / "night.prom")
    refused = ordervet(*list_retrain(shop, write_settings(shop, max_mb=1e-6), 2), "--lang", "en")
    again = ordervet(*list_retrain(shop, write_settings(shop, max_mb=1e-6), 2), "--json")

    assert first.code in (0, 7), first.err
    assert "ordervet_retrain_passed" in (shop / "night.prom").read_text()
    assert refused.code == again.code == 7
    assert "was refused" in refused.out
    assert "size of the model" in refused.out
    assert again.json["was_done"] is True
    reports = list((shop / "models" / "nights").glob("*/report.en.html"))
    assert len(reports) == 2


def test_dry_run_says_what_would_be_and_writes_nothing(ordervet, shop: Path) -> None:
    ended = ordervet(*list_retrain(shop, write_settings(shop), 1), "--dry-run", "--json")

    assert ended.code == 0
    assert ended.json["outcome"] == "would promote"
    assert not (shop / "models").exists()


def test_retrain_without_ripe_labels_ends_with_code_six(ordervet, shop: Path) -> None:
    night = ("retrain", "--history", shop / "history", "--models", shop / "models", "--as-of", "2025-08-01")
    ended = ordervet(*night, "--metrics", shop / "night.prom")
    scored = ordervet("score", "--history", shop / "history", "--models", shop / "models", "--json")

    assert ended.code == 6
    assert "hint:" in ended.err
    assert "days of history" in ended.out
    assert "ordervet_retrain_waiting 1.0" in (shop / "night.prom").read_text()
    assert list((shop / "models" / "nights").glob("*/report.en.html"))
    assert scored.code in (0, 2, 3), scored.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--history", "none"), 3, "no history"),
        (("--as-of", "yesterday"), 3, "yesterday"),
        (("--settings", "none.toml"), 3, "cannot be read"),
    ],
)
def test_retrain_on_wrong_input_is_one_clear_error(
    ordervet, shop: Path, arguments: tuple[str, str], code: int, said: str
) -> None:
    options = {"--history": shop / "history", "--models": shop / "models"} | {arguments[0]: arguments[1]}

    ended = ordervet("retrain", *(each for pair in options.items() for each in pair))

    assert (ended.code, said in ended.err) == (code, True), ended.err


@pytest.fixture
def two(model: Model, tmp_path: Path) -> tuple[Path, list[str]]:
    """Two models, of which the second serves after the first."""
    made = [replace(model, origin=model.origin | {"n": name}) for name in ("first", "second")]
    ids = [save_model(each, tmp_path, card=str(each.origin["n"])).name for each in made]
    for model_id in ids:
        promote_model(tmp_path, model_id)
    return tmp_path, ids


def test_models_are_listed_promoted_rolled_back_and_pruned(ordervet, two: tuple[Path, list[str]]) -> None:
    models, (first, second) = two

    listed = ordervet("models", "list", "--models", models, "--json").json
    rolled = ordervet("models", "rollback", "--models", models, "--json").json
    promoted = ordervet("models", "promote", second, "--models", models, "--json").json
    pruned = ordervet("models", "prune", "--keep", 0, "--models", models, "--json").json

    assert {each["model_id"]: each["is_live"] for each in listed["models"]} == {first: False, second: True}
    assert (rolled["live"], promoted["live"], pruned["removed"]) == (first, second, [])
    assert "second" in ordervet("models", "show", "--models", models).out
    assert second in ordervet("models", "list", "--models", models).out


@pytest.mark.parametrize("command", ["show", "compare"])
def test_model_outside_of_the_folder_is_not_read(
    ordervet, two: tuple[Path, list[str]], tmp_path: Path, command: str
) -> None:
    models, (first, _) = two
    shutil.copytree(models, tmp_path / "models")
    shutil.copytree(models / first, tmp_path / "outside")

    refused = ordervet("models", command, "../outside", "--models", tmp_path / "models")

    assert refused.code == 5
    assert "there is no model ../outside" in refused.err


def test_models_are_compared_with_what_was_recorded(ordervet, two: tuple[Path, list[str]]) -> None:
    models, (first, second) = two

    compared = ordervet("models", "compare", first, second, "--models", models, "--json").json
    printed = ordervet("models", "compare", first, second, "--models", models)

    assert compared["measured"][first]["ap"] == compared["measured"][second]["ap"]
    assert compared["shadow"] == []
    assert "no live orders were recorded" in printed.out


def test_damaged_model_is_told_and_not_promoted(ordervet, two: tuple[Path, list[str]]) -> None:
    models, (first, second) = two
    whole = ordervet("models", "verify", "--models", models)
    (models / first / "model.txt").write_text("tree")

    verified = ordervet("models", "verify", "--models", models)
    promoted = ordervet("models", "promote", first, "--models", models)

    assert (whole.code, verified.code, promoted.code) == (0, 5, 5)
    assert first in verified.err
    assert (models / "live").read_text().strip() == second


def test_starter_is_shown_compared_and_listed_like_any_model(ordervet, two: tuple[Path, list[str]]) -> None:
    models, (first, _) = two
    (models / "empty").mkdir()

    shown = ordervet("models", "show", "--models", models / "empty", "--json").json
    listed = ordervet("models", "list", "--models", models / "empty", "--json").json
    verified = ordervet("models", "verify", "--models", models / "empty")
    compared = ordervet("models", "compare", "starter", first, "--models", models, "--json").json

    assert [each["model_id"] for each in listed["models"]] == [shown["model_id"]]
    assert verified.code == 0
    assert set(compared["measured"]) == {shown["model_id"], first}


def test_missing_folder_of_models_is_one_clear_error(ordervet, tmp_path: Path) -> None:
    for arguments in (("show",), ("rollback",), ("verify",), ("compare",), ("promote", "m-none")):
        ended = ordervet("models", *arguments, "--models", tmp_path / "none")

        assert ended.code == 5
        assert "hint:" in ended.err or "no live model" in ended.err


def test_models_speak_the_language_asked_for(ordervet, two: tuple[Path, list[str]]) -> None:
    models, (first, second) = two
    log = ShadowLog(models / SHADOW_NAME)
    log.add([ShadowRecord(1, second, first, 0.1, 0.9, 100, 800, "low", "high", "pass", "hold")])
    log.close()
    asked = ("--models", models, "--lang")

    said = {
        lang: [
            ordervet("models", *command, *asked, lang).out
            for command in (("list",), ("compare",), ("verify",), ("rollback",), ("promote", second), ("prune",))
        ]
        for lang in ("zh", "en")
    }

    for word, at in (
        ("在用", 0),
        ("更严 1", 1),
        ("完好", 2),
        (f"模型 {first} 已在用", 3),
        (second, 4),
        ("已删除 0", 5),
    ):
        assert word in said["zh"][at]
    assert "stricter 1" in said["en"][1]
    assert said["en"][3] == f"model {first} is live\n"


def test_replayed_nights_say_what_served_and_why_beside_the_starter(ordervet, shop: Path) -> None:
    nights = ("backtest", "--history", shop / "history", "--nights", 2, "--every", 6, "--simulated", "--threads", 1)
    asked = (*nights, "--night-settings", write_settings(shop), "--report", shop / "nights.html")

    told = ordervet(*asked, "--json")
    printed = ordervet(*asked, "--lang", "zh")

    assert told.code == 0, told.err
    first, second = told.json["nights"]
    assert told.json["rings"][0]["n_rings"] == sum(night["rings"][0]["n_rings"] for night in (first, second))
    assert first["outcome"] == "promoted"
    assert (second["outcome"] == "promoted") is not bool(second["refused_by"])
    assert first["n_orders"] > 0
    assert told.json["is_simulated"] is True
    assert {"ap", "recall", "precision", "alert_rate", "recall_at_rate", "precision_at_rate", "standing_rate"} == set(
        told.json["nights"][0]["starter"]
    )
    assert first["groups"]["plain"]["n_orders"] > 0
    assert "已换" in printed.out
    assert first["as_of"][:10] in (shop / "nights.html").read_text()


@pytest.mark.parametrize("more", [(), ("--history", "history", "--truth", "truth.csv"), ("orders.csv",)])
def test_replayed_nights_take_a_history_and_nothing_else(ordervet, more: tuple[str, ...]) -> None:
    ended = ordervet("backtest", "--nights", 3, *more)

    assert ended.code == 2
    assert "--history" in ended.err
