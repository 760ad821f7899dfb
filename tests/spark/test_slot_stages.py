"""The stages of a cluster, run here one slot after the other: whatever the slots, the features are one machine's."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from ordervet.errors import ContractError
from ordervet.features import FeatureEngine, LaterEvents, OrderEvents, build_spec
from ordervet.features.events import SHARED_PLACE_BIT
from ordervet.features.spec import GROUP_KEYS, SELECTOR_BIT
from ordervet.spark import slot_stages as stages
from ordervet.spark.messages import gather, pack, split
from ordervet.spark.slot_states import SlotStates
from random_events import SPEC, draw_events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ordervet.features import FeatureSpec
    from ordervet.spark.messages import Message

DAY = 86_400


class Mail:
    """Messages on their way: those of a slot arrive in any order."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sent: list[pa.RecordBatch] = []

    def post(self, messages: Iterable[Message]) -> None:
        self._sent += pack(messages)

    def take(self, stage: str) -> list[pa.RecordBatch]:
        if not self._sent:
            return []
        table = pa.Table.from_batches(self._sent)
        table = table.filter(pa.compute.equal(table["stage"], stage))
        table = table.take(pa.array(self._rng.permutation(table.num_rows)))
        return table.sort_by("slot").to_batches()


def compute_by_slots(
    orders: OrderEvents,
    later: LaterEvents,
    spec: FeatureSpec,
    n_partitions: int,
    rng: np.random.Generator,
    states: SlotStates | None = None,
) -> np.ndarray:
    layout, mail = stages.Layout(spec, n_partitions, states), Mail(rng)
    numbers = pa.table(
        {"row": np.arange(len(orders))} | {name: orders.own[:, at] for at, (_, name) in enumerate(spec.order_columns)}
    )
    for rows in np.array_split(rng.permutation(len(orders)), 3):
        sent = stages.to_order_rows(orders.take(rows), layout)
        mail.post(split(stages.SETTLE, layout.find_home(sent["order_id"]), stages.ORDERS, sent, numbers.take(rows)))
    for rows in np.array_split(rng.permutation(len(later)), 3):
        sent = stages.to_later_rows(later.take(rows))
        mail.post(split(stages.SETTLE, layout.find_home(sent["order_id"]), stages.LATER, sent))
    for name in ("settle", "find", "connect", "spread", "attach", "compute"):
        for slot, inbox in gather(mail.take(name)):
            mail.post(getattr(stages, name)(layout, slot, inbox))
    matrix = np.full((len(orders), len(spec.names)), -1, np.float32)
    for _, inbox in gather(mail.take("finish")):
        table, found = stages.finish(layout, inbox)
        if table.num_rows:
            matrix[table["row"].to_numpy()] = found
    return matrix


def send_again(orders: OrderEvents, rng: np.random.Generator, n: int) -> OrderEvents:
    """Ask about some orders again, each at two later times, as other rows that know other ids."""
    again = [orders]
    for day in (1, 40):
        rows = np.sort(rng.choice(len(orders), n, replace=False))
        later = orders.take(rows)
        ids = {entity: rng.permutation(each) for entity, each in later.ids.items()}
        again.append(replace(later, seen_at=later.seen_at + day * DAY * 1_000_000, placed_at=None, ids=ids))
    return OrderEvents.concat(again)


@pytest.mark.parametrize(
    ("n_partitions", "seed", "n_ids", "grain_s", "span_days"),
    [(1, 1, 40, 60, 40), (3, 2, 4, 3_600, 3), (8, 3, 12, 1, 200), (64, 4, 20, 600, 90)],
)
def test_features_do_not_depend_on_slots(
    n_partitions: int, seed: int, n_ids: int, grain_s: int, span_days: int
) -> None:
    rng = np.random.default_rng(seed)
    orders, later = draw_events(rng, n_orders=600, n_later=1_200, span_s=span_days * DAY, n_ids=n_ids, grain_s=grain_s)
    orders = send_again(orders, rng, 30)
    whole = FeatureEngine(SPEC).advance(orders, later)

    shared_out = compute_by_slots(orders, later, SPEC, n_partitions, rng)

    np.testing.assert_array_equal(shared_out, whole)
    assert np.isfinite(whole).any(axis=0).all()


