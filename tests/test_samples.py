"""What is shipped: the sample merchant and the starter model."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from ordervet.cli import run
from ordervet.contract import read_events
from ordervet.model import find_live_model, load_model
from ordervet.reports import build_card
from ordervet.score import find_bundled_models
from ordervet.words import format_text

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data" / "samples"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_samples_are_rebuilt_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = re.search(r"/(ordervet simulate --out data/samples .*)", MAKEFILE)
    assert command
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(command[1]))

    with pytest.raises(SystemExit):
        run()

    rebuilt = {path.name: path.read_bytes() for path in (tmp_path / "data" / "samples").iterdir()}
    assert rebuilt == {path.name: path.read_bytes() for path in SAMPLES.iterdir()}


def test_every_sample_row_is_good() -> None:
    events, failures = read_events(sorted(SAMPLES.iterdir()))

    assert failures.num_rows == 0
    assert events.orders.num_rows == 3_000
    assert min(events.outcomes.num_rows, events.verdicts.num_rows) > 0


def test_starter_model_loads_and_its_card_says_that_it_was_simulated() -> None:
    folder = find_live_model(find_bundled_models())

    model = load_model(folder)

    assert model.origin["is_simulated"] is True
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert card == build_card(model)
    assert format_text("notes.simulated_data", "en") in card


def test_models_folder_holds_the_starter_alone() -> None:
    models = find_bundled_models()

    assert {path.name for path in models.iterdir()} == {"README.md", "live", find_live_model(models).name}
