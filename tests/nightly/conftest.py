"""A small merchant's history, and settings under which its nights go through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ordervet.entities import Key
from ordervet.entities.history import History
from ordervet.features import build_spec
from ordervet.model import FitSettings
from ordervet.nightly.settings import GateBounds, Learning, Maturity, NightSettings

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.features import FeatureSpec
    from ordervet.simulate import Simulation

AS_OF_US = int(datetime(2025, 11, 30, 16, tzinfo=UTC).timestamp()) * 1_000_000
#: Bounds that a merchant of a few thousand orders passes: what is tested is the way, not the height of the gates.
LENIENT = NightSettings(
    maturity=Maturity(order_days=8.0),
    learning=Learning(holdout_days=14, n_folds=2, slice_orders=1_000),
    gates=GateBounds(
        n_draws=50, max_champion_days=0.0, max_loss=1.0, calibration_error=1.0, calibration_bias=9.0,
        channel_false_positives=1.0, new_buyer_false_positives=1.0, alert_rate_change=1.0, max_us_per_order=1e6,
        expected=("*",), label_auc=0.0, duplicates=1.0, lookalike_orders=0,
    ),
    fit=FitSettings(num_rounds=12, num_leaves=8, min_data_in_leaf=20),
)  # fmt: skip


@pytest.fixture(scope="session")
def night_key() -> Key:
    return Key(bytes(range(16)))


@pytest.fixture(scope="session")
def night_history(simulation: Simulation, night_key: Key, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a history; tests read it only."""
    folder = tmp_path_factory.mktemp("night") / "history"
    History.open(folder, night_key, create=True).ingest(simulation.events)
    return folder


@pytest.fixture(scope="session")
def spec() -> FeatureSpec:
    """A few features: a night in a second."""
    return build_spec(
        use_defaults=False,
        names=(
            "order__value__{amount,discount_share,account_age_days,quantity}",
            "buyer__count__order__{1d,90d}",
            "{address,device,phone}__distinct__buyer__30d",
            "{address,device}__count__order__1h",
            "buyer__share__refund_requested__90d",
        ),
    )
