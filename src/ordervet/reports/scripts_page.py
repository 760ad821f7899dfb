"""All support scripts as one page: every kind at every stage, and every answer to a claim, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.policy import STAGES
from ordervet.policy.scripts import SCRIPT_PARTS, show_script
from ordervet.reports.page import build_page
from ordervet.words import LANGS, find_words, format_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.policy import Script
    from ordervet.words import Lang


def build_scripts_page(scripts: Mapping[str, Script], *, lang: Lang) -> str:
    """Write the page.

    Parameters
    ----------
    scripts : from load_scripts
    lang : of the headings
    """
    shown = {each: {script.id: show_script(script, each) for script in scripts.values()} for each in LANGS}
    parts = {each: find_words("script_parts", each) for each in LANGS}
    kinds: dict[str, list[str]] = {}
    for script_id in scripts:
        kinds.setdefault(script_id.partition(".")[0], []).append(script_id)
    stages = find_words("stages", lang)
    sections = [
        {
            "kind": kind,
            "title": " · ".join(scripts[ids[0]].title[each] for each in LANGS),
            "scripts": [
                {
                    "id": script_id,
                    "stage": stages[script_id.partition(".")[2]],
                    "parts": [
                        {each: (parts[each][part], shown[each][script_id][part]) for each in LANGS}
                        for part in SCRIPT_PARTS
                    ],
                }
                for script_id in (f"{kind}.{stage}" for stage in STAGES)
                if script_id in scripts  # an answer to a claim has one alone
            ],
        }
        for kind, ids in kinds.items()
    ]
    return build_page(
        "scripts.html",
        lang=lang,
        title=format_text("cli.scripts.page_title", lang),
        styles=("base.css", "scripts.css"),
        values={"sections": sections, "langs": LANGS},
    )