@pytest.mark.parametrize("n_partitions", [1, 8])
def test_built_in_features_do_not_depend_on_slots_with_one_hot_id_and_a_large_group(n_partitions: int) -> None:
    rng, spec, n = np.random.default_rng(5), build_spec(), 2_000
    random, later = draw_events(rng, n_orders=n, n_later=2 * n, span_s=120 * DAY, n_ids=60, grain_s=600)
    ids = {entity: rng.integers(1, n, n).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) for entity in spec.entities}
    ids["item"][rng.random(n) < 0.3] = 7  # a third of all
    chain = np.arange(
        n // 10
    )  # a tenth of all orders: each shares a phone with the one before and a device with the next
    ids["buyer"][chain] = chain.astype(np.uint64) + np.uint64(1)
    ids["phone"][chain], ids["device"][chain] = chain // 2 + 1, (chain + 1) // 2 + 1
    ids["payment"][rng.random(n) < 0.2] = 9  # a hub
    ids["buyer"][rng.random(n) < 0.1] = 0  # guests
    own = rng.random((n, len(spec.order_columns)), np.float32)
    orders = replace(random, ids=ids, own=own)
    whole = FeatureEngine(spec).advance(orders, later)

    shared_out = compute_by_slots(orders, later, spec, n_partitions, rng)

    np.testing.assert_array_equal(shared_out, whole)
    assert whole[:, spec.names.index("group__count__malicious")].max() > 10


def test_key_links_until_its_ninth_buyer_and_nobody_after_it() -> None:
    spec = build_spec(use_defaults=False, names=("group__size__buyer", "group__count__order"))
    buyers = np.array([1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 10, 1, 0], np.uint64)  # 0: a guest
    seen_at = np.array([1, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8, 9, 10]) * 1_000_000
    n = len(buyers)
    ids = {entity: np.zeros(n, np.uint64) for entity in spec.entities}
    ids |= {"buyer": buyers, "phone": np.full(n, 5, np.uint64)}
    orders = OrderEvents(
        np.arange(1, n + 1, dtype=np.uint64), seen_at, np.ones(n, np.int64), ids, np.zeros((n, 0), np.float32)
    )
    whole = FeatureEngine(spec).advance(orders, LaterEvents.empty())

    shared_out = compute_by_slots(orders, LaterEvents.empty(), spec, 4, np.random.default_rng(0))

    np.testing.assert_array_equal(shared_out, whole)
    assert whole[:, 0].tolist() == [0, 0, 2, 3, 4, 5, 6, 7, 7, 8, 8, 7, 0]


def test_keys_at_places_of_many_people_link_nobody() -> None:
    spec = build_spec(use_defaults=False, names=("group__size__buyer",))
    rng, n = np.random.default_rng(3), 400
    ids = {entity: rng.integers(0, 60, n).astype(np.uint64) for entity in ("buyer", *GROUP_KEYS)}
    ids = {entity: ids.get(entity, np.zeros(n, np.uint64)) for entity in spec.entities}
    mask = np.where(rng.random(n) < 0.5, SHARED_PLACE_BIT, 0) | SELECTOR_BIT["order"]
    orders = OrderEvents(
        np.arange(1, n + 1, dtype=np.uint64), rng.integers(0, 90, n) * 1_000_000, np.ones(n, np.int64), ids,
        np.zeros((n, 0), np.float32), mask=mask,
    )  # fmt: skip
    orders = send_again(orders, rng, 100)
    flipped = orders.read_mask().copy()
    flipped[n:] ^= SHARED_PLACE_BIT  # seen again, another kind of place
    orders = replace(orders, mask=flipped)
    whole = FeatureEngine(spec).advance(orders, LaterEvents.empty())

    shared_out = compute_by_slots(orders, LaterEvents.empty(), spec, 5, rng)

    np.testing.assert_array_equal(shared_out, whole)


def test_messages_that_are_not_sorted_by_slot_are_refused() -> None:
    rows = np.zeros(4, stages.VERDICT_TYPE)
    sent = list(pack(split(stages.SETTLE, np.array([0, 1, 0, 1]), stages.VERDICTS, rows)))

    assert [slot for slot, _ in gather(sent)] == [0, 1]
    with pytest.raises(ContractError, match="did not sort"):
        list(gather([*sent, *sent]))


@pytest.mark.parametrize(("n_epochs", "n_partitions"), [(1, 3), (7, 2), (30, 1)])
def test_epochs_give_what_one_go_gives(tmp_path: Path, n_epochs: int, n_partitions: int) -> None:
    rng = np.random.default_rng(n_epochs)
    orders, later = draw_events(rng, n_orders=200, n_later=400, span_s=120 * DAY, n_ids=20, grain_s=3_600)
    orders = send_again(orders, rng, 60)
    whole = FeatureEngine(SPEC).advance(orders, later)
    last = int(max(orders.seen_at.max(), later.seen_at.max())) + 1
    ends = np.linspace(0, last, n_epochs + 1).astype(int).tolist()

    found = np.full(whole.shape, -1, np.float32)
    for at, (since, until) in enumerate(pairwise(ends)):
        states = SlotStates(str(tmp_path), "these", until, tuple(reversed(ends[1 : at + 1])))
        rows, others = ((events.seen_at >= since) & (events.seen_at < until) for events in (orders, later))
        epoch = orders.take(np.flatnonzero(rows)), later.take(np.flatnonzero(others))
        for _ in range(2 if at == 1 else 1):  # done again
            found[rows] = compute_by_slots(*epoch, SPEC, n_partitions, rng, states)

    np.testing.assert_array_equal(found, whole)
