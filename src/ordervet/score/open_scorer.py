"""Opening a scorer: the live model of a folder, and past events from wherever they are."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.entities.keys import EPHEMERAL
from ordervet.errors import HistoryError, ModelError
from ordervet.model import find_bundled_models as find_bundled_models  # noqa: PLC0414 - found here, too
from ordervet.model import find_serving_model, load_serving_forest
from ordervet.policy import DecisionCode
from ordervet.score.online_state import OnlineState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordervet.contract import Events
    from ordervet.entities import Key, KeyedEvents
    from ordervet.features import FeatureSpec
    from ordervet.history import History
    from ordervet.history.journal import Durability
    from ordervet.model import ForestPredictor, Model

    #: Past events in memory, in a folder, or in files.
    Past = Events | str | Path | Sequence[str | Path]

_log = logging.getLogger("ordervet")


def warn_of_other_key(model: Model | None, key: Key) -> None:
    """Log a warning if a model was trained under another key than the one in use.

    Features are counts, so scores are the same under any key; a history with another key is an error.

    Parameters
    ----------
    model : the live model; None if there is none
    key : the key of the ids
    """
    trained_under = model.origin.get("key_id", EPHEMERAL) if model else EPHEMERAL
    if model and trained_under not in (EPHEMERAL, key.key_id) and not key.is_ephemeral:
        _log.warning(
            "model %s was trained under key %s, key %s is in use: no score changes, but no id of its training recurs",
            model.model_id, trained_under, key.key_id,
        )  # fmt: skip


def load_live(models: Path) -> tuple[Model | None, ForestPredictor | None, DecisionCode]:
    """Load what serves: the live model, or the starter before the first promotion.

    Without either, return the code that says why every order passes.
    """
    try:
        serving = find_serving_model(models)
    except ModelError as error:
        _log.warning("no model: %s", error.message)
        return None, None, DecisionCode.UNSCORED_NO_MODEL
    try:
        model, predictor, faults = load_serving_forest(serving.parent)
    except ModelError as error:
        _log.error("broken model: %s", error.message)
        return None, None, DecisionCode.UNSCORED_BROKEN_MODEL
    for fault in faults:
        _log.error("broken model: %s; an earlier one serves", fault)
    return model, predictor, DecisionCode.SCORED


def open_state(
    history: Past | None,
    key: Key,
    spec: FeatureSpec | None,
    *,
    is_read_only: bool,
    n_jobs: int,
    durability: Durability,
    clock: Callable[[], int],
) -> OnlineState:
    """Open the state of a scorer.

    Parameters
    ----------
    history : the folder of a history store; past events, files or a folder of files; None for no past
    key : the identifier key
    spec : the features; None without a model
    is_read_only : only read the store
    n_jobs, durability, clock : as for `Scorer.open`

    Raises
    ------
    OSError, ContractError, HistoryError, KeyMismatchError
        The past cannot be read, or the store cannot be written.
    """
    store = find_store(history, key)
    if store is not None and not is_read_only:
        from ordervet.score.durable_state import DurableState

        return DurableState(store, key, spec, n_jobs=n_jobs, durability=durability, clock=clock)
    state = OnlineState(key, spec, n_jobs=n_jobs, store=store, clock=clock)
    if store is None and history is not None and spec is not None:
        state.add_past(_read_past(history, key))
    return state


def check_past(history: Past | None) -> None:
    """Check that a past is there at all.

    Raises
    ------
    HistoryError
        A file or folder does not exist, or a folder has neither a history store nor event files.
    """
    if history is None:
        return
    from ordervet.contract import Events

    if isinstance(history, Events):
        return
    from ordervet.contract.files.reader import list_event_files
    from ordervet.history import is_history

    for path in map(Path, [history] if isinstance(history, (str, Path)) else history):
        if path.exists() and (not path.is_dir() or is_history(path) or list_event_files(path)):
            continue
        raise build_missing_history(path)


def build_missing_history(path: Path) -> HistoryError:
    """Build the error about a folder that holds no history."""
    return HistoryError(
        f"the folder {path} holds no history" if path.exists() else f"there is no history {path}",
        hint="create one: ordervet ingest FILE... --history DIR; an empty one: Scorer.open(create=True), "
        "ordervet serve --create",
    )


def create_history(history: Past | None, key: Key) -> None:
    """Create an empty history in a folder that has none; say so, as its name may be mistyped.

    Raises
    ------
    HistoryError
        It is no folder, holds other files, or cannot be written.
    KeyMismatchError
        The key lives only as long as this process.
    """
    from ordervet.history import History, is_history

    if not isinstance(history, (str, Path)):
        raise HistoryError("only a folder can become a history", hint='Scorer.open(history="history", create=True)')
    if not is_history(history):
        History.open(history, key, create=True)
        _log.warning("there was no history in %s: an empty one was created", history)


def find_store(history: Past | None, key: Key) -> History | None:
    """Open the history store in a folder; None if the past is anything else.

    Raises
    ------
    HistoryError, KeyMismatchError
        As for `History.open`.
    """
    if not isinstance(history, (str, Path)):
        return None
    from ordervet.history import History, is_history

    return History.open(history, key) if is_history(history) else None


def _read_past(history: Past, key: Key) -> Events | KeyedEvents:
    from ordervet.contract import Events
    from ordervet.contract.files.reader import FileReader, list_event_files
    from ordervet.history.ingest import settle_files

    if isinstance(history, Events):
        return history
    pieces = FileReader().iter_files(list_event_files(history))
    return settle_files((piece.events for piece in pieces), key, are_orders_needed=True)[0]
