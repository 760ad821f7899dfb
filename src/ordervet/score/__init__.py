"""Scoring: one order as it arrives, or a table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.score.batch import score_batch
    from ordervet.score.open_scorer import find_bundled_models
    from ordervet.score.scored_orders import DECISION_SCHEMA, ScoredOrders
    from ordervet.score.scorer import Scorer

__all__ = ["DECISION_SCHEMA", "ScoredOrders", "Scorer", "find_bundled_models", "score_batch"]

__getattr__ = export_lazily(
    __name__,
    {
        "batch": "score_batch",
        "open_scorer": "find_bundled_models",
        "scored_orders": "DECISION_SCHEMA ScoredOrders",
        "scorer": "Scorer",
    },
)
