"""What was knowable at the time of the order: aggregations as data, and the engine that keeps them."""

from ordervet.features.defaults import build_spec
from ordervet.features.engine import FeatureEngine
from ordervet.features.events import LaterEvents, OrderEvents, build_later_events, build_order_events
from ordervet.features.spec import FeatureSpec, expand_names, parse_name

__all__ = [
    "FeatureEngine",
    "FeatureSpec",
    "LaterEvents",
    "OrderEvents",
    "build_later_events",
    "build_order_events",
    "build_spec",
    "expand_names",
    "parse_name",
]
