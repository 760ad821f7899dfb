"""Scoring: one order as it arrives, or a table of them."""

from ordervet.score.batch import DECISION_SCHEMA, ScoredOrders, score_batch
from ordervet.score.scorer import Scorer, find_bundled_models, list_event_files

__all__ = ["DECISION_SCHEMA", "ScoredOrders", "Scorer", "find_bundled_models", "list_event_files", "score_batch"]
