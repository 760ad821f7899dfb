from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.lab.simulate.dice import Dice, geometric_sizes, group_sizes

N = 20_000


def test_dice_draw_the_same_stream_on_every_numpy() -> None:
    dice = Dice(20251111)

    drawn = dice.below(1000, 6).tolist()

    assert drawn == [208, 858, 707, 635, 386, 371]


def test_dice_give_other_draws_for_another_seed() -> None:
    assert Dice(1).below(10**9, 5).tolist() != Dice(2).below(10**9, 5).tolist()


@given(low=st.integers(-50, 50), width=st.integers(0, 60), seed=st.integers(0, 2**32))
def test_between_stays_inside_both_ends(low: int, width: int, seed: int) -> None:
    drawn = Dice(seed).between(low, low + width, 200)

    assert drawn.min() >= low
    assert drawn.max() <= low + width


def test_pick_follows_its_weights() -> None:
    drawn = Dice(3).pick((0.0, 1.0, 3.0, 0.0), N)

    shares = np.bincount(drawn, minlength=4) / N

    assert shares == pytest.approx([0.0, 0.25, 0.75, 0.0], abs=0.02)
    assert shares[0] == shares[3] == 0.0


def test_log_normal_has_its_median_and_spread() -> None:
    drawn = Dice(3).log_normal(60.0, 0.5, N)

    assert np.median(drawn) == pytest.approx(60.0, rel=0.03)
    assert np.log(drawn).std() == pytest.approx(0.5, rel=0.05)


def test_exponential_has_its_mean() -> None:
    assert Dice(3).exponential(30.0, N).mean() == pytest.approx(30.0, rel=0.03)


@given(total=st.integers(1, 500), low=st.integers(1, 20), extra=st.integers(0, 20), seed=st.integers(0, 2**32))
def test_group_sizes_sum_to_the_total_within_their_bounds(total: int, low: int, extra: int, seed: int) -> None:
    sizes = group_sizes(Dice(seed), total, low, low + extra)

    assert sizes.sum() == total
    assert sizes.min() >= 1
    assert sizes.max() <= low + extra
    assert (sizes[:-1] >= low).all()


@given(total=st.integers(1, 500), mean=st.floats(1.0, 8.0), seed=st.integers(0, 2**32))
def test_geometric_sizes_sum_to_the_total(total: int, mean: float, seed: int) -> None:
    sizes = geometric_sizes(Dice(seed), total, mean)

    assert sizes.sum() == total
    assert sizes.min() >= 1
