"""Codes of missing evidence: what could not be checked, and why. Missing is never guilty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.errors import PolicyError
from ordervet.policy.registry import load_registry
from ordervet.words import format_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from ordervet.words import Lang

STATES: Final = ("known", "absent", "masked", "unusable")
"""Why there is no key for an entity, by the number ``entities.Evidence`` gives it; 0 = there is one."""


def list_missing(evidence: Mapping[str, npt.ArrayLike]) -> list[tuple[str, ...]]:
    """List, for each order, the codes of the evidence it lacks.

    Parameters
    ----------
    evidence : entity name → shape (n_orders,), integers 0..3 as in ``Entities.evidence``; pass the entities that matter

    Returns
    -------
    per order the codes, such as ``phone_masked``, in the order of the entities; empty when nothing is missing

    Raises
    ------
    PolicyError
        Lengths differ or a state is not known.
    """
    if not evidence:
        return []
    columns = [np.asarray(states) for states in evidence.values()]
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        raise PolicyError("evidence differs in length between entities", hint="pass one state per order and entity")
    table = np.stack(columns, axis=1)
    if table.size and not ((table >= 0) & (table < len(STATES))).all():
        raise PolicyError(
            "evidence holds a state that is not known", hint="states are 0 to 3, as entities.Evidence has them"
        )
    patterns, position = np.unique(table, axis=0, return_inverse=True)
    codes = [
        tuple(f"{entity}_{STATES[state]}" for entity, state in zip(evidence, pattern, strict=True) if state)
        for pattern in patterns
    ]
    return [codes[at] for at in position]


def explain_missing(code: str, lang: Lang = "zh") -> str:
    """Say in a few words what a code of missing evidence means.

    Parameters
    ----------
    code : such as ``phone_masked``
    lang : "zh" or "en"

    Returns
    -------
    such as ``该收货电话被平台脱敏``; for the desk only

    Raises
    ------
    PolicyError
        There is no such code.
    """
    entity, _, state = code.rpartition("_")
    if not entity or state not in STATES[1:]:
        raise PolicyError(
            f"the code {code} is not known", hint="codes are ENTITY_absent, ENTITY_masked, ENTITY_unusable"
        )
    text = format_text(f"missing.{state}", lang, entity=load_registry().name_entity(entity, lang))
    return text[:1].upper() + text[1:] if lang == "en" else text
