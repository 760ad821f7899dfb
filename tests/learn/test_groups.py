"""Look-alike groups of a merchant's own: who is in them, and when a model is unfair to one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.features import build_spec
from ordervet.learn.gates import check_groups
from ordervet.learn.groups import (
    FAIR,
    FEW,
    GROUPS,
    OPEN,
    PROTECTED_FEW,
    UNFAIR,
    find_groups,
    find_innocence,
    find_offsets,
    list_groups,
    measure_groups,
)
from ordervet.model.forest import MAX_DEPTH
from ordervet.model.protections import build_weights
from ordervet.reports.nightly import name_group

if TYPE_CHECKING:
    from ordervet.learn.groups import GroupRow
    from ordervet.words import Lang

NAMES = (
    "order__is__pick_up", "address__distinct__buyer__90d", "buyer__count__order__90d",
    "buyer__share__refund_requested__90d", "order__value__account_age_days", "order__value__quantity",
)  # fmt: skip
NAN = float("nan")


def test_groups_are_told_by_features_and_missing_ones_are_in_none() -> None:
    features = np.array(
        [
            [1, 2, 0, NAN, 900, 1],  # a parcel to a pick-up station
            [0, 2, 0, NAN, 900, 1],  # a shared private door
            [0, 1, 4, 0.0, 900, 1],  # a door of the buyer's own
            [0, 1, 0, NAN, 900, 1],  # the first order to somebody else's door
            [0, 7, 2, 0.0, 900, 1],  # a door that many share
            [0, 0, 5, 0.8, 900, 1],  # sends most of it back
            [0, 0, 1, 1.0, 900, 1],  # so few orders say nothing
            [0, 0, 0, NAN, 3, 1],  # an account of three days
            [0, 0, 9, 0.0, 900, 40],  # wholesale
            [NAN] * 6,
        ],
        np.float32,
    )

    groups = find_groups(NAMES, features, np.array(["", "", "", "", "", "", "", "app", "", "app"]))

    expected = {"pick_up": [0], "family": [1, 3], "shared_door": [4], "heavy_returner": [5], "newcomer": [7]}
    expected |= {"newcomer:app": [7], "wholesale": [8]}
    assert {name: np.flatnonzero(rows).tolist() for name, rows in groups.items()} == expected
    assert find_groups((), np.zeros((2, 0), np.float32), np.array(["app", ""])) == {}


@pytest.mark.parametrize("entity", ["ip", "device"])
def test_what_a_few_share_of_whom_no_malice_is_known_is_a_family_s(entity: str) -> None:
    names = (
        f"{entity}__distinct__buyer__90d",
        "buyer__count__order__90d",
        f"{entity}__count__malicious__90d",
        "group__count__malicious",
    )
    features = np.array(
        [
            [2, 1, 0, 0],
            [1, 0, 0, NAN],  # the first order from somebody else's
            [1, 5, 0, 0],  # of the buyer's own
            [9, 5, 0, 0],  # that of a carrier, or of a gang
            [2, 1, 1, 0],  # somebody malicious has it
            [2, 1, 0, 3],  # linked to malicious ones otherwise
            [NAN, 1, NAN, 0],
        ],
        np.float32,
    )

    found = find_groups(names, features, np.full(len(features), ""))
    weights = build_weights(PROTECTED_FEW, features, names, np.arange(len(features)) == 1)

    expected = {"shared_ip": [0, 1]} if entity == "ip" else {}
    assert {name: np.flatnonzero(rows).tolist() for name, rows in found.items()} == expected
    assert weights.tolist() == [20, 1, 1, 1, 1, 1, 1]  # the second is malicious
    assert build_weights(PROTECTED_FEW, features, names, np.zeros(len(features), bool))[1] == 20


def test_families_are_told_by_built_in_features_or_not_at_all() -> None:
    names = build_spec().names
    without = tuple(name for name in names if not name.startswith(("ip__", "device__")))

    assert {name for each in PROTECTED_FEW for name in each.features} <= set(names)
    assert (build_weights(PROTECTED_FEW, np.ones((3, len(without)), np.float32), without, np.zeros(3, bool)) == 1).all()


@pytest.mark.parametrize(
    ("rate", "before", "is_unfair"),
    [(0.2, 0.02, True), (0.2, 0.2, False), (0.03, 0.02, False), (0.02, 0.3, False)],
)
def test_group_is_unfairly_alerted_beyond_the_bound_and_more_than_by_the_champion(
    rate: float, before: float, is_unfair: bool
) -> None:
    rng, n = np.random.default_rng(3), 6_000
    is_in = np.arange(n) % 4 == 0
    flags, champion = rng.random(n) < np.where(is_in, rate, 0.02), rng.random(n) < np.where(is_in, before, 0.02)

    rows = measure_groups(
        {"newcomer": is_in}, np.zeros(n, bool), flags, champion, np.ones(n, np.int64), rng.integers(0, n // 2, n),
        judged_share=1.0, bound=1.5, min_orders=200, n_draws=60, seed=1,
    )  # fmt: skip

    assert [row.group for row in rows] == ["newcomer"]
    assert (rows[0].state == UNFAIR) is is_unfair
    assert rows[0].alert_rate == pytest.approx(flags[is_in].mean())
    assert rows[0].plain_rate == pytest.approx(flags[~is_in].mean())
    assert check_groups(rows, bound=1.5).passed is not is_unfair


def test_malicious_orders_are_left_out_and_small_groups_are_not_judged() -> None:
    n = 1_000
    is_in, flags = np.arange(n) < 150, np.arange(n) < 100

    def measure(is_malicious: np.ndarray, min_orders: int) -> GroupRow:
        (row,) = measure_groups(
            {"burst": is_in}, is_malicious, flags, flags, np.ones(n, np.int64), np.arange(n), bound=1.5,
            judged_share=1.0, min_orders=min_orders, n_draws=50, seed=1,
        )  # fmt: skip
        return row

    nobody = np.zeros(n, bool)
    few = measure(nobody, 160)
    assert (few.state, few.n_orders, few.more, np.isnan(few.alert_rate)) == (FEW, 150, 10, True)
    assert measure(nobody, 150).alert_rate == pytest.approx(100 / 150)
    assert measure(flags, 50).alert_rate == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_group_that_is_not_decided_needs_so_many_more_orders(seed: int) -> None:
    """With as many more as it says, its interval is about as long as the way to the bound."""

    def measure(times: int) -> GroupRow:
        rng, n = np.random.default_rng(seed), 4_000 * times
        is_in = np.arange(n) % 5 == 0
        flags = np.zeros(n, bool)
        flags[np.arange(n) % 150 == 0], flags[np.arange(n) % 50 == 1] = True, True
        rows = measure_groups(
            {"family": is_in}, np.zeros(n, bool), flags, flags & ~is_in, np.ones(n, np.int64), rng.permutation(n),
            judged_share=1.0, bound=1.1, min_orders=200, n_draws=400, seed=seed,
        )  # fmt: skip
        return rows[0]

    one = measure(1)
    assert (one.state, one.n_orders) == (OPEN, 800)
    assert one.more is not None
    assert measure(2 * math.ceil((one.n_orders + one.more) / one.n_orders)).state in (FAIR, UNFAIR)


def test_alerted_malice_that_nobody_found_is_no_unfairness() -> None:
    rng, n = np.random.default_rng(5), 20_000
    is_in = np.arange(n) % 4 == 0
    is_malicious = is_in & (rng.random(n) < 0.1)
    flags = is_malicious | (rng.random(n) < 0.01)
    is_found = is_malicious & (rng.random(n) < 0.4)

    def measure(judged_share: float) -> float:
        rows = measure_groups(
            {"family": is_in}, is_found, flags, flags & ~is_in, np.ones(n, np.int64), np.arange(n),
            judged_share=judged_share, bound=1.5, min_orders=200, n_draws=60, seed=1,
        )  # fmt: skip
        assert (rows[0].state == UNFAIR) is (judged_share == 1.0)
        return rows[0].alert_rate

    assert measure(1.0) > 0.04
    assert measure(0.4) == pytest.approx(0.01, abs=0.008)


def draw_lookalikes(seed: int, n: int = 12_000) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Two groups that overlap, whose innocents look more like malice than plain ones do."""
    rng = np.random.default_rng(seed)
    groups = {"wholesale": rng.random(n) < 0.05, "family": rng.random(n) < 0.2}
    is_malicious = rng.random(n) < 0.03
    raw = rng.normal(size=n) - 5 + 4 * is_malicious + 2 * groups["wholesale"] + groups["family"]
    return groups, raw, is_malicious, rng.integers(1, 3, n).astype(np.float64)


