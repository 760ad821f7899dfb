"""Refund requests as arrays, and their own features: what is asked for, how soon, why, and what its order was given.

A request is judged by the features of its order asked again at that instant (docs/definitions.md T7), by some more of
its item, which tell a faulty batch, and by these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ordervet.contract.model import Blame, OutcomeKind, RefundReason, RefundType
from ordervet.contract.values import to_micros
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.contract import Outcome
    from ordervet.features.events import OrderEvents
    from ordervet.features.spec import FeatureSpec

ITEM_NAMES: Final = ("item__share__refund_only__30d", "item__share__seller_fault__30d")
"""Features that requests are judged by, and orders are not: how many others ask for their money back without returning
the item, and how often the shop was at fault."""

_TYPES: Final = tuple(str(each) for each in RefundType if each is not RefundType.OTHER)
_REASONS: Final = tuple(str(each) for each in RefundReason if each is not RefundReason.OTHER)
CLAIM_NAMES: Final = (
    "claim__value__amount",
    "claim__share__amount",
    "claim__hours__placed",
    "claim__hours__delivered",
    *(f"claim__is__{name}" for name in _TYPES),
    *(f"claim__says__{name}" for name in _REASONS),
    "claim__has__evidence",
    "claim__is__seller_fault",
    "claim__value__order_p",
)
"""The features of a request itself, in the order in which they follow those of its order."""

# SPEED: texts of enumerations compare slowly (bench_live.py).
_TYPE_FLAGS: dict[RefundType | None, list[float]] = {
    None: [math.nan] * len(_TYPES),
    **{each: [float(each == name) for name in _TYPES] for each in RefundType},
}
_REASON_FLAGS: dict[RefundReason | None, list[float]] = {
    None: [math.nan] * len(_REASONS),
    **{each: [float(each == name) for name in _REASONS] for each in RefundReason},
}
_HOUR_US = 3_600_000_000
NOT_TOLD: Final = -1


@dataclass(frozen=True, slots=True)
class ClaimEvents:
    """Refund requests, one entry each; every array of shape (n,).

    Parameters
    ----------
    order_id : uint64 keyed ids
    seen_at, happened_at : UTC microseconds: when it became known, whose history counts, and when it was made
    amount_minor : minor units of the order's currency; -1 where it is not told
    refund_type, reason : positions in `RefundType` and `RefundReason`; -1 where it is not told
    has_evidence : 1, 0, or -1 where it is not told
    delivered_at : UTC microseconds; -1 where it is not told
    is_sellers_fault : whether the shop was known to be at fault by then
    """

    order_id: NDArray[np.uint64]
    seen_at: NDArray[np.int64]
    happened_at: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    refund_type: NDArray[np.int64]
    reason: NDArray[np.int64]
    has_evidence: NDArray[np.int64]
    delivered_at: NDArray[np.int64]
    is_sellers_fault: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.order_id)

    def take(self, rows: NDArray[np.int64]) -> ClaimEvents:
        """Pick rows, in the order given."""
        return ClaimEvents(*(getattr(self, name)[rows] for name in self.__slots__))


def build_claim_spec(spec: FeatureSpec) -> FeatureSpec:
    """Build the features of orders that requests are judged by: those of a spec, then `ITEM_NAMES`."""
    more = tuple(name for name in ITEM_NAMES if name not in spec.names and name.partition("__")[0] in spec.entities)
    return replace(spec, names=spec.names + more)


def build_claim_events(outcomes: pa.Table) -> ClaimEvents:
    """Pick the refund requests of a keyed table of outcomes, in its order."""
    requests = outcomes.filter(pc.equal(outcomes["kind"], OutcomeKind.REFUND_REQUESTED))
    return ClaimEvents(
        order_id=requests["id__order"].to_numpy(),
        seen_at=_read(requests["seen_at"]),
        happened_at=_read(requests["happened_at"]),
        amount_minor=_read(requests["amount_minor"]),
        refund_type=_number(requests["refund_type"], RefundType),
        reason=_number(requests["reason"], RefundReason),
        has_evidence=_read(requests["has_evidence"]),
        delivered_at=_read(requests["delivered_at"]),
        is_sellers_fault=pc.fill_null(pc.equal(requests["blame"], Blame.SELLER), fill_value=False).to_numpy(),
    )


def ask_orders(orders: OrderEvents, claims: ClaimEvents) -> tuple[OrderEvents, NDArray[np.int64], NDArray[np.int64]]:
    """Ask about the orders of requests at the requests' own times.

    Returns
    -------
    the orders as events at those times, their rows among `orders`, and the places of their requests among `claims`;
    those of orders that are not there, or not yet placed, are left out
    """
    if not len(orders) or not len(claims):
        return orders.take(_NONE), _NONE, _NONE
    sorter = np.argsort(orders.order_id, kind="stable")
    at = np.minimum(np.searchsorted(orders.order_id, claims.order_id, sorter=sorter), len(orders) - 1)
    row = sorter[at]
    place = np.flatnonzero((orders.order_id[row] == claims.order_id) & (claims.seen_at > orders.seen_at[row]))
    asked = orders.take(row[place])
    return replace(asked, seen_at=claims.seen_at[place], placed_at=asked.read_placed_at()), row[place], place


def build_claim_features(claims: ClaimEvents, orders: OrderEvents, order_p: NDArray[np.float64]) -> NDArray[np.float32]:
    """Build the features of requests.

    Parameters
    ----------
    claims : n of them
    orders : of each its order
    order_p : shape (n,), the probability of malice that the order was given when it was placed; NaN where it has none

    Returns
    -------
    shape (n, len(CLAIM_NAMES))
    """
    amount = np.where(claims.amount_minor >= 0, claims.amount_minor, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(orders.amount_minor > 0, amount / orders.amount_minor, np.nan)
    delivered = np.where(claims.delivered_at >= 0, claims.happened_at - claims.delivered_at, np.nan) / _HOUR_US
    columns = [
        amount * orders.read_rate(),
        share,
        (claims.happened_at - orders.read_placed_at()) / _HOUR_US,
        delivered,
        *_tell(claims.refund_type, RefundType, _TYPES),
        *_tell(claims.reason, RefundReason, _REASONS),
        np.where(claims.has_evidence >= 0, claims.has_evidence, np.nan),
        claims.is_sellers_fault,
        order_p,
    ]
    return np.column_stack(columns).astype(np.float32)


def build_one_claim(claim: Outcome, *, placed_at: int, amount_minor: int, rate: float, order_p: float) -> list[float]:
    """Build the features of one request, without arrays; the same numbers as `build_claim_features`.

    Parameters
    ----------
    claim : the request
    placed_at, amount_minor, rate : of its order; UTC microseconds, minor units, what one is worth
    order_p : as there
    """
    asked = math.nan if claim.amount_minor is None else float(claim.amount_minor)
    happened_at = to_micros(claim.happened_at)
    delivered = math.nan if claim.delivered_at is None else (happened_at - to_micros(claim.delivered_at)) / _HOUR_US
    return [
        asked * rate,
        asked / amount_minor if amount_minor > 0 else math.nan,
        (happened_at - placed_at) / _HOUR_US,
        delivered,
        *_TYPE_FLAGS[claim.refund_type],
        *_REASON_FLAGS[claim.reason],
        math.nan if claim.has_evidence is None else float(claim.has_evidence),
        float(claim.blame is Blame.SELLER),
        order_p,
    ]


_NONE = np.zeros(0, np.int64)


def _read(column: pa.ChunkedArray) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = pc.fill_null(column.cast(pa.int64()), NOT_TOLD).to_numpy()
    return numbers


def _number(column: pa.ChunkedArray, names: type[RefundType | RefundReason]) -> NDArray[np.int64]:
    """Turn names into their positions."""
    found = pc.index_in(column, value_set=pa.array([str(each) for each in names]))
    numbers: NDArray[np.int64] = pc.fill_null(found, NOT_TOLD).cast(pa.int64()).to_numpy()
    return numbers


def _tell(
    positions: NDArray[np.int64], names: type[RefundType | RefundReason], wanted: tuple[str, ...]
) -> list[NDArray[np.float64]]:
    """Tell of each name wanted whether it is the one: 1 or 0, NaN where none is told."""
    places = [at for at, name in enumerate(names) if name in wanted]
    return [np.where(positions >= 0, positions == at, np.nan) for at in places]
