"""Trade histories made up at random, written as each platform's exports and webhooks, to be read back as the truth.

The writer is the inverse of a format's TOML: a field goes into the first column it is read from, an outcome into the
states that its rule asks for. What it cannot invert, a test must not claim: lines have
the state of their order, and refunds are edited only where the format says as of when a row is.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ordervet.contract import Events, list_formats, read_counted_events, validate_events
from ordervet.contract.files.event_files import read_payload
from ordervet.entities import Key
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.history import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from ordervet.contract.formats.definition import Condition, Format, OutcomeRule, StateRules

KEY = Key(bytes(range(16)))
SPEC = build_spec()
START = datetime(2025, 10, 1, tzinfo=UTC)
LATER = ("order_id", "kind", "happened_at", "refund_type", "amount_minor", "blame")
PLACED = ("order_id", "placed_at", "amount_minor", "currency", "quantity", "item_id")

#: The formats of one platform's orders and refunds; refunds are nested in its orders where there is one name only.
PLATFORMS = {
    "tmall": ("tmall_orders", "tmall_refunds"),
    "jd": ("jd_orders", "jd_refunds"),
    "pdd": ("pdd_orders", "pdd_refunds"),
    "douyin": ("douyin_orders", "douyin_after_sales"),
    "wechat": ("wechat_orders", "wechat_after_sales"),
    "taobao_api": ("taobao_api_trades", "taobao_api_refunds"),
    "woocommerce_api": ("woocommerce_api_orders", "woocommerce_api_refunds"),
    "woocommerce": ("woocommerce_orders",),
    "shopify_api": ("shopify_api_orders",),
}
AS_JSON = {"wechat", "taobao_api", "woocommerce_api", "shopify_api"}
_END = {"refund_completed": "completed_at", "refund_rejected": "completed_at"}


@dataclass(frozen=True)
class Refund:
    """One refund of an order; it is edited once, or never."""

    number: str
    requested_at: datetime
    kind: str | None  # how it ended, if it did
    ended_at: datetime
    refund_type: str | None
    amount: int
    blame: str | None
    edited_at: datetime
    edited_amount: int

    def amount_at(self, at: datetime) -> int:
        return self.edited_amount if self.edited_at <= at else self.amount

    def updated_at(self, at: datetime) -> datetime:
        ended = [self.ended_at] if self.kind else []
        return max(each for each in (self.requested_at, self.edited_at, *ended) if each <= at)


@dataclass(frozen=True)
class Trade:
    """One order, how it ended, and its refunds."""

    order_id: str
    placed_at: datetime
    amount: int
    quantity: int
    buyer: str
    item: str
    kind: str | None
    ended_at: datetime
    refunds: tuple[Refund, ...]
    second: tuple[int, int, str] | None  # amount, quantity and item of a dearer line of its own

    def updated_at(self, at: datetime) -> datetime:
        refunds = [each.updated_at(at) for each in self.refunds if each.requested_at <= at]
        ended = [self.ended_at] if self.kind and self.ended_at <= at else []
        return max([self.placed_at, *ended, *refunds])


class Writer:
    """Writes rows of one format."""

    def __init__(self, fmt: Format, *, is_json: bool) -> None:
        self.format, self.is_json = fmt, is_json
        self._zone = ZoneInfo(fmt.time_zone)

    def write_time(self, at: datetime) -> str:
        if self.is_json and self.format.has_epoch:
            return str(int(at.timestamp()))
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S")

    def write_money(self, minor: int, unit: str) -> str:
        return str(minor) if unit == "minor" else f"{minor // 100}.{minor % 100:02d}"

    def put_field(self, row: dict[str, str], name: str, text: str | int) -> None:
        if name not in self.format.fields:
            return
        source = self.format.fields[name][0]
        (column, *_) = source.groups[0]
        row[column] = self.write_money(text, source.unit or self.format.unit) if isinstance(text, int) else text
        for less, *_ in source.minus:
            row[less] = self.write_money(0, source.unit or self.format.unit)
        for more, *_ in source.groups[1:]:
            row.setdefault(more, self.write_money(0, source.unit or self.format.unit) if isinstance(text, int) else "")

    def put_condition(self, row: dict[str, str], rules: StateRules, rule: Condition, some_time: datetime) -> None:
        for state, patterns in rule.when.items():
            row[rules.states[state].columns[0]] = patterns[0].replace("*", "")
        for state in rule.given:
            row.setdefault(rules.states[state].columns[0], self.write_time(some_time))
        for state in rule.missing:
            row[rules.states[state].columns[0]] = ""

    def put_outcome(
        self, row: dict[str, str], rules: StateRules, kind: str, at: datetime, amount: int | None, since: datetime
    ) -> None:
        rule = find_rule(rules, kind)
        (date, *_) = [name for name in rule.at if not rules.states[name].is_bound] or rule.at
        row[rules.states[date].columns[0]] = self.write_time(at)
        self.put_condition(row, rules, rule, since)
        if rule.amount and amount is not None:
            state = rules.states[rule.amount[0]]
            row[state.columns[0]] = self.write_money(amount, state.unit or self.format.unit)

    def put_passing(self, row: dict[str, str], rules: StateRules) -> None:
        """Fill in what says that nothing has happened yet."""
        for name, state in rules.states.items():
            if state.passing and name in {"status", "fulfillment"}:
                texts = [each.replace("*", "") for each in state.passing]
                row.setdefault(state.columns[0], next(each for each in texts if each))

    def put_required(self, row: dict[str, str]) -> None:
        """Add the columns without which a file is not of the format."""
        for names in self.format.required:
            if not any(name in row for name in names):
                row[names[0]] = ""

    def put_updated(self, row: dict[str, str], at: datetime) -> None:
        if self.is_dated:
            row[self.format.states["updated_at"].columns[0]] = self.write_time(at)

    @property
    def is_dated(self) -> bool:
        """Whether a row says as of when it is."""
        return "updated_at" in self.format.states

    def write(self, rows: Sequence[dict[str, Any]], path: Path) -> None:
        for row in rows:
            self.put_required(row)
        columns = list(dict.fromkeys(name for row in rows for name in row))
        if self.is_json:
            path.write_text(json.dumps([nest(dict.fromkeys(columns, "") | row, self.format) for row in rows]), "utf-8")
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns, restval="")
            table.writeheader()
            table.writerows(rows)


def find_rule(rules: StateRules, kind: str) -> OutcomeRule:
    return next(rule for rule in rules.outcomes if rule.kind == kind and not rule.zero)


def nest(row: dict[str, Any], fmt: Format) -> dict[str, Any]:
    """Nest the names of a row; those of its line are in a list."""
    record: dict[str, Any] = {}
    (line, *_) = fmt.json_places.lines or ["?"]
    for name, value in row.items():
        parent = record
        *above, last = name.split(".")
        for depth, part in enumerate(above):
            place = ".".join(above[: depth + 1])
            default: Any = [{}] if place in {line, "fulfillments", "transactions"} else {}
            parent = parent.setdefault(part, default)
            parent = parent[0] if isinstance(parent, list) else parent
        parent[last] = value
    return record


@dataclass(frozen=True)
class World:
    """A trade history and how a platform writes it."""

    platform: str
    orders: Writer
    refunds: Writer | None
    trades: tuple[Trade, ...]
    exports_at: tuple[datetime, ...]

    def build_order_row(self, trade: Trade, at: datetime) -> dict[str, Any]:
        """Write an order as it stands at a time."""
        writer, fmt = self.orders, self.orders.format
        row: dict[str, Any] = {}
        for name, value in {
            "order_id": trade.order_id,
            "order_uid": f"uid{trade.order_id}",
            "placed_at": writer.write_time(trade.placed_at),
            "amount_minor": trade.amount,
            "currency": "EUR",
            "quantity": str(trade.quantity),
            "buyer_id": trade.buyer,
            "item_id": trade.item,
        }.items():
            writer.put_field(row, name, value)
        for names, text in ((fmt.lines.id, trade.order_id + "0"), (fmt.lines.amount, "1.00")):
            if names:
                row[names[0]] = text
        if trade.kind and trade.ended_at <= at:
            writer.put_outcome(row, fmt, trade.kind, trade.ended_at, None, trade.placed_at + timedelta(minutes=1))
        writer.put_passing(row, fmt)
        for nested in fmt.nested.values():
            known = [each for each in trade.refunds if each.kind and each.ended_at <= at]
            row[nested.columns[0]] = self._nest_refunds(nested, known)
        writer.put_updated(row, trade.updated_at(at))
        return row

    @property
    def has_lines(self) -> bool:
        """Whether an order can have several rows, whose amounts are added."""
        fmt = self.orders.format
        return (
            not self.orders.is_json
            and bool(fmt.lines.id)
            and fmt.fields["amount_minor"][0].merge in {"sum", "same_or_sum"}
        )

    def build_order_rows(self, trade: Trade, at: datetime) -> list[dict[str, Any]]:
        """Write an order as it stands at a time, in two lines where it has a second one."""
        first = self.build_order_row(trade, at)
        if not (trade.second and self.has_lines):
            return [first]
        fmt = self.orders.format
        amount, quantity, item = trade.second
        second = self.build_order_row(replace(trade, amount=amount, quantity=quantity, item=item), at)
        self.orders.put_field(first, "amount_minor", trade.amount - amount)
        self.orders.put_field(first, "quantity", str(trade.quantity - quantity))
        second |= {fmt.lines.id[0]: trade.order_id + "1", fmt.lines.amount[0]: "2.00"}
        return [first, second]

    def _nest_refunds(self, nested: Any, refunds: Sequence[Refund]) -> Any:
        rows = []
        for each in refunds:
            row: dict[str, str] = {}
            self.orders.put_outcome(
                row, nested, "refund_completed", each.ended_at, each.amount_at(each.ended_at), each.ended_at
            )
            if nested.id:
                row[nested.id[0]] = each.number
            rows.append(row)
        if self.orders.is_json:
            return [nest(row, self.orders.format) for row in rows]
        return ";".join("|".join(f"{name}:{value}" for name, value in row.items()) for row in rows)

    def build_refund_row(self, trade: Trade, refund: Refund, at: datetime) -> dict[str, Any]:
        """Write a refund as it stands at a time."""
        writer = self.refunds
        if writer is None:
            raise AssertionError("refunds that are nested have no rows")
        fmt = writer.format
        row: dict[str, Any] = {}
        writer.put_field(row, "order_id", trade.order_id)
        row[fmt.lines.id[0]] = refund.number
        amount = refund.amount_at(at)
        rule = next((each for each in fmt.refund_types if each.value == refund.refund_type), None)
        if rule is not None:
            writer.put_condition(row, fmt, rule, refund.requested_at)
        kept = dict(row)
        if any(each.kind == "refund_requested" for each in fmt.outcomes):
            writer.put_outcome(row, fmt, "refund_requested", refund.requested_at, amount, refund.requested_at)
        if refund.kind and refund.ended_at <= at:
            writer.put_outcome(row, fmt, refund.kind, refund.ended_at, amount, refund.requested_at)
            blame = next((each for each in fmt.blames if each.value == refund.blame), None)
            if blame is not None:
                writer.put_condition(row, fmt, blame, refund.requested_at)
        row |= kept
        writer.put_passing(row, fmt)
        writer.put_updated(row, refund.updated_at(at))
        return row

    def list_refunds(self, at: datetime) -> list[tuple[Trade, Refund]]:
        """List the refunds that an export of a time has."""
        has_requests = self.refunds is not None and any(
            rule.kind == "refund_requested" for rule in self.refunds.format.outcomes
        )
        return [
            (trade, refund)
            for trade in self.trades
            for refund in trade.refunds
            if (refund.requested_at <= at if has_requests else bool(refund.kind) and refund.ended_at <= at)
        ]

    def build_truth(self) -> Events:
        """Build the events that are known at the last export, in contract columns."""
        at = self.exports_at[-1]
        fmt = self.orders.format
        orders, outcomes = [], []
        for trade in self.trades:
            order = {
                "order_id": trade.order_id,
                "placed_at": trade.placed_at,
                "amount_minor": trade.amount,
                "quantity": trade.quantity,
                "buyer_id": trade.buyer,
                "item_id": trade.second[2] if trade.second and self.has_lines else trade.item,
                "n_lines": 2 if trade.second and self.has_lines else 1,
                "platform": fmt.platform,
                "currency": "EUR" if "currency" in fmt.fields else "CNY",
            }
            if self.platform == "pdd":  # its amount is what the columns of discounts and postage leave, all of them 0
                order |= {"discount_minor": 0, "shipping_minor": 0}
            orders.append(order | ({"order_uid": f"uid{trade.order_id}"} if "order_uid" in fmt.fields else {}))
            if trade.kind and trade.ended_at <= at:
                outcomes.append({"order_id": trade.order_id, "kind": trade.kind, "happened_at": trade.ended_at})
        for trade, refund in self.list_refunds(at):
            amount = refund.amount_at(at)
            what = {"order_id": trade.order_id, "refund_type": refund.refund_type, "amount_minor": amount}
            what |= {"outcome_id": refund.number}
            rules = self.refunds.format if self.refunds else None
            if rules and any(rule.kind == "refund_requested" for rule in rules.outcomes):
                outcomes.append(what | {"kind": "refund_requested", "happened_at": refund.requested_at})
            if refund.kind and refund.ended_at <= at:
                has_blame = rules is not None and find_rule(rules, refund.kind).has_blame
                blame = {"blame": refund.blame} if has_blame else {}
                outcomes.append(what | blame | {"kind": refund.kind, "happened_at": refund.ended_at})
        return replace(
            Events.empty(),
            orders=validate_events("orders", orders),
            outcomes=validate_events("outcomes", outcomes) if outcomes else Events.empty().outcomes,
        )

    def iter_sources(self, folder: Path, rng: random.Random) -> Iterable[Events]:
        """Write exports of different times, which overlap, and some webhooks, and read them in any order."""
        sources: list[Any] = []
        for number, at in enumerate(self.exports_at):
            is_last = number == len(self.exports_at) - 1
            first = 0 if is_last else rng.randrange(len(self.trades))
            orders = [
                row for each in self.trades[first:] if each.placed_at <= at for row in self.build_order_rows(each, at)
            ]
            if orders:
                sources.append((self.orders, orders, folder / f"orders{number}"))
            refunds = [self.build_refund_row(*each, at) for each in self.list_refunds(at)] if self.refunds else []
            refunds = refunds if is_last else refunds[rng.randrange(len(refunds) + 1) :]
            if refunds and self.refunds:
                sources.append((self.refunds, refunds, folder / f"refunds{number}"))
        if self.platform in AS_JSON and self.refunds:
            for trade, refund in self.list_refunds(self.exports_at[-1]):
                if rng.random() < 0.4:
                    at = rng.choice([refund.ended_at if refund.kind else refund.requested_at, refund.requested_at])
                    if self.list_refunds(at):
                        known = [each for each in self.list_refunds(at) if each == (trade, refund)]
                        sources += [(self.refunds, self.build_refund_row(*each, at), None) for each in known]
        rng.shuffle(sources)
        for writer, rows, path in sources:
            if path is None:
                writer.put_required(rows)
                yield read_payload(nest(rows, writer.format), writer.format.name)
                continue
            named = path.with_suffix(".json" if writer.is_json else ".csv")
            writer.write(rows, named)
            events, failures, _ = read_counted_events([named], format=writer.format.name, are_orders_needed=False)
            if failures.num_rows:
                raise AssertionError(f"{named.name}: {failures.to_pylist()}")
            yield events


def make_world(seed: int, platform: str) -> World:
    """Make up a trade history of some orders, and when it is exported."""
    rng = random.Random(seed)  # noqa: S311 - dice
    formats = {each.name: each for each in list_formats()}
    is_json = platform in AS_JSON
    orders, *rest = [Writer(formats[name], is_json=is_json) for name in PLATFORMS[platform]]
    refunds = rest[0] if rest else None
    ends = {rule.kind for rule in orders.format.outcomes} & {"fulfilled", "cancelled_paid", "cancelled_unpaid"}
    # An exchange that is completed is no refund everywhere.
    types = sorted({str(rule.value) for rule in refunds.format.refund_types} - {"exchange"}) if refunds else []
    kinds = (
        sorted({str(rule.kind) for rule in refunds.format.outcomes} & set(_END)) if refunds else ["refund_completed"]
    )
    blames = [None, *sorted({str(rule.value) for rule in refunds.format.blames})] if refunds else [None]
    trades = []
    for number in range(rng.randint(1, 12)):
        placed_at = START + timedelta(seconds=rng.randrange(20 * 86_400))
        amount, quantity = rng.randint(100, 90_000), rng.randint(1, 4)
        made = tuple(
            _make_refund(
                rng,
                f"{number}{at}7001",
                placed_at,
                amount,
                types,
                kinds,
                blames,
                can_edit=bool(refunds and refunds.is_dated),
            )
            for at in range(rng.choice([0, 0, 1, 1, 2, 3]))
        )
        can_end = rng.random() < 0.6
        trades.append(
            Trade(
                f"{230_100_000_000_000 + seed * 100 + number}",
                placed_at,
                amount,
                quantity,
                f"buyer{rng.randrange(4)}",
                f"item{rng.randrange(3)}",
                rng.choice(sorted(ends)) if can_end and not made else "fulfilled" if can_end else None,
                placed_at + timedelta(seconds=rng.randrange(3600, 9 * 86_400)),
                made,
                (rng.randint(1, amount - 1), 1, "item9") if quantity > 1 and rng.random() < 0.5 else None,
            )
        )
    last = START + timedelta(days=40)
    days = sorted(rng.randint(1, 39) for _ in range(rng.randint(0, 3)))
    return World(
        platform,
        orders,
        refunds,
        tuple(sorted(trades, key=lambda each: each.placed_at)),
        (*(START + timedelta(days=day) for day in days), last),
    )


def _make_refund(
    rng: random.Random,
    number: str,
    placed_at: datetime,
    paid: int,
    types: Sequence[str],
    kinds: Sequence[str],
    blames: Sequence[str | None],
    *,
    can_edit: bool,
) -> Refund:
    requested_at = placed_at + timedelta(seconds=rng.randrange(3600, 8 * 86_400))
    ended_at = requested_at + timedelta(seconds=rng.randrange(600, 9 * 86_400))
    amount = rng.randint(1, paid)
    is_edited = can_edit and rng.random() < 0.3
    edited_at = requested_at + (ended_at - requested_at) * rng.uniform(0.1, 0.9) if is_edited else requested_at
    return Refund(
        number,
        requested_at,
        rng.choice(kinds) if rng.random() < 0.7 else None,
        ended_at,
        rng.choice(types) if types else None,
        amount,
        rng.choice(blames),
        edited_at.replace(microsecond=0),
        rng.randint(1, paid) if is_edited else amount,
    )


def check_world(world: World, folder: Path, rng: random.Random) -> None:
    """Compare what a history makes of the exports with the truth."""
    truth = History.open(folder / "truth", KEY, create=True)
    truth.ingest(world.build_truth())
    history = History.open(folder / "history", KEY, create=True)
    for events in world.iter_sources(folder, rng):
        history.ingest(events)
    expected, found = truth.read(), history.read()
    for name, columns in (("orders", PLACED), ("outcomes", LATER)):
        there, here = (count_rows(getattr(each, name), columns) for each in (expected, found))
        if there != here:
            raise AssertionError(
                f"{name}: lacking {list((there - here).elements())}, beyond {list((here - there).elements())}"
            )
    of_truth, of_history = (compute_features(each) for each in (expected, found))
    for order_id, features in of_truth.items():
        differs = np.flatnonzero(~np.isclose(of_history[order_id], features, rtol=0.0, atol=0.0, equal_nan=True))
        if len(differs):
            raise AssertionError(f"{order_id}: {[SPEC.names[at] for at in differs]}")


def count_rows(table: pa.Table, columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
    rows = table.select(list(columns)).to_pylist()
    return Counter(
        tuple(str(value) if isinstance(value, datetime) else value for value in row.values()) for row in rows
    )


def compute_features(events: Any) -> dict[str, Any]:
    orders = build_order_events(events.orders, SPEC)
    values = FeatureEngine(SPEC).advance(orders, build_later_events(events))
    return dict(zip(events.orders["order_id"].to_pylist(), values, strict=True))
