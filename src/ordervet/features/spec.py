"""Features declared as data: every feature is its derived name, and a name says all there is to say.

    {entity}__{statistic}__{column}__{window}     buyer__count__order__30d
    {entity}__recency__{column}                   buyer__recency__order        seconds
    {entity}__age__{column}                       device__age__order           seconds
    {entity}__recency__{verdict}__{window}        device__recency__malicious__30d   verdicts can be taken back
    {entity}__{statistic}__{selector}__{baseline}__{window}     buyer__excess__refund_only__item__90d
    order__value__{field}                         order__value__amount
    order__is__{place type}                       order__is__pick_up
    group__{statistic}__{column}                  group__count__malicious      of all linked buyers
    order__number__{name}                         a mapped numeric column

A spec is an ordered tuple of such names; its hash goes into every model manifest. docs/definitions.md numbers the
definitions.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from zlib import crc32

from ordervet.currencies import find_rate
from ordervet.errors import MappingError

#: Raised when the meaning of any feature changes: models made before are refused, not served with other numbers.
SPEC_PROTOCOL = 3

MICROSECONDS = 1_000_000
WINDOWS_US: dict[str, int] = {
    "10m": 600 * MICROSECONDS,
    "1h": 3_600 * MICROSECONDS,
    "1d": 86_400 * MICROSECONDS,
    "3d": 3 * 86_400 * MICROSECONDS,
    "7d": 7 * 86_400 * MICROSECONDS,
    "14d": 14 * 86_400 * MICROSECONDS,
    "21d": 21 * 86_400 * MICROSECONDS,
    "30d": 30 * 86_400 * MICROSECONDS,
    "90d": 90 * 86_400 * MICROSECONDS,
}

#: What an event can be selected as; the position is its bit in an event's mask. An event may be several at once.
SELECTORS: tuple[str, ...] = (
    "order",
    "cancelled_unpaid",
    "cancelled_paid",
    "refund_requested",
    "refund_completed",
    "refund_rejected",
    "return_received",
    "delivery_refused",
    "claim",
    "bad_review",
    "chargeback",
    "fulfilled",
    "refund_only",  # a refund_requested of type refund_only
    "refund_before_shipping",  # a refund_requested of type before_shipping
    "refund_unexcused",  # a refund_completed that was not the seller's fault
    "seller_fault",  # a refund_completed that was
    "verdict",  # malicious or innocent; "unsure" is neither
    "malicious",
    "innocent",
    "new_account",  # an order whose buyer registered less than seven days before
    "first_order",  # an order of a buyer of whom no earlier one is known
)
SELECTOR_BIT: dict[str, int] = {name: 1 << position for position, name in enumerate(SELECTORS)}

#: Selectors of refunds: an order counts once, and in shares and expectations by the part of its amount.
SIZED = (
    "refund_requested", "refund_completed", "refund_only", "refund_before_shipping", "refund_unexcused", "seller_fault",
)  # fmt: skip

#: Bits that the core sets: this refund is the first of its order that the selector selects.
FIRST_REFUND_BIT: dict[str, int] = {name: SELECTOR_BIT[name] << 43 for name in SIZED}

#: Selectors of verdicts. They can be taken back, so they have no first and last instant without a window.
JUDGED = ("verdict", "malicious", "innocent")

#: Verdicts that follow each other in runs.
RUN_VERDICTS = ("malicious", "innocent")

#: Columns that can be summed: the selector whose events carry the amount.
SUM_COLUMNS: dict[str, str] = {"amount": "order", "refund_amount": "refund_completed"}

ORDER_VALUES: tuple[str, ...] = (
    "amount",
    "quantity",
    "n_lines",
    "discount_share",
    "shipping_share",
    "hour",
    "weekday",
    "account_age_days",
    "is_insured",
    "n_unknown",
)

#: Place types that an order can be told to have, as `entities.PlaceType` names them, in lower case.
PLACE_TYPES: tuple[str, ...] = (
    "household",
    "dormitory",
    "office",
    "pick_up",
    "warehouse",
    "campus",
    "hospital",
    "hotel",
    "shop",
    "village",
)

BUILT_IN_ENTITIES: tuple[str, ...] = (
    "buyer",
    "address",
    "place",
    "phone",
    "device",
    "ip",
    "payment",
    "recipient",
    "item",
    "category",
    "shop",
    "channel",
    "campaign",
)

#: What an order can tell of who is behind it; `order__value__n_unknown` counts what it does not tell.
EVIDENCE_ENTITIES: tuple[str, ...] = ("buyer", "address", "phone", "device", "ip", "payment", "recipient")

#: What links buyers, and what is known of those who are linked (`groups.py`).
GROUP_KEYS: tuple[str, ...] = ("phone", "address", "device", "payment")
GROUP_MEASURES: tuple[str, ...] = ("order", "malicious", "innocent", "refund_requested")
GROUP_NAMES: tuple[str, ...] = (
    "group__size__buyer",
    *(f"group__count__{measure}" for measure in GROUP_MEASURES),
    "group__share__malicious",
)

#: A key that more buyers than this have used is a hub: it links nobody any more.
MAX_LINKED = 8

#: What an order's refunds and cancellations can be measured against: the entities that have an expectation.
BASELINES: tuple[str, ...] = ("item", "category", "campaign", "channel")

#: The prior share per order of what can be measured against a baseline, in parts per million: assumed, not measured.
PRIOR_PPM: dict[str, int] = {
    "refund_requested": 80_000,
    "refund_only": 20_000,
    "refund_completed": 60_000,
    "cancelled_unpaid": 80_000,
    "refund_before_shipping": 20_000,
}

#: How many orders the prior weighs, and the window over which a baseline is known.
PRIOR_ORDERS = 20
BASELINE_WINDOW = "30d"


class Statistic(StrEnum):
    """What is computed over the events inside a window."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    DISTINCT = "distinct"
    SHARE = "share"
    RATIO = "ratio"
    DRIFT = "drift"
    RECENCY = "recency"
    AGE = "age"
    EXCESS = "excess"
    EXPECTED = "expected"
    LIFT = "lift"
    SAMENESS = "sameness"
    BURST = "burst"
    SYNCHRONY = "synchrony"
    RUN = "run"
    RUN_AGE = "run_age"
    PEAK = "peak"
    SPIKES = "spikes"


