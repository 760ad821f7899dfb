"""Contract events as the plain arrays that features are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.contract.values import floor_minute
from ordervet.currencies import find_rate
from ordervet.entities import Evidence, PlaceType
from ordervet.features.spec import EVIDENCE_ENTITIES, SELECTOR_BIT
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ordervet.entities import KeyedEvents
    from ordervet.features.spec import FeatureSpec

#: Marks a verdict (also an unsure one) or a correction: it takes back the verdict before it.
JUDGEMENT_BIT = 1 << 40

#: Marks an outcome that was found to be the fault of seller, carrier or platform: no excess counts it.
EXCUSED_BIT = 1 << 41
_EXCUSED = ("seller", "carrier", "platform")

#: Marks an order to a place of many people: sharing its address links nobody.
SHARED_PLACE_BIT = 1 << 42

#: Mark refunds that are not a whole order where no amount says how much (definitions W10), and whether one does.
MINOR_REFUND_BIT, EXCHANGE_BIT, AMOUNT_KNOWN_BIT = 1 << 43, 1 << 44, 1 << 45
_MINOR_REFUNDS = ("price_protection", "freight")
SHARED_PLACES = [
    PlaceType.DORMITORY, PlaceType.OFFICE, PlaceType.PICK_UP, PlaceType.WAREHOUSE, PlaceType.CAMPUS,
    PlaceType.HOSPITAL, PlaceType.HOTEL, PlaceType.SHOP,
]  # fmt: skip

_NO_PLACE = len(PlaceType)  # stands for a null, which is a type of place as little as any other
_SHARED_PLACE_BITS = np.full(_NO_PLACE + 1, SELECTOR_BIT["order"], np.int64)
_SHARED_PLACE_BITS[SHARED_PLACES] |= SHARED_PLACE_BIT

#: A buyer's account is new for so long.
NEW_ACCOUNT_US = 7 * 86_400_000_000

#: No amount of another currency is worth more.
MAX_WORTH = 9e15

_DAY_US, _MINUTE_US = 86_400_000_000, 60_000_000
_MANY_ORDERS = 4_096

#: The order among events of one order at one instant: the milder verdict stands, a correction has the last word.
_RANK_OUTCOME, _RANK_MALICIOUS, _RANK_UNSURE, _RANK_INNOCENT, RANK_CORRECTION = range(1, 6)


def to_worth(amount: NDArray[np.int64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Compute what amounts are worth at their rates, rounded; at a rate of 1 they stay as they are.

    Parameters
    ----------
    amount, rate : shape (n,)

    References
    ----------
    `to_worth` in src/core/features/log.hpp does the same.
    """
    worth = np.minimum(np.floor(amount * rate + 0.5), MAX_WORTH).astype(np.int64)
    return np.where(rate == 1, amount, worth)


