"""The simulation as Arrow tables with the contract's columns."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract.schemas import INSTANT, Events, event_schema
from ordervet.lab.simulate import address_words
from ordervet.lab.simulate.addresses import N_WRITINGS
from ordervet.lab.simulate.aftermath import BLAMES, DECIDERS, OUTCOME_KINDS, REFUND_TYPES, VERDICTS
from ordervet.lab.simulate.catalogue import CATEGORIES, CHANNELS
from ordervet.lab.simulate.people import NONE
from ordervet.lab.simulate.requests import REASONS
from ordervet.lab.simulate.season import CAMPAIGNS
from ordervet.lab.simulate.text_columns import join, pick, replace_where, take, write_code, write_integers

if TYPE_CHECKING:
    from ordervet.contract.schemas import EventKind
    from ordervet.lab.simulate.aftermath import Outcomes, Verdicts
    from ordervet.lab.simulate.dice import Flags, Ints
    from ordervet.lab.simulate.drafts import PlacedOrders, World
    from ordervet.lab.simulate.text_columns import Column

_US_PER_S = 1_000_000
_N_IPS = 1 << 22
_STRIDES = {"b": 2_654_435_761, "a": 1_640_531_527, "p": 2_246_822_519, "d": 3_266_489_917, "y": 668_265_263}
_STRIDE = 374_761_393  # NOTE: every stride is odd and no multiple of 5: one-to-one below any power of 2 or 10
_PHONE_PREFIX = "154"
MASKED_COLUMNS = ("recipient", "phone", "phone_group", "device_id", "ip")


@dataclass(frozen=True)
class Simulation:
    """A simulated merchant's events, and the truth about them.

    Parameters
    ----------
    orders, outcomes, verdicts, corrections : canonical contract tables, each sorted by its time; `seen_at` is that time
    truth : order_id, kind, look_alike, is_malicious, ring, in the order of `orders`; for evaluation only, never a
        feature
    """

    orders: pa.Table
    outcomes: pa.Table
    verdicts: pa.Table
    corrections: pa.Table
    truth: pa.Table

    @property
    def events(self) -> Events:
        """The four canonical tables together, without the truth."""
        return Events(self.orders, self.outcomes, self.verdicts, self.corrections)

    def __repr__(self) -> str:
        counts = ", ".join(f"{getattr(self, field.name).num_rows} {field.name}" for field in fields(self)[:-1])
        return f"Simulation({counts})"


def mask_simulation(simulation: Simulation) -> Simulation:
    """Take recipients, phones, devices and IP addresses out of the orders, as an export that hides people does.

    Examples
    --------
    >>> from ordervet.lab.simulate import SimulationSettings, simulate
    >>> masked = mask_simulation(simulate(SimulationSettings(n_orders=500)))
    >>> masked.orders["phone"].null_count
    500
    """
    orders = simulation.orders
    for name in MASKED_COLUMNS:
        at = orders.schema.get_field_index(name)
        field = orders.schema.field(at)
        orders = orders.set_column(at, field, pa.nulls(orders.num_rows, field.type))
    return replace(simulation, orders=orders)


def build_simulation(
    world: World, placed: PlacedOrders, outcomes: Outcomes, verdicts: Verdicts, known_until_s: int | None
) -> Simulation:
    """Write everything down."""
    order_id = write_code("o", np.arange(1, len(placed) + 1), 9)
    kinds = list(world.settings.kind_weights)
    known = np.ones(len(verdicts.row), dtype=np.bool_)
    corrected = verdicts.corrected_s != NONE
    if known_until_s is not None:
        known &= verdicts.decided_s < known_until_s
        corrected &= verdicts.corrected_s < known_until_s
    return Simulation(
        orders=_write_orders(world, placed, order_id),
        outcomes=_write_outcomes(outcomes, order_id),
        verdicts=_write_verdicts(verdicts, np.flatnonzero(known), order_id, kinds),
        corrections=_write_corrections(verdicts, np.flatnonzero(corrected), order_id),
        truth=pa.table(
            {
                "order_id": order_id,
                "kind": pick(kinds, placed.draft.kind),
                "look_alike": pick(list(world.settings.look_alike_shares), placed.draft.look_alike),
                "is_malicious": pa.array(placed.draft.kind != NONE),
                "ring": write_code("r", placed.draft.ring, 6, is_missing=placed.draft.ring == NONE),
            }
        ),
    )


def _write_orders(world: World, placed: PlacedOrders, order_id: Column) -> pa.Table:
    draft, people = placed.draft, world.people
    platforms = list(world.settings.platform_shares)
    is_plain = people.column("is_masked")[draft.buyer] == 0
    has_device = people.column("has_device")[draft.buyer] == 1
    has_ip = people.column("has_ip")[draft.buyer] == 1
    has_group = ~is_plain & (people.column("has_group")[draft.buyer] == 1)
    address, address_group = _write_addresses(world, placed, is_plain, has_group)
    categories = world.catalogue.category[draft.item]
    return _build_table(
        "orders",
        {
            "order_id": order_id,
            "placed_at": _build_times(draft.placed_s),
            "amount_minor": pa.array(placed.amount_minor),
            "discount_minor": pa.array(placed.discount_minor),
            "shipping_minor": pa.array(placed.shipping_minor),
            "currency": pa.repeat(pa.scalar("CNY"), len(placed)),
            "quantity": pa.array(draft.quantity),
            "n_lines": pa.array(draft.n_lines),
            "buyer_id": _code("b", draft.buyer, 8),
            "buyer_registered_at": _build_times(placed.registered_s),
            "recipient": pick(_list_names(), np.where(is_plain, _scramble(draft.recipient, _N_NAMES), NONE)),
            "address": address,
            "address_group": address_group,
            "phone": _write_phones(draft.phone, draft.extension, is_plain),
            "phone_group": _code("p", np.where(has_group, draft.phone, NONE), 8),
            "device_id": _code("d", np.where(has_device, draft.device, NONE), 8),
            "ip": _write_ips(draft.ip, has_ip),
            "payment_account": _code("y", draft.payment, 8),
            "item_id": pick([f"i{i:04d}" for i in range(len(world.catalogue.category))], draft.item),
            "category": pick([category.name for category in CATEGORIES], categories),
            "shop_id": pick([f"s_{name}" for name in platforms], placed.platform),
            "channel": pick(list(CHANNELS), placed.channel),
            "platform": pick(platforms, placed.platform),
            "campaign": pick([name or "" for name in CAMPAIGNS], _find_campaigns(placed)),
            "is_insured": pa.array(placed.insured == 1),
            "status": pa.nulls(len(placed), pa.string()),
        },
    )


def _find_campaigns(placed: PlacedOrders) -> Ints:
    has_one = np.array([name is not None for name in CAMPAIGNS])
    return np.where(has_one[placed.phase], placed.phase, NONE)


def _write_addresses(world: World, placed: PlacedOrders, is_plain: Flags, has_group: Flags) -> tuple[Column, Column]:
    """Write each distinct door and writing once, then hand the texts and the platforms' equality keys out."""
    written = placed.draft.door * N_WRITINGS + placed.draft.writing
    distinct, at = np.unique(written, return_inverse=True)
    texts = world.book.write(distinct // N_WRITINGS, distinct % N_WRITINGS)
    return take(texts, np.where(is_plain, at, NONE)), _code("a", np.where(has_group, at, NONE), 8)


def _write_phones(phone: Ints, extension: Ints, is_plain: Flags) -> Column:
    """Write eleven digits, and the extension of a virtual phone."""
    numbers = _code(_PHONE_PREFIX, np.where(is_plain, phone, NONE), 8)
    is_virtual = is_plain & (extension != NONE)
    virtual = join(take(numbers, np.flatnonzero(is_virtual)), write_code("-", extension[is_virtual], 4))
    return replace_where(numbers, is_virtual, virtual)


def _write_ips(ip: Ints, has_ip: Flags) -> Column:
    """Write addresses of 240.0.0.0/10, a range that is given to nobody (RFC 1112)."""
    number = np.where(has_ip, _scramble(ip, _N_IPS), NONE)
    heads = [f"240.{byte}." for byte in range(_N_IPS >> 16)]
    tails = [f"{third}.{last}" for third in range(256) for last in range(256)]
    return join(pick(heads, np.where(has_ip, number >> 16, NONE)), pick(tails, np.where(has_ip, number & 0xFFFF, NONE)))


def _write_outcomes(outcomes: Outcomes, order_id: Column) -> pa.Table:
    return _build_table(
        "outcomes",
        {
            "order_id": take(order_id, outcomes.row),
            "kind": pick(list(OUTCOME_KINDS), outcomes.kind),
            "happened_at": _build_times(outcomes.happened_s),
            "refund_type": pick(list(REFUND_TYPES), outcomes.refund_type),
            "amount_minor": write_integers(outcomes.amount_minor),
            "reason": pick(list(REASONS), outcomes.reason),
            "has_evidence": pa.array(outcomes.evidence == 1, mask=outcomes.evidence == NONE),
            "delivered_at": _build_times(outcomes.delivered_s),
            "blame": pick(list(BLAMES), outcomes.blame),
        },
    )


def _write_verdicts(verdicts: Verdicts, rows: Ints, order_id: Column, kinds: list[str]) -> pa.Table:
    return _build_table(
        "verdicts",
        {
            "order_id": take(order_id, verdicts.row[rows]),
            "verdict": pick(list(VERDICTS), verdicts.verdict[rows]),
            "kind": pick(kinds, verdicts.kind[rows]),
            "by": pick(list(DECIDERS), verdicts.by[rows]),
            "agent": pa.nulls(len(rows), pa.string()),
            "decided_at": _build_times(verdicts.decided_s[rows]),
        },
    )


def _write_corrections(verdicts: Verdicts, rows: Ints, order_id: Column) -> pa.Table:
    rows = rows[np.argsort(verdicts.corrected_s[rows], kind="stable")]
    return _build_table(
        "corrections",
        {
            "order_id": take(order_id, verdicts.row[rows]),
            "corrected_at": _build_times(verdicts.corrected_s[rows]),
        },
    )


def _build_table(kind: EventKind, columns: dict[str, Column]) -> pa.Table:
    """Build a table in the canonical schema; every event is seen at its own time, and what is not given is null."""
    schema = event_schema(kind)
    seen_at = next(column for name, column in columns.items() if name.endswith("_at"))
    given = columns | {"seen_at": seen_at}
    return pa.table([given.get(each.name, pa.nulls(len(seen_at), each.type)) for each in schema], schema=schema)


def _build_times(seconds: Ints) -> Column:
    """Build a column of times; -1 is none."""
    return pa.array(seconds * _US_PER_S, mask=seconds == NONE).cast(INSTANT)


def _scramble(code: Ints, size: int, stride: int = _STRIDE) -> Ints:
    """Shuffle running numbers below `size`, so that nobody reads from a number when it was issued."""
    return (code * stride + size // 3) % size


def _code(prefix: str, code: Ints, n_digits: int) -> Column:
    """Write running numbers as shuffled ones with a prefix; -1 is missing."""
    number = _scramble(code, 10**n_digits, _STRIDES.get(prefix, _STRIDE))
    return write_code(prefix, number, n_digits, is_missing=code == NONE)


_N_NAMES = len(address_words.SURNAMES) * len(address_words.GIVEN) ** 2


def _list_names() -> list[str]:
    """List invented names: a surname and two common syllables."""
    given = [a + b for a in address_words.GIVEN for b in address_words.GIVEN]
    return [surname + name for surname in address_words.SURNAMES for name in given]
