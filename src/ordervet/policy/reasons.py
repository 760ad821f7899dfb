"""From exact contributions to at most four reasons a person can read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ordervet.errors import PolicyError
from ordervet.policy.reason_registry import load_registry, write_item, write_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.reason_registry import ReasonSpec
    from ordervet.words import Lang

MAX_REASONS: Final = 4
"""Most reasons an order is given."""
MIN_LOG_ODDS: Final = 0.05
"""Least contribution of a reason, log-odds."""
MIN_SHARE: Final = 0.05
"""Least share of a reason in all that speaks against the order."""

FloatArray = npt.NDArray[np.float64]
_FEW_ORDERS: Final = 64


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a score, for the desk only.

    Parameters
    ----------
    code : the reason's code, such as ``R121``
    name : the reason's name, such as ``address_many_buyers``
    contribution : log-odds by which it raised the score, > 0
    text : one sentence with the number in it; internal, never for the customer
    feature, value : what the sentence quotes, for `describe_reason` in the other language; NaN is not known
    """

    code: str
    name: str
    contribution: float
    text: str
    feature: str = field(default="", compare=False, repr=False)
    value: float = field(default=math.nan, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the reason as plain values, ready for JSON.

        Returns
        -------
        code, name, contribution, text
        """
        return {"code": self.code, "name": self.name, "contribution": self.contribution, "text": self.text}


@dataclass(frozen=True, slots=True)
class Groups:
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


@dataclass(frozen=True, slots=True)
class FoundReasons:
    """The reasons of a batch as arrays: what `assign_reasons` gives, put into words when it is asked for.

    Parameters
    ----------
    feature_names : n_features derived names
    starts : shape (n_orders + 1,); the reasons of order i are those from ``starts[i]`` to ``starts[i + 1]``
    kinds : shape (n_reasons,), which reason, in the ascending order of codes
    columns : shape (n_reasons,), the feature that is quoted
    contributions, values : shape (n_reasons,), log-odds, and the quoted feature's value
    lang : of the sentences
    """

    feature_names: tuple[str, ...]
    starts: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    contributions: FloatArray
    values: FloatArray
    lang: Lang

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> list[Reason]:
        """Return the reasons of one order, the strongest first."""
        start, stop = self.starts[row : row + 2].tolist()
        specs = build_groups(self.feature_names).specs
        return [
            build_reason(
                specs[self.kinds[at]],
                float(self.contributions[at]),
                self.feature_names[self.columns[at]],
                float(self.values[at]),
                self.lang,
            )
            for at in range(start, stop)
        ]

    def list_codes(self) -> list[tuple[str, ...]]:
        """Return the codes of each order's reasons, the strongest first."""
        known = [spec.code for spec in build_groups(self.feature_names).specs]
        codes = [known[kind] for kind in self.kinds.tolist()]
        return [tuple(codes[start:stop]) for start, stop in pairwise(self.starts.tolist())]

    def write_lines(self) -> list[str | None]:
        """Write each order's reasons on one line, ``R121 sentence | R303 sentence``; None where there are none."""
        codes = [spec.code for spec in build_groups(self.feature_names).specs]
        values = self.values.astype(object)
        values[np.isnan(self.values)] = None
        quotes = zip(self.kinds.tolist(), self.columns.tolist(), values.tolist(), strict=True)
        written = [
            write_item(codes[kind], self.feature_names[column], value, self.lang) for kind, column, value in quotes
        ]
        return [" | ".join(written[start:stop]) or None for start, stop in pairwise(self.starts.tolist())]

    def take(self, rows: npt.NDArray[np.int64]) -> FoundReasons:
        """Pick orders, in the order given."""
        sizes = np.diff(self.starts)[rows]
        ends = np.cumsum(sizes)
        at = np.repeat(self.starts[rows] - (ends - sizes), sizes) + np.arange(sizes.sum())
        return replace(
            self,
            starts=np.append(0, ends),
            kinds=self.kinds[at],
            columns=self.columns[at],
            contributions=self.contributions[at],
            values=self.values[at],
        )

    @classmethod
    def concat(cls, parts: Sequence[FoundReasons]) -> FoundReasons:
        """Concatenate batches of the same features and language; at least one."""
        sizes = np.concatenate([np.diff(part.starts) for part in parts])
        return replace(
            parts[0],
            starts=np.append(0, np.cumsum(sizes)),
            kinds=np.concatenate([part.kinds for part in parts]),
            columns=np.concatenate([part.columns for part in parts]),
            contributions=np.concatenate([part.contributions for part in parts]),
            values=np.concatenate([part.values for part in parts]),
        )


def assign_reasons(
    feature_names: Sequence[str],
    contributions: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    lang: Lang = "zh",
) -> list[list[Reason]]:
    """Explain why each order got its score.

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

    Returns
    -------
    per order at most four reasons, the strongest first

    Raises
    ------
    PolicyError
        Shapes or names do not fit together, or a contribution is not a finite number.
    """
    found = find_reasons(feature_names, contributions, values, lang=lang)
    return [found[row] for row in range(len(found))]


def find_reasons(
    feature_names: Sequence[str],
    contributions: npt.ArrayLike,
    values: npt.ArrayLike,
    *,
    lang: Lang = "zh",
) -> FoundReasons:
    """Find what `assign_reasons` says, without the words.

    Parameters and errors are those of `assign_reasons`.
    """
    given, known = _read_matrices(feature_names, contributions, values)
    groups = build_groups(tuple(feature_names))
    sums = _add_up(groups, given)
    least = np.maximum(MIN_LOG_ODDS, MIN_SHARE * _add_in_order(np.maximum(sums, 0.0)))
    ranked = _rank_largest(sums)
    rows = np.arange(len(sums))[:, None]
    is_chosen = sums[rows, ranked] >= least[:, None]
    of_order, place = np.nonzero(is_chosen)
    kinds = ranked[of_order, place]
    columns = _choose_quotes(groups, given, of_order, kinds)
    return FoundReasons(
        feature_names=tuple(feature_names),
        starts=np.append(0, np.cumsum(is_chosen.sum(axis=1))),
        kinds=kinds,
        columns=columns,
        contributions=sums[of_order, kinds],
        values=known[of_order, columns].astype(np.float64),
        lang=lang,
    )


def _rank_largest(sums: FloatArray) -> npt.NDArray[np.int64]:
    """Return each row's largest columns, the largest first, equal ones as they stand, shape (n_orders, at most 4)."""
    left, ranked = sums.copy(), []
    rows = np.arange(len(sums))
    for _ in range(min(MAX_REASONS, sums.shape[1])):
        ranked.append(left.argmax(axis=1) if len(sums) else rows)
        left[rows, ranked[-1]] = -np.inf
    return np.stack(ranked, axis=1) if ranked else np.zeros((len(sums), 0), np.int64)


def _choose_quotes(
    groups: Groups, given: FloatArray, of_order: npt.NDArray[np.int64], kinds: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Choose, for each reason of an order, the feature that contributed most to it, equal ones by name."""
    columns = np.empty(len(kinds), np.int64)
    for kind in np.flatnonzero(np.bincount(kinds, minlength=len(groups.specs))).tolist():
        at = np.flatnonzero(kinds == kind)
        own = np.array(groups.columns[kind], np.int64)
        columns[at] = own[given[of_order[at][:, None], own].argmax(axis=1)]
    return columns


def describe_reason(reason: Reason, lang: Lang) -> str:
    """Describe a reason in either language, whatever the one it was built in.

    Parameters
    ----------
    reason : from assign_reasons; one without a feature keeps its text
    lang : "zh" or "en"

    Returns
    -------
    one sentence with the number in it; internal, never for the customer
    """
    if not reason.feature:
        return reason.text
    return write_sentence(reason.code, reason.feature, reason.value, lang)


def list_own_history(feature_names: Sequence[str]) -> tuple[int, ...]:
    """Return the features that `own_history_log_odds` looks at; it says the same of these alone as of all.

    Parameters
    ----------
    feature_names : n_features derived names, each once

    Returns
    -------
    positions, ascending
    """
    groups = build_groups(tuple(feature_names))
    own = [columns for spec, columns in zip(groups.specs, groups.columns, strict=True) if spec.own_history]
    return tuple(sorted(column for columns in own for column in columns))


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
    groups = build_groups(tuple(feature_names))
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
def build_groups(feature_names: tuple[str, ...]) -> Groups:
    """Find which features add up to which reason; names in any order, each once."""
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
    return Groups(specs, tuple(tuple(columns[code]) for code in codes), members)


def _add_up(groups: Groups, contributions: FloatArray) -> FloatArray:
    """Add the contributions of each reason's features, shape (n_orders, n_reasons)."""
    # NOTE: one addition after the other, in the order of the features' names: floating-point sums depend on their
    # order, and an answer must depend neither on the order of the features nor on the other rows.
    n_orders = len(contributions)
    if n_orders > _FEW_ORDERS:
        # SPEED: whole columns are a tenth of the time of gathering members row by row (bench_path.py).
        by_feature, by_reason = np.ascontiguousarray(contributions.T), np.zeros((len(groups.specs), n_orders))
        for at, columns in enumerate(groups.columns):
            for column in columns:
                by_reason[at] += by_feature[column]
        return np.ascontiguousarray(by_reason.T)
    padded = np.concatenate([contributions, np.zeros((n_orders, 1))], axis=1)
    sums = np.zeros((n_orders, len(groups.specs)))
    for members in groups.members.T:
        sums += padded[:, members]
    return sums


def _add_in_order(columns: FloatArray) -> FloatArray:
    """Add columns one after the other (np.sum pairs them differently for different shapes), shape (n_orders,)."""
    if columns.shape[1] == 0:
        return np.zeros(len(columns))
    total: FloatArray = np.add.accumulate(columns, axis=1)[:, -1]
    return total


def build_reason(spec: ReasonSpec, contribution: float, feature: str, value: float, lang: Lang) -> Reason:
    """Build a reason with its sentence, which quotes one of its features."""
    text = write_sentence(spec.code, feature, value, lang)
    return Reason(spec.code, spec.name, contribution, text, feature, value)


def _read_matrices(
    feature_names: Sequence[str], contributions: npt.ArrayLike, values: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    given, known = np.asarray(contributions, dtype=np.float64), np.asarray(values)
    n_features = len(feature_names)
    if given.ndim != 2 or given.shape[1] != n_features or known.shape != given.shape:  # rows, columns
        raise PolicyError(
            f"got contributions of shape {given.shape} and values of shape {known.shape}, "
            f"expected (n_orders, {n_features}) for both",
            hint="pass one column per feature name",
        )
    if len(set(feature_names)) != n_features:
        raise PolicyError("a feature name is given twice", hint="pass each feature once")
    n_bad = int((~np.isfinite(given)).sum())
    if n_bad:
        raise PolicyError(
            f"{n_bad} contributions are not finite numbers",
            hint="explain orders with a model that `ordervet models verify` accepts",
        )
    return given, known


class OneReasoner:
    """Find the reasons of single orders of one model, without arrays.

    Parameters
    ----------
    feature_names : n_features derived names, each once
    lang : "zh" or "en"

    References
    ----------
    Truth: `reasons.assign_reasons`.
    """

    def __init__(self, feature_names: tuple[str, ...], lang: Lang) -> None:
        self._names, self._lang = feature_names, lang
        groups = build_groups(feature_names)
        self._specs, self._columns = groups.specs, groups.columns
        # SPEED: one list for all reasons; adding up reason by reason takes three times as long (bench_live.py).
        self._places = [(at, reason) for reason, columns in enumerate(groups.columns) for at in columns]
        self._own = [at for at, spec in enumerate(groups.specs) if spec.own_history]

    def add_up(self, contributions: Sequence[float]) -> list[float]:
        """Add up the contributions of each reason's features.

        Parameters
        ----------
        contributions : n_features finite log-odds

        Returns
        -------
        n_reasons sums
        """
        # NOTE: one addition after the other, as a batch adds them. NOT: sum, which since Python 3.12 rounds once.
        sums = [0.0] * len(self._columns)
        for at, reason in self._places:
            sums[reason] += contributions[at]
        return sums

    def find_own_history(self, sums: Sequence[float]) -> float:
        """Return the log-odds by which the buyer's own history speaks against the order.

        Parameters
        ----------
        sums : of `add_up`
        """
        return _add_positive([sums[at] for at in self._own])

    def find_reasons(
        self, sums: Sequence[float], contributions: Sequence[float], values: Sequence[float]
    ) -> tuple[Reason, ...]:
        """Explain why the order got its score.

        Parameters
        ----------
        sums : of `add_up`
        contributions, values : n_features each; NaN is not known

        Returns
        -------
        at most four reasons, the strongest first
        """
        least = max(MIN_LOG_ODDS, MIN_SHARE * _add_positive(sums))
        strong = [at for at, total in enumerate(sums) if total >= least]
        strong.sort(key=sums.__getitem__, reverse=True)
        reasons = []
        for group in strong[:MAX_REASONS]:
            at = max(self._columns[group], key=contributions.__getitem__)
            reasons.append(build_reason(self._specs[group], sums[group], self._names[at], values[at], self._lang))
        return tuple(reasons)


def _add_positive(numbers: Sequence[float]) -> float:
    return reduce(add, [number for number in numbers if number > 0.0], 0.0)
