"""What docs/nightly.md says is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from ordervet.learn.night_settings import NightSettings
from ordervet.words import find_words

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "nightly.md").read_text(encoding="utf-8")


def test_settings_in_the_docs_are_the_defaults() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    told, default = tomllib.loads(block), NightSettings()

    read = NightSettings.model_validate(told)

    assert set(told["learning"]) == set(type(default.learning).model_fields)
    assert set(told["gates"]) == set(type(default.gates).model_fields)
    assert read.maturity == default.maturity
    assert read.learning == default.learning
    assert read.gates == default.gates
    assert read.fit.num_rounds == default.fit.num_rounds


def test_every_gate_is_in_the_table() -> None:
    table = TEXT.split("## Gates")[1].split("## Settings")[0]

    assert set(find_words("nightly.gate_names", "en").keys()) <= set(re.findall(r"`(\w+)`", table))
