from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from ordervet.features import build_spec
from ordervet.model.protections import PROTECTED, Bound, Protection, build_weights

AGE, N = "order__value__account_age_days", "phone__distinct__buyer__90d"
YOUNG = Bound(feature=AGE, at_most=7)


def test_only_innocent_orders_within_the_bounds_count_more() -> None:
    protected = (Protection(where=(YOUNG,), weight=4),)
    features = np.array([[1, 0], [7, 0], [8, 0], [np.nan, 0], [1, 0]], np.float32)

    weights = build_weights(protected, features, (AGE, N), np.array([False, False, False, False, True]))

    assert weights.tolist() == [4, 4, 1, 1, 1]


def test_order_must_be_within_all_bounds_of_a_protection() -> None:
    protected = (Protection(where=(YOUNG, Bound(feature=N, at_least=1, at_most=2)), weight=4),)
    features = np.array([[1, 0], [1, 1], [1, 2], [1, 3], [9, 1], [1, np.nan]], np.float32)

    weights = build_weights(protected, features, (AGE, N), np.zeros(6, bool))

    assert weights.tolist() == [1, 4, 4, 1, 1, 1]


def test_value_that_is_not_known_fits_only_a_bound_that_says_so() -> None:
    features = np.array([[np.nan], [1], [3]], np.float32)
    strict, lenient = (
        (Protection(where=(Bound(feature=N, at_most=2, or_unknown=each),), weight=4),) for each in (False, True)
    )

    assert build_weights(strict, features, (N,), np.zeros(3, bool)).tolist() == [1, 4, 1]
    assert build_weights(lenient, features, (N,), np.zeros(3, bool)).tolist() == [4, 4, 1]


def test_largest_weight_holds_where_several_protections_fit() -> None:
    protected = (
        Protection(where=(YOUNG,), weight=4),
        Protection(where=(Bound(feature=N, at_least=2),), weight=9),
        Protection(where=(Bound(feature=N, at_least=3),), weight=2),
    )

    weights = build_weights(protected, np.array([[1, 3], [1, 0]], np.float32), (AGE, N), np.zeros(2, bool))

    assert weights.tolist() == [9, 4]


def test_protection_by_a_feature_that_the_spec_lacks_protects_nobody() -> None:
    protected = (Protection(where=(YOUNG, Bound(feature=N, at_most=2, or_unknown=True)), weight=4),)

    assert build_weights(protected, np.zeros((3, 1), np.float32), (AGE,), np.zeros(3, bool)).tolist() == [1, 1, 1]


def test_every_shipped_protection_is_by_built_in_features() -> None:
    names = build_spec().names

    assert [each.features for each in PROTECTED if not set(each.features) <= set(names)] == []


@pytest.mark.parametrize("wrong", [{"weight": 0.5}, {"weight": 101}, {"where": ()}])
def test_protection_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Protection.model_validate({"where": (YOUNG,), "weight": 4} | wrong)
