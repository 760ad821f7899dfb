from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ordervet.reports.links import LINKING, N_NEWEST, find_links, pseudonym
from queue_makers import make_order, make_orders

FEW = st.sampled_from(["x1", "x2", "x3", None])
PEOPLE = st.lists(st.tuples(FEW, FEW, FEW), min_size=1, max_size=12)


def list_groups_plainly(orders, rows) -> set:
    """Say by hand what orders share: who and how many, whatever the groups are made of."""
    members = defaultdict(list)
    for row, order in enumerate(orders.to_pylist()):
        for entity in LINKING:
            if order.get(f"id__{entity}"):
                members[entity, order[f"id__{entity}"]].append(row)
    return {
        (entity, pseudonym(entity, key), len(found))
        for (entity, key), found in members.items()
        if len(found) > 1 and set(found) & set(rows)
    }


@settings(max_examples=40, deadline=None)
@given(people=PEOPLE, data=st.data())
def test_links_are_what_orders_share(people: list, data: st.DataObject) -> None:
    orders = make_orders(
        [
            make_order(number, buyer_id=buyer, phone=None, address=None, device_id=device, payment_account=account)
            for number, (buyer, device, account) in enumerate(people)
        ]
    )
    rows = sorted(data.draw(st.sets(st.integers(0, len(people) - 1))))

    links = find_links(orders, np.array(rows, np.int64))

    found = {(entity, code, group.n_orders) for group in links.groups for entity, code in group.names}
    assert found == list_groups_plainly(orders, rows)
    assert len({group.rows for group in links.groups}) == len(links.groups)
    for row, groups in links.of_row.items():
        assert row in rows
        assert all(row in links.groups[at].rows for at in groups)


def test_links_keep_the_newest_and_count_all() -> None:
    orders = make_orders([make_order(n, buyer_id=f"b{n % 5}", device_id="shared", phone=None) for n in range(40)])

    group = next(
        each for each in find_links(orders, np.array([0])).groups if each.names[0][0] == "device"
    )  # fmt: skip

    assert group.rows == tuple(range(39, 39 - N_NEWEST, -1))
    assert (group.n_orders, group.n_buyers) == (40, 5)


def test_same_orders_sharing_two_things_are_one_group() -> None:
    orders = make_orders([make_order(n, buyer_id="b", device_id="d", phone=None, address=None) for n in range(3)])

    links = find_links(orders, np.array([1]))

    assert [[entity for entity, _ in group.names] for group in links.groups] == [["buyer", "device"]]


def test_pseudonyms_are_short_and_hardly_ever_the_same() -> None:
    ids = np.random.default_rng(1).integers(0, 2**63, 20_000, dtype=np.uint64)

    codes = Counter(pseudonym("buyer", int(each)) for each in ids)

    assert max(codes.values()) == 1
    assert {len(code) for code in codes} == {9}
    assert not set("".join(codes)) & set("ILOU")
