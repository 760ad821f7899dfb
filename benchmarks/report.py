"""Turn what pytest-benchmark has measured into a CSV file and a table: python benchmarks/report.py out/bench.json."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("benchmark", "rows", "median_s", "min_s", "max_s", "rounds", "rows_per_s")


def read_results(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Read the figures and the facts about the machine."""
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for measured in content["benchmarks"]:
        stats, n_rows = measured["stats"], measured["extra_info"]["rows"]
        rows.append(
            {
                "benchmark": measured["name"].removeprefix("test_"),
                "rows": n_rows,
                "median_s": stats["median"],
                "min_s": stats["min"],
                "max_s": stats["max"],
                "rounds": stats["rounds"],
                "rows_per_s": n_rows / stats["median"],
            }
        )
    return rows, content["machine_info"]


def describe(machine: dict[str, Any]) -> str:
    """Say on what it was measured."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    processor = machine["cpu"].get("brand_raw", machine["processor"])
    return f"{processor}, {machine['cpus']} processors, load {machine['load']:.1f} at the end; {versions}"


def main() -> None:
    path = Path(sys.argv[1])
    rows, machine = read_results(path)
    facts = describe(machine)
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {facts}\n")
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print("| | rows | median | rows/s |\n|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['benchmark']} | {row['rows']:,} | {row['median_s'] * 1e3:,.3f} ms | {row['rows_per_s']:,.0f} |")
    print(f"\n{facts}\nSimulated orders: figures prove speed, not accuracy. Written: {path.with_suffix('.csv')}")


if __name__ == "__main__":
    main()
