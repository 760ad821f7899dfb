"""Honest orders that look like malice and must not pay for it: who they are, and how often each counts in the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from numpy.typing import NDArray

Weight = Annotated[float, Ge(1), Le(100)]


class Bound(BaseModel):
    """Bounds of one feature, both included.

    Parameters
    ----------
    feature : its derived name
    at_least, at_most : None leaves that side open
    or_unknown : a value that is not known (NaN) is within the bounds too
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    feature: str
    at_least: float | None = None
    at_most: float | None = None
    or_unknown: bool = False

    def find(self, values: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell which values are within the bounds."""
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        is_within = (values >= low) & (values <= high)
        return is_within | np.isnan(values) if self.or_unknown else is_within


class Protection(BaseModel):
    """Innocent orders that are within all of several bounds count several times; malicious ones count once.

    Parameters
    ----------
    where : what they are recognised by; protects nobody where the spec lacks one of the features
    weight : how many times such an order counts
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: Annotated[tuple[Bound, ...], MinLen(1)]
    weight: Weight

    @property
    def features(self) -> tuple[str, ...]:
        """The features that it is recognised by."""
        return tuple(bound.feature for bound in self.where)

    def find(self, features: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.bool_]:
        """Tell which orders are meant, shape (n,)."""
        if not set(self.features) <= set(names):
            return np.zeros(len(features), bool)
        is_meant = np.ones(len(features), bool)
        for bound in self.where:
            is_meant &= bound.find(features[:, names.index(bound.feature)])
        return is_meant


def build_weights(
    protected: tuple[Protection, ...],
    features: NDArray[np.float32],
    names: tuple[str, ...],
    is_malicious: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Give each order's weight in the fit, shape (n,); where several protections fit, the largest weight holds."""
    weights = np.ones(len(is_malicious), np.float32)
    for protection in protected:
        is_meant = ~is_malicious & protection.find(features, names)
        weights[is_meant] = np.maximum(weights[is_meant], protection.weight)
    return weights


def _up_to(feature: str, at_most: float) -> Bound:
    """Bound from above; what is not known is no evidence either."""
    return Bound(feature=feature, at_most=at_most, or_unknown=True)


def _from(feature: str, at_least: float, at_most: float | None = None) -> Bound:
    return Bound(feature=feature, at_least=at_least, at_most=at_most)


_AGE = "order__value__account_age_days"
_YOUNG, _OLD = Bound(feature=_AGE, at_most=30), Bound(feature=_AGE, at_least=60)
_ONE_DEVICE = _up_to("device__distinct__buyer__90d", 1)
#: Nobody else's phone, device or payment account.
_OWN = (_ONE_DEVICE, _up_to("phone__distinct__buyer__90d", 1), _up_to("payment__distinct__buyer__90d", 1))
#: And nobody else at the door for an hour: a bystander of whatever ring is at work.
_ALONE = (*_OWN, _up_to("place__distinct__buyer__1h", 0))
#: Nothing bad is known.
_CLEAN = (
    *(_up_to(f"{entity}__count__malicious__90d", 0) for entity in ("buyer", "place", "device", "phone")),
    _up_to("buyer__count__refund_only__90d", 0),
)
#: A household buys at leisure: not several people at its door within an hour.
_HOUSEHOLD = (_up_to("place__distinct__buyer__1h", 1), *_CLEAN)
_BURST = _from("item__burst__order__1h", 4)

#: Found by turns of fitting, measuring all look-alikes on simulated merchants, and raising the weight of whoever was
#: flagged too often (docs/evaluation.md, "What makes it fair"). Narrow bounds with large weights cost less recall than
#: wide ones with small weights: they leave alone what no honest order is like.
PROTECTED = (
    # Newcomers. NOT those of whom neither phone nor device is known: that would be blind where all of it is masked.
    Protection(where=(_YOUNG, _from("phone__distinct__buyer__90d", 0), *_ALONE), weight=70),
    Protection(where=(_YOUNG, _from("device__distinct__buyer__90d", 0), *_ALONE), weight=70),
    # Families.
    Protection(where=(_from("address__distinct__buyer__90d", 2, 5), *_HOUSEHOLD), weight=75),
    Protection(where=(_from("device__distinct__buyer__90d", 2, 4), *_HOUSEHOLD), weight=75),
    Protection(where=(_from("phone__distinct__buyer__90d", 2, 4), *_HOUSEHOLD), weight=75),
    # Who collects parcels where others do.
    Protection(where=(_from("order__is__pick_up", 1),), weight=18),
    # Leaders of group purchases.
    Protection(where=(_from("buyer__count__order__1h", 1), _OLD, _ONE_DEVICE), weight=18),
    # Wholesale buyers.
    Protection(where=(_from("order__value__quantity", 6),), weight=20),
    # Buyers of faulty batches.
    Protection(where=(_from("buyer__count__refund_only__90d", 1),), weight=20),
    # Who orders clothes in three sizes, or got the wrong parcel.
    Protection(where=(_from("buyer__share__refund_requested__90d", 0.5),), weight=15),
    # The crowd of a live stream: a burst from about as many devices as orders; neighbours may be among them.
    Protection(
        where=(
            _BURST,
            _from("item__sameness__device__1h", 0, 0.2),
            _up_to("item__sameness__place__1h", 0.4),
            *_OWN,
            _up_to("place__distinct__buyer__1h", 2),
        ),
        weight=20,
    ),
    # And where devices are not known.
    Protection(
        where=(_BURST, *(_up_to(f"item__sameness__{each}__1h", 0.15) for each in ("device", "place")), *_ALONE),
        weight=5,
    ),
    # Gifts to a door that nobody ordered to before.
    Protection(
        where=(
            _OLD,
            _ONE_DEVICE,
            *(_up_to(f"place__distinct__buyer__{window}", 0) for window in ("1h", "90d")),
            *_CLEAN,
        ),
        weight=3,
    ),
    # Who topped an order up to a discount and sent that part back.
    Protection(where=(_from("buyer__excess__refund_before_shipping__campaign__90d", 0.5), _ONE_DEVICE), weight=60),
)
