"""Metrics in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Sample(NamedTuple):
    """One value of a metric.

    Parameters
    ----------
    labels : name → value
    value : what was measured; None is left out
    suffix : of the metric's name, such as ``_bucket``
    """

    labels: dict[str, str]
    value: float | None
    suffix: str = ""


class Metric(NamedTuple):
    """One metric: its name, type, meaning and values."""

    name: str
    kind: str
    about: str
    samples: list[Sample]


def format_metrics(metrics: Iterable[Metric]) -> str:
    """Format metrics as text; one without a value is skipped."""
    lines = []
    for name, kind, about, samples in metrics:
        known = [sample for sample in samples if sample.value is not None]
        if known:
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{each.suffix}{_format_labels(each.labels)} {each.value!r}" for each in known]
    return "\n".join(lines) + "\n"


def _format_labels(labels: dict[str, str]) -> str:
    escaped = {
        name: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for name, value in labels.items()
    }
    written = ",".join(f'{name}="{value}"' for name, value in escaped.items())
    return f"{{{written}}}" if written else ""