def measure_rate(raw: np.ndarray, is_in: np.ndarray, innocent: np.ndarray) -> float:
    return float(innocent[is_in & (raw > -3)].sum() / innocent[is_in].sum())


@pytest.mark.parametrize("times", [1.0, 1.5])
@pytest.mark.parametrize("seed", range(4))
def test_offsets_are_the_smallest_that_hold_every_group_to_plain_buyers(seed: int, times: float) -> None:
    groups, raw, is_malicious, weight = draw_lookalikes(seed)
    innocent = weight * ~is_malicious

    found = find_offsets(
        groups,
        raw,
        innocent,
        lambda log_odds, _: log_odds > -3,
        times=times,
        most=9.0,
        min_orders=50,
        measure=lambda _: 0.0,
    )

    def offset(by: dict[str, float]) -> np.ndarray:
        return raw + sum(by.get(name, 0.0) * is_in for name, is_in in groups.items())

    plain = measure_rate(raw, ~groups["wholesale"] & ~groups["family"], innocent)
    for name, is_in in groups.items():
        assert found[name] < 0
        assert measure_rate(offset(found), is_in, innocent) <= times * plain
        relaxed = found | {name: found[name] + 0.5}
        assert measure_rate(offset(relaxed), is_in, innocent) > times * plain


