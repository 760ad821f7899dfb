"""How risky: fit, calibration, scores, contributions, and the artefact on disk."""

from ordervet.model.artefact import Model, find_live_model, load_model, promote_model, save_model
from ordervet.model.calibration import Curve, fit_calibration, fit_risk_scale
from ordervet.model.fit import TrainingSet, fit_model
from ordervet.model.forest_predict import ForestPredictor
from ordervet.model.metrics import measure_at_rate, measure_daily_precision, measure_ranking
from ordervet.model.predict import Predictor
from ordervet.model.settings import FitSettings

__all__ = [
    "Curve",
    "FitSettings",
    "ForestPredictor",
    "Model",
    "Predictor",
    "TrainingSet",
    "find_live_model",
    "fit_calibration",
    "fit_model",
    "fit_risk_scale",
    "load_model",
    "measure_at_rate",
    "measure_daily_precision",
    "measure_ranking",
    "promote_model",
    "save_model",
]
