"""What to do about an order, why, and what to say: bands, actions, reason codes, support scripts."""

from ordervet.policy.codes import ACTIONS, BANDS, Action, Band, DecisionCode, Lang, Stage
from ordervet.policy.decided import Decided, decide
from ordervet.policy.decision import Decision
from ordervet.policy.lint import KIND_STAGES, Finding, lint_scripts, lint_text
from ordervet.policy.missing import explain_missing, list_missing
from ordervet.policy.policy import HUMAN_KINDS, Policy, load_policy, parse_policy
from ordervet.policy.reasons import Reason, assign_reasons, find_spec, own_history_log_odds, word_reason
from ordervet.policy.registry import ReasonSpec, load_registry
from ordervet.policy.script_files import Script
from ordervet.policy.scripts import RenderedScript, load_scripts, render, script_for, script_for_reasons
from ordervet.policy.slots import SLOTS

__all__ = [
    "ACTIONS",
    "BANDS",
    "HUMAN_KINDS",
    "KIND_STAGES",
    "SLOTS",
    "Action",
    "Band",
    "Decided",
    "Decision",
    "DecisionCode",
    "Finding",
    "Lang",
    "Policy",
    "Reason",
    "ReasonSpec",
    "RenderedScript",
    "Script",
    "Stage",
    "assign_reasons",
    "decide",
    "explain_missing",
    "find_spec",
    "lint_scripts",
    "lint_text",
    "list_missing",
    "load_policy",
    "load_registry",
    "load_scripts",
    "own_history_log_odds",
    "parse_policy",
    "render",
    "script_for",
    "script_for_reasons",
    "word_reason",
]
