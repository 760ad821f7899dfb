from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.errors import ModelError
from ordervet.model import find_live_model, load_model, promote_model, save_model

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    return save_model(model, tmp_path / "models", card="card")


def test_model_reads_back_to_the_same_content(model: Model, folder: Path) -> None:
    read = load_model(folder)

    assert read.build_manifest() == model.build_manifest()
    assert read.booster_text == model.booster_text
    np.testing.assert_array_equal(read.calibration.x, model.calibration.x)
    assert folder.name == model.model_id


def test_saving_the_same_model_twice_keeps_one_folder(model: Model, folder: Path) -> None:
    again = save_model(model, folder.parent, card="card")

    assert again == folder
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


@pytest.mark.parametrize("name", ["model.txt", "kinds.txt", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "empty"])
def test_damaged_model_is_refused(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        digit = next(at for at in range(len(content) // 2, len(content)) if chr(content[at]).isdigit())
        content[digit] = ord("1") if content[digit] != ord("1") else ord("2")
        path.write_bytes({"flip": bytes(content), "cut": bytes(content[: len(content) // 2]), "empty": b""}[damage])

    with pytest.raises(ModelError, match="hint:"):
        load_model(folder)


def test_model_of_another_protocol_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"protocol": 99}))

    with pytest.raises(ModelError, match="got protocol 99, expected 1"):
        load_model(folder)


def test_model_whose_features_mean_something_else_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"spec_hash": "0" * 64}))

    with pytest.raises(ModelError, match="under other definitions"):
        load_model(folder)


def test_live_pointer_names_the_promoted_model(folder: Path) -> None:
    promote_model(folder.parent, folder.name)

    assert find_live_model(folder.parent) == folder


def test_promoting_an_unknown_model_is_refused_and_keeps_the_pointer(folder: Path) -> None:
    promote_model(folder.parent, folder.name)

    with pytest.raises(ModelError, match="there is no model m-none"):
        promote_model(folder.parent, "m-none")
    assert find_live_model(folder.parent) == folder


@pytest.mark.parametrize("content", ["", "../elsewhere", "two\nlines"])
def test_damaged_pointer_is_refused(folder: Path, content: str) -> None:
    (folder.parent / "live").write_text(content)

    with pytest.raises(ModelError, match="does not hold a model id"):
        find_live_model(folder.parent)


def test_missing_pointer_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ordervet train"):
        find_live_model(tmp_path)


def test_failed_save_leaves_nothing_behind(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ordervet.storage.write_text", fail)

    with pytest.raises(OSError, match="No space left"):
        save_model(model, tmp_path, card="card")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_copied_model_folder_loads_elsewhere(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / folder.name)

    assert load_model(copy).model_id == folder.name


def test_model_without_a_model_of_kinds_reads_back_without(model: Model, tmp_path: Path) -> None:
    bare = replace(model, kinds=None)

    read = load_model(save_model(bare, tmp_path, card="card"))

    assert model.kinds is not None
    assert read.kinds is None
    assert read.model_id == bare.model_id != model.model_id
