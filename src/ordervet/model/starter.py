"""The bundled starter: the first champion of every folder of models, until one of the merchant's own beats it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ordervet.errors import ModelError
from ordervet.model.artefact import find_live_model, find_model, hold_models_lock, load_model
from ordervet.model.calibration import Curve, fit_risk_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ordervet.model.artefact import Model

#: What `models` commands call it, whatever its id.
STARTER = "starter"
#: Share of a merchant's quiet orders that the starter may alert at the policy's bands before a label says otherwise:
#: malice is 0.2 to 7 % of orders, so more than this are not.
MOST_ALERTS = 0.08
_MOST_SHIFT, _N_HALVINGS = 40.0, 40
#: In the origin of a model that ranks as the starter does: the starter's id.
_RANKS_AS = "starter_id"


def find_bundled_models() -> Path:
    """Return the folder of the bundled models: inside the package when installed, beside the sources in a checkout."""
    inside = Path(__file__).resolve().parents[1] / "bundled_models"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[3] / "models"


def find_starter() -> Path:
    """Find the folder of the starter.

    Raises
    ------
    ModelError
        The installation lacks it.
    """
    return find_live_model(find_bundled_models())


@cache
def load_starter() -> Model:
    """Load the starter, once a process.

    Raises
    ------
    ModelError
        The installation lacks it, or it is damaged.
    """
    return load_model(find_starter())


def find_serving_model(models: Path | None) -> Path:
    """Find the folder of what serves: the live model, or the starter where nothing was promoted yet.

    Parameters
    ----------
    models : a folder of models; None is the bundled one

    Raises
    ------
    ModelError
        There is no such folder, or its pointer is damaged.
    """
    if models is None or serves_starter(models):
        return find_starter()
    return find_live_model(models)


def serves_starter(models: Path) -> bool:
    """Return whether a folder is there and nothing in it was promoted yet."""
    return models.is_dir() and not (models / "live").exists()


def ranks_as_starter(model: Model) -> bool:
    """Return whether a model is the starter, or the starter with a scale of the merchant's own."""
    return model.origin.get(_RANKS_AS) is not None or model.model_id == load_starter().model_id


def scale_starter(raw: NDArray[np.float64], *, as_of: str, shift: float = 0.0) -> Model:
    """Build the starter with the risk score of a merchant's own quiet days; no label is needed.

    Parameters
    ----------
    raw : shape (n,), the starter's raw scores of orders of quiet days, at least one
    as_of : the cut-off, ISO 8601
    shift : log-odds by which a score must be higher for the same probability, at least 0; see `find_shift`
    """
    starter = load_starter()
    calibration = Curve(starter.calibration.x + shift, starter.calibration.y)
    origin = starter.origin | {_RANKS_AS: starter.model_id, "rescaled_as_of": as_of, "shift": shift}
    return replace(starter, calibration=calibration, risk_scale=fit_risk_scale(raw), origin=origin)


def find_shift(measure_alert_rate: Callable[[float], float], most: float = MOST_ALERTS) -> float:
    """Find the smallest shift of log-odds by which no more than a share of the orders are alerted.

    A merchant whose orders merely look unlike those that a model was made from, such as by columns that are missing,
    would else have a tenth of them held. A shift of log-odds is what another share of malice does to probabilities.

    Parameters
    ----------
    measure_alert_rate : from a shift to the share of orders that would be alerted, never rising
    most : the share

    References
    ----------
    Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities", 2002.
    """
    low, high = 0.0, _MOST_SHIFT
    if measure_alert_rate(low) <= most:
        return low
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if measure_alert_rate(middle) <= most else (middle, high)
    return high


def adopt_starter(models: Path) -> str:
    """Copy the starter into a folder of models, so that it can be pointed at, and return its id."""
    source = find_starter()
    folder = models / source.name
    models.mkdir(parents=True, exist_ok=True)
    with hold_models_lock(models):
        if not folder.exists():
            staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=models))
            try:
                shutil.copytree(source, staging, dirs_exist_ok=True)
                staging.chmod(0o755)
                staging.replace(folder)
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
    try:
        load_model(folder)
    except ModelError:
        shutil.rmtree(folder)
        raise
    return source.name


def find_listed_model(models: Path, model_id: str) -> Path:
    """Find the folder of a model by its id, or of the starter, by its id or as ``starter``.

    Raises
    ------
    ModelError
        There is none of this id.
    """
    if model_id == STARTER:
        return find_starter()
    if model_id == find_starter().name and not (models / model_id).exists():
        return find_starter()
    return find_model(models, model_id)
