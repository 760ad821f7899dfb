"""The flagged orders of a batch, as lines a person reads in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.text import Text

from ordervet.policy import ACTIONS, Action, load_scripts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ordervet.policy import Decision, Lang

_INDENT = " " * 6
_STYLES = {Action.PASS: "green", Action.REVIEW: "yellow", Action.CONFIRM: "magenta", Action.HOLD: "bold red"}
_ACTION_WORDS: dict[Action, dict[Lang, str]] = {
    Action.PASS: {"zh": "放行", "en": "pass"},
    Action.REVIEW: {"zh": "人工查看", "en": "review"},
    Action.CONFIRM: {"zh": "电话确认", "en": "confirm"},
    Action.HOLD: {"zh": "暂缓发货", "en": "hold"},
}
_SCRIPT_WORD: dict[Lang, str] = {"zh": "话术", "en": "script"}


def build_flag_lines(decision: Decision, placed_at: datetime, rank: int, *, lang: Lang, time_zone: str) -> Text:
    """Lay out one flagged order: what to do, the score, each reason, and the script to use.

    Parameters
    ----------
    decision : a scored decision
    placed_at : instant with a zone
    rank : 1 is the first to look at
    lang : language of the fixed words
    time_zone : IANA name of the zone to show times in
    """
    local = placed_at.astimezone(ZoneInfo(time_zone))
    head = Text.assemble(
        (f"{rank:>4}  ", "dim"),
        (f"{_ACTION_WORDS[decision.action][lang]:<8}", _STYLES[decision.action]),
        (f" {decision.order_id}", "bold"),
        f"  {local:%Y-%m-%d %H:%M:%S}  p={decision.p_malicious:.3f}  risk={decision.risk_score}",
        (f"  {decision.kind or ''}", "cyan"),
    )
    lines = [
        Text(f"{_INDENT}{reason.code}  {reason.text}  (+{reason.contribution:.2f})") for reason in decision.reasons
    ]
    if decision.script:
        title = load_scripts()[decision.script].title[lang]
        lines.append(Text(f"{_INDENT}{_SCRIPT_WORD[lang]}: {decision.script}  {title}", style="green"))
    return Text("\n").join([head, *lines])


def count_actions(actions: Mapping[int, int], lang: Lang) -> str:
    """Sum up how many orders got which action, the strictest first.

    Parameters
    ----------
    actions : position in ACTIONS to count
    lang : language of the words
    """
    parts = [
        f"{_ACTION_WORDS[ACTIONS[at]][lang]} {actions[at]:,}" for at in sorted(actions, reverse=True) if actions[at]
    ]
    return ", ".join(parts)
