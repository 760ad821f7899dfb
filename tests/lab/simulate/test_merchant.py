"""What the merchant is like: kinds, look-alikes, calendar, masked data, signals."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from ordervet.lab.simulate import SimulationSettings, simulate
from ordervet.lab.simulate.aftermath import MISTAKEN_FOR
from ordervet.lab.simulate.ring_kinds import RING_PLANS
from ordervet.lab.simulate.simulation_settings import KIND_WEIGHTS, LOOK_ALIKE_SHARES

if TYPE_CHECKING:
    from ordervet.lab.simulate import Simulation

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2025, 10, 20, tzinfo=ZONE)
OPENING = datetime(2025, 11, 10, 20, tzinfo=ZONE)


def placed(simulation: Simulation) -> np.ndarray:
    return simulation.orders["placed_at"].cast(pa.int64()).to_numpy() / 1e6


def is_between(simulation: Simulation, first: datetime, last: datetime) -> np.ndarray:
    return (placed(simulation) >= first.timestamp()) & (placed(simulation) < last.timestamp())


def rows_of(simulation: Simulation, column: str, label: str) -> np.ndarray:
    return pc.is_in(simulation.truth[column], pa.array([label])).to_numpy()


def has_outcome(simulation: Simulation, **wanted: str) -> np.ndarray:
    outcomes = simulation.outcomes
    for name, value in wanted.items():
        outcomes = outcomes.filter(pc.equal(outcomes[name], value))
    return pc.is_in(simulation.orders["order_id"], outcomes["order_id"].combine_chunks()).to_numpy()


@pytest.mark.parametrize("kind", KIND_WEIGHTS)
def test_every_kind_has_its_share(simulation: Simulation, settings: SimulationSettings, kind: str) -> None:
    wanted = settings.n_orders * settings.malicious_share * KIND_WEIGHTS[kind]

    assert rows_of(simulation, "kind", kind).sum() == pytest.approx(wanted, rel=0.25)


@pytest.mark.parametrize("look_alike", LOOK_ALIKE_SHARES)
def test_every_look_alike_has_its_share(simulation: Simulation, settings: SimulationSettings, look_alike: str) -> None:
    wanted = settings.n_orders * LOOK_ALIKE_SHARES[look_alike]

    assert rows_of(simulation, "look_alike", look_alike).sum() == pytest.approx(wanted, rel=0.1)


def test_malicious_share_is_within_its_bounds(simulation: Simulation) -> None:
    assert 0.015 <= pc.mean(simulation.truth["is_malicious"]).as_py() <= 0.03


def test_truth_gives_an_order_a_kind_or_a_look_alike_never_both(simulation: Simulation) -> None:
    kind, look_alike = simulation.truth["kind"], simulation.truth["look_alike"]

    assert not pc.any(pc.and_(pc.is_valid(kind), pc.is_valid(look_alike))).as_py()
    assert pc.is_valid(kind).equals(simulation.truth["is_malicious"])


def test_truth_gives_every_malicious_order_a_ring_of_one_kind(simulation: Simulation) -> None:
    truth = simulation.truth.filter(simulation.truth["is_malicious"])

    rings = truth.group_by("ring").aggregate([("kind", "count_distinct"), ("order_id", "count")])

    assert pc.is_valid(simulation.truth["ring"]).equals(simulation.truth["is_malicious"])
    assert set(rings["kind_count_distinct"].to_pylist()) == {1}
    assert 1 < pc.mean(rings["order_id_count"]).as_py() <= max(plan.orders[1] for plan in RING_PLANS.values())


def test_tables_of_kinds_and_look_alikes_agree() -> None:
    assert list(RING_PLANS) == list(KIND_WEIGHTS)
    assert list(MISTAKEN_FOR) == list(LOOK_ALIKE_SHARES)
    assert set(MISTAKEN_FOR.values()) <= set(KIND_WEIGHTS)


def test_opening_evening_brings_a_quarter_of_the_season(simulation: Simulation) -> None:
    season = is_between(simulation, OPENING - timedelta(days=21, hours=20), OPENING + timedelta(days=2, hours=4))
    evening = is_between(simulation, OPENING, OPENING + timedelta(hours=4))

    assert evening.sum() / season.sum() == pytest.approx(0.25, abs=0.025)
    assert set(simulation.orders["campaign"].filter(pa.array(evening)).to_pylist()) == {"d11_opening"}


def test_history_comes_before_the_season_at_lower_volume(simulation: Simulation) -> None:
    start = OPENING - timedelta(days=21, hours=20)
    history = is_between(simulation, start - timedelta(days=90), start)
    presale = is_between(simulation, start, OPENING - timedelta(hours=20))

    assert history.mean() == pytest.approx(0.36, abs=0.04)
    assert history.sum() / 90 < presale.sum() / 21
    assert placed(simulation).min() < (start - timedelta(days=88)).timestamp()


def test_malice_is_spread_over_history_and_season(simulation: Simulation) -> None:
    is_malicious = simulation.truth["is_malicious"].to_numpy()
    history = placed(simulation) < (OPENING - timedelta(days=21)).timestamp()

    assert 0.01 < is_malicious[history].mean() < 0.04
    assert 0.01 < is_malicious[~history].mean() < 0.04


@pytest.mark.parametrize(
    ("column", "rates"), [("phone", "masked_rates"), ("recipient", "masked_rates"), ("address", "masked_rates")]
)
def test_contact_fields_are_masked_at_the_platforms_rate(
    simulation: Simulation, settings: SimulationSettings, column: str, rates: str
) -> None:
    for platform, rate in getattr(settings, rates).items():
        mine = simulation.orders.filter(pc.equal(simulation.orders["platform"], platform))

        assert mine[column].null_count / mine.num_rows == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize("column", ["device_id", "ip"])
def test_devices_and_ips_are_known_at_the_platforms_rate(
    simulation: Simulation, settings: SimulationSettings, column: str
) -> None:
    for platform, rate in settings.device_rates.items():
        mine = simulation.orders.filter(pc.equal(simulation.orders["platform"], platform))

        assert 1 - mine[column].null_count / mine.num_rows == pytest.approx(rate, abs=0.05)


def test_equality_keys_come_only_with_masked_orders(simulation: Simulation) -> None:
    orders = simulation.orders
    has_key = pc.is_valid(orders["address_group"])

    assert orders.filter(has_key)["address"].null_count == pc.sum(has_key).as_py() > 0
    assert pc.is_valid(orders["phone_group"]).equals(has_key)


def test_everything_can_be_masked() -> None:
    rates = dict.fromkeys(SimulationSettings().masked_rates, 1.0)

    orders = simulate(SimulationSettings(n_orders=600, masked_rates=rates)).orders

    assert {orders[name].null_count for name in ("phone", "recipient", "address")} == {600}


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        ("refund_only_abuse", {"refund_type": "refund_only"}),
        ("return_swap", {"refund_type": "return_and_refund"}),
        ("fake_return", {"refund_type": "return_and_refund"}),
        ("unpaid_hoarding", {"kind": "cancelled_unpaid"}),
        ("rival_bulk_refund", {"refund_type": "before_shipping"}),
        ("professional_claim", {"kind": "claim"}),
        ("review_extortion", {"kind": "bad_review"}),
        ("delivery_refusal", {"kind": "delivery_refused"}),
        ("stolen_payment", {"kind": "chargeback"}),
    ],
)
def test_kinds_end_as_their_signal_says(crowded: Simulation, kind: str, signal: dict[str, str]) -> None:
    ended = has_outcome(crowded, **signal)
    is_kind = rows_of(crowded, "kind", kind)

    assert ended[is_kind].mean() > 0.8
    assert ended[~is_kind].mean() < 0.5


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("coupon_farming", "device_id"),
        ("coupon_farming", "ip"),
        ("review_extortion", "phone"),
        ("return_swap", "phone"),
        ("scalping", "device_id"),
        ("stolen_payment", "device_id"),
    ],
)
def test_rings_share_what_honest_people_do_not(crowded: Simulation, kind: str, column: str) -> None:
    known = crowded.orders.append_column("is_kind", pa.array(rows_of(crowded, "kind", kind)))
    known = known.append_column("is_malicious", crowded.truth["is_malicious"])
    known = known.filter(pc.is_valid(known[column]))

    def share_on_shared_keys(orders: pa.Table) -> float:
        per_key = orders.group_by(column).aggregate([("buyer_id", "count_distinct"), ("buyer_id", "count")])
        is_shared = pc.greater(per_key["buyer_id_count_distinct"], 1)
        return pc.sum(per_key["buyer_id_count"].filter(is_shared)).as_py() / orders.num_rows

    ring = share_on_shared_keys(known.filter(known["is_kind"]))
    honest = share_on_shared_keys(known.filter(pc.invert(known["is_malicious"])))

    assert ring > 0.45
    assert 0.0 < honest < 0.35


def test_farmed_doors_are_written_in_more_ways_than_family_doors(crowded: Simulation) -> None:
    def ways_per_account(rows: np.ndarray) -> float:
        orders = crowded.orders.filter(pa.array(rows)).filter(pc.is_valid(crowded.orders["address"].filter(rows)))
        return pc.count_distinct(orders["address"]).as_py() / pc.count_distinct(orders["buyer_id"]).as_py()

    farmed = ways_per_account(rows_of(crowded, "kind", "coupon_farming"))
    families = ways_per_account(rows_of(crowded, "look_alike", "family"))

    assert farmed > 0.85 > families


def test_honest_fresh_accounts_buy_discounted_items_as_farmers_do(simulation: Simulation) -> None:
    orders = simulation.orders
    age = pc.subtract(orders["placed_at"], orders["buyer_registered_at"]).cast(pa.int64()).to_numpy() / 86_400e6
    discount = orders["discount_minor"].to_numpy() / (orders["amount_minor"].to_numpy() + 1)
    looks_farmed = (age < 3) & (discount > 0.5)
    is_malicious = simulation.truth["is_malicious"].to_numpy()

    assert (looks_farmed & ~is_malicious).sum() > (looks_farmed & is_malicious).sum() > 0


def test_a_stations_owner_shares_his_door_with_honest_people(simulation: Simulation) -> None:
    ring = simulation.orders.filter(pa.array(rows_of(simulation, "kind", "freight_insurance_fraud")))
    honest = simulation.orders.filter(pa.array(rows_of(simulation, "look_alike", "pickup_station")))

    shared = set(pc.drop_null(ring["address"]).to_pylist()) & set(pc.drop_null(honest["address"]).to_pylist())

    assert shared


def test_faulty_batches_are_refunded_with_the_seller_to_blame_mostly(simulation: Simulation) -> None:
    struck = rows_of(simulation, "look_alike", "fault_wave")
    blamed = has_outcome(simulation, refund_type="refund_only", blame="seller")

    assert has_outcome(simulation, refund_type="refund_only")[struck].all()
    assert 0.6 < blamed[struck].mean() < 0.9
    assert blamed[~struck].mean() < 0.01


def test_womenswear_comes_back_far_more_than_food_at_the_campaign(simulation: Simulation) -> None:
    returned = has_outcome(simulation, kind="refund_requested", refund_type="return_and_refund")
    campaign = pc.is_valid(simulation.orders["campaign"]).to_numpy()

    def rate(category: str) -> float:
        return returned[campaign & pc.equal(simulation.orders["category"], category).to_numpy()].mean()

    assert rate("womenswear") > 0.5
    assert rate("food") < 0.08


def test_desk_is_wrong_now_and_then_and_late(simulation: Simulation) -> None:
    truth = simulation.truth.take(pc.index_in(simulation.verdicts["order_id"], simulation.truth["order_id"]))
    decided = pc.not_equal(simulation.verdicts["verdict"], "unsure")
    right = pc.equal(pc.equal(simulation.verdicts["verdict"], "malicious"), truth["is_malicious"]).filter(decided)
    at = pc.index_in(simulation.verdicts["order_id"], simulation.orders["order_id"]).to_numpy()
    waited_days = (
        simulation.verdicts["decided_at"].cast(pa.int64()).to_numpy() / 1e6 - placed(simulation)[at]
    ) / 86_400

    assert 0.96 < pc.mean(right).as_py() < 0.995
    assert 5 < np.median(waited_days) < 25


def test_verdicts_cover_a_part_of_the_malicious_orders(simulation: Simulation, settings: SimulationSettings) -> None:
    malicious = simulation.truth.filter(simulation.truth["is_malicious"])["order_id"]
    covered = pc.is_in(malicious, simulation.verdicts["order_id"].combine_chunks())

    assert pc.mean(covered).as_py() == pytest.approx(settings.review_rate, abs=0.04)


def test_orders_end_where_they_are_told_to_and_outcomes_go_on() -> None:
    until = OPENING + timedelta(hours=2, minutes=17)

    simulation = simulate(SimulationSettings(n_orders=3000, seed=3, orders_until=until))

    assert placed(simulation).max() < until.timestamp()
    assert simulation.orders.num_rows == 3000
    assert simulation.outcomes["happened_at"][-1].as_py() > until + timedelta(days=20)
    assert is_between(simulation, OPENING, until).mean() > 0.05


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_malicious_share_can_be_set(share: float) -> None:
    settings = SimulationSettings(n_orders=5000, malicious_share=share)

    truth = simulate(settings).truth

    assert pc.mean(truth["is_malicious"]).as_py() == pytest.approx(share, rel=0.1)


def test_look_alikes_can_be_left_out() -> None:
    settings = replace(SimulationSettings(n_orders=2000), look_alike_shares=dict.fromkeys(LOOK_ALIKE_SHARES, 0.0))

    truth = simulate(settings).truth

    assert truth["look_alike"].null_count == 2000


@settings_of_hypothesis(max_examples=12, deadline=None)
@given(
    n_orders=st.integers(500, 2500),
    seed=st.integers(0, 2**63),
    history_days=st.integers(14, 120),
    season_days=st.integers(5, 40),
    after_days=st.integers(0, 40),
    malicious_share=st.floats(0.0, 0.3),
    until_days=st.none() | st.integers(1, 60),
)
def test_any_merchant_places_all_orders_in_its_own_time(
    n_orders: int,
    seed: int,
    history_days: int,
    season_days: int,
    after_days: int,
    malicious_share: float,
    until_days: int | None,
) -> None:
    settings = SimulationSettings(
        n_orders=n_orders,
        seed=seed,
        history_days=history_days,
        season_days=season_days,
        after_days=after_days,
        malicious_share=malicious_share,
        orders_until=None if until_days is None else START + timedelta(days=until_days),
    )

    simulation = simulate(settings)

    end = min(
        START + timedelta(days=season_days + after_days), settings.orders_until or datetime.max.replace(tzinfo=ZONE)
    )
    assert simulation.orders.num_rows == n_orders
    assert placed(simulation).max() < end.timestamp()
    assert placed(simulation).min() >= (START - timedelta(days=history_days)).timestamp()
    assert pc.min(simulation.orders["amount_minor"]).as_py() >= 0
