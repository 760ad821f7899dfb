"""Training as a user does it: what has learned nothing does not serve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.lab.simulate import write_simulation

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("settings") / "fit.toml"
    path.write_text("num_rounds = 20\nnum_leaves = 8\nmin_data_in_leaf = 20\n")
    return path


@pytest.fixture(scope="module")
def by_lot(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A merchant whose verdicts were drawn by lot, whatever the orders were."""
    verdicts = simulation.verdicts
    rng = np.random.default_rng(6)
    drawn = rng.choice(simulation.orders["order_id"].to_numpy(zero_copy_only=False), verdicts.num_rows, replace=False)
    words = np.where(rng.random(verdicts.num_rows) < 0.7, "malicious", "innocent")
    columns = {"order_id": pa.array(drawn), "verdict": pa.array(words), "kind": pa.nulls(len(words), pa.string())}
    for name, column in columns.items():
        at = verdicts.schema.get_field_index(name)
        verdicts = verdicts.set_column(at, verdicts.schema.field(at), column.cast(verdicts.schema.field(at).type))
    made = replace(simulation, verdicts=verdicts, corrections=simulation.corrections.slice(0, 0))
    return write_simulation(made, tmp_path_factory.mktemp("lot"), truth=False)


def test_model_that_learned_nothing_is_written_and_does_not_serve(ordervet, by_lot, settings, tmp_path: Path) -> None:
    models = tmp_path / "models"

    ended = ordervet("train", *by_lot, "--models", models, "--settings", settings, "--lang", "en", "--json")

    assert ended.code == 7
    assert ended.json["is_live"] is False
    failed = {gate["name"]: gate for gate in ended.json["metrics"]["gates"] if not gate["passed"]}
    assert failed["skill"]["figure"] <= failed["skill"]["bound"]
    assert "better than chance" in ended.err
    assert f"ordervet models promote {ended.json['model_id']}" in ended.err
    assert not (models / "live").exists()
    assert (models / ended.json["model_id"] / "manifest.json").is_file()


def test_refused_model_leaves_what_serves_and_can_be_promoted_by_hand(
    ordervet, by_lot, settings, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    first = ordervet("train", *by_lot, "--models", models, "--settings", settings, "--no-promote", "--json")
    promoted = ordervet("models", "promote", first.json["model_id"], "--models", models)
    other = tmp_path / "other.toml"
    other.write_text(settings.read_text() + "seed = 5\n")

    second = ordervet("train", *by_lot, "--models", models, "--settings", other, "--lang", "zh")

    assert (first.code, promoted.code, second.code) == (4, 0, 7)  # some lots fell on orders that came later
    assert "优于随机" in second.err
    assert (models / "live").read_text().strip() == first.json["model_id"]


def test_model_with_skill_serves_and_scores(ordervet, simulation: Simulation, settings, tmp_path: Path) -> None:
    files = write_simulation(simulation, tmp_path / "merchant", truth=False)
    models = tmp_path / "models"

    ended = ordervet("train", *files, "--models", models, "--settings", settings, "--simulated", "--json")
    scored = ordervet("score", *files, "--models", models, "--json")

    assert ended.code == 0
    assert ended.json["is_live"] is True
    assert ended.json["origin"]["is_simulated"] is True
    assert [gate["name"] for gate in ended.json["metrics"]["gates"]] == ["skill", "history_gain"]
    assert (models / "live").read_text().strip() == ended.json["model_id"] == scored.json["model_id"]
    card = (models / ended.json["model_id"] / "card.md").read_text(encoding="utf-8")
    assert "prove behaviour, not accuracy" in card
    assert "| kind | rings | at the 1st order |" in card
    assert "| all kinds |" in card
    assert "| probability at most |" not in card  # trust rests on no made-up orders


@pytest.mark.shared_data
def test_rappi_where_the_history_adds_nothing_is_refused(ordervet, shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "rappi" / "ds_challenge_data_2022.csv.gz"

    ended = ordervet("train", file, "--mapping", "rappi.toml", "--models", tmp_path, "--json")

    assert ended.code == 7
    assert not (tmp_path / "live").exists()
