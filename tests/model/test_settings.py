from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from ordervet.model import FitSettings
from ordervet.model.settings import SETTINGS_FILE, write_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_defaults_written_out_are_the_shipped_settings_file(tmp_path: Path) -> None:
    write_settings(FitSettings(), tmp_path / SETTINGS_FILE)

    shipped = resources.files("ordervet.model").joinpath(SETTINGS_FILE).read_text(encoding="utf-8")
    assert (tmp_path / SETTINGS_FILE).read_text(encoding="utf-8") == shipped
