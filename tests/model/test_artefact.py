from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from forest_makers import train_booster
from ordervet import Scorer
from ordervet.errors import ModelError
from ordervet.features import FeatureSpec
from ordervet.model import (
    Curve,
    FitSettings,
    ForestPredictor,
    Model,
    check_model,
    find_live_model,
    list_models,
    load_model,
    load_serving_model,
    promote_model,
    save_model,
)
from ordervet.model.kinds import KindModel, fit_kinds
from ordervet.policy import DecisionCode

if TYPE_CHECKING:
    from pathlib import Path


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


NAMES = ("order__value__amount", "buyer__count__order__30d", "device__age__order", "order__value__hour")


@pytest.fixture(scope="module")
def small_model() -> Model:
    """A model that loads in a moment."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 4)).astype(np.float32)
    kinds = fit_kinds(features, np.where(features[:, 0] > 0, "scalping", "fake_return"), NAMES, FitSettings())
    curve = Curve(np.array([-5.0, 5.0]), np.array([0.0, 1.0]))
    spec = FeatureSpec(NAMES, ("buyer", "device"))
    text = train_booster(n_trees=3, n_leaves=8, n_features=4, n_rows=500)
    return Model(text, spec, curve, curve, {"n_orders": 500}, {"ap": 0.5}, kinds)


@pytest.fixture
def served(small_model: Model, tmp_path: Path) -> Path:
    """Its folder, in a folder of models where it serves."""
    saved = save_model(small_model, tmp_path / "models", card="card")
    promote_model(saved.parent, saved.name)
    return saved


def damage_manifest(folder: Path, damage: str) -> None:
    path = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(path.read_text())
    change = {
        "a feature's name is a number": {"spec": manifest["spec"] | {"names": [1, 2, 3, 4]}},
        "a lone surrogate": {"origin": {"about": "\ud800"}},
        "an origin that is a list": {"origin": []},
        "a count that is a text": {"origin": {"n_orders": "many"}},
        "gates that are a number": {"metrics": {"gates": 5}},
        "a gate that is a text": {"metrics": {"gates": ["skill"]}},
        "a curve of texts": {"calibration": {"x": ["1"], "y": ["2"]}},
        "a curve of nothing": {"calibration": {"x": [], "y": []}},
        "a curve of curves": {"risk_scale": {"x": [[1.0]], "y": [[2.0]]}},
        "an infinite curve": {"risk_scale": {"x": [float("inf")], "y": [1.0]}},
        "no kinds": {"kinds": {"names": [], "sha256": ""}},
        "kinds that are a text": {"kinds": "scalping"},
        "a time zone that is none": {"spec": manifest["spec"] | {"time_zone": "Nowhere/At_All"}},
        "a hash that is a list": {"spec_hash": []},
    }
    whole = {
        "deep nesting": "[" * 200_000,
        "a number of 5,000 digits": '{"protocol": ' + "9" * 5_000 + "}",
        "a number beyond float": json.dumps(manifest).replace("-5.0", "1" + "0" * 400),
        "a list": "[]",
        "nothing": "null",
    }
    path.write_text(whole[damage] if damage in whole else json.dumps(manifest | change[damage]))


DAMAGES = [
    "a feature's name is a number", "a lone surrogate", "an origin that is a list", "a count that is a text",
    "gates that are a number", "a gate that is a text", "a curve of texts", "a curve of nothing", "a curve of curves",
    "an infinite curve", "no kinds", "kinds that are a text", "a time zone that is none", "a hash that is a list",
    "deep nesting", "a number of 5,000 digits", "a number beyond float", "a list", "nothing",
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_manifest_is_a_broken_model_and_never_an_exception(served: Path, damage: str) -> None:
    damage_manifest(served, damage)

    decision = Scorer.open(served.parent).score({"order_id": "1", "placed_at": "2025-11-11 20:00", "amount_minor": 1})

    assert decision.code == DecisionCode.UNSCORED_BROKEN_MODEL
    assert [bool(each.fault) for each in list_models(served.parent)] == [True]
    with pytest.raises(ModelError, match="hint:"):
        load_model(served)


def ask_for(text: str, feature: int) -> str:
    """Let every split be on one feature, in a text that says it has so many."""
    text = re.sub(r"(?m)^max_feature_idx=.*$", f"max_feature_idx={feature}", text)
    return re.sub(
        r"(?m)^split_feature=(.*)$",
        lambda line: "split_feature=" + " ".join([str(feature)] * len(line[1].split())),
        text,
    )


@pytest.mark.parametrize("feature", [4, 2_000_000_000])
@pytest.mark.parametrize("file", ["model.txt", "kinds.txt"])
def test_trees_about_features_that_the_spec_has_not_are_refused(
    small_model: Model, tmp_path: Path, file: str, feature: int
) -> None:
    assert small_model.kinds is not None
    bad = (
        replace(small_model, booster_text=ask_for(small_model.booster_text, feature))
        if file == "model.txt"
        else replace(
            small_model, kinds=KindModel(ask_for(small_model.kinds.booster_text, feature), small_model.kinds.kinds)
        )
    )
    folder = save_model(bad, tmp_path, card="card")

    for read in (load_model, check_model, lambda folder: promote_model(folder.parent, folder.name)):
        with pytest.raises(ModelError, match=rf"{file} is about {feature + 1} features, its spec about 4"):
            read(folder)
    assert list_models(tmp_path)[0].fault


def test_trees_that_make_a_cycle_are_refused_with_hashes_made_again(small_model: Model, tmp_path: Path) -> None:
    cycle = re.sub(r"(?m)^left_child=\S+", "left_child=0", small_model.booster_text)
    folder = save_model(replace(small_model, booster_text=cycle), tmp_path, card="card")

    for read in (load_model, check_model, lambda folder: promote_model(folder.parent, folder.name)):
        with pytest.raises(ModelError, match=rf"model {folder.name}: tree 0: .*not one tree"):
            read(folder)


def test_kinds_that_nobody_knows_are_refused(small_model: Model, tmp_path: Path) -> None:
    assert small_model.kinds is not None
    kinds = replace(small_model.kinds, kinds=("scalping", "witchcraft"))
    folder = save_model(replace(small_model, kinds=kinds), tmp_path, card="card")

    with pytest.raises(ModelError, match="unknown kinds witchcraft"):
        load_model(folder)


def test_note_that_leads_outside_of_the_models_is_passed_over(served: Path) -> None:
    outside = served.parent.parent / "outside"
    shutil.copytree(served, outside)
    (served.parent / "promotions").mkdir()
    note = {"model_id": served.name, "previous": "../outside", "at": "", "why": ""}
    (served.parent / "promotions" / "000001.json").write_text(json.dumps(note))
    (served / "model.txt").write_text("")

    with pytest.raises(ModelError, match=served.name):
        load_serving_model(served.parent)


@pytest.mark.parametrize(("file", "n_flips"), [("model.txt", 2_000), ("kinds.txt", 100), ("manifest.json", 2_000)])
def test_flipped_bit_is_found_and_named_or_changes_nothing(
    small_model: Model, served: Path, file: str, n_flips: int
) -> None:
    whole = (served / file).read_bytes()
    found = []

    for bit in np.random.default_rng(7).integers(0, 8 * len(whole), n_flips).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (served / file).write_bytes(bytes(flipped))
        try:
            assert load_model(served).build_manifest() == small_model.build_manifest(), bit
        except ModelError as error:
            found.append(error.message)

    assert all(served.name in message for message in found)
    assert len(found) > 0.9 * n_flips if file.endswith("txt") else len(found) > 0.5 * n_flips


def test_flipped_bit_under_new_hashes_is_refused_or_scores_as_it_reads(small_model: Model) -> None:
    whole = small_model.booster_text.split("end of trees", maxsplit=1)[0].encode()
    rows = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    rng = np.random.default_rng(7)
    n_refused = 0

    for bit in rng.integers(0, 8 * len(whole), 400).tolist():
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            raw = ForestPredictor(flipped.decode(errors="replace") + "end of trees\n").predict_raw(rows)
        except ModelError:
            n_refused += 1
            continue
        assert np.isfinite(raw).all(), bit

    assert n_refused > 50
