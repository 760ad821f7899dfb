"""What people look at: flagged orders, backtests, rows set aside, the model card."""

from ordervet.reports.backtest import average_splits, build_backtest_table
from ordervet.reports.card import build_card
from ordervet.reports.terminal import (
    build_failure_table,
    build_flag_lines,
    build_score_summary,
    count_actions,
    count_failures,
    name_model,
)

__all__ = [
    "average_splits",
    "build_backtest_table",
    "build_card",
    "build_failure_table",
    "build_flag_lines",
    "build_score_summary",
    "count_actions",
    "count_failures",
    "name_model",
]
