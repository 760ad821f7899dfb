"""Which model serves, and which served before it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ordervet.errors import ModelError
from ordervet.model import (
    find_serving_model,
    list_models,
    list_promotions,
    load_serving_model,
    load_starter,
    promote_model,
    prune_models,
    rollback_model,
    save_model,
)
from ordervet.model.registry import find_previous, read_live_id
from ordervet.model.starter import serves_starter

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model


@pytest.fixture
def models(model: Model, tmp_path: Path) -> Path:
    """Three models, of which the last serves: 0, then 1, then 2."""
    for model_id in save_several(model, tmp_path, 3):
        promote_model(tmp_path, model_id)
    return tmp_path


def save_several(model: Model, models: Path, n: int) -> list[str]:
    return [save_model(replace(model, origin=model.origin | {"n": at}), models, card="card").name for at in range(n)]


def served(models: Path) -> list[str]:
    """Ids in the order of their promotion."""
    notes = list_promotions(models)
    return [str(notes[0].previous), *(note.model_id for note in notes)]


def damage(folder: Path) -> None:
    (folder / "model.txt").write_text((folder / "model.txt").read_text()[:500])


def test_rollback_goes_back_one_promotion_at_a_time(models: Path) -> None:
    first, second, third = served(models)

    went = [read_live_id(models), rollback_model(models), rollback_model(models)]

    assert went == [third, second, first]
    assert read_live_id(models) == first


def test_rollback_from_the_first_model_goes_back_to_the_starter_and_no_further(models: Path) -> None:
    rollback_model(models)
    rollback_model(models)

    starter = rollback_model(models)

    assert starter == load_starter().model_id == read_live_id(models)
    assert load_serving_model(models)[0].model_id == starter
    with pytest.raises(ModelError, match="no model served"):
        rollback_model(models)
    assert read_live_id(models) == starter


def test_starter_serves_and_is_listed_until_a_model_is_promoted(tmp_path: Path, model: Model) -> None:
    assert serves_starter(tmp_path)
    assert not serves_starter(tmp_path / "none")
    before = list_models(tmp_path)
    own = save_model(model, tmp_path, card="card").name
    promote_model(tmp_path, own)

    assert [(each.model_id, each.is_live) for each in before] == [(load_starter().model_id, True)]
    assert [(each.model_id, each.is_live) for each in list_models(tmp_path)] == [(own, True)]
    assert find_serving_model(tmp_path) == tmp_path / own


def test_starter_is_promoted_by_its_name(models: Path) -> None:
    third = served(models)[-1]

    promote_model(models, "starter")

    assert read_live_id(models) == load_starter().model_id
    assert find_previous(models) == third


def test_rollback_after_a_new_promotion_goes_back_to_what_that_replaced(models: Path) -> None:
    first, second, third = served(models)
    rollback_model(models)
    rollback_model(models)
    promote_model(models, third)

    assert rollback_model(models) == first
    assert second != first


def test_promoting_what_serves_changes_nothing(models: Path) -> None:
    before = list_promotions(models)

    promote_model(models, served(models)[-1])

    assert list_promotions(models) == before


def test_note_of_a_promotion_that_never_happened_is_passed_over(
    models: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second, third = served(models)
    other = save_model(replace(model, origin=model.origin | {"n": 9}), models, card="card").name

    def die(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ordervet.model.registry.swap_live_pointer", die)
        with pytest.raises(OSError, match="No space left"):
            promote_model(models, other)

    assert read_live_id(models) == third
    assert find_previous(models) == second


def test_damaged_model_is_not_promoted_and_what_serves_stays(models: Path) -> None:
    first, _, third = served(models)
    damage(models / first)

    with pytest.raises(ModelError, match="model_sha256"):
        promote_model(models, first)
    assert read_live_id(models) == third


def test_model_in_the_folder_of_another_is_refused(models: Path) -> None:
    first, _, third = served(models)
    shutil.rmtree(models / first)
    shutil.copytree(models / third, models / first)

    with pytest.raises(ModelError, match=f"holds the model {third}"):
        promote_model(models, first)


def test_damaged_live_model_gives_way_to_the_one_before_it(models: Path) -> None:
    _, second, third = served(models)
    damage(models / third)

    model, faults = load_serving_model(models)

    assert model.model_id == second
    assert len(faults) == 1
    assert third in faults[0]


def test_nothing_serves_when_every_model_is_damaged(models: Path) -> None:
    for model_id in served(models):
        damage(models / model_id)

    with pytest.raises(ModelError, match=served(models)[-1]):
        load_serving_model(models)


def test_listing_tells_the_live_one_and_the_damaged(models: Path) -> None:
    first, _, third = served(models)
    damage(models / first)

    listed = {each.model_id: each for each in list_models(models)}

    assert [name for name, each in listed.items() if each.is_live] == [third]
    assert [name for name, each in listed.items() if each.fault] == [first]
    assert listed[third].metrics["n_orders"] > 0


def test_model_that_is_being_written_is_not_listed(models: Path) -> None:
    known = served(models)
    half = models / ".staging-half"
    half.mkdir()
    shutil.copy2(models / known[0] / "manifest.json", half)

    assert {each.model_id for each in list_models(models)} == set(known)


def test_pruning_keeps_the_newest_the_live_one_and_its_predecessor(models: Path, model: Model) -> None:
    first, second, third = served(models)
    newest = save_model(replace(model, origin=model.origin | {"n": 8}), models, card="card").name
    (models / ".staging-dead").mkdir()

    removed = prune_models(models, keep=1)

    assert removed == [first]
    assert {each.model_id for each in list_models(models)} == {second, third, newest}
    assert not (models / ".staging-dead").exists()


def test_saving_over_a_damaged_folder_mends_it(models: Path, model: Model) -> None:
    first = served(models)[0]
    damage(models / first)

    save_model(replace(model, origin=model.origin | {"n": 0}), models, card="card")

    assert [each.model_id for each in list_models(models) if each.fault] == []


@pytest.mark.parametrize("model_id", ["m-none", "../elsewhere", "", "promotions"])
def test_unknown_model_is_not_promoted(models: Path, model_id: str) -> None:
    with pytest.raises(ModelError, match="there is no model"):
        promote_model(models, model_id)
