"""What to do about an order, why, and what to say: bands, actions, reason codes, support scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.late_imports import export_lazily
from ordervet.words import Lang

if TYPE_CHECKING:
    from ordervet.policy.capacity import Capacity, Shift, parse_shifts
    from ordervet.policy.codes import (
        ACTIONS,
        BANDS,
        STAGES,
        STRICTEST,
        Action,
        Band,
        DecisionCode,
        Stage,
        is_guess,
        name_script,
    )
    from ordervet.policy.decided import Decided, decide
    from ordervet.policy.decision import Decision
    from ordervet.policy.desk import DeskMemory, Standing
    from ordervet.policy.forcing import TestOrder, find_test_order, list_test_orders
    from ordervet.policy.lint import Finding, lint_facts, lint_scripts, lint_text
    from ordervet.policy.missing import explain_missing, list_missing
    from ordervet.policy.overlay import Overlay, build_overlay, explain_applied
    from ordervet.policy.pacing import Pace, Pacer
    from ordervet.policy.policy import HUMAN_KINDS, Policy, find_policy, keep_policy, load_policy, parse_policy
    from ordervet.policy.reason_registry import ReasonSpec, load_registry
    from ordervet.policy.reasons import (
        FoundReasons,
        Reason,
        assign_reasons,
        describe_reason,
        find_reasons,
        find_spec,
        list_own_history,
        own_history_log_odds,
    )
    from ordervet.policy.scripts import Script, load_scripts, script_for
    from ordervet.policy.slots import SLOTS

__all__ = [
    "ACTIONS",
    "BANDS",
    "HUMAN_KINDS",
    "SLOTS",
    "STAGES",
    "STRICTEST",
    "Action",
    "Band",
    "Capacity",
    "Decided",
    "Decision",
    "DecisionCode",
    "DeskMemory",
    "Finding",
    "FoundReasons",
    "Lang",
    "Overlay",
    "Pace",
    "Pacer",
    "Policy",
    "Reason",
    "ReasonSpec",
    "Script",
    "Shift",
    "Stage",
    "Standing",
    "TestOrder",
    "assign_reasons",
    "build_overlay",
    "decide",
    "describe_reason",
    "explain_applied",
    "explain_missing",
    "find_policy",
    "find_reasons",
    "find_spec",
    "find_test_order",
    "is_guess",
    "keep_policy",
    "lint_facts",
    "lint_scripts",
    "lint_text",
    "list_missing",
    "list_own_history",
    "list_test_orders",
    "load_policy",
    "load_registry",
    "load_scripts",
    "name_script",
    "own_history_log_odds",
    "parse_policy",
    "parse_shifts",
    "script_for",
]

__getattr__ = export_lazily(
    __name__,
    {
        "capacity": "Capacity Shift parse_shifts",
        "codes": "ACTIONS BANDS STAGES STRICTEST Action Band DecisionCode Stage is_guess name_script",
        "decided": "Decided decide",
        "decision": "Decision",
        "desk": "DeskMemory Standing",
        "forcing": "TestOrder find_test_order list_test_orders",
        "lint": "Finding lint_facts lint_scripts lint_text",
        "missing": "explain_missing list_missing",
        "overlay": "Overlay build_overlay explain_applied",
        "pacing": "Pace Pacer",
        "policy": "HUMAN_KINDS Policy find_policy keep_policy load_policy parse_policy",
        "reasons": (
            "FoundReasons Reason assign_reasons describe_reason find_reasons find_spec list_own_history "
            "own_history_log_odds"
        ),
        "reason_registry": "ReasonSpec load_registry",
        "scripts": "Script load_scripts script_for",
        "slots": "SLOTS",
    },
)
