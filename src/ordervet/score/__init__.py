"""Scoring: one order as it arrives, or a table of them."""

from ordervet.score.batch import score_batch
from ordervet.score.opening import find_bundled_models
from ordervet.score.scored_orders import DECISION_SCHEMA, ScoredOrders
from ordervet.score.scorer import Scorer

__all__ = ["DECISION_SCHEMA", "ScoredOrders", "Scorer", "find_bundled_models", "score_batch"]
