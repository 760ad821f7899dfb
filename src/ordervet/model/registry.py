"""The models of a folder: which serves, which served before, which are whole; promotion, rollback, pruning.

models/
├── live                  one line: the id of the model that serves, swapped by one rename
├── promotions/000007.json  what was promoted, in place of what; written before the pointer is swapped
└── <model id>/           see `artefact.py`

A promotion whose process died between the note and the swap leaves a note about a model that does not serve: notes are
only ever read backwards from the model that does.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet import storage
from ordervet.errors import ModelError
from ordervet.model.artefact import (
    LIST_HINT,
    MODEL_ID,
    find_live_model,
    hold_models_lock,
    load_model,
    remove_leftovers,
    swap_live_pointer,
)
from ordervet.model.predictor import ForestPredictor
from ordervet.model.starter import adopt_starter, find_listed_model, find_starter, serves_starter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ordervet.model.artefact import Model

PROMOTIONS = "promotions"


@dataclass(frozen=True, slots=True)
class Listed:
    """One model of a folder.

    Parameters
    ----------
    model_id : name of its folder
    is_live : it serves
    fault : why it cannot be loaded; empty when it is whole
    origin, metrics : of its manifest; empty when it cannot be loaded
    """

    model_id: str
    is_live: bool
    fault: str
    origin: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Promotion:
    """A note about one promotion or rollback.

    Parameters
    ----------
    number : of the note, ascending
    model_id : what was to serve from then on
    previous : what `rollback` goes back to from there; None for the first
    at : when, UTC
    why : in words
    """

    number: int
    model_id: str
    previous: str | None
    at: str
    why: str


def list_models(models: Path) -> list[Listed]:
    """List the models of a folder by id, and the starter while it serves; each is loaded, its hashes are checked."""
    live = read_live_id(models)
    listed = [_describe(models / name, is_live=name == live) for name in _list_ids(models)]
    return [*listed, _describe(find_starter(), is_live=True)] if serves_starter(models) else listed


def read_live_id(models: Path) -> str | None:
    """Read the id of the model that serves; None where there is none."""
    try:
        return find_live_model(models).name
    except ModelError:
        return None


def check_model(folder: Path) -> Model:
    """Load a model, and let it score: what passes can serve.

    Raises
    ------
    ModelError
        It is missing, damaged, in the folder of another model, or its forest gives no finite score.
    """
    return _try_model(folder)[0]


def _try_model(folder: Path) -> tuple[Model, ForestPredictor]:
    model = load_model(folder)
    if model.model_id != folder.name:
        raise ModelError(
            f"the folder {folder.name} holds the model {model.model_id}", hint="copy model folders under their names"
        )
    features = np.full((1, len(model.spec.names)), np.nan, np.float32)
    predictor = ForestPredictor(model.booster_text)
    raw = predictor.predict_raw(features)
    if not np.isfinite(raw).all():
        raise ModelError(f"model {folder.name}: its forest gives no finite score", hint=LIST_HINT)
    return model, predictor


def promote_model(models: Path, model_id: str, *, why: str = "promoted by hand") -> None:
    """Make a model the one that serves, by one atomic rename; it is loaded and tried first.

    Parameters
    ----------
    models : the folder of models
    model_id : of a model in it, or of the starter (``starter``), which is copied into it
    why : goes into the note

    Raises
    ------
    ModelError
        There is no such model, or it cannot serve; what serves stays.
    """
    folder = find_listed_model(models, model_id)
    check_model(folder)
    model_id = folder.name
    if folder.parent != models:
        adopt_starter(models)
    with hold_models_lock(models):
        live = read_live_id(models)
        if live != model_id:
            if live:
                _write_note(models, model_id, previous=live, why=why)
            swap_live_pointer(models, model_id)


def rollback_model(models: Path, *, why: str = "rolled back by hand") -> str:
    """Let the model serve again that served before; again and again, one promotion further back, last the starter.

    Returns
    -------
    the id of the model that serves now

    Raises
    ------
    ModelError
        Nothing served before, or it cannot serve any more; what serves stays.
    """
    previous = find_previous(models)
    if previous is None and read_live_id(models) not in (None, find_starter().name):
        previous = adopt_starter(models)
    if previous is None:
        raise ModelError(f"no model served in {models} before this one", hint=LIST_HINT)
    check_model(models / previous)
    with hold_models_lock(models):
        _write_note(models, previous, previous=_previous_of(models, previous), why=why)
        swap_live_pointer(models, previous)
    return previous


def find_previous(models: Path) -> str | None:
    """Find what served before the model that serves; None when nothing is noted: then it was the starter."""
    live = read_live_id(models)
    return _previous_of(models, live) if live else None


def load_serving_model(models: Path) -> tuple[Model, list[str]]:
    """Load the model that serves, or, where it is damaged, the newest whole one that served before it.

    Returns
    -------
    the model, and what was wrong with those that should have served instead

    Raises
    ------
    ModelError
        None of them can serve.
    """
    model, _, faults = load_serving_forest(models)
    return model, faults


def load_serving_forest(models: Path) -> tuple[Model, ForestPredictor, list[str]]:
    """Load what `load_serving_model` does, with the compiled forest that it was tried with."""
    faults: list[str] = []
    name: str | None = find_live_model(models).name
    seen: set[str] = set()
    first: ModelError | None = None
    while name and name not in seen:
        seen.add(name)
        try:
            return *_try_model(models / name), faults
        except ModelError as error:
            first = first or error
            faults.append(error.message)
        name = _previous_of(models, name)
    raise first or ModelError(f"no live model in {models}", hint=LIST_HINT)


def prune_models(models: Path, *, keep: int) -> list[str]:
    """Remove all but the newest models, and what dead processes left behind.

    What serves, and what `rollback` would go back to, stays in any case.

    Parameters
    ----------
    models : the folder of models
    keep : how many of the newest to keep, by when their folder was written

    Returns
    -------
    ids of the removed models
    """
    with hold_models_lock(models):
        kept = {read_live_id(models), find_previous(models)}
        by_age = sorted(_list_ids(models), key=lambda name: (models / name).stat().st_mtime_ns, reverse=True)
        removed = [name for name in by_age[keep:] if name not in kept]
        for name in removed:
            trash = models / f".trash-{name}"
            (models / name).replace(trash)
            shutil.rmtree(trash)
        remove_leftovers(models)
    return removed


def list_promotions(models: Path) -> list[Promotion]:
    """List the notes about promotions and rollbacks, the oldest first."""
    return list(_read_notes(models))


def _list_ids(models: Path) -> list[str]:
    if not models.is_dir():
        return []
    # NOTE: hidden ones are being written, or were when their process died.
    shown = (path for path in models.iterdir() if not path.name.startswith("."))
    return sorted(path.name for path in shown if (path / "manifest.json").is_file())


def _describe(folder: Path, *, is_live: bool) -> Listed:
    try:
        model = check_model(folder)
    except ModelError as error:
        return Listed(folder.name, is_live, error.message, {}, {})
    return Listed(folder.name, is_live, "", model.origin, model.metrics)


def _previous_of(models: Path, model_id: str) -> str | None:
    notes = [note for note in _read_notes(models) if note.model_id == model_id]
    return notes[-1].previous if notes else None


def _read_notes(models: Path) -> Iterator[Promotion]:
    folder = models / PROMOTIONS
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            promotion = Promotion(int(path.stem), note["model_id"], note["previous"], note["at"], note["why"])
            if all(MODEL_ID.fullmatch(name) for name in (promotion.model_id, promotion.previous) if name is not None):
                yield promotion
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # NOTE: a note that cannot be read takes one way back, and never the model that serves.


def _write_note(models: Path, model_id: str, *, previous: str | None, why: str) -> None:
    folder = models / PROMOTIONS
    folder.mkdir(exist_ok=True)
    number = max((int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit()), default=0) + 1
    at = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"model_id": model_id, "previous": previous, "at": at, "why": why}
    storage.write_text(folder / f"{number:06d}.json", json.dumps(note, ensure_ascii=False) + "\n")
