"""Rows that were set aside, summed up by file, field and rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    import pyarrow as pa


def count_failures(failures: pa.Table) -> list[dict[str, Any]]:
    """Count failures per file, field and rule, the most frequent first, with the first row of each."""
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for failure in failures.to_pylist():
        name = (failure["file"], failure["field"], failure["rule"])
        first = {key: failure[key] for key in ("row", "order_id", "observed")}
        group = groups.setdefault(name, dict(zip(("file", "field", "rule"), name, strict=True)) | {"n": 0} | first)
        group["n"] += 1
    return sorted(groups.values(), key=lambda group: (-group["n"], group["file"], group["field"], group["rule"]))


def build_failure_table(failures: pa.Table) -> Table:
    """Lay the counts out as a table."""
    table = Table(box=None, pad_edge=False)
    for title in ("rows", "file", "field", "rule", "first row", "order", "got"):
        table.add_column(title, justify="right" if title in ("rows", "first row") else "left", overflow="fold")
    for group in count_failures(failures):
        values = (group["n"], group["file"], group["field"], group["rule"], group["row"], group["order_id"])
        table.add_row(*("" if value is None else str(value) for value in (*values, group["observed"])))
    return table
