"""Quotas per household against their slow twin; what a file of a policy may say of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quotas_reference import KEYS, PlainOrder, find_beyond

from ordervet.entities import PlaceType
from ordervet.errors import PolicyError
from ordervet.policy import explain_applied, lint_scripts, load_policy, load_scripts, name_script
from ordervet.policy.codes import Band, Stage
from ordervet.policy.policy import find_policy, keep_policy, parse_policy
from ordervet.policy.quotas import Asker, Quota, QuotaLedger, QuotaOrder, drop_shared, find_buyer

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY_US, MINUTE_US = 86_400_000_000, 60_000_000
START_US = round(START.timestamp()) * 1_000_000
BASE = """protocol = 1
name = "x"
bands = { by = "explicit", elevated = 0.1, high = 0.3, severe = 0.7 }
actions = { low = "pass", elevated = "pass", high = "review", severe = "hold" }
"""


def build_quota(**fields: Any) -> Quota:
    return Quota.model_validate({"name": "two", "of": "item_id", "most": 2, "owner": "x"} | fields)


def build_order(number: int, **fields: Any) -> PlainOrder:
    """An order of a buyer of its own, a day after the one before."""
    at_us = START_US + number * DAY_US
    ids = {"buyer": 100 + number} | dict.fromkeys(KEYS, 0) | fields.pop("ids", {})
    plain: dict[str, Any] = {
        "order_id": number + 1, "seen_at": at_us, "placed_at": at_us, "ids": ids, "is_shared_place": False,
        "values": {"item_id": "a"},
    }  # fmt: skip
    return PlainOrder(**plain | fields)


def read_order(asker: Asker, one: PlainOrder) -> QuotaOrder:
    """The order as the ledger sees it."""
    keys = drop_shared(tuple(one.ids[key] for key in KEYS), PlaceType.DORMITORY if one.is_shared_place else None)
    values = [one.values.get(column) for column in asker.columns]
    asks = asker.find(values, one.seen_at, one.quantity, one.n_lines)
    return QuotaOrder(one.order_id, one.seen_at, one.placed_at, find_buyer(one.ids["buyer"], keys), keys, asks)


def give_places(quotas: list[Quota], orders: list[PlainOrder], n_pieces: int = 1) -> dict[int, tuple[str, ...]]:
    """Let a ledger take orders as so many pieces, each whole, in the order seen."""
    asker, ledger = Asker(quotas), QuotaLedger(quotas)
    for one in orders:
        for seen_at, happened_at in one.cancelled:
            ledger.await_order(one.order_id, seen_at, happened_at)
    ranked = sorted(orders, key=lambda one: (one.seen_at, one.order_id))
    size = -(-len(ranked) // n_pieces) or 1
    for start in range(0, len(ranked), size):
        ledger.extend(read_order(asker, one) for one in reversed(ranked[start : start + size]))
    return ledger.beyond


def take_live(quotas: list[Quota], orders: list[PlainOrder]) -> dict[int, tuple[str, ...]]:
    """Let a ledger take orders and cancellations one by one, in the order seen."""
    asker, ledger = Asker(quotas), QuotaLedger(quotas)
    events: list[tuple[int, int, int, PlainOrder, int]] = [(one.seen_at, 0, one.order_id, one, 0) for one in orders]
    events += [(seen, 1, one.order_id, one, happened) for one in orders for seen, happened in one.cancelled]
    known: set[int] = set()
    found = {}
    for seen_at, rank, order_id, one, happened_at in sorted(events, key=lambda event: event[:3]):
        if rank == 0:
            known.add(order_id)
            if codes := ledger.take(read_order(asker, one)):
                found[order_id] = codes
        elif order_id in known:
            ledger.cancel(order_id, seen_at)
        else:
            ledger.await_order(order_id, seen_at, happened_at)
    assert ledger.beyond == found
    return found


@st.composite
def draw_orders(draw: st.DrawFn) -> list[PlainOrder]:
    """Orders of few people with few keys, ties among them, cancelled early, late and before they come."""
    n_ids = draw(st.sampled_from([2, 4, 14]))
    ids = st.integers(0, n_ids)
    orders = []
    for number in range(draw(st.integers(1, 26))):
        seen_at = START_US + draw(st.integers(0, 12)) * DAY_US // 3
        thirds = draw(st.lists(st.tuples(st.integers(-4, 8), st.integers(-4, 8)), max_size=2))
        values = draw(st.sampled_from([{}, {"item_id": "a"}, {"item_id": " a ", "campaign": "c"}, {"item_id": "b"}]))
        orders.append(
            PlainOrder(
                order_id=draw(st.integers(1, 3)) * 1000 + number,
                seen_at=seen_at,
                placed_at=seen_at - draw(st.sampled_from([0, 1, MINUTE_US])),
                ids={"buyer": draw(ids)} | {key: draw(st.just(0) | ids) for key in KEYS},
                is_shared_place=draw(st.booleans()),
                values=values,
                quantity=draw(st.sampled_from([None, 1, 2, 3])),
                n_lines=draw(st.sampled_from([None, 1, 2])),
                cancelled=[(seen_at + seen * DAY_US // 3, seen_at + at * DAY_US // 3) for seen, at in thirds],
            )
        )
    return orders


@st.composite
def draw_quotas(draw: st.DrawFn) -> list[Quota]:
    """One to three quotas of all forms."""
    quotas = []
    for number in range(draw(st.integers(1, 3))):
        since, until = (draw(st.none() | st.integers(low, low + 2)) for low in (0, 3))
        quotas.append(
            build_quota(
                name=f"q{number}", of=draw(st.sampled_from(["item_id", "campaign"])), most=draw(st.integers(1, 4)),
                ids=draw(st.sampled_from([(), ("a",), ("a", "b", "c")])), days=draw(st.none() | st.integers(1, 3)),
                counts=draw(st.sampled_from([None, "pieces", "orders"])),
                since=since and START + timedelta(days=since), until=until and START + timedelta(days=until),
            )
        )  # fmt: skip
    return quotas


@settings(max_examples=60, deadline=None)
@given(draw_quotas(), draw_orders(), st.integers(1, 9))
def test_places_are_those_of_the_definitions_in_one_go_in_pieces_and_one_by_one(
    quotas: list[Quota], orders: list[PlainOrder], n_pieces: int
) -> None:
    expected = find_beyond(quotas, orders)

    assert give_places(quotas, orders) == expected
    assert give_places(quotas, orders, n_pieces) == expected
    assert take_live(quotas, orders) == expected


def test_household_gets_no_more_than_the_quota_whoever_of_it_orders() -> None:
    orders = [
        build_order(0, ids={"phone": 1}),
        build_order(1, ids={"phone": 1, "address": 2}),
        build_order(2, ids={"address": 2}),
        build_order(3, ids={"buyer": 0, "phone": 1}),
        build_order(4, ids={"phone": 5}),
    ]

    assert set(give_places([build_quota()], orders)) == {3, 4}


def test_places_of_a_key_of_many_people_are_not_added_up() -> None:
    shared = [build_order(n, ids={"address": 7}, is_shared_place=True) for n in range(4)]
    hub = [build_order(n, ids={"device": 7}) for n in range(12)]

    assert give_places([build_quota(most=1)], shared) == {}
    assert set(give_places([build_quota(most=1)], hub)) == set(range(2, 10))


def test_order_beyond_takes_no_place_and_a_cancelled_one_gives_it_back() -> None:
    day = DAY_US
    cancelled = [(START_US + 2 * day + 1, START_US + 2 * day)]
    orders = [
        build_order(0, ids={"phone": 1}, cancelled=cancelled),
        build_order(1, ids={"phone": 1}, quantity=2),
        build_order(2, ids={"phone": 1}),
        build_order(3, ids={"phone": 1}),
        build_order(4, ids={"phone": 1}),
    ]

    assert set(give_places([build_quota()], orders)) == {2, 5}


def test_households_that_join_later_count_together_from_then_on() -> None:
    orders = [
        build_order(0, ids={"buyer": 1}),
        build_order(1, ids={"buyer": 2}),
        build_order(2, ids={"buyer": 1, "phone": 9}, values={}),
        build_order(3, ids={"buyer": 2, "phone": 9}, values={}),
        build_order(4, ids={"buyer": 2}),
        build_order(5, ids={"buyer": 3}),
    ]

    assert set(give_places([build_quota()], orders)) == {5}


def test_order_of_which_nothing_is_known_is_counted_by_itself() -> None:
    orders = [build_order(n, ids={"buyer": 0}, quantity=n) for n in range(1, 4)]

    assert set(give_places([build_quota()], orders)) == {4}


def write_quota(*lines: str, name: str = "a") -> str:
    """The lines of one quota in a policy's file."""
    return "\n".join(["[[quotas]]", f'name = "{name}"', *lines, ""])


