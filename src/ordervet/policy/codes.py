"""The words of a decision: bands, actions, stages, and the codes that say how it came about."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ordervet.words import format_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.contract import MaliceKind
    from ordervet.words import Lang


class Band(StrEnum):
    """How risky an order is, mildest first."""

    LOW = "low"
    ELEVATED = "elevated"
    HIGH = "high"
    SEVERE = "severe"


class Action(StrEnum):
    """What the service desk is asked to do, mildest first: pass < review < confirm < hold.

    ``pass`` ships the order, ``review`` has a person look at it, ``confirm`` ships it once the buyer has answered a
    call, ``hold`` keeps it from shipping until a person releases it. All four are suggestions.
    """

    PASS = "pass"  # noqa: S105  # no secret: the order may pass
    REVIEW = "review"
    CONFIRM = "confirm"
    HOLD = "hold"


class Stage(StrEnum):
    """How far an order is known to have come, earliest first; a script is true of one of them.

    ``placed`` is an order of which nothing else is known, paid or not; ``claim`` one of which the buyer has raised
    something: a refund, a return, a complaint, a review.
    """

    PLACED = "placed"
    PAID = "paid"
    IN_TRANSIT = "in_transit"
    RECEIVED = "received"
    CLAIM = "claim"


class DecisionCode(StrEnum):
    """How a decision came about: scored, or why it was not (an unscored order passes)."""

    SCORED = "SCORED"
    UNSCORED_NO_MODEL = "UNSCORED_NO_MODEL"
    UNSCORED_BROKEN_MODEL = "UNSCORED_BROKEN_MODEL"
    UNSCORED_BROKEN_HISTORY = "UNSCORED_BROKEN_HISTORY"
    UNSCORED_INVALID_ORDER = "UNSCORED_INVALID_ORDER"
    UNSCORED_LATE = "UNSCORED_LATE"
    UNSCORED_ERROR = "UNSCORED_ERROR"
    UNSCORED_FORKED = "UNSCORED_FORKED"
    UNSCORED_UNREACHABLE = "UNSCORED_UNREACHABLE"

    def explain(self, lang: Lang = "zh") -> str:
        """Explain in one sentence what the code means.

        Parameters
        ----------
        lang : "zh" or "en"

        Returns
        -------
        one sentence without order data
        """
        return format_text(f"codes.{self}", lang)


STAGES: Final = tuple(Stage)
"""All stages, earliest first."""

STRICTEST: Final = {stage: Action.HOLD if stage in {Stage.PLACED, Stage.PAID} else Action.REVIEW for stage in STAGES}
"""The strictest action that each stage allows: what has been shipped can be neither held nor confirmed before it is."""

BANDS: Final = tuple(Band)
"""All bands, mildest first: the index is the band's rank."""

ACTIONS: Final = tuple(Action)
"""All actions, mildest first: the index is the action's severity."""

GENERAL: Final = "general"
"""The kind of the scripts for orders of no kind, or of one that is a guess."""

QUOTA: Final = "quota"
"""The kind of the scripts for such orders that are beyond a quota, and what their codes begin with."""


def is_guess(band: Band | None) -> bool:
    """Return whether a kind named on an order of this band is a guess: the order itself is more likely innocent."""
    return band in {None, Band.LOW, Band.ELEVATED}


def name_script(kind: MaliceKind | None, band: Band, stage: Stage, applied: Sequence[str] = ()) -> str:
    """Return the id of the script for a flagged order: the one of quotas or the general one where the kind is a guess.

    Parameters
    ----------
    kind, band, stage : of the order
    applied : codes of what lists, rules and quotas found
    """
    if kind is not None and not is_guess(band):
        return f"{kind}.{stage}"
    return f"{QUOTA if pick_quotas(applied) else GENERAL}.{stage}"


def pick_quotas(applied: Sequence[str]) -> tuple[str, ...]:
    """Pick the codes of quotas among those of what lists, rules and quotas found."""
    return tuple(code for code in applied if code.startswith(f"{QUOTA}_"))
