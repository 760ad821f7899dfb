"""What people look at: flagged orders, backtests, rows set aside, the model card."""

from ordervet.reports.backtest import average_splits, build_backtest_table
from ordervet.reports.card import SIMULATED, build_card
from ordervet.reports.failures import build_failure_table, count_failures
from ordervet.reports.flags import build_flag_lines, build_score_summary, count_actions, name_model

__all__ = [
    "SIMULATED",
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
