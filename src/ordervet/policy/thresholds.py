"""Where the bands begin: fixed probabilities, or the probability from which a stricter treatment is the cheaper one."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ordervet.errors import PolicyError

Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Minutes = Annotated[float, Field(ge=0.0, le=600.0, allow_inf_nan=False)]
Minor = Annotated[int, Field(ge=0, le=10**13)]

FloatArray = npt.NDArray[np.float64]


class Explicit(BaseModel):
    """Bands that begin at fixed probabilities.

    Parameters
    ----------
    by : ``"explicit"``
    elevated, high, severe : least p_malicious of the band, 0..1, ascending
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Literal["explicit"]
    elevated: Probability
    high: Probability
    severe: Probability

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if not self.elevated <= self.high <= self.severe:
            raise ValueError(
                f"elevated, high and severe must ascend, got {self.elevated:g}, {self.high:g}, {self.severe:g}"
            )
        return self

    def build_cuts(self, n_orders: int, amount_minor: npt.NDArray[np.int64] | None = None) -> FloatArray:
        """Return the least probability of each band above low.

        Parameters
        ----------
        n_orders : number of orders
        amount_minor : not used: fixed thresholds do not look at money

        Returns
        -------
        shape (n_orders, 3), probabilities for elevated, high, severe, ascending
        """
        del amount_minor
        return np.broadcast_to(np.array([self.elevated, self.high, self.severe]), (n_orders, 3))


class Treatment(BaseModel):
    """What it costs, and what it saves, to treat an order as its band asks.

    Parameters
    ----------
    minutes : desk minutes per order
    catch_share : share of the value at risk that is saved when the order is malicious, 0..1
    annoyance_minor : minor units lost when the buyer is honest (a delay, a call, a lost customer)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    minutes: Minutes
    catch_share: Share
    annoyance_minor: Minor


class ExpectedCost(BaseModel):
    """Bands that begin where their treatment costs less than any milder one.

    With value at risk V = fixed_loss_minor + loss_share × amount, a treatment costs
    ``minutes × minute_minor + p × V × (1 − catch_share) + (1 − p) × annoyance_minor``; low costs ``p × V``. These are
    lines in p, and stricter bands catch and annoy at least as much, so their lines never rise faster: the cheapest band
    can only become stricter as p grows. Amounts are taken to be in the currency the costs are stated in.

    Parameters
    ----------
    by : ``"expected_cost"``
    minute_minor : minor units a desk minute costs
    fixed_loss_minor : minor units lost with any malicious order (shipping, handling)
    loss_share : share of the amount lost with a malicious order, 0..1
    elevated, high, severe : each band's treatment
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Literal["expected_cost"]
    minute_minor: Minor
    fixed_loss_minor: Minor = 0
    loss_share: Share = 1.0
    elevated: Treatment
    high: Treatment
    severe: Treatment

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for milder, stricter in pairwise(("elevated", "high", "severe")):
            one, other = getattr(self, milder), getattr(self, stricter)
            if one.catch_share > other.catch_share or one.annoyance_minor > other.annoyance_minor:
                raise ValueError(f"{stricter} must catch at least as much and annoy at least as much as {milder}")
        return self

    def build_cuts(self, n_orders: int, amount_minor: npt.NDArray[np.int64] | None = None) -> FloatArray:
        """Return the least probability at which each band, or a stricter one, is the cheapest.

        Parameters
        ----------
        n_orders : number of orders
        amount_minor : shape (n_orders,), minor units

        Returns
        -------
        shape (n_orders, 3), for elevated, high, severe, ascending; inf where a band never pays, −inf where it always
        does

        Raises
        ------
        PolicyError
            The amounts are not given.
        """
        if amount_minor is None:
            raise PolicyError(
                "thresholds by expected cost need every order's amount", hint="pass amount_minor= to decide()"
            )
        value = self.fixed_loss_minor + self.loss_share * amount_minor.astype(np.float64)
        free = Treatment(minutes=0.0, catch_share=0.0, annoyance_minor=0)
        treatments = (free, self.elevated, self.high, self.severe)
        # A band at least k is reached when some j >= k is cheaper than every i < k.
        beats_all_below = {
            (j, k): np.max([self._break_even(treatments[i], treatments[j], value) for i in range(k)], axis=0)
            for k in (1, 2, 3)
            for j in range(k, 4)
        }
        cuts = [np.min([beats_all_below[j, k] for j in range(k, 4)], axis=0) for k in (1, 2, 3)]
        return np.stack(cuts, axis=1).reshape(n_orders, 3)

    def _break_even(self, milder: Treatment, stricter: Treatment, value: FloatArray) -> FloatArray:
        """Return the probability at which both treatments cost the same, shape (n_orders,)."""
        annoyance = float(stricter.annoyance_minor - milder.annoyance_minor)
        extra = (stricter.minutes - milder.minutes) * self.minute_minor + annoyance
        gain = value * (stricter.catch_share - milder.catch_share) + annoyance
        never_or_always = np.inf if extra >= 0.0 else -np.inf
        # A gain too small to divide by leaves the break-even at infinity, which is where it belongs.
        with np.errstate(over="ignore"):
            return np.divide(extra, gain, out=np.full_like(value, never_or_always), where=gain > 0.0)
