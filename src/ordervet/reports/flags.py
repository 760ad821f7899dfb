"""The flagged orders of a batch, as lines a person reads in a terminal of a hundred columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from rich.cells import set_cell_size
from rich.console import Console
from rich.text import Text

from ordervet.policy import ACTIONS, Action, explain_applied, load_scripts
from ordervet.reports.words import ACTION_WORDS, KIND_WORDS, SIMULATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from ordervet.policy import Decision, Lang, Script

_WIDTH, _INDENT, _ACTION_WIDTH = 100, 6, 9
_STYLES: Final = {Action.PASS: "green", Action.REVIEW: "yellow", Action.CONFIRM: "magenta", Action.HOLD: "bold red"}
_WORDS: Final[dict[str, dict[Lang, str]]] = {
    "script": {"zh": "话术", "en": "script"},
    "route": {"zh": "交给：{who}", "en": "for: {who}"},
    "scored": {
        "zh": "{n:,} 单已评分，用时 {s:.1f} 秒；待处理 {f:,} 单（{share:.1%}）",
        "en": "{n:,} orders scored in {s:.1f} s; {f:,} flagged ({share:.1%})",
    },
    "model": {"zh": "模型 {id}", "en": "model {id}"},
    "learned": {"zh": "，训练数据：{about}", "en": ", learned from {about}"},
}


def build_flag_lines(
    decision: Decision,
    placed_at: datetime,
    rank: int,
    *,
    lang: Lang,
    time_zone: str,
    scripts: Mapping[str, Script] | None = None,
) -> Text:
    """Lay out one flagged order: what to do, the score, each reason, and the script to use.

    Parameters
    ----------
    decision : a scored decision
    placed_at : instant with a zone
    rank : 1 is the first to look at
    lang : language of the fixed words
    time_zone : IANA name of the zone to show times in
    scripts : from load_scripts; None takes the shipped ones
    """
    local = placed_at.astimezone(ZoneInfo(time_zone))
    head = Text.assemble(
        (f"{rank:>4}  ", "dim"),
        (set_cell_size(ACTION_WORDS[decision.action][lang], _ACTION_WIDTH), _STYLES[decision.action]),
        (f" {decision.order_id}", "bold"),
        f"  {local:%Y-%m-%d %H:%M:%S}  p={decision.p_malicious:.3f}  risk={decision.risk_score}",
        (f"  {KIND_WORDS[decision.kind][lang]}" if decision.kind else "", "cyan"),
    )
    lines = [head]
    for reason in decision.reasons:
        lines += _fold(f"{reason.code}  {reason.text}  (+{reason.contribution:.2f})")
    for code in decision.applied:
        lines += _fold(explain_applied(code, lang))
    if decision.route:
        lines += _fold(_WORDS["route"][lang].format(who=decision.route))
    if decision.script:
        known = load_scripts() if scripts is None else scripts
        lines += _fold(f"{_WORDS['script'][lang]}: {decision.script}  {known[decision.script].title[lang]}", "green")
    return Text("\n").join(lines)


def _fold(line: str, style: str = "") -> Iterator[Text]:
    """Break a line at the screen's edge; a Chinese sign is two columns wide."""
    for part in Text(line, style).wrap(Console(width=_WIDTH), _WIDTH - _INDENT):
        part.rstrip()
        yield Text(" " * _INDENT) + part


def count_actions(actions: Mapping[int, int], lang: Lang) -> str:
    """Sum up how many orders got which action, the strictest first.

    Parameters
    ----------
    actions : position in ACTIONS to count
    lang : language of the words
    """
    parts = [
        f"{ACTION_WORDS[ACTIONS[at]][lang]} {actions[at]:,}" for at in sorted(actions, reverse=True) if actions[at]
    ]
    return (", " if lang == "en" else "，").join(parts)


def build_score_summary(n_orders: int, actions: Mapping[int, int], elapsed_s: float, lang: Lang) -> str:
    """Sum up a batch in one line.

    Parameters
    ----------
    n_orders : orders scored
    actions : position in ACTIONS to count, of flagged orders
    elapsed_s : seconds it took
    lang : language of the words
    """
    n_flagged = sum(actions.values())
    line = _WORDS["scored"][lang].format(n=n_orders, s=elapsed_s, f=n_flagged, share=n_flagged / max(n_orders, 1))
    counts = count_actions(actions, lang)
    return line + ((": " if lang == "en" else "：") + counts if counts else "")


def name_model(model_id: str, about: str | None, *, is_simulated: bool, lang: Lang) -> list[str]:
    """Say which model decided, what it learned from, and what its numbers are worth.

    Parameters
    ----------
    model_id, about, is_simulated : of the model
    lang : language of the words
    """
    line = _WORDS["model"][lang].format(id=model_id) + (_WORDS["learned"][lang].format(about=about) if about else "")
    return [line, *([SIMULATED[lang]] if is_simulated else [])]
