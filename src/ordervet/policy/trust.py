"""Trust: the good end of the scale. Who has earned it by evidence, and who was granted it by a person.

It opens a door, such as a refund at once, and closes none: nobody is treated worse for not being trusted
(docs/definitions.md D12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ordervet.policy.desk import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

EARNED: Final = "trust_earned"
GRANTED: Final = "trust_granted"
_GRANT: Final = "allow_buyer"
_DENIED: Final = ("deny_", "watch_")
_JUDGED: Final = (Standing.MALICIOUS, Standing.UNSURE)
_DAY_S: Final = 86_400.0
#: Earlier orders of the buyer, seconds since the first, standing malicious verdicts in the buyer's linked group.
NAMES: Final = ("buyer__count__order__90d", "buyer__age__order", "group__count__malicious")


class Trust(BaseModel):
    """What it takes to earn trust.

    Parameters
    ----------
    min_orders : earlier orders of the buyer in 90 days
    min_days : since the buyer's first order
    max_risk : the upper bound of the share of malice among orders that are trusted, as the model measured it
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    min_orders: Annotated[int, Field(ge=1, le=1000)] = 5
    min_days: Annotated[float, Field(ge=0.0, le=3650.0, strict=False)] = 60.0
    max_risk: Annotated[float, Field(gt=0.0, le=0.1)] = 0.01


class TrustGate(NamedTuple):
    """Tells which orders earn trust under a policy and a model.

    Parameters
    ----------
    most_p : the highest probability of malice that does; below 0 where nobody does
    places : columns of `NAMES`
    min_orders, min_age_s : as of `Trust`, the age as a feature holds it
    """

    most_p: float
    places: tuple[int, int, int]
    min_orders: int
    min_age_s: float

    @classmethod
    def of(cls, trust: Trust, measured: Mapping[str, Any] | None, names: Sequence[str]) -> Self:
        """Read from what a model measured how low its probabilities must be.

        Parameters
        ----------
        trust : of the policy
        measured : the model's ``trust`` (`learn.trust.measure_trust`); None earns nobody any
        names : the model's features
        """
        min_age_s = float(np.float32(trust.min_days * _DAY_S))
        is_enough = (
            measured is not None
            and measured["min_orders"] <= trust.min_orders
            and measured["min_days"] <= trust.min_days
            and set(NAMES) <= set(names)
        )
        if measured is None or not is_enough:
            return cls(-1.0, (0, 0, 0), trust.min_orders, min_age_s)
        low = [p for p, upper in zip(measured["p"], measured["upper"], strict=True) if upper <= trust.max_risk]
        n_orders, age, n_malicious = (names.index(name) for name in NAMES)
        return cls(max(low, default=-1.0), (n_orders, age, n_malicious), trust.min_orders, min_age_s)

    def find_known(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Find the orders of buyers who are known long enough, and linked to no malice; shape (n,)."""
        n_orders, age, n_malicious = (features[:, at] for at in self.places)
        known: npt.NDArray[np.bool_] = (
            (n_orders >= self.min_orders) & (age >= np.float32(self.min_age_s)) & (n_malicious == 0)
        )
        return known

    def earns(self, features: npt.NDArray[np.float32], p_malicious: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Find the orders that earn trust, should they pass in the lowest band; shape (n,)."""
        if self.most_p < 0:
            return np.zeros(len(features), bool)
        return self.find_known(features) & (p_malicious <= self.most_p)

    def earns_one(self, features: npt.NDArray[np.float32], p_malicious: float) -> bool:
        """Tell whether one order does; shape (1, n_features).

        References
        ----------
        Truth: `earns`.
        """
        if not p_malicious <= self.most_p:  # NOT: >. A probability that is not known earns nothing
            return False
        n_orders, age, n_malicious = (features.item(0, at) for at in self.places)
        return bool(n_orders >= self.min_orders and age >= self.min_age_s and n_malicious == 0)


def name_trust(applied: Sequence[str], standing: int, *, earns: bool) -> tuple[str, ...]:
    """Return the code of an order's trust, if any: a person's grant first; whoever is denied or watched has none.

    Parameters
    ----------
    applied : codes of what lists and rules found
    standing : where the order stands with the desk
    earns : whether it passes in the lowest band, and earns trust
    """
    if standing in _JUDGED or any(code.startswith(_DENIED) for code in applied):
        return ()
    if _GRANT in applied:
        return (GRANTED,)
    return (EARNED,) if earns else ()
