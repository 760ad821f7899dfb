from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from ordervet.cli import app
from ordervet.errors import ContractError
from ordervet.lab.simulate import write_simulation

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation


@pytest.fixture(scope="module")
def folder(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merchant")
    write_simulation(simulation, folder, format="parquet", truth=True)
    (folder / "fit.toml").write_text("num_rounds = 15\nmin_data_in_leaf = 20\n", encoding="utf-8")
    return folder


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_backtest_prints_and_writes_what_json_has(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "backtest.html"
    options = ("--settings", folder / "fit.toml", "--truth", folder / "truth.parquet", "--capacity", "20", "--baseline")

    printed = json.loads(run("backtest", folder, *options, "--report", page, "--lang", "zh", "--json"))

    assert printed["is_simulated"] is True
    assert printed["splits"][0]["n_orders"] > 0
    assert 0 < printed["mean"]["ap"] <= 1
    assert set(printed["evaluation"]["parts"]) == {"kind", "channel", "look_alike", "month"}
    assert printed["evaluation"]["at_capacity"]["capacity"] == 20
    assert printed["baseline"]["n_malicious"] == printed["evaluation"]["n_malicious"]
    assert 0 < printed["evaluation"]["ap"]["low"] <= printed["evaluation"]["ap"]["high"] <= 1
    assert "回测报告" in page.read_text(encoding="utf-8")


def test_backtest_from_an_instant_says_on_screen_that_the_data_is_simulated(folder: Path) -> None:
    text = run("backtest", folder, "--settings", folder / "fit.toml", "--test-from", "2025-11-10T20:00", "--simulated")

    assert "2025-11-10T20:00:00+08:00" in text
    assert "Numbers on simulated data prove behaviour, not accuracy." in text


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--test-from", "soon"), "--test-from: got soon"), (("--truth", "nowhere.csv"), "nowhere.csv cannot be read")],
)
def test_backtest_says_what_is_wrong_with_an_option(folder: Path, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        CliRunner().invoke(app, ["backtest", str(folder), *options], catch_exceptions=False)
