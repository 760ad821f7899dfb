"""The words of a decision: bands, actions, stages, and the codes that say how it came about."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

Lang = Literal["zh", "en"]


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
    """When a reason bites and a script is used: 售前 (before payment and audit), 售中 (until receipt), 售后 (after)."""

    PRE = "pre"
    IN = "in"
    AFTER = "after"


class DecisionCode(StrEnum):
    """How a decision came about: scored, or why it was not (an unscored order passes)."""

    SCORED = "SCORED"
    UNSCORED_NO_MODEL = "UNSCORED_NO_MODEL"
    UNSCORED_BROKEN_MODEL = "UNSCORED_BROKEN_MODEL"
    UNSCORED_BROKEN_HISTORY = "UNSCORED_BROKEN_HISTORY"
    UNSCORED_INVALID_ORDER = "UNSCORED_INVALID_ORDER"
    UNSCORED_LATE = "UNSCORED_LATE"
    UNSCORED_ERROR = "UNSCORED_ERROR"

    def explain(self, lang: Lang = "zh") -> str:
        """Say in one sentence what the code means.

        Parameters
        ----------
        lang : "zh" or "en"

        Returns
        -------
        one sentence without order data
        """
        return _EXPLANATIONS[self][lang]


BANDS: Final = tuple(Band)
"""All bands, mildest first: the index is the band's rank."""

ACTIONS: Final = tuple(Action)
"""All actions, mildest first: the index is the action's severity."""

_EXPLANATIONS: Final[dict[DecisionCode, dict[Lang, str]]] = {
    DecisionCode.SCORED: {
        "zh": "已评分。",
        "en": "The order was scored.",
    },
    DecisionCode.UNSCORED_NO_MODEL: {
        "zh": "没有可用的模型，未评分，按放行处理。",
        "en": "There is no model to score with; the order passes.",
    },
    DecisionCode.UNSCORED_BROKEN_MODEL: {
        "zh": "模型文件损坏或自检未通过，未评分，按放行处理。",
        "en": "The model is damaged or failed its self-check; the order passes.",
    },
    DecisionCode.UNSCORED_BROKEN_HISTORY: {
        "zh": "历史数据无法读取，未评分，按放行处理。",
        "en": "The history cannot be read; the order passes.",
    },
    DecisionCode.UNSCORED_INVALID_ORDER: {
        "zh": "订单数据不合规，未评分，按放行处理；请修正数据。",
        "en": "The order's data breaks the contract; the order passes, its data wants mending.",
    },
    DecisionCode.UNSCORED_LATE: {
        "zh": "评分超时，未评分，按放行处理。",
        "en": "The score came too late; the order passes.",
    },
    DecisionCode.UNSCORED_ERROR: {
        "zh": "评分时发生意外错误，未评分，按放行处理；错误已记入日志。",
        "en": "Scoring failed unexpectedly; the order passes, the error is in the log.",
    },
}
