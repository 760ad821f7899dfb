from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydantic import ValidationError

from ordervet.model import FitSettings
from ordervet.model.settings import SETTINGS_FILE, Protection, write_settings

if TYPE_CHECKING:
    from pathlib import Path

AGE = "order__value__account_age_days"


def test_only_innocent_orders_within_the_bounds_count_more() -> None:
    settings = FitSettings(protected=(Protection(feature=AGE, at_most=7, weight=4),))
    features = np.array([[1, 0], [7, 0], [8, 0], [np.nan, 0], [1, 0]], np.float32)

    weights = settings.build_weights(features, (AGE, "other"), np.array([False, False, False, False, True]))

    assert weights.tolist() == [4, 4, 1, 1, 1]


def test_largest_weight_holds_where_several_protections_fit() -> None:
    settings = FitSettings(
        protected=(Protection(feature=AGE, at_most=7, weight=4), Protection(feature="n", at_least=2, weight=9))
    )

    weights = settings.build_weights(np.array([[1, 3], [1, 0]], np.float32), (AGE, "n"), np.zeros(2, bool))

    assert weights.tolist() == [9, 4]


def test_protection_by_a_feature_that_the_spec_lacks_protects_nobody() -> None:
    weights = FitSettings().build_weights(np.zeros((3, 1), np.float32), ("terminal__age__order",), np.zeros(3, bool))

    assert weights.tolist() == [1, 1, 1]


def test_protection_never_makes_an_order_count_less() -> None:
    with pytest.raises(ValidationError):
        Protection(feature=AGE, weight=0.5)


def test_defaults_written_out_are_the_shipped_settings_file(tmp_path: Path) -> None:
    write_settings(FitSettings(), tmp_path / SETTINGS_FILE)

    shipped = resources.files("ordervet.model").joinpath(SETTINGS_FILE).read_text(encoding="utf-8")
    assert (tmp_path / SETTINGS_FILE).read_text(encoding="utf-8") == shipped
