"""What commands about models say on the screen, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ordervet.policy import Lang

_WORDS: Final[dict[str, dict[Lang, str]]] = {
    "live": {"zh": "在用", "en": "live"},
    "model": {"zh": "模型", "en": "model"},
    "cut_off": {"zh": "截止时间", "en": "cut-off"},
    "orders": {"zh": "订单", "en": "orders"},
    "gates": {"zh": "门槛", "en": "gates"},
    "passed": {"zh": "通过", "en": "passed"},
    "failed": {"zh": "未通过：{names}", "en": "failed: {names}"},
    "ap": {"zh": "平均精确率 AP", "en": "average precision"},
    "auc": {"zh": "AUC", "en": "AUC"},
    "money": {"zh": "拦下的恶意金额占比", "en": "share of malicious money caught"},
    "calibration_error": {"zh": "平均概率偏差", "en": "mean probability less share"},
    "n_orders": {"zh": "检验订单", "en": "orders measured on"},
    "n_malicious": {"zh": "其中恶意", "en": "of them malicious"},
    "own_orders": {
        "zh": "各自在自己之后的订单上；以下为同一批实时订单",
        "en": "each on its own later orders; the pairs below are of the same live orders",
    },
    "pair": {
        "zh": "{n_orders:,} 单，{champion_id} 在用，{challenger_id} 旁观：平均风险分 {mean_score_champion:.1f} 对 "
        "{mean_score_challenger:.1f}；{n_other_action:,} 单的处理不同（更严 {n_stricter:,}，更松 {n_milder:,}）；"
        "标记 {n_flagged_champion:,} 对 {n_flagged_challenger:,} 单",
        "en": "{n_orders:,} orders, {champion_id} served, {challenger_id} in its shadow: mean risk score "
        "{mean_score_champion:.1f} and {mean_score_challenger:.1f}, another action on {n_other_action:,} "
        "(stricter {n_stricter:,}, milder {n_milder:,}), {n_flagged_champion:,} and {n_flagged_challenger:,} flagged",
    },
    "no_pairs": {"zh": "没有记录到实时订单", "en": "no live orders were recorded"},
    "removed": {"zh": "已删除 {n:,} 个模型", "en": "{n:,} models were removed"},
    "all_whole": {"zh": "{n:,} 个模型全部完好", "en": "{n:,} models, all whole"},
    "is_live": {"zh": "模型 {model} 已在用", "en": "model {model} is live"},
}


def word(name: str, lang: Lang, **values: Any) -> str:  # noqa: ANN401 - whatever the sentence quotes
    """Say something about models in one language."""
    return _WORDS[name][lang].format(**values)
