"""What merchant plugins do: points for a buyer's past rates, and for sharing an exactly equal address.

A yardstick to be measured beside a model on the same orders, not something to use: no learning, no expectation of the
item, no place types, no look-alikes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet.features import FeatureEngine, build_order_events, build_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.learn.train import Prepared

#: A buyer with fewer orders on record gets no points for rates.
MIN_ORDERS = 3
_ORDERS = "buyer__count__order__90d"
#: Points by rate of the buyer's orders in 90 days: for more than a fifth, and again for more than a half.
_RATE_POINTS = {"refund_requested": (15, 25), "cancelled_unpaid": (10, 20), "delivery_refused": (15, 25)}
_RATE_STEPS = (0.2, 0.5)
#: Points for other buyers at the same address in 30 days, as many steps as are passed.
_BUYERS_AT_ADDRESS = "address__distinct__buyer__30d"
_ADDRESS_STEPS = (2, 4)
_ADDRESS_POINTS = (15, 20)
#: Points for a buyer found malicious before.
_MALICIOUS = "buyer__count__malicious__90d"
_MALICIOUS_POINTS = 50

NAMES = (_ORDERS, _BUYERS_AT_ADDRESS, _MALICIOUS, *(f"buyer__count__{event}__90d" for event in _RATE_POINTS))


def score_by_points(prepared: Prepared, *, n_jobs: int = 1) -> NDArray[np.float64]:
    """Give every order its points, as known at its own instant.

    The address is the door key: kinder to the baseline than the exact text that plugins compare.

    Parameters
    ----------
    prepared : all orders
    n_jobs : threads

    Returns
    -------
    shape (n_orders,), 0 to 195 points
    """
    spec = build_spec(use_defaults=False, names=NAMES)
    orders = build_order_events(prepared.keyed.orders, spec)
    features = FeatureEngine(spec, n_jobs=n_jobs).advance(orders, prepared.later)
    known = np.nan_to_num(features).T.astype(np.float64)
    columns: dict[str, NDArray[np.float64]] = dict(zip(spec.names, known, strict=True))
    points: NDArray[np.float64] = _MALICIOUS_POINTS * (columns[_MALICIOUS] > 0).astype(np.float64)
    n_orders = columns[_ORDERS]
    for event, worth in _RATE_POINTS.items():
        rate = columns[f"buyer__count__{event}__90d"] / np.maximum(n_orders, 1)
        for step, each in zip(_RATE_STEPS, worth, strict=True):
            points += each * ((rate > step) & (n_orders >= MIN_ORDERS))
    for step, each in zip(_ADDRESS_STEPS, _ADDRESS_POINTS, strict=True):
        points += each * (columns[_BUYERS_AT_ADDRESS] >= step)
    return points
