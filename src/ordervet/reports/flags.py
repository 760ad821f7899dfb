"""The flagged orders of a batch, as lines a person reads in a terminal of a hundred columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from rich.cells import set_cell_size
from rich.console import Console
from rich.text import Text

from ordervet.policy import ACTIONS, Action, explain_applied, load_scripts
from ordervet.words import find_words, format_text, join_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from ordervet.policy import Decision, Script
    from ordervet.words import Lang

_WIDTH, _INDENT, _ACTION_WIDTH = 100, 6, 9
_STYLES: Final = {Action.PASS: "green", Action.REVIEW: "yellow", Action.CONFIRM: "magenta", Action.HOLD: "bold red"}


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
        (set_cell_size(find_words("actions", lang)[decision.action], _ACTION_WIDTH), _STYLES[decision.action]),
        (f" {decision.order_id}", "bold"),
        f"  {local:%Y-%m-%d %H:%M:%S}  p={decision.p_malicious:.3f}  risk={decision.risk_score}",
        (f"  {format_text(f'kinds.{decision.kind}', lang)}" if decision.kind else "", "cyan"),
    )
    lines = [head]
    for reason in decision.reasons:
        lines += _fold(f"{reason.code}  {reason.text}  (+{reason.contribution:.2f})")
    for code in decision.applied:
        lines += _fold(explain_applied(code, lang))
    if decision.route:
        lines += _fold(format_text("notes.route", lang, who=decision.route))
    if decision.script:
        known = load_scripts() if scripts is None else scripts
        lines += _fold(
            f"{format_text('flags.script', lang)}: {decision.script}  {known[decision.script].title[lang]}", "green"
        )
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
    words = find_words("actions", lang)
    strictest_first = sorted((at for at in actions if actions[at]), reverse=True)
    return join_words((f"{words[ACTIONS[at]]} {actions[at]:,}" for at in strictest_first), lang)


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
    share = n_flagged / max(n_orders, 1)
    line = format_text("flags.scored", lang, n=n_orders, s=elapsed_s, f=n_flagged, share=share)
    counts = count_actions(actions, lang)
    return line + (format_text("listing.colon", lang) + counts if counts else "")


def name_model(model_id: str, about: str | None, *, is_simulated: bool, lang: Lang) -> list[str]:
    """Say which model decided, what it learned from, and what its numbers are worth.

    Parameters
    ----------
    model_id, about, is_simulated : of the model
    lang : language of the words
    """
    line = format_text("flags.model", lang, id=model_id)
    if about:
        line += format_text("flags.learned", lang, about=about)
    return [line, *([format_text("notes.simulated", lang)] if is_simulated else [])]
