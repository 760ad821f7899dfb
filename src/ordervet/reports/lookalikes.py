"""The look-alike suite as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def build_lookalike_table(report: dict[str, Any]) -> Table:
    """Lay the scenarios out, one line each, those that failed in red; `twin` is the share of malicious twins caught.

    Parameters
    ----------
    report : a `LookalikeReport` as plain values
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("look-alike", no_wrap=True)
    for title in ("orders", "flagged", "× plain", "90 % interval", "bound", "twin", ""):
        table.add_column(title, justify="right", no_wrap=True)
    for row in report["rows"]:
        ratio = row["ratio"]
        table.add_row(
            row["scenario"],
            f"{row['n_orders']:,}",
            f"{row['alert_rate']:.2%}",
            _write(ratio["value"]),
            f"{_write(ratio['low'])} to {_write(ratio['high'])}",
            f"{row['max_ratio']:.2f}",
            f"{row['twin_recall']:.0%}",
            _say_verdict(row),
            style="" if row["passed"] else "red",
        )
    return table


def sum_up_lookalikes(report: dict[str, Any]) -> str:
    """Say in one sentence or two how the suite went."""
    n_failed = sum(not row["passed"] for row in report["rows"])
    verdict = f"{n_failed} of {len(report['rows'])} failed" if n_failed else f"all {len(report['rows'])} passed"
    n_open = len(report["undecided"])
    doubt = f" {n_open} stay open with so few orders (--orders): they fail only beyond doubt." if n_open else ""
    rate = f"{report['plain_alert_rate']:.2%} of them flagged"
    return f"plain honest orders: {report['n_plain']:,}, {rate}. {verdict}.{doubt}"


def _say_verdict(row: dict[str, Any]) -> str:
    if not row["passed"]:
        return "FAILED"
    return "ok" if row["is_decided"] else "open"


def _write(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"