@dataclass(frozen=True, slots=True)
class OrderEvents:
    """Orders, one entry each.

    Parameters
    ----------
    order_id : shape (n,), uint64 keyed ids
    seen_at : shape (n,), UTC microseconds
    amount_minor : shape (n,), int64, minor units of each order's currency
    ids : per entity of the spec, shape (n,), uint64; 0 is not known
    own : shape (n, n_order_columns), float32, the features of the order itself, in the spec's order
    evidence : per entity, shape (n,), int8 codes of `entities.Evidence`: why an id is missing
    mask : shape (n,), int64 selector bits; None stands for plain orders
    placed_at : shape (n,), UTC microseconds; None stands for `seen_at`
    rate : shape (n,), what a minor unit is worth in those of the spec's currency; None stands for 1
    """

    order_id: NDArray[np.uint64]
    seen_at: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    ids: dict[str, NDArray[np.uint64]]
    own: NDArray[np.float32]
    evidence: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    mask: NDArray[np.int64] | None = None
    placed_at: NDArray[np.int64] | None = None
    rate: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.order_id)

    def read_rate(self) -> NDArray[np.float64]:
        """Read what a minor unit of each order is worth, shape (n,)."""
        return np.ones(len(self)) if self.rate is None else self.rate

    def compute_worth(self) -> NDArray[np.int64]:
        """Compute what the orders are worth in minor units of the spec's currency, shape (n,)."""
        return self.amount_minor if self.rate is None else to_worth(self.amount_minor, self.rate)

    def read_placed_at(self) -> NDArray[np.int64]:
        """Read when the orders were placed, shape (n,)."""
        return self.seen_at if self.placed_at is None else self.placed_at

    def read_mask(self) -> NDArray[np.int64]:
        """Read the selector bits, shape (n,)."""
        return np.full(len(self), SELECTOR_BIT["order"], np.int64) if self.mask is None else self.mask

    def take(self, rows: NDArray[np.int64]) -> OrderEvents:
        """Pick rows, in the order given."""
        return OrderEvents(
            order_id=self.order_id[rows],
            seen_at=self.seen_at[rows],
            amount_minor=self.amount_minor[rows],
            ids={entity: ids[rows] for entity, ids in self.ids.items()},
            own=self.own[rows],
            evidence={entity: codes[rows] for entity, codes in self.evidence.items()},
            mask=None if self.mask is None else self.mask[rows],
            placed_at=None if self.placed_at is None else self.placed_at[rows],
            rate=None if self.rate is None else self.rate[rows],
        )

    def without_own(self) -> OrderEvents:
        """Return the same orders for a spec that asks for no features of the order itself."""
        return replace(self, own=np.zeros((len(self), 0), np.float32))

    @classmethod
    def empty(cls, spec: FeatureSpec) -> OrderEvents:
        """Give no orders."""
        none = np.zeros(0, np.int64)
        ids = {entity: np.zeros(0, np.uint64) for entity in spec.entities}
        return cls(np.zeros(0, np.uint64), none, none, ids, np.zeros((0, len(spec.order_columns)), np.float32))

    @classmethod
    def concat(cls, parts: Sequence[OrderEvents]) -> OrderEvents:
        """Put parts of one spec behind each other; at least one part."""
        return cls(
            order_id=np.concatenate([part.order_id for part in parts]),
            seen_at=np.concatenate([part.seen_at for part in parts]),
            amount_minor=np.concatenate([part.amount_minor for part in parts]),
            ids={entity: np.concatenate([part.ids[entity] for part in parts]) for entity in parts[0].ids},
            own=np.concatenate([part.own for part in parts]),
            evidence={name: np.concatenate([part.evidence[name] for part in parts]) for name in parts[0].evidence},
            mask=np.concatenate([part.read_mask() for part in parts]),
            placed_at=np.concatenate([part.read_placed_at() for part in parts]),
            rate=np.concatenate([part.read_rate() for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class LaterEvents:
    """Outcomes, verdicts and corrections: what became known about orders after they were placed.

    Parameters
    ----------
    order_id : shape (n,), uint64 keyed ids
    seen_at : shape (n,), UTC microseconds
    mask : shape (n,), int64 selector bits
    amount_minor : shape (n,), int64; 0 where there is none
    rank : shape (n,), uint8, the order among events at one instant; an order has rank 0
    happened_at : shape (n,), UTC microseconds; None stands for `seen_at`
    """

    order_id: NDArray[np.uint64]
    seen_at: NDArray[np.int64]
    mask: NDArray[np.int64]
    amount_minor: NDArray[np.int64]
    rank: NDArray[np.uint8]
    happened_at: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.order_id)

    def read_happened_at(self) -> NDArray[np.int64]:
        """Read when the events happened, shape (n,)."""
        return self.seen_at if self.happened_at is None else self.happened_at

    def take(self, rows: NDArray[np.int64]) -> LaterEvents:
        """Pick rows, in the order given."""
        happened_at = None if self.happened_at is None else self.happened_at[rows]
        return LaterEvents(
            self.order_id[rows], self.seen_at[rows], self.mask[rows], self.amount_minor[rows], self.rank[rows],
            happened_at,
        )  # fmt: skip

    @classmethod
    def empty(cls) -> LaterEvents:
        """Give no events."""
        none = np.zeros(0, np.int64)
        return cls(np.zeros(0, np.uint64), none, none, none, np.zeros(0, np.uint8))

    @classmethod
    def concat(cls, parts: Sequence[LaterEvents]) -> LaterEvents:
        """Put parts behind each other; at least one part."""
        return cls(
            order_id=np.concatenate([part.order_id for part in parts]),
            seen_at=np.concatenate([part.seen_at for part in parts]),
            mask=np.concatenate([part.mask for part in parts]),
            amount_minor=np.concatenate([part.amount_minor for part in parts]),
            rank=np.concatenate([part.rank for part in parts]),
            happened_at=np.concatenate([part.read_happened_at() for part in parts]),
        )


def build_order_events(orders: pa.Table, spec: FeatureSpec) -> OrderEvents:
    """Turn a keyed orders table into arrays.

    Parameters
    ----------
    orders : of `entities.key_orders`, any row order
    spec : names the entities and order columns to build
    """
    known = [entity for entity in spec.entities if f"id__{entity}" in orders.column_names]
    n_orders = orders.num_rows
    ids = dict.fromkeys(spec.entities, np.zeros(n_orders, np.uint64))
    evidence = dict.fromkeys(spec.entities, np.full(n_orders, Evidence.ABSENT, np.int8))
    age_us = _read_account_age_us(orders)
    rate = _read_rates(orders, spec.find_rate)
    return OrderEvents(
        order_id=orders["id__order"].to_numpy(),
        seen_at=_read_integers(orders["seen_at"]),
        amount_minor=_read_integers(orders["amount_minor"]),
        ids=ids | {entity: orders[f"id__{entity}"].to_numpy() for entity in known},
        own=_build_own_features(orders, spec, age_us, rate),
        evidence=evidence | {entity: orders[f"evidence__{entity}"].to_numpy() for entity in known},
        mask=_mask_orders(orders, age_us),
        placed_at=floor_minute(_read_integers(orders["placed_at"])),
        rate=rate,
    )


def read_worth(orders: pa.Table, find_rate: Callable[[str], float] = find_rate) -> NDArray[np.int64]:
    """Read what orders are worth in minor units of `currencies.REFERENCE`, shape (n,), at rates given or usual."""
    rate, amount = _read_rates(orders, find_rate), _read_integers(orders["amount_minor"])
    return amount if rate is None else to_worth(amount, rate)


def _read_rates(orders: pa.Table, find_rate: Callable[[str], float]) -> NDArray[np.float64] | None:
    """Read what a minor unit of each order is worth; None where all are of one that is worth 1."""
    currencies = orders["currency"].combine_chunks().dictionary_encode()
    of_code = np.array([find_rate(code) for code in currencies.dictionary.to_pylist()])
    if np.all(of_code == 1):
        return None
    rates: NDArray[np.float64] = of_code[currencies.indices.to_numpy()]
    return rates


def build_later_events(events: KeyedEvents) -> LaterEvents:
    """Turn keyed outcome, verdict and correction tables into arrays, in any order."""
    outcomes, verdicts, corrections = events.outcomes, events.verdicts, events.corrections
    verdict_mask, verdict_rank = _read_verdicts(verdicts)
    n_judged = verdicts.num_rows + corrections.num_rows
    tables = (outcomes, verdicts, corrections)
    return LaterEvents(
        order_id=np.concatenate([table["id__order"].to_numpy() for table in tables]),
        seen_at=np.concatenate([_read_integers(table["seen_at"]) for table in tables]),
        mask=np.concatenate(
            [_mask_outcomes(outcomes), verdict_mask, np.full(corrections.num_rows, JUDGEMENT_BIT, np.int64)]
        ),
        amount_minor=np.concatenate([_read_integers(outcomes["amount_minor"]), np.zeros(n_judged, np.int64)]),
        rank=np.concatenate(
            [
                np.full(outcomes.num_rows, _RANK_OUTCOME, np.uint8),
                verdict_rank,
                np.full(corrections.num_rows, RANK_CORRECTION, np.uint8),
            ]
        ),
        happened_at=np.concatenate(
            [
                _read_integers(table[name])
                for table, name in zip(tables, ("happened_at", "decided_at", "corrected_at"), strict=True)
            ]
        ),
    )


def _mask_orders(orders: pa.Table, age_us: NDArray[np.float64]) -> NDArray[np.int64]:
    mask: NDArray[np.int64] = _SHARED_PLACE_BITS[_read_places(orders)]
    mask |= (age_us < NEW_ACCOUNT_US).astype(np.int64) * SELECTOR_BIT["new_account"]
    return mask


def _mask_outcomes(outcomes: pa.Table) -> NDArray[np.int64]:
    mask = np.zeros(outcomes.num_rows, np.int64)
    kind = {name: _equals(outcomes["kind"], name) for name in SELECTOR_BIT if name != "order"}
    for name, is_kind in kind.items():
        mask[is_kind] |= SELECTOR_BIT[name]
    is_sellers_fault = _equals(outcomes["blame"], "seller")
    mask[kind["refund_requested"] & _equals(outcomes["refund_type"], "refund_only")] |= SELECTOR_BIT["refund_only"]
    mask[kind["refund_requested"] & _equals(outcomes["refund_type"], "before_shipping")] |= SELECTOR_BIT[
        "refund_before_shipping"
    ]
    is_minor = np.logical_or.reduce([_equals(outcomes["refund_type"], name) for name in _MINOR_REFUNDS])
    mask[is_minor] |= MINOR_REFUND_BIT
    mask[_equals(outcomes["refund_type"], "exchange")] |= EXCHANGE_BIT
    is_refund = kind["refund_requested"] | kind["refund_completed"]
    mask[is_refund & outcomes["amount_minor"].is_valid().to_numpy()] |= AMOUNT_KNOWN_BIT
    is_excused = np.logical_or.reduce([_equals(outcomes["blame"], blame) for blame in _EXCUSED])
    mask[is_excused] |= EXCUSED_BIT
    mask[kind["refund_completed"] & ~is_sellers_fault] |= SELECTOR_BIT["refund_unexcused"]
    mask[kind["refund_completed"] & is_sellers_fault] |= SELECTOR_BIT["seller_fault"]
    return mask


def _read_verdicts(verdicts: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    is_malicious = _equals(verdicts["verdict"], "malicious")
    is_innocent = _equals(verdicts["verdict"], "innocent")
    mask = np.full(verdicts.num_rows, JUDGEMENT_BIT, np.int64)
    mask[is_malicious] |= SELECTOR_BIT["malicious"] | SELECTOR_BIT["verdict"]
    mask[is_innocent] |= SELECTOR_BIT["innocent"] | SELECTOR_BIT["verdict"]
    rank = np.select([is_malicious, is_innocent], [_RANK_MALICIOUS, _RANK_INNOCENT], _RANK_UNSURE)
    return mask, rank.astype(np.uint8)


def _build_own_features(
    orders: pa.Table, spec: FeatureSpec, age_us: NDArray[np.float64], rate: NDArray[np.float64] | None
) -> NDArray[np.float32]:
    # SPEED: column after column, and turned at the end, takes half the time of single numbers far apart
    # (bench_path.py).
    own = np.empty((len(spec.order_columns), orders.num_rows), np.float32)
    for at, (_, name) in enumerate(spec.order_columns):
        _, source, value = name.split("__", 2)
        column = f"number__{value}"
        if value == "account_age_days" and source == "value":
            own[at] = age_us / _DAY_US
        elif source == "value" and value == "amount" and rate is not None:
            own[at] = to_worth(_read_integers(orders["amount_minor"]), rate)
        elif source == "value":
            own[at] = _read_own_value(orders, value, spec.time_zone)
        elif source == "is":
            own[at] = _tell_place_type(orders, value)
        else:
            own[at] = _read_floats(orders[column]) if column in orders.column_names else np.nan
    return np.ascontiguousarray(own.T)


def _read_own_value(orders: pa.Table, value: str, time_zone: str) -> NDArray[Any]:
    match value:
        case "discount_share" | "shipping_share":
            amount, part = _read_floats(orders["amount_minor"]), _read_floats(orders[value.replace("share", "minor")])
            with np.errstate(invalid="ignore", divide="ignore"):
                return part / (amount + part)
        case "hour":
            return _read_clock(orders["placed_at"], pc.hour, time_zone)
        case "weekday":
            return _read_clock(orders["placed_at"], pc.day_of_week, time_zone)
        case "n_unknown":
            return _count_unknown(orders)
        case "amount":
            return _read_floats(orders["amount_minor"])
        case _:
            return _read_floats(orders[value])


def _read_clock(
    instants: pa.ChunkedArray, read: Callable[[pa.ChunkedArray], pa.ChunkedArray], time_zone: str
) -> NDArray[np.float64]:
    """Read a part of the local time; orders that lie close together are read once a minute."""
    local = pa.timestamp("us", time_zone)
    n = len(instants)
    if n < _MANY_ORDERS or instants.null_count:
        return _read_floats(read(instants.cast(local)))
    minutes = instants.cast(pa.int64()).to_numpy() // _MINUTE_US
    first, last = int(minutes.min()), int(minutes.max())
    if last - first >= n:
        return _read_floats(read(instants.cast(local)))
    # NOTE: zones have changed their offset at whole minutes of UTC ever since there are contracts (1990).
    told = pa.chunked_array([pa.array(np.arange(first, last + 1) * _MINUTE_US).cast(pa.timestamp("us", "UTC"))])
    of_order: NDArray[np.float64] = _read_floats(read(told.cast(local)))[minutes - first]
    return of_order


def _read_account_age_us(orders: pa.Table) -> NDArray[np.float64]:
    """Read for how long the buyer has been registered; NaN where that is not known."""
    age_us = pc.subtract(orders["placed_at"].cast(pa.int64()), orders["buyer_registered_at"].cast(pa.int64()))
    return _read_floats(age_us)


def _tell_place_type(orders: pa.Table, name: str) -> NDArray[np.float32]:
    """Say 1 where the order goes to this type of place, 0 where to another, NaN where the type is not known."""
    table = np.zeros(_NO_PLACE + 1, np.float32)
    table[PlaceType.UNKNOWN], table[PlaceType[name.upper()]] = np.nan, 1.0
    told: NDArray[np.float32] = table[_read_places(orders)]
    return told


def _read_places(orders: pa.Table) -> NDArray[np.int8]:
    return pc.fill_null(orders["place_type"], _NO_PLACE).to_numpy()  # type: ignore[no-any-return]


def _count_unknown(orders: pa.Table) -> NDArray[np.int8]:
    """Count the people, places and things that the order does not tell."""
    columns = [f"id__{entity}" for entity in EVIDENCE_ENTITIES if f"id__{entity}" in orders.column_names]
    unknown = np.full(orders.num_rows, len(EVIDENCE_ENTITIES) - len(columns), np.int8)
    for column in columns:
        unknown += orders[column].to_numpy() == 0
    return unknown


def _equals(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    return pc.fill_null(pc.equal(column, value), fill_value=False).to_numpy()  # type: ignore[no-any-return]


def _read_integers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return pc.fill_null(column.cast(pa.int64()), 0).to_numpy()  # type: ignore[no-any-return]


def _read_floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Read numbers with NaN where there is none."""
    return pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy()  # type: ignore[no-any-return]