VALID = ('of = "item_id"', "most = 1", 'owner = "x"')


def test_settings_that_are_wrong_are_named_all_at_once() -> None:
    text = BASE + write_quota('of = "itm"', "most = 0", 'owner = "x"')
    text += write_quota(*VALID, 'action = "pass"', "since = 2026-11-12", name="b")
    text += write_quota('of = "campaign"', "most = 1", name="c")

    with pytest.raises(PolicyError) as error:
        parse_policy(text)

    for part in ("quotas.0.of", "quotas.0.most", "quotas.1", "quotas.2.owner"):
        assert part in error.value.message


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("since = 2026-11-12\nuntil = 2026-11-11", "ends before it begins"),
        ('action = "pass"', "stricter"),
        ('since = "tomorrow"', "quotas.0.since"),
        (write_quota(*VALID), "given twice"),
    ],
)
def test_setting_that_contradicts_itself_is_refused(more: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse_policy(BASE + write_quota(*VALID, more))


def test_dates_are_whole_days_in_shanghai_and_survive_being_kept(tmp_path: Path) -> None:
    policy = parse_policy(BASE + write_quota(*VALID, "since = 2026-11-11", 'until = "2026-11-11"'))

    keep_policy(policy, tmp_path)
    kept = find_policy(policy.policy_id, tmp_path)

    for quota in (policy.quotas[0], kept.quotas[0]):
        assert quota.since == datetime(2026, 11, 10, 16, tzinfo=UTC)
        assert quota.until == datetime(2026, 11, 11, 16, tzinfo=UTC)
    assert policy.policy_id != load_policy().policy_id


def test_desk_is_told_of_the_limit_and_has_a_script_that_accuses_nobody() -> None:
    code = build_quota().code

    assert explain_applied(code, "en") == "beyond the limit of 2 per household ('two')"
    assert explain_applied(code, "zh") == "超过每户限购 2（“two”）"
    for stage in Stage:
        script = load_scripts()[name_script(None, Band.LOW, stage, (code,))]
        assert script.id == f"quota.{stage}"
        assert lint_scripts({script.id: script}) == []
