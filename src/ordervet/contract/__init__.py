"""What an order is, and how tables, files and exports become orders, outcomes, verdicts and corrections."""

from ordervet.contract.events import (
    RESERVED_NAMES,
    Blame,
    Correction,
    Decider,
    Event,
    MaliceKind,
    Order,
    Outcome,
    OutcomeKind,
    RefundType,
    Verdict,
    VerdictValue,
)
from ordervet.contract.intake import to_arrow
from ordervet.contract.schemas import EventKind, Events, event_schema, order_schema
from ordervet.contract.tables import split_events, split_orders, validate_events, validate_orders
from ordervet.contract.values import parse_instant, parse_money

__all__ = [
    "RESERVED_NAMES",
    "Blame",
    "Correction",
    "Decider",
    "Event",
    "EventKind",
    "Events",
    "MaliceKind",
    "Order",
    "Outcome",
    "OutcomeKind",
    "RefundType",
    "Verdict",
    "VerdictValue",
    "event_schema",
    "order_schema",
    "parse_instant",
    "parse_money",
    "split_events",
    "split_orders",
    "to_arrow",
    "validate_events",
    "validate_orders",
]
