"""The stages between events and features, each on the rows of one slot: plain arrays in, plain arrays out.

    key        batches of tables        → orders, later events, by order
    settle     the events of orders     → what each part needs, by its ids; what the next stages need, by order
    find       the orders of a baseline → weights of events, by order              (features/parts.py)
               the orders of a key      → who shares it while it is no hub (G2); the first orders of a buyer
    connect    all who share keys       → the root of each group
    spread     the orders of a buyer    → their root, by order
    attach     orders, what was found   → what the parts need that take weights, first orders or groups
    compute    the events of some ids   → columns of their part, by order
    finish     orders, their columns    → the matrix, row by row

An id's events meet at the slot `id % n_partitions` of its part, those of linked orders at that of their root; where an
order is a row of several ids, it is a row of each part. An order that is sent again is a further *sight* of one order:
it has the ids of the first (T7).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.features import FeatureEngine, LaterEvents, OrderEvents
from ordervet.features.events import JUDGEMENT_BIT, SHARED_PLACE_BIT
from ordervet.features.parts import GROUP, list_expectations, list_parts, needs_first_orders
from ordervet.features.plan import list_weight_columns
from ordervet.features.spec import GROUP_KEYS, MAX_LINKED, SELECTOR_BIT
from ordervet.spark.messages import Message, split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec
    from ordervet.features.parts import Part
    from ordervet.spark.messages import Inbox, Rows
    from ordervet.spark.slot_states import SlotStates

#: The stages that messages are for; see above.
SETTLE, FIND, CONNECT, SPREAD, ATTACH, COMPUTE, FINISH = (
    "settle", "find", "connect", "spread", "attach", "compute", "finish",
)  # fmt: skip

#: What messages hold.
ORDERS, LATER, ASKED, VERDICTS, FIRST, HUBS, EDGES, ROOTS = (
    "orders", "later", "asked", "verdicts", "first", "hubs", "edges", "roots",
)  # fmt: skip
EXPECT, LINK, WEIGHTS, FEATURES = "expect ", "link ", "weights ", "features "

_EVENT = [("order_id", "u8"), ("seen_at", "i8"), ("amount", "i8"), ("mask", "i8")]
LATER_TYPE = np.dtype([*_EVENT, ("happened_at", "i8"), ("rank", "u1"), ("number", "i4")])
VERDICT_TYPE = np.dtype([("order_id", "u8"), ("seen_at", "i8")])
_SIGHT_TYPE = np.dtype([("order_id", "u8"), ("sight", "i4")])
_LINK_TYPE = np.dtype([("order_id", "u8"), ("seen_at", "i8"), ("buyer", "u8"), ("id", "u8"), ("is_user", "?")])
_NOTE_TYPE = np.dtype([("order_id", "u8"), ("key", "i4")])
_PAIR_TYPE = np.dtype([("order_id", "u8"), ("other", "u8")])
_EDGE_TYPE = np.dtype([("node", "u8"), ("other", "u8"), ("is_guest", "?")])

#: The number of an order among its own events, which later ones count from 0.
_ITSELF = -1
_NO_HUB = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Layout:
    """How a spec is shared out.

    Parameters
    ----------
    spec : the features
    n_partitions : slots of each part
    states : what slots have kept, where an epoch follows others; linked groups then have one slot
    """

    spec: FeatureSpec
    n_partitions: int
    states: SlotStates | None = None

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The parts that compute columns, by name."""
        return {part.name: part for part in list_parts(self.spec)}

    @cached_property
    def expectations(self) -> dict[str, Part]:
        """The parts that give weights, by the name of the baseline."""
        return {part.name: part for part in list_expectations(self.spec)}

    @cached_property
    def links(self) -> tuple[str, ...]:
        """The entities whose orders have to meet before the parts."""
        buyers = ("buyer",) if needs_first_orders(self.spec) else ()
        return (*buyers, *GROUP_KEYS) if self.has_roots else buyers

    @cached_property
    def has_roots(self) -> bool:
        """Whether linked orders meet at their root."""
        return GROUP in self.parts and self.states is None

    @cached_property
    def late_parts(self) -> tuple[Part, ...]:
        """The parts that need what others find out."""
        parts = self.parts.values()
        return tuple(p for p in parts if (p.name == GROUP and self.has_roots) or p.takes_weights or p.takes_first)

    @cached_property
    def entities(self) -> tuple[str, ...]:
        """The entities whose ids count."""
        parts = [*self.parts.values(), *self.expectations.values()]
        buyers = {"buyer"} if self.links else set()
        used = {*buyers, *self.links, *(p.name for p in parts), *(value for p in parts for value in p.values)}
        return tuple(entity for entity in self.spec.entities if entity in used)

    @cached_property
    def n_weights(self) -> int:
        """How many baselines' expectations an event has."""
        return len(list_weight_columns(self.spec))

    @cached_property
    def order_type(self) -> np.dtype[np.void]:
        """The form of orders: a row is a sight."""
        ids = ("ids", "u8", (len(self.entities),))
        return np.dtype([*_EVENT, ("placed_at", "i8"), ("rate", "f8"), ("sight", "i4"), ids])

    def part_types(self, part: Part, *, has_weights: bool) -> tuple[np.dtype[np.void], np.dtype[np.void]]:
        """Return the forms of the orders and later events of a part."""
        weights = ("weights", "i4", (self.n_weights if has_weights else 0,))
        values = ("values", "u8", (len(part.values),))
        orders = [*_EVENT, ("rate", "f8"), ("sight", "i4"), ("id", "u8"), values, weights]
        return np.dtype(orders), np.dtype([*_EVENT, ("rank", "u1"), ("number", "i4"), weights])

    def weights_type(self) -> np.dtype[np.void]:
        """Return the form of what a baseline leads one to expect."""
        return np.dtype([("order_id", "u8"), ("number", "i4"), ("weights", "i4", (self.n_weights,))])

    def features_type(self, part: Part) -> np.dtype[np.void]:
        """Return the form of the columns of a part."""
        return np.dtype([("order_id", "u8"), ("sight", "i4"), ("columns", "f4", (len(part.columns),))])

    def find_home(self, order_id: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the slot at which all of an order meets."""
        return (order_id % np.uint64(self.n_partitions)).astype(np.int64)

    @cached_property
    def _groups(self) -> list[str]:
        return [*self.parts, *(EXPECT + each for each in self.expectations), *(LINK + each for each in self.links)]

    def find_slots(self, name: str, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the slots of ids: those of each part, expectation and link are apart."""
        return self._groups.index(name) * self.n_partitions + self.find_home(ids)

    def name_slot(self, slot: int) -> str:
        """Return the part, expectation or link that a slot belongs to."""
        return self._groups[slot // self.n_partitions]

    def ids(self, orders: Rows, entity: str) -> NDArray[np.uint64]:
        """Return the ids of an entity, shape (n,)."""
        found: NDArray[np.uint64] = orders["ids"][:, self.entities.index(entity)]
        return found


def to_order_rows(orders: OrderEvents, layout: Layout) -> Rows:
    """Turn orders into rows."""
    rows = np.zeros(len(orders), layout.order_type)
    rows["order_id"], rows["seen_at"], rows["placed_at"] = orders.order_id, orders.seen_at, orders.read_placed_at()
    rows["amount"], rows["mask"], rows["rate"] = orders.amount_minor, orders.read_mask(), orders.read_rate()
    for at, entity in enumerate(layout.entities):
        rows["ids"][:, at] = orders.ids[entity]
    return rows


def to_later_rows(later: LaterEvents) -> Rows:
    """Turn later events into rows."""
    rows = np.zeros(len(later), LATER_TYPE)
    rows["order_id"], rows["seen_at"], rows["happened_at"] = later.order_id, later.seen_at, later.read_happened_at()
    rows["amount"], rows["mask"], rows["rank"] = later.amount_minor, later.mask, later.rank
    return rows


def to_later_events(rows: Rows) -> LaterEvents:
    """Turn rows of settled later events into arrays; they have waited for their orders."""
    return LaterEvents(*(np.ascontiguousarray(rows[key]) for key in ("order_id", "seen_at", "mask", "amount", "rank")))


def settle(layout: Layout, slot: int, inbox: Inbox) -> Iterator[Message]:
    """Bring the events of a slot's orders into order, and send each part what it needs."""
    orders, later = inbox.read(ORDERS, layout.order_type), inbox.read(LATER, LATER_TYPE)
    known, waiting = np.zeros(0, layout.order_type), np.zeros(0, LATER_TYPE)
    if layout.states and (held := layout.states.load(SETTLE, slot)):
        known, waiting = held[0][ORDERS], held[0][LATER]
    by = np.lexsort((orders["seen_at"], orders["order_id"]))
    is_tie = (np.diff(orders["order_id"][by]) == 0) & (np.diff(orders["seen_at"][by]) == 0)
    if is_tie.any():  # NOTE: which comes first must not depend on how rows arrive
        keys = ("placed_at", "amount", "mask", "rate")
        by = np.lexsort([*orders["ids"].T, *(orders[key] for key in keys), orders["seen_at"], orders["order_id"]])
    orders = orders[by]
    first = _find_starts(orders["order_id"])
    at, is_known = _look_up(known["order_id"], orders["order_id"])
    orders["sight"] = np.arange(len(orders)) - first + is_known
    orders["ids"] = orders["ids"][first]
    orders["ids"][is_known] = known["ids"][at[is_known]]
    every = np.concatenate([known, orders[orders["sight"] == 0]])
    every = every[np.argsort(every["order_id"])]
    later, waiting = _place_later(np.concatenate([waiting, later]), every)
    if layout.states:
        layout.states.save(SETTLE, slot, {ORDERS: every, LATER: waiting}, {})
    sights = np.zeros(len(orders), _SIGHT_TYPE)
    sights["order_id"], sights["sight"] = orders["order_id"], orders["sight"]
    if len(orders):
        yield Message(FINISH, slot, ORDERS, sights, inbox.read_table(ORDERS).take(by))
    yield Message(FINISH, slot, LATER, later[later["mask"] & JUDGEMENT_BIT != 0])
    verdicts = inbox.read(VERDICTS, VERDICT_TYPE)
    if len(verdicts):
        yield Message(FINISH, slot, VERDICTS, verdicts, inbox.read_table(VERDICTS))
    asked = _find_asked(every, later)
    if layout.late_parts:
        yield Message(ATTACH, slot, ORDERS, orders)
        yield Message(ATTACH, slot, LATER, later)
        yield Message(ATTACH, slot, ASKED, _find_asked(known, later))
    firsts = orders[orders["sight"] == 0]
    for baseline, part in layout.expectations.items():
        yield from _send_part(layout, part, EXPECT + baseline, firsts, later, asked)
    for entity in layout.links:
        yield from _send_links(layout, entity, orders, firsts)
    if layout.has_roots:
        buyers = np.zeros(len(firsts), _PAIR_TYPE)
        buyers["order_id"], buyers["other"] = firsts["order_id"], layout.ids(firsts, "buyer")
        buyers = buyers[buyers["other"] != 0]
        yield from split(SPREAD, layout.find_home(buyers["other"]), ORDERS, buyers)
    for name, part in layout.parts.items():
        if part not in layout.late_parts:
            yield from _send_part(layout, part, name, orders, later, asked)


def _find_asked(orders: Rows, later: Rows) -> Rows:
    """Return the orders that later events are of."""
    return orders[np.isin(orders["order_id"], later["order_id"])]


def _look_up(sorted_ids: NDArray[np.uint64], ids: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where ids stand among sorted ones, and whether they are there."""
    at = np.minimum(np.searchsorted(sorted_ids, ids), max(len(sorted_ids) - 1, 0))
    return at, sorted_ids[at] == ids if len(sorted_ids) else np.zeros(len(ids), bool)


def _place_later(later: Rows, orders: Rows) -> tuple[Rows, Rows]:
    """Return the later events of known orders, since when they count (T6), numbered within each; and the others."""
    at, is_known = _look_up(orders["order_id"], later["order_id"])
    later, waiting, at = later[is_known], later[~is_known], at[is_known]
    waits = later["seen_at"] < orders["seen_at"][at]
    is_kept = ~waits | (later["happened_at"] >= orders["placed_at"][at])
    later["seen_at"] = np.maximum(later["seen_at"], orders["seen_at"][at])
    later = later[is_kept]
    later = later[np.lexsort([later[key] for key in ("mask", "amount", "rank", "seen_at", "order_id")])]
    later["number"] = np.arange(len(later)) - _find_starts(later["order_id"])
    return later, waiting


def _send_part(
    layout: Layout,
    part: Part,
    name: str,
    orders: Rows,
    later: Rows,
    asked: Rows,
    *,
    weights: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None,
    links: Links | None = None,
) -> Iterator[Message]:
    """Send a part its orders, all of whose ids are known but those of expectations, and their later events.

    Parameters
    ----------
    layout, part, name : where to
    orders, later : sorted by order
    asked : the first sights of the orders that later events are of, sorted
    weights : of orders and later events, where the part takes any
    links : of orders, where the part is that of linked buyers
    """
    of_links = part.name == GROUP
    own = layout.ids(orders, part.name) if not of_links else _find_homes(layout, orders, links)
    of_asked = layout.ids(asked, part.name) if not of_links else _find_homes(layout, asked, links)
    is_expectation = name.startswith(EXPECT)  # NOTE: where a baseline is not known, too, something is expected
    homes = np.where((own == 0) & is_expectation, orders["order_id"], own)
    of_asked = np.where((of_asked == 0) & is_expectation, asked["order_id"], of_asked)
    of_later = of_asked[np.searchsorted(asked["order_id"], later["order_id"])]
    kept = np.flatnonzero(homes)
    kept_later = np.flatnonzero((later["mask"] & part.needs != 0) & (of_later != 0))
    types = layout.part_types(part, has_weights=weights is not None)
    sent, sent_later = np.zeros(len(kept), types[0]), np.zeros(len(kept_later), types[1])
    for key in ("order_id", "seen_at", "amount", "mask", "rate", "sight"):
        sent[key] = orders[key][kept]
    for key in ("order_id", "seen_at", "amount", "mask", "rank", "number"):
        sent_later[key] = later[key][kept_later]
    sent["id"] = own[kept]
    for column, value in enumerate(part.values):
        values = layout.ids(orders, value)[kept]
        if links is not None and value in GROUP_KEYS:
            # In place of a key that links the order to nobody stands one that no other order shows.
            is_linking = links.is_linking[np.searchsorted(links.order_id, sent["order_id"]), GROUP_KEYS.index(value)]
            values = np.where((values != 0) & ~is_linking, ~sent["order_id"], values)
        sent["values"][:, column] = values
    if weights is not None:
        sent["weights"], sent_later["weights"] = weights[0][kept], weights[1][kept_later]
    stage = FIND if is_expectation else COMPUTE
    yield from split(stage, layout.find_slots(name, homes[kept]), ORDERS, sent)
    yield from split(stage, layout.find_slots(name, of_later[kept_later]), LATER, sent_later)


@dataclass(frozen=True, slots=True)
class Links:
    """How orders are linked, sorted by order.

    Parameters
    ----------
    order_id : shape (n,)
    is_linking : shape (n, 4), which of an order's keys can link it to others
    root : shape (n,), someone of its group
    """

    order_id: NDArray[np.uint64]
    is_linking: NDArray[np.bool_]
    root: NDArray[np.uint64]


def _find_homes(layout: Layout, orders: Rows, links: Links | None) -> NDArray[np.uint64]:
    """Return what says where groups of orders are computed: their root, or one place for all; 0 for those of none."""
    is_known = np.any([layout.ids(orders, value) != 0 for value in ("buyer", *GROUP_KEYS)], axis=0)
    roots = np.uint64(1) if links is None else links.root[np.searchsorted(links.order_id, orders["order_id"])]
    return np.where(is_known, roots, np.uint64(0))


def _send_links(layout: Layout, entity: str, orders: Rows, firsts: Rows) -> Iterator[Message]:
    ids = layout.ids(firsts, entity)
    sent = np.zeros(len(firsts), _LINK_TYPE)
    sent["order_id"], sent["seen_at"], sent["id"] = firsts["order_id"], firsts["seen_at"], ids
    sent["buyer"] = layout.ids(firsts, "buyer")
    sent["is_user"] = sent["buyer"] != 0
    if entity == "address":
        starts = np.flatnonzero(orders["sight"] == 0)
        is_shared = np.minimum.reduceat(orders["mask"] & SHARED_PLACE_BIT, starts) != 0  # at every sight
        sent["is_user"] &= firsts["mask"] & SHARED_PLACE_BIT == 0
        ids = np.where(is_shared, np.uint64(0), ids)
    yield from split(FIND, layout.find_slots(LINK + entity, ids)[ids != 0], ORDERS, sent[ids != 0])


def find(layout: Layout, slot: int, inbox: Inbox) -> Iterator[Message]:
    """Send what the orders of a baseline, a key or a buyer say of each other."""
    name = layout.name_slot(slot)
    if name.startswith(EXPECT):
        yield from _expect(layout, name.removeprefix(EXPECT), slot, inbox)
    else:
        yield from _link(layout, name.removeprefix(LINK), slot, inbox)


def _expect(layout: Layout, baseline: str, slot: int, inbox: Inbox) -> Iterator[Message]:
    """Send the weights that a baseline gives its orders and their later events."""
    part = layout.expectations[baseline]
    orders, later, weights, _ = _advance(layout, part, FIND, slot, inbox)
    for rows, found in ((orders, weights[0]), (later, weights[1])):
        notes = np.zeros(len(rows), layout.weights_type())
        notes["order_id"], notes["weights"] = rows["order_id"], found
        notes["number"] = rows["number"] if rows is later else _ITSELF
        yield from split(ATTACH, layout.find_home(notes["order_id"]), WEIGHTS + baseline, notes)


def compute(layout: Layout, slot: int, inbox: Inbox) -> Iterator[Message]:
    """Send the columns of a part's orders."""
    part = layout.parts[layout.name_slot(slot)]
    orders, _, _, columns = _advance(layout, part, COMPUTE, slot, inbox)
    sent = np.zeros(len(orders), layout.features_type(part))
    sent["order_id"], sent["sight"], sent["columns"] = orders["order_id"], orders["sight"], columns
    yield from split(FINISH, layout.find_home(sent["order_id"]), FEATURES + part.name, sent)


def _advance(
    layout: Layout, part: Part, stage: str, slot: int, inbox: Inbox
) -> tuple[Rows, Rows, tuple[NDArray[np.int32], NDArray[np.int32]], NDArray[np.float32]]:
    has_weights = stage == COMPUTE and part.takes_weights
    types = layout.part_types(part, has_weights=has_weights)
    orders, later = inbox.read(ORDERS, types[0]), inbox.read(LATER, types[1])
    ids = dict.fromkeys(layout.entities, np.zeros(len(orders), np.uint64))
    if part.name != GROUP:
        ids[part.name] = np.ascontiguousarray(orders["id"])
    for at, value in enumerate(part.values):
        ids[value] = np.ascontiguousarray(orders["values"][:, at])
    weights = tuple(
        np.ascontiguousarray(rows["weights"]) if has_weights else np.zeros((len(rows), layout.n_weights), np.int32)
        for rows in (orders, later)
    )
    plain = {key: np.ascontiguousarray(orders[key]) for key in ("order_id", "seen_at", "amount", "mask", "rate")}
    held = layout.states and layout.states.load(stage, slot)
    engine = FeatureEngine.restore(layout.spec, *held, part=part) if held else FeatureEngine(layout.spec, part=part)
    columns = engine.advance_part(
        OrderEvents(
            plain["order_id"], plain["seen_at"], plain["amount"], ids, np.zeros((len(orders), 0), np.float32),
            mask=plain["mask"], rate=plain["rate"],
        ),
        to_later_events(later),
        (weights[0], weights[1]),
    )  # fmt: skip
    if layout.states:
        layout.states.save(stage, slot, *engine.export_state())
    return orders, later, (weights[0], weights[1]), columns


def _link(layout: Layout, entity: str, slot: int, inbox: Inbox) -> Iterator[Message]:
    """Send who shares a key while it is no hub, and of a buyer which orders are the first."""
    rows = inbox.read(ORDERS, _LINK_TYPE)
    rows = rows[np.lexsort((rows["seen_at"], rows["id"]))]
    if entity == "buyer":
        yield from _send_notes(layout, FIRST, rows["order_id"][_find_first_orders(layout, slot, rows)], 0)
        return
    is_linking = _find_linking(rows)
    yield from _send_notes(layout, HUBS, rows["order_id"][~is_linking], GROUP_KEYS.index(entity))
    rows = rows[is_linking]
    # NOTE: an order without a buyer asks for the group, too, and stands for itself.
    nodes = np.where(rows["buyer"] == 0, rows["order_id"], rows["buyer"])
    by = np.lexsort((nodes, rows["id"]))
    rows, nodes = rows[by], nodes[by]
    is_new = _mark_starts(rows["id"], nodes)
    edges = np.zeros(len(rows), _EDGE_TYPE)
    edges["node"], edges["other"], edges["is_guest"] = nodes, nodes[_find_starts(rows["id"])], rows["buyer"] == 0
    _, at = np.unique(rows["id"], return_inverse=True)
    edges = edges[is_new & (np.bincount(at[is_new])[at] > 1)] if len(rows) else edges
    if len(edges):
        yield Message(CONNECT, 0, EDGES, edges)


def _mark_starts(*columns: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Mark the rows of sorted columns that differ from the row before."""
    is_start = np.ones(len(columns[0]), bool)
    is_start[1:] = np.logical_or.reduce([values[1:] != values[:-1] for values in columns])
    return is_start


def _find_starts(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return for each of sorted values where its run begins."""
    is_start = _mark_starts(values)
    starts: NDArray[np.int64] = np.flatnonzero(is_start)[np.cumsum(is_start) - 1]
    return starts


def _find_first_orders(layout: Layout, slot: int, rows: Rows) -> NDArray[np.bool_]:
    """Return which orders are their buyer's first; all of one time are."""
    ids, seen_at = rows["id"], rows["seen_at"]
    if layout.states:
        held = layout.states.load(FIND, slot)
        ids = np.concatenate([held[0]["ids"], ids]) if held else ids
        seen_at = np.concatenate([held[0]["seen_at"], seen_at]) if held else seen_at
    by = np.lexsort((seen_at, ids))
    starts = by[_mark_starts(ids[by])]
    if layout.states:
        layout.states.save(FIND, slot, {"ids": ids[starts], "seen_at": seen_at[starts]}, {})
    found: NDArray[np.bool_] = rows["seen_at"] == seen_at[starts][np.searchsorted(ids[starts], rows["id"])]
    return found


def _find_linking(rows: Rows) -> NDArray[np.bool_]:
    """Return which orders a key, sorted, can link to others: until more than so many buyers have used it (G2).

    What was seen at the time at which it becomes a hub still asks who had used it before.
    """
    used = rows[rows["is_user"]]
    used = used[np.lexsort((used["seen_at"], used["buyer"], used["id"]))]
    used = used[_mark_starts(used["id"], used["buyer"])]
    used = used[np.lexsort((used["seen_at"], used["id"]))]
    keys, start, n_users = np.unique(used["id"], return_index=True, return_counts=True)
    if len(keys) == 0:
        return np.zeros(len(rows), bool)
    ninth = np.minimum(start + MAX_LINKED, len(used) - 1)
    hub_at = np.where(n_users > MAX_LINKED, used["seen_at"][ninth], _NO_HUB)
    at, is_used = _look_up(keys, rows["id"])
    links: NDArray[np.bool_] = is_used & (rows["seen_at"] <= hub_at[at]) & (used["seen_at"][start[at]] < hub_at[at])
    return links


def _send_notes(layout: Layout, name: str, order_ids: NDArray[np.uint64], key: int) -> Iterator[Message]:
    notes = np.zeros(len(order_ids), _NOTE_TYPE)
    notes["order_id"], notes["key"] = order_ids, key
    yield from split(ATTACH, layout.find_home(order_ids), name, notes)


def connect(layout: Layout, _: int, inbox: Inbox) -> Iterator[Message]:
    """Send the root of everyone who shares keys with others, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = inbox.read(EDGES, _EDGE_TYPE)
    ends: NDArray[np.int64]
    nodes, ends = np.unique(np.concatenate([edges["node"], edges["other"]]), return_inverse=True)
    ones = np.ones(len(edges), np.int8)
    pairs = coo_array((ones, (ends[: len(edges)], ends[len(edges) :])), shape=(len(nodes), len(nodes)))
    component: NDArray[np.int64] = connected_components(pairs, directed=False)[1]
    first = np.unique(component, return_index=True)[1]
    roots = np.zeros(len(nodes), _PAIR_TYPE)
    roots["order_id"], roots["other"] = nodes, nodes[first[component]]
    for stage, is_of in ((SPREAD, ~edges["is_guest"]), (ATTACH, edges["is_guest"])):
        chosen = roots[np.unique(ends[: len(edges)][is_of])]
        yield from split(stage, layout.find_home(chosen["order_id"]), ROOTS, chosen)


def spread(layout: Layout, _: int, inbox: Inbox) -> Iterator[Message]:
    """Send the root of each buyer who shares keys to the buyer's orders."""
    orders, roots = inbox.read(ORDERS, _PAIR_TYPE), inbox.read(ROOTS, _PAIR_TYPE)
    roots = roots[np.argsort(roots["order_id"])]
    at, is_linked = _look_up(roots["order_id"], orders["other"])
    orders["other"][is_linked] = roots["other"][at[is_linked]]
    yield from split(ATTACH, layout.find_home(orders["order_id"])[is_linked], ROOTS, orders[is_linked])


def attach(layout: Layout, _: int, inbox: Inbox) -> Iterator[Message]:
    """Send the parts what they need that other parts have found out."""
    orders, later = inbox.read(ORDERS, layout.order_type), inbox.read(LATER, LATER_TYPE)
    of_earlier = inbox.read(ASKED, layout.order_type)
    asked = np.concatenate([of_earlier, _find_asked(orders[orders["sight"] == 0], later)])
    asked = asked[np.argsort(asked["order_id"])]
    weights = _read_weights(layout, inbox, orders, later)
    is_first = inbox.read(FIRST, _NOTE_TYPE)["order_id"]
    orders["mask"][np.searchsorted(orders["order_id"], is_first)] |= SELECTOR_BIT["first_order"]
    for part in layout.late_parts:
        taken = weights if part.takes_weights else None
        links = _read_links(layout, inbox, orders) if part.name == GROUP else None
        yield from _send_part(layout, part, part.name, orders, later, asked, weights=taken, links=links)


def _read_weights(
    layout: Layout, inbox: Inbox, orders: Rows, later: Rows
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    of_orders = np.zeros((len(orders), layout.n_weights), np.int32)
    of_later = np.zeros((len(later), layout.n_weights), np.int32)
    for baseline in layout.expectations:
        notes = inbox.read(WEIGHTS + baseline, layout.weights_type())
        of_order, of_event = notes[notes["number"] == _ITSELF], notes[notes["number"] != _ITSELF]
        of_orders[np.searchsorted(orders["order_id"], of_order["order_id"])] += of_order["weights"]
        at = np.searchsorted(later["order_id"], of_event["order_id"]) + of_event["number"]
        of_later[at] += of_event["weights"]
    return of_orders, of_later


def _read_links(layout: Layout, inbox: Inbox, orders: Rows) -> Links:
    order_id, first = np.unique(orders["order_id"], return_index=True)
    hubs, roots = inbox.read(HUBS, _NOTE_TYPE), inbox.read(ROOTS, _PAIR_TYPE)
    is_linking = np.ones((len(order_id), len(GROUP_KEYS)), bool)
    is_linking[np.searchsorted(order_id, hubs["order_id"]), hubs["key"]] = False
    buyer = layout.ids(orders, "buyer")[first]
    root = np.where(buyer == 0, order_id, buyer)
    root[np.searchsorted(order_id, roots["order_id"])] = roots["other"]
    return Links(order_id, is_linking, root)


def finish(layout: Layout, inbox: Inbox) -> tuple[pa.Table, NDArray[np.float32]]:
    """Return the tables of a slot's orders and their features, sorted by keyed id and sight."""
    orders = inbox.read(ORDERS, _SIGHT_TYPE)
    matrix = np.full((len(orders), len(layout.spec.names)), np.nan, np.float32)
    if len(orders) == 0:
        return pa.table({}), matrix
    table = inbox.read_table(ORDERS)
    for column, name in layout.spec.order_columns:
        matrix[:, column] = table[name]
    for name, part in layout.parts.items():
        found = inbox.read(FEATURES + name, layout.features_type(part))
        first = np.searchsorted(orders["order_id"], found["order_id"])
        rows = first + found["sight"] - orders["sight"][first]
        matrix[np.ix_(rows, part.columns)] = found["columns"]
    return table, matrix
