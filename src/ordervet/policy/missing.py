"""Codes of missing evidence: what could not be checked, and why. Missing is never guilty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.errors import PolicyError
from ordervet.words import format_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ordervet.words import Lang

MISSING_ENTITIES: Final = ("buyer", "address", "phone", "device", "ip")
"""Entities whose absence is reported."""

STATES: Final = ("known", "absent", "masked", "unusable")
"""Why there is no key for an entity, by the number ``entities.Evidence`` gives it; 0 = there is one."""


def name_missing(entities: Iterable[str], states: Sequence[int]) -> tuple[str, ...]:
    """Return the codes of the evidence that one order lacks, such as ``phone_masked``; one state per entity."""
    return tuple(f"{entity}_{STATES[state]}" for entity, state in zip(entities, states, strict=True) if state)


def list_missing(evidence: Mapping[str, npt.ArrayLike], n_orders: int) -> list[tuple[str, ...]]:
    """List, for each order, the codes of the evidence it lacks; orders that lack the same share one tuple.

    Parameters
    ----------
    evidence : entity name → shape (n_orders,), integers 0..3 as in ``Entities.evidence``; pass the entities that matter
    n_orders : number of orders

    Returns
    -------
    per order the codes, in the order of the entities; empty when nothing is missing

    Raises
    ------
    PolicyError
        Lengths differ or a state is not known.
    """
    columns = [np.asarray(states) for states in evidence.values()]
    if any(column.shape != (n_orders,) for column in columns):
        raise PolicyError("evidence differs in length between entities", hint="pass one state per order and entity")
    if any(column.size and not 0 <= column.min() <= column.max() < len(STATES) for column in columns):
        raise PolicyError("evidence holds an unknown state", hint="states are 0 to 3, as entities.Evidence has them")
    # SPEED: one number per order; sorting whole rows takes longer than all the rest (bench_path.py).
    number = np.zeros(n_orders, np.int64)
    for column in columns:
        number = number * len(STATES) + column
    codes: dict[int, tuple[str, ...]] = {}
    for each in np.flatnonzero(np.bincount(number)).tolist():
        states = [each // len(STATES) ** place % len(STATES) for place in reversed(range(len(columns)))]
        codes[each] = name_missing(evidence, states)
    return [codes[each] for each in number.tolist()]


def explain_missing(code: str, lang: Lang = "zh") -> str:
    """Explain a code of missing evidence in a few words, for the desk only.

    Parameters
    ----------
    code : such as ``phone_masked``
    lang : "zh" or "en"

    Returns
    -------
    such as ``该收货电话被平台脱敏``

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
    from ordervet.policy.reason_registry import load_registry

    text = format_text(f"missing.{state}", lang, entity=load_registry().name_entity(entity, lang))
    return text[:1].upper() + text[1:] if lang == "en" else text
