"""Settings under which the nights of a small merchant go through."""

from __future__ import annotations

from datetime import UTC, datetime

from ordervet.learn.night_settings import GateBounds, Learning, Maturity, NightSettings
from ordervet.model import FitSettings

AS_OF_US = int(datetime(2025, 11, 30, 16, tzinfo=UTC).timestamp()) * 1_000_000
#: Bounds that a merchant of a few thousand orders passes: what is tested is the way, not the height of the gates.
LENIENT = NightSettings(
    maturity=Maturity(order_days=8.0),
    learning=Learning(holdout_days=14, n_folds=2, slice_orders=1_000),
    gates=GateBounds(
        n_draws=50, ap_margin=-1.0, money_margin=-1.0, mature_loss=1.0, policy_recall_loss=1.0,
        policy_alerts_times=100.0, chance_times=0.0, history_margin=-1.0,
        calibration_error=1.0, calibration_bias=9.0,
        channel_false_positives=1.0, new_buyer_false_positives=1.0, alert_rate_change=1.0, max_us_per_order=1e6,
        expected=("*",), group_times=1e6, label_auc=0.0, duplicates=1.0, lookalike_orders=0,
    ),
    fit=FitSettings(num_rounds=12, num_leaves=8, min_data_in_leaf=20),
)  # fmt: skip
