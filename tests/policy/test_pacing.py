"""Remembered scores, against a list of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scores_reference import ListedScores

from ordervet.policy import pacing
from ordervet.policy.pacing import RememberedScores

if TYPE_CHECKING:
    from collections.abc import Iterator

SCORES = st.lists(st.sampled_from([0.0, 1e-9, 0.01, 0.0101, 0.3, 0.3000001, 0.7, 1.0]) | st.floats(0, 1), max_size=40)


@pytest.fixture(autouse=True, scope="module")
def _forgets_soon() -> Iterator[None]:
    """Let weights be rescaled every few scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "MEMORY", 2)
        patch.setattr(pacing, "RESCALE_AFTER", 4)
        yield


@given(SCORES.filter(len), SCORES, st.floats(1e-6, 1.0), st.floats(0, 1))
def test_remembered_scores_equal_a_list_of_all(
    prior: list[float], scores: list[float], share: float, least_p: float
) -> None:
    fast, slow = RememberedScores(least_p), ListedScores(least_p)
    fast.add_prior(np.array(prior))
    slow.add_prior(prior)

    for p in scores:
        fast.add(p)
        slow.add(p)

    assert fast.find_quantile(share) == slow.find_quantile(share)
    assert fast.share_worth_it == slow.share_worth_it