#: The window whose mean a drift or a usual amount is, the one a burst is measured against, and the one that synchrony
#: looks for.
LONG_WINDOW = "90d"
BURST_WINDOW = "30d"
SYNCHRONY_WINDOW = "1h"

#: An order of more than so many times the usual amount is a spike, and counts as so many times in the usual amount.
SPIKE_FROM = 3

WINDOWLESS = (Statistic.RECENCY, Statistic.AGE)
RELATIVE = (Statistic.EXCESS, Statistic.EXPECTED, Statistic.LIFT)
RUNS = (Statistic.RUN, Statistic.RUN_AGE)
USUAL = (Statistic.PEAK, Statistic.SPIKES)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One feature over the past events of one entity.

    Parameters
    ----------
    entity : whose events, such as ``buyer``
    statistic : what is computed
    column : a selector (count, share, recency, age), a verdict (run, run_age), a summable column (sum, mean), the
        amount (ratio, drift, peak, spikes), or an entity (distinct, sameness)
    window : a key of ``WINDOWS_US``; empty for recency and age, which look back without limit, but not on verdicts
    baseline : the entity whose expectation an excess, expected number or lift is measured against; else empty
    """

    entity: str
    statistic: Statistic
    column: str
    window: str = ""
    baseline: str = ""

    @property
    def name(self) -> str:
        """The derived name."""
        parts = (self.entity, self.statistic.value, self.column, self.baseline, self.window)
        return "__".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """The features of a model: names in column order, and the zone in which an order has an hour and a weekday.

    Parameters
    ----------
    names : derived feature names, distinct, in matrix column order
    entities : every entity that exists for the data at hand, built in or mapped
    numbers : mapped numeric columns
    time_zone : IANA name
    rates : per currency of its own rate, what a unit of it is worth in `currencies.REFERENCE`; the others have those of
        `currencies.find_rate`
    """

    names: tuple[str, ...]
    entities: tuple[str, ...] = BUILT_IN_ENTITIES
    numbers: tuple[str, ...] = ()
    time_zone: str = "Asia/Shanghai"
    rates: tuple[tuple[str, float], ...] = ()
    aggregations: tuple[tuple[int, Aggregation], ...] = field(init=False, repr=False, compare=False)
    order_columns: tuple[tuple[int, str], ...] = field(init=False, repr=False, compare=False)
    group_columns: tuple[tuple[int, str], ...] = field(init=False, repr=False, compare=False)
    # SPEED: specs are the keys of caches that every live order asks (benchmarks/bench_live.py). NOT: hash(), whose
    # value another process does not share.
    checksum: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_names(self)
        plain = [(at, name) for at, name in enumerate(self.names) if not name.startswith(("order__", "group__"))]
        parsed = [(at, parse_name(name)) for at, name in plain]
        linked = [(at, name) for at, name in enumerate(self.names) if name.startswith("group__")]
        own = [(at, name) for at, name in enumerate(self.names) if name.startswith("order__")]
        object.__setattr__(self, "aggregations", tuple(parsed))
        object.__setattr__(self, "order_columns", tuple(own))
        object.__setattr__(self, "group_columns", tuple(linked))
        content = repr((self.names, self.entities, self.numbers, self.time_zone, self.rates))
        object.__setattr__(self, "checksum", crc32(content.encode()))

    def __hash__(self) -> int:
        return self.checksum

    @property
    def hash(self) -> str:
        """SHA-256 over everything that gives the features their meaning, hexadecimal."""
        content = {"protocol": SPEC_PROTOCOL, "names": self.names, "time_zone": self.time_zone, "rates": self.rates}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def find_rate(self, currency: str) -> float:
        """Return what a minor unit of a currency is worth, in minor units of `currencies.REFERENCE`."""
        return find_rate(currency, dict(self.rates))


def parse_name(name: str) -> Aggregation:
    """Read a derived name back into the aggregation it names.

    Raises
    ------
    MappingError
        The name does not follow the grammar at the top of this module.
    """
    parts = name.split("__")
    statistic, column = (*parts, "", "", "")[1:3]
    if statistic not in set(Statistic):
        allowed = ", ".join(Statistic)
        raise MappingError(f"feature '{name}': got statistic '{statistic}', expected one of {allowed}")
    is_windowless = has_no_window(Statistic(statistic), column)
    form = _describe_form(Statistic(statistic), is_windowless=is_windowless)
    if len(parts) != len(form.split("__")):
        raise MappingError(f"feature '{name}': got {len(parts)} parts, expected {form}")
    window = "" if is_windowless else parts[-1]
    return Aggregation(parts[0], Statistic(statistic), column, window, parts[3] if statistic in RELATIVE else "")


def has_no_window(statistic: Statistic, column: str) -> bool:
    """Return whether a statistic of a column looks back without limit."""
    return statistic in WINDOWLESS and not (statistic is Statistic.RECENCY and column in RUN_VERDICTS)


def _describe_form(statistic: Statistic, *, is_windowless: bool) -> str:
    if is_windowless:
        return "entity__statistic__column"
    if statistic in RELATIVE:
        return "entity__statistic__selector__baseline__window"
    return "entity__statistic__column__window"


def expand_names(patterns: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Expand braces, as a shell does: ``buyer__count__order__{1d,7d}`` stands for two names.

    Returns
    -------
    names in order, each once
    """
    names: dict[str, None] = {}
    for pattern in patterns:
        pieces = re.split(r"\{([^{}]*)\}", pattern)
        choices = [piece.split(",") if at % 2 else [piece] for at, piece in enumerate(pieces)]
        for combination in itertools.product(*choices):
            names["".join(part.strip() for part in combination)] = None
    return tuple(names)


