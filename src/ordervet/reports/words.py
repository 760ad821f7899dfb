"""The fixed words of what people look at, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ordervet.contract import MaliceKind
from ordervet.policy import Action, Band, Stage

if TYPE_CHECKING:
    from ordervet.policy import Lang

LANGS: Final[tuple[Lang, Lang]] = ("zh", "en")

ACTION_WORDS: Final[dict[Action, dict[Lang, str]]] = {
    Action.PASS: {"zh": "放行", "en": "pass"},
    Action.REVIEW: {"zh": "人工查看", "en": "review"},
    Action.CONFIRM: {"zh": "电话确认", "en": "confirm"},
    Action.HOLD: {"zh": "暂缓发货", "en": "hold"},
}

BAND_WORDS: Final[dict[Band, dict[Lang, str]]] = {
    Band.LOW: {"zh": "低", "en": "low"},
    Band.ELEVATED: {"zh": "偏高", "en": "elevated"},
    Band.HIGH: {"zh": "高", "en": "high"},
    Band.SEVERE: {"zh": "极高", "en": "severe"},
}

STAGE_WORDS: Final[dict[Stage, dict[Lang, str]]] = {
    Stage.PRE: {"zh": "售前", "en": "before shipping"},
    Stage.IN: {"zh": "售中", "en": "in transit"},
    Stage.AFTER: {"zh": "售后", "en": "after receipt"},
}

KIND_WORDS: Final[dict[MaliceKind, dict[Lang, str]]] = {
    MaliceKind.REFUND_ONLY_ABUSE: {"zh": "仅退款滥用", "en": "refund-only abuse"},
    MaliceKind.RETURN_SWAP: {"zh": "空包/调包/买新退旧", "en": "swapped or empty return"},
    MaliceKind.FAKE_RETURN: {"zh": "虚假退货", "en": "fake return"},
    MaliceKind.FREIGHT_INSURANCE_FRAUD: {"zh": "运费险骗保", "en": "freight insurance fraud"},
    MaliceKind.COUPON_FARMING: {"zh": "羊毛党", "en": "coupon farming"},
    MaliceKind.UNPAID_HOARDING: {"zh": "恶意拍下不付款", "en": "unpaid hoarding"},
    MaliceKind.RIVAL_BULK_REFUND: {"zh": "同行批量下单退款", "en": "rival's bulk refunds"},
    MaliceKind.PROFESSIONAL_CLAIM: {"zh": "职业索赔", "en": "professional claims"},
    MaliceKind.REVIEW_EXTORTION: {"zh": "差评勒索", "en": "review extortion"},
    MaliceKind.SCALPING: {"zh": "黄牛囤货", "en": "scalping"},
    MaliceKind.DELIVERY_REFUSAL: {"zh": "虚假地址/拒收", "en": "false address or refusal"},
    MaliceKind.STOLEN_PAYMENT: {"zh": "盗卡/盗号", "en": "stolen payment"},
}
"""The Chinese ones are among those that the verdict sheet's format knows."""

SIMULATED: Final[dict[Lang, str]] = {
    "zh": "模型由模拟数据训练：数字说明行为，不代表准确率。",
    "en": "The model was trained on simulated data: its numbers prove behaviour, not accuracy.",
}

DESK_ONLY: Final[dict[Lang, str]] = {
    "zh": "理由仅供客服内部使用，绝不可告知顾客；处理为建议，由人决定。",
    "en": "Reasons are for the desk alone, never for the customer; actions are suggestions that a person decides.",
}