def test_offset_is_no_larger_than_the_most() -> None:
    groups, raw, is_malicious, weight = draw_lookalikes(1)

    def find(most: float) -> dict[str, float]:
        return find_offsets(
            groups, raw, weight * ~is_malicious, lambda log_odds, _: log_odds > -3,
            times=1.0, most=most, min_orders=50, measure=lambda _: 0.0,
        )  # fmt: skip

    assert find(9.0)["wholesale"] < -1.0
    assert find(1.0)["wholesale"] == -1.0


def test_group_that_is_alerted_no_more_than_plain_buyers_or_is_small_has_no_offset() -> None:
    groups, raw, is_malicious, _ = draw_lookalikes(1)
    innocent, n_family = 1.0 * ~is_malicious, int((groups["family"] & ~is_malicious).sum())
    raw = raw - 2 * groups["wholesale"]

    def find(min_orders: int) -> set[str]:
        return set(
            find_offsets(
                groups,
                raw,
                innocent,
                lambda each, _: each > -3,
                times=1.5,
                most=9.0,
                min_orders=min_orders,
                measure=len,
            )
        )

    assert find(50) == {"family"}
    assert find(n_family + 1) == set()
    assert (
        find_offsets({}, raw, innocent, lambda each, _: each > -3, times=1.0, most=9.0, min_orders=1, measure=len) == {}
    )


@pytest.mark.parametrize("ages", [1, 3])
def test_innocence_of_orders_that_nobody_judged_is_by_bayes_on_drawn_orders(ages: int) -> None:
    rng, n = np.random.default_rng(2), 400_000
    age = rng.integers(0, ages, n)
    share = np.array([0.4, 0.1, 0.7])[age]
    p = rng.random(n) ** 3
    is_malicious = rng.random(n) < p
    is_known = is_malicious & (rng.random(n) < share)

    innocence = find_innocence(p, is_known, share if ages > 1 else 0.4)

    assert (innocence[is_known] == 0).all()
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1)):
        for each in range(ages):
            of = ~is_known & (p >= low) & (p < high) & (age == each)
            assert innocence[of].mean() == pytest.approx((~is_malicious)[of].mean(), abs=0.01)


def test_groups_that_can_be_told_are_those_whose_features_are_there() -> None:
    every = tuple(bound.feature for where in GROUPS.values() for bounds in where for bound in bounds)
    assert list_groups(every) == GROUPS
    told = list_groups(("address__distinct__buyer__90d", "buyer__count__order__90d", "order__is__office"))
    lengths = {name: [len(bounds) for bounds in where] for name, where in told.items()}
    assert lengths == {"office": [1], "family": [3, 3], "shared_door": [1]}


def test_orders_are_within_one_way_of_a_group_at_most() -> None:
    rng = np.random.default_rng(3)
    every = tuple(dict.fromkeys(bound.feature for where in GROUPS.values() for bounds in where for bound in bounds))
    features = rng.choice(np.array([np.nan, 0, 0.5, 1, 2, 4, 5, 8], np.float32), (2_000, len(every)))

    for where in GROUPS.values():
        ways = [
            np.all([bound.find(features[:, every.index(bound.feature)]) for bound in bounds], axis=0)
            for bounds in where
        ]
        assert np.sum(ways, axis=0).max() == 1
        n_sides = [
            sum((each.at_least, each.at_most).count(None) == 0 for each in bounds) + len(bounds) for bounds in where
        ]
        assert max(n_sides) <= MAX_DEPTH


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_group_has_a_name_of_its_own_in_both_languages(lang: Lang) -> None:
    assert len({name_group(name, lang) for name in GROUPS}) == len(GROUPS)


def test_offset_that_costs_too_much_ranking_is_halved_until_it_does_not() -> None:
    groups, raw, is_malicious, weight = draw_lookalikes(2)
    wholesale = {"wholesale": groups["wholesale"]}

    def find(cost_per_log_odds: float) -> float:
        found = find_offsets(
            wholesale, raw, weight * ~is_malicious, lambda log_odds, _: log_odds > -3,
            times=1.0, most=9.0, min_orders=50,
            measure=lambda log_odds: float(log_odds[groups["wholesale"]].mean()) * cost_per_log_odds,
        )  # fmt: skip
        return found.get("wholesale", 0.0)

    free = find(0.0)
    assert free < -1
    assert find(0.009 / -free) == free
    assert find(0.019 / -free) == free / 2
    assert find(1e3) == 0.0