def _check_names(spec: FeatureSpec) -> None:
    faults = [fault for name in spec.names if (fault := _find_fault(name, spec))]
    repeated = sorted({name for name in spec.names if spec.names.count(name) > 1})
    faults += [f"'{name}': declared more than once" for name in repeated]
    if faults:
        listed = "\n".join(f" - {fault}" for fault in faults)
        raise MappingError(
            f"{len(faults)} of {len(spec.names)} features cannot be built\n{listed}",
            hint="a name is entity__statistic__column__window, for example buyer__count__order__30d",
        )


def _find_fault(name: str, spec: FeatureSpec) -> str:
    if name.startswith("order__"):
        known = [f"order__value__{value}" for value in ORDER_VALUES]
        known += [f"order__is__{place_type}" for place_type in PLACE_TYPES]
        known += [f"order__number__{number}" for number in spec.numbers]
        return "" if name in known else _describe(name, "order feature", name, known)
    if name.startswith("group__"):
        return "" if name in GROUP_NAMES else _describe(name, "group feature", name, list(GROUP_NAMES))
    try:
        aggregation = parse_name(name)
    except MappingError as error:
        return error.message.removeprefix("feature ")
    columns = _list_columns(aggregation.statistic, spec)
    if aggregation.entity not in spec.entities:
        return _describe(name, "entity", aggregation.entity, list(spec.entities))
    if aggregation.column not in columns:
        return _describe(name, "column", aggregation.column, columns)
    windows = _list_windows(aggregation.statistic)
    if aggregation.window and aggregation.window not in windows:
        return _describe(name, "window", aggregation.window, windows)
    baselines = [baseline for baseline in BASELINES if baseline != aggregation.entity]
    if aggregation.baseline and aggregation.baseline not in baselines:
        return _describe(name, "baseline", aggregation.baseline, baselines)
    return ""


def _list_windows(statistic: Statistic) -> list[str]:
    """List the windows that have a meaning: a burst's are shorter than what it is measured against, and so on."""
    windows = list(WINDOWS_US)
    if statistic is Statistic.BURST:
        return windows[: windows.index(BURST_WINDOW)]
    if statistic is Statistic.SYNCHRONY:
        return windows[windows.index(SYNCHRONY_WINDOW) + 1 :]
    return windows


def _list_columns(statistic: Statistic, spec: FeatureSpec) -> list[str]:
    if statistic in (Statistic.DISTINCT, Statistic.SAMENESS):
        return list(spec.entities)
    if statistic in RELATIVE:
        return list(PRIOR_PPM)
    if statistic in (Statistic.SUM, Statistic.MEAN):
        return list(SUM_COLUMNS)
    if statistic in (Statistic.RATIO, Statistic.DRIFT, *USUAL):
        return ["amount"]
    if statistic in RUNS:
        return list(RUN_VERDICTS)
    if statistic is Statistic.RECENCY:
        return [selector for selector in SELECTORS if selector != "verdict"]
    if statistic is Statistic.AGE:
        return [selector for selector in SELECTORS if selector not in JUDGED]
    return list(SELECTORS)


def _describe(name: str, what: str, got: str, allowed: list[str]) -> str:
    near = get_close_matches(got, allowed, n=1)
    close = f"; did you mean '{near[0]}'?" if near else ""
    return f"'{name}': got {what} '{got}', expected one of {', '.join(allowed)}{close}"
