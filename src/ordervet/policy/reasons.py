"""From exact contributions to at most four reasons a person can read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ordervet.errors import PolicyError
from ordervet.policy.registry import ANY, FeatureName, load_registry
from ordervet.policy.wordings import FORMS, format_money, format_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.codes import Lang
    from ordervet.policy.registry import ReasonSpec

MAX_REASONS: Final = 4
"""Most reasons an order is given."""
MIN_LOG_ODDS: Final = 0.05
"""Least contribution of a reason, log-odds."""
MIN_SHARE: Final = 0.05
"""Least share of a reason in all that speaks against the order."""

FloatArray = npt.NDArray[np.float64]
_VALUE: Final = "\0"  # stands for the number in a sentence: no name and no wording holds it


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a score, for the desk only.

    Parameters
    ----------
    code : the reason's code, such as ``R121``
    name : the reason's name, such as ``address_many_buyers``
    contribution : log-odds by which it raised the score, > 0
    text : one sentence with the number in it; internal, never for the customer
    feature, value : what the sentence quotes, so that `word_reason` can say it in the other language; NaN is not known
    """

    code: str
    name: str
    contribution: float
    text: str
    feature: str = field(default="", compare=False, repr=False)
    value: float = field(default=math.nan, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Give the reason as plain values, ready for JSON.

        Returns
        -------
        code, name, contribution, text
        """
        return {"code": self.code, "name": self.name, "contribution": self.contribution, "text": self.text}


@dataclass(frozen=True, slots=True)
class _Groups:
    """Which features add up to which reason.

    Parameters
    ----------
    specs : the reasons that have features, codes ascending
    columns : per reason its features' columns, in the order of their names
    members : shape (n_reasons, most features of a reason), the same padded with n_features
    """

    specs: tuple[ReasonSpec, ...]
    columns: tuple[tuple[int, ...], ...]
    members: npt.NDArray[np.intp]


def assign_reasons(
    feature_names: Sequence[str],
    contributions: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    lang: Lang = "zh",
    currency: str = "CNY",
) -> list[list[Reason]]:
    """Say why each order got its score.

    Contributions are added up by reason. A reason is given when its sum is at least MIN_LOG_ODDS and at least MIN_SHARE
    of all positive sums; the four largest are kept, equal ones by code. The sentence quotes the feature that
    contributed most to the reason (equal ones by name), or says that it is not known. Neither the order of the features
    nor the other orders of the batch change an answer.

    Parameters
    ----------
    feature_names : n_features derived names, each once
    contributions : shape (n_orders, n_features), exact additive contributions, log-odds
    values : shape (n_orders, n_features), the features' values, NaN = not known
    lang : "zh" or "en"
    currency : currency of the amounts, three capital letters

    Returns
    -------
    per order at most four reasons, the strongest first

    Raises
    ------
    PolicyError
        Shapes or names do not fit together, or a contribution is not a finite number.
    """
    given, known = _read_matrices(feature_names, contributions, values)
    groups = _build_groups(tuple(feature_names))
    sums = _add_up(groups, given)
    ranked = np.argsort(-sums, axis=1, kind="stable")[:, :MAX_REASONS]
    least = np.maximum(MIN_LOG_ODDS, MIN_SHARE * _add_in_order(np.maximum(sums, 0.0)))
    reasons: list[list[Reason]] = []
    for row, order in enumerate(ranked):
        chosen = [group for group in order if sums[row, group] >= least[row]]
        quotes = [max(groups.columns[group], key=given[row].__getitem__) for group in chosen]
        reasons.append(
            [
                _build_reason(
                    groups.specs[group],
                    float(sums[row, group]),
                    feature_names[at],
                    float(known[row, at]),
                    lang,
                    currency,
                )
                for group, at in zip(chosen, quotes, strict=True)
            ]
        )
    return reasons


def word_reason(reason: Reason, lang: Lang, *, currency: str = "CNY") -> str:
    """Say a reason in a language, whatever the one it was given in.

    Parameters
    ----------
    reason : from assign_reasons; one without a feature keeps its text
    lang : "zh" or "en"
    currency : currency of the amounts, three capital letters

    Returns
    -------
    one sentence with the number in it; internal, never for the customer
    """
    if not reason.feature:
        return reason.text
    return _write_sentence(reason.code, reason.feature, reason.value, lang, currency)


def own_history_log_odds(feature_names: Sequence[str], contributions: npt.ArrayLike) -> FloatArray:
    """Add up what the buyer's own history speaks against an order.

    Taking this from the model's log-odds and calibrating again gives the ``p_without_own_history`` that `decide` needs
    for its rule of minimum evidence. Verdicts are not counted: a person decided them, they are no statistic.

    Parameters
    ----------
    feature_names : n_features derived names, each once
    contributions : shape (n_orders, n_features), exact additive contributions, log-odds

    Returns
    -------
    shape (n_orders,), log-odds, >= 0: the positive sums of the reasons marked ``own_history``

    Raises
    ------
    PolicyError
        As in assign_reasons.
    """
    given, _ = _read_matrices(feature_names, contributions, contributions)
    groups = _build_groups(tuple(feature_names))
    is_own = np.array([spec.own_history for spec in groups.specs], dtype=bool)
    return _add_in_order(np.maximum(_add_up(groups, given)[:, is_own], 0.0))


def find_spec(code: str) -> ReasonSpec:
    """Look a reason code up.

    Parameters
    ----------
    code : such as ``R121``

    Returns
    -------
    what it stands for

    Raises
    ------
    PolicyError
        There is no such code.
    """
    specs = load_registry().reasons
    if code not in specs:
        raise PolicyError(f"the reason code {code} is not known", hint="load_registry().reasons lists all codes")
    return specs[code]


@lru_cache(maxsize=16)
def _build_groups(feature_names: tuple[str, ...]) -> _Groups:
    registry = load_registry()
    columns: dict[str, list[int]] = {}
    for column in sorted(range(len(feature_names)), key=feature_names.__getitem__):
        columns.setdefault(registry.find_reason(feature_names[column]).code, []).append(column)
    codes = sorted(columns)
    width = max(map(len, columns.values()), default=0)
    members = np.full((len(codes), width), len(feature_names), dtype=np.intp)
    for row, code in enumerate(codes):
        members[row, : len(columns[code])] = columns[code]
    specs = tuple(registry.reasons[code] for code in codes)
    return _Groups(specs, tuple(tuple(columns[code]) for code in codes), members)


def _add_up(groups: _Groups, contributions: FloatArray) -> FloatArray:
    """Add the contributions of each reason's features, shape (n_orders, n_reasons)."""
    # NOTE: one addition after the other, in the order of the features' names: floating-point sums depend on their
    # order, and an answer must depend neither on the order of the features nor on the other rows.
    padded = np.concatenate([contributions, np.zeros((len(contributions), 1))], axis=1)
    sums = np.zeros((len(contributions), len(groups.specs)))
    for members in groups.members.T:
        sums += padded[:, members]
    return sums


def _add_in_order(columns: FloatArray) -> FloatArray:
    """Add columns one after the other (np.sum pairs them differently for different shapes), shape (n_orders,)."""
    if columns.shape[1] == 0:
        return np.zeros(len(columns))
    total: FloatArray = np.add.accumulate(columns, axis=1)[:, -1]
    return total


def _build_reason(
    spec: ReasonSpec, contribution: float, feature: str, value: float, lang: Lang, currency: str
) -> Reason:
    text = _write_sentence(spec.code, feature, value, lang, currency)
    return Reason(spec.code, spec.name, contribution, text, feature, value)


def _write_sentence(code: str, feature: str, value: float, lang: Lang, currency: str) -> str:
    sentence = _build_sentence(feature, code, lang, math.isfinite(value))
    return sentence.replace(_VALUE, _write_value(feature, value, lang, currency)) if _VALUE in sentence else sentence


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


def _read_matrices(
    feature_names: Sequence[str], contributions: npt.ArrayLike, values: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    given, known = np.asarray(contributions, dtype=np.float64), np.asarray(values)
    n_features = len(feature_names)
    if given.ndim != 2 or given.shape[1] != n_features or known.shape != given.shape:  # noqa: PLR2004  # rows, columns
        raise PolicyError(
            f"got contributions of shape {given.shape} and values of shape {known.shape}, "
            f"expected (n_orders, {n_features}) for both",
            hint="pass one column per feature name",
        )
    if len(set(feature_names)) != n_features:
        raise PolicyError("a feature name is given twice", hint="pass each feature once")
    n_bad = int((~np.isfinite(given)).sum())
    if n_bad:
        raise PolicyError(f"{n_bad} contributions are not finite numbers", hint="explain orders with a sound model")
    return given, known
