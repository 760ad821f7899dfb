"""The sentences of reasons: a wording of the registry with one number in it."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ordervet.policy.registry import ANY, FeatureName, load_registry
from ordervet.words.numbers import FORMS, format_money, format_window

if TYPE_CHECKING:
    from ordervet.words import Lang

__all__ = ["write_item", "write_sentence"]

_VALUE: Final = "\0"  # stands for the number in a sentence: no name and no wording holds it


def write_sentence(code: str, feature: str, value: float, lang: Lang, currency: str) -> str:
    """Write the sentence of a reason.

    Parameters
    ----------
    code : of the reason
    feature, value : what it quotes; NaN is not known
    lang : "zh" or "en"
    currency : currency of the amounts, three capital letters
    """
    sentence = _build_sentence(feature, code, lang, math.isfinite(value))
    return sentence.replace(_VALUE, _write_value(feature, value, lang, currency)) if _VALUE in sentence else sentence


# SPEED: most numbers that are quoted are small counts, and come again (bench_path.py).
@lru_cache(maxsize=65_536)
def write_item(code: str, feature: str, value: float | None, lang: Lang, currency: str) -> str:
    """Write a reason's code and its sentence; a value of None is not known."""
    return f"{code} {write_sentence(code, feature, math.nan if value is None else value, lang, currency)}"


# SPEED: a sentence is the same for every order but for its number (two thirds of the time of a single order).
@lru_cache(maxsize=4096)
def _build_sentence(feature: str, code: str, lang: Lang, is_known: bool) -> str:
    """Write a reason's sentence with a sign in place of the number."""
    registry, name = load_registry(), FeatureName.parse(feature)
    spec = registry.reasons[code]
    if is_known:
        statistic = registry.statistics.get(name.statistic, registry.statistics["other"])
        wording = spec.wordings.get(name.statistic) or spec.wordings.get(ANY) or statistic
    else:
        wording = spec.unknown or registry.unknown.get(spec.entity, registry.unknown[ANY])
    column = registry.columns.get(name.column)
    text = wording[lang].format(
        entity=registry.name_entity(name.entity, lang),
        column=column[lang] if column else name.column,
        one=(column.one if column and column.one else name.column),
        statistic=name.statistic,
        window=format_window(name.window, lang),
        value=_VALUE,
        label=spec.label[lang],
        feature=feature,
    )
    return _tidy(text, lang)


def _write_value(feature: str, value: float, lang: Lang, currency: str) -> str:
    form = _find_form(feature)
    return format_money(value, lang, currency) if form == "money" else FORMS[form](value, lang)


@lru_cache(maxsize=4096)
def _find_form(feature: str) -> str:
    registry, name = load_registry(), FeatureName.parse(feature)
    statistic = registry.statistics.get(name.statistic, registry.statistics["other"])
    return statistic.form or registry.forms.get(name.column, "number")


def _tidy(text: str, lang: Lang) -> str:
    """Close the gap an absent window leaves; begin an English sentence with a capital."""
    text = re.sub(r" +", " ", text).replace(" :", ":").strip()
    return text[:1].upper() + text[1:] if lang == "en" else text
