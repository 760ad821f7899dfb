"""What a scorer is opened with: the live model of a folder, and past events from wherever they are."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.contract import Events, read_events
from ordervet.entities.keys import EPHEMERAL
from ordervet.errors import ModelError
from ordervet.model import find_live_model, load_serving_forest
from ordervet.policy import DecisionCode
from ordervet.score.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.entities import Key, KeyedEvents
    from ordervet.features import FeatureSpec
    from ordervet.history import History
    from ordervet.history.journal import Durability
    from ordervet.model import ForestPredictor, Model

    #: Where past events are: in memory, in a folder, or in files.
    Past = Events | str | Path | Sequence[str | Path]

_log = logging.getLogger("ordervet")

_FILE_STEMS = ("orders", "outcomes", "verdicts", "corrections")


def find_bundled_models() -> Path:
    """Find the models that come with the package: inside it when installed, beside the sources in a checkout."""
    inside = Path(__file__).resolve().parents[1] / "bundled_models"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "models"


def warn_of_other_key(model: Model | None, key: Key) -> None:
    """Say in the log that a model was learned under another key than the one in use.

    Features are counts, so that its scores are the same under any key; a history of another key is an error.

    Parameters
    ----------
    model : that serves; None where there is none
    key : that ids are made with
    """
    learned_under = model.origin.get("key_id", EPHEMERAL) if model else EPHEMERAL
    if model and learned_under not in (EPHEMERAL, key.key_id) and not key.is_ephemeral:
        _log.warning(
            "model %s was learned under key %s, key %s is in use: no score changes, but no id of its time is met again",
            model.model_id, learned_under, key.key_id,
        )  # fmt: skip


def list_event_files(history: str | Path | Sequence[str | Path]) -> list[Path]:
    """List files; of a folder, those named after a kind of event (orders.csv, outcomes-november.parquet)."""
    if not isinstance(history, (str, Path)):
        return [Path(path) for path in history]
    folder = Path(history)
    return sorted(p for p in folder.iterdir() if p.name.startswith(_FILE_STEMS)) if folder.is_dir() else [folder]


def load_live(models: Path) -> tuple[Model | None, ForestPredictor | None, DecisionCode]:
    """Load the model that serves; without one, the code that says why every order passes."""
    try:
        find_live_model(models)
    except ModelError as error:
        _log.warning("no model: %s", error.message)
        return None, None, DecisionCode.UNSCORED_NO_MODEL
    try:
        model, predictor, faults = load_serving_forest(models)
    except ModelError as error:
        _log.error("broken model: %s", error.message)
        return None, None, DecisionCode.UNSCORED_BROKEN_MODEL
    for fault in faults:
        _log.error("broken model: %s; an earlier one serves", fault)
    return model, predictor, DecisionCode.SCORED


def open_memory(
    history: Past | None,
    key: Key,
    spec: FeatureSpec | None,
    *,
    is_read_only: bool,
    n_jobs: int,
    durability: Durability,
) -> Memory:
    """Open what a scorer remembers.

    Parameters
    ----------
    history : the folder of a history store; past events, files or a folder of files; None for nothing
    key : the identifier key
    spec : the features; None where there is no model
    is_read_only : a store is read and not added to
    n_jobs, durability : as for `Scorer.open`

    Raises
    ------
    OSError, ContractError, HistoryError, KeyMismatchError
        The past cannot be read, or the store cannot be written.
    """
    store = find_store(history, key)
    if store is not None and not is_read_only:
        from ordervet.score.live import LiveMemory

        return LiveMemory(store, key, spec, n_jobs=n_jobs, durability=durability)
    memory = Memory(key, spec, n_jobs=n_jobs)
    memory.history_version = store.version if store is not None else None
    if history is not None and spec is not None:
        memory.take_past(_read_past(history) if store is None else store.read())
    return memory


def find_store(history: Past | None, key: Key) -> History | None:
    """Open the history store in a folder, if that is what is given; None where it is anything else.

    Raises
    ------
    HistoryError, KeyMismatchError
        As for `History.open`.
    """
    if not isinstance(history, (str, Path)):
        return None
    from ordervet.history import History, is_history

    return History.open(history, key) if is_history(history) else None


def _read_past(history: Past) -> Events | KeyedEvents:
    return history if isinstance(history, Events) else read_events(list_event_files(history))[0]
