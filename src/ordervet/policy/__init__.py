"""What to do about an order, why, and what to say: bands, actions, reason codes, support scripts."""

from ordervet.policy.codes import ACTIONS, BANDS, Action, Band, DecisionCode, Lang, Stage
from ordervet.policy.decided import Decided, decide
from ordervet.policy.decision import Decision
from ordervet.policy.policy import Policy, load_policy, parse_policy
from ordervet.policy.reasons import Reason, assign_reasons, find_spec, own_history_log_odds
from ordervet.policy.registry import ReasonSpec, load_registry

__all__ = [
    "ACTIONS",
    "BANDS",
    "Action",
    "Band",
    "Decided",
    "Decision",
    "DecisionCode",
    "Lang",
    "Policy",
    "Reason",
    "ReasonSpec",
    "Stage",
    "assign_reasons",
    "decide",
    "find_spec",
    "load_policy",
    "load_registry",
    "own_history_log_odds",
    "parse_policy",
]
