"""Vet every order before it ships: score e-commerce orders for malice, say why, and name the support script to use.

>>> from ordervet import Order, Scorer
>>> scorer = Scorer.open()
>>> decision = scorer.score(Order(order_id="T1", placed_at="2025-11-11 20:03:07", amount_minor=12_900))
>>> str(decision.action)
'pass'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily

if TYPE_CHECKING:
    from ordervet.contract import (
        Correction,
        Events,
        Order,
        Outcome,
        Verdict,
        read_events,
        split_orders,
        validate_orders,
    )
    from ordervet.errors import OrdervetError
    from ordervet.policy import Action, Decision, DecisionCode
    from ordervet.score import Scorer
    from ordervet.serve import AsyncRemoteScorer, RemoteScorer

__all__ = [
    "Action",
    "AsyncRemoteScorer",
    "Correction",
    "Decision",
    "DecisionCode",
    "Events",
    "Order",
    "OrdervetError",
    "Outcome",
    "RemoteScorer",
    "Scorer",
    "Verdict",
    "read_events",
    "split_orders",
    "validate_orders",
]

_find = export_lazily(
    __name__,
    {
        "contract": "Correction Events Order Outcome Verdict read_events split_orders validate_orders",
        "errors": "OrdervetError",
        "policy": "Action Decision DecisionCode",
        "score": "Scorer",
        "serve": "AsyncRemoteScorer RemoteScorer",
    },
)


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: `import ordervet` alone stays quick."""
    if name == "__version__":
        return import_module("importlib.metadata").version("ordervet")
    return _find(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
