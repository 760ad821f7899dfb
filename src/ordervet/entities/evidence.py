"""What is known of an entity, and if nothing, why."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = ["Canonical", "Evidence"]


class Evidence(IntEnum):
    """Why an order has, or has not, a key for an entity. Only KNOWN can tell "not shared" from "not known"."""

    KNOWN = 0
    ABSENT = 1
    MASKED = 2
    UNUSABLE = 3


class Canonical(NamedTuple):
    """A canonical form, or "no key, because".

    Parameters
    ----------
    text : the canonical form; "" unless the evidence is KNOWN
    evidence : KNOWN, or why there is no key
    """

    text: str
    evidence: Evidence


ABSENT = Canonical("", Evidence.ABSENT)
MASKED = Canonical("", Evidence.MASKED)
UNUSABLE = Canonical("", Evidence.UNUSABLE)


def known(text: str) -> Canonical:
    """Make the canonical form of a value that is known."""
    return Canonical(text, Evidence.KNOWN)
