"""A night as metrics, for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ordervet.reports.prometheus import Metric, Sample, format_metrics

_HELP = {
    "ordervet_retrain_cut_off_seconds": "Cut-off of the last night, Unix time.",
    "ordervet_retrain_finished_seconds": "When the last night was finished, Unix time.",
    "ordervet_retrain_passed": "1 when the challenger passed every gate.",
    "ordervet_retrain_waiting": "1 when there was too little to learn from.",
    "ordervet_retrain_missing": "How much is missing of what it takes to learn.",
    "ordervet_retrain_gate_passed": "1 when the challenger passed the gate.",
    "ordervet_retrain_gate_figure": "What the gate measured.",
    "ordervet_retrain_metric": "Figures on later, mature orders, of the new and of the serving model.",
    "ordervet_retrain_psi": "Population stability index of the newest days.",
    "ordervet_retrain_orders": "Orders learned from and measured on.",
}


def build_metrics(record: dict[str, Any], *, is_dry_run: bool) -> str:
    """Return a night's metrics, from its record; what could not be measured is skipped."""
    samples: dict[str, list[Sample]] = {name: [] for name in _HELP}
    samples["ordervet_retrain_cut_off_seconds"].append(Sample({}, _read_seconds(record["as_of"])))
    if not is_dry_run:
        samples["ordervet_retrain_finished_seconds"].append(Sample({}, _read_seconds(record["finished_at"])))
    samples["ordervet_retrain_passed"].append(Sample({}, float(record["passed"])))
    samples["ordervet_retrain_waiting"].append(Sample({}, float(bool(record["missing"]))))
    for each in record["missing"]:
        samples["ordervet_retrain_missing"].append(Sample({"what": each["what"]}, float(each["need"] - each["have"])))
    for gate in record["gates"]:
        samples["ordervet_retrain_gate_passed"].append(Sample({"gate": gate["name"]}, float(gate["passed"])))
        samples["ordervet_retrain_gate_figure"].append(Sample({"gate": gate["name"]}, gate["figure"]))
    for model, measured in (("new", record["metrics"] or {}), ("serving", record["champion_metrics"] or {})):
        for name in ("ap", "auc", "money", "calibration_error"):
            samples["ordervet_retrain_metric"].append(Sample({"model": model, "metric": name}, measured.get(name)))
    for part in ("score", "channel"):
        samples["ordervet_retrain_psi"].append(Sample({"of": part}, record[f"{part}_psi"]))
    for part in ("train", "holdout", "reference"):
        samples["ordervet_retrain_orders"].append(Sample({"part": part}, float(record["counts"][part])))
    return format_metrics(Metric(name, "gauge", _HELP[name], found) for name, found in samples.items())


def _read_seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
