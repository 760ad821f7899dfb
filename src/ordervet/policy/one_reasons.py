"""One order's reasons, without arrays: what `assign_reasons` and `own_history_log_odds` give for a batch of one."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from ordervet.policy.reasons import MAX_REASONS, MIN_LOG_ODDS, MIN_SHARE, build_groups, build_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordervet.policy.reasons import Reason
    from ordervet.words import Lang

__all__ = ["OneReasoner"]


class OneReasoner:
    """Gives reasons for orders of one model, one at a time.

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
        return [reduce(add, [contributions[at] for at in columns], 0.0) for columns in self._columns]

    def find_own_history(self, sums: Sequence[float]) -> float:
        """Give the log-odds by which the buyer's own history speaks against the order.

        Parameters
        ----------
        sums : of `add_up`
        """
        return _add_positive([sums[at] for at in self._own])

    def find_reasons(
        self, sums: Sequence[float], contributions: Sequence[float], values: Sequence[float]
    ) -> tuple[Reason, ...]:
        """Say why the order got its score.

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
            reasons.append(
                build_reason(self._specs[group], sums[group], self._names[at], values[at], self._lang, "CNY")
            )
        return tuple(reasons)


def _add_positive(numbers: Sequence[float]) -> float:
    return reduce(add, [number for number in numbers if number > 0.0], 0.0)
