"""How risky: fit, calibration, scores, contributions, and the artefact on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.model.artefact import Model, find_live_model, find_model, load_model, save_model
    from ordervet.model.calibration import Curve, fit_calibration, fit_risk_scale
    from ordervet.model.fit import TrainingSet, fit_model
    from ordervet.model.predictor import ForestPredictor, Predictor
    from ordervet.model.registry import (
        Listed,
        Promotion,
        check_model,
        list_models,
        list_promotions,
        load_serving_forest,
        load_serving_model,
        promote_model,
        prune_models,
        rollback_model,
    )
    from ordervet.model.settings import FitSettings
    from ordervet.model.starter import find_bundled_models, find_serving_model, load_starter

__all__ = [
    "Curve",
    "FitSettings",
    "ForestPredictor",
    "Listed",
    "Model",
    "Predictor",
    "Promotion",
    "TrainingSet",
    "check_model",
    "find_bundled_models",
    "find_live_model",
    "find_model",
    "find_serving_model",
    "fit_calibration",
    "fit_model",
    "fit_risk_scale",
    "list_models",
    "list_promotions",
    "load_model",
    "load_serving_forest",
    "load_serving_model",
    "load_starter",
    "promote_model",
    "prune_models",
    "rollback_model",
    "save_model",
]

__getattr__ = export_lazily(
    __name__,
    {
        "artefact": "Model find_live_model find_model load_model save_model",
        "calibration": "Curve fit_calibration fit_risk_scale",
        "fit": "TrainingSet fit_model",
        "predictor": "ForestPredictor Predictor",
        "registry": (
            "Listed Promotion check_model list_models list_promotions load_serving_forest load_serving_model "
            "promote_model prune_models rollback_model"
        ),
        "settings": "FitSettings",
        "starter": "find_bundled_models find_serving_model load_starter",
    },
)
