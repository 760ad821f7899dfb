"""The model card: what a model is, what it was learned from, what it can and cannot be used for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ordervet.reports.ring_table import build_rings

if TYPE_CHECKING:
    from ordervet.model import Model

SIMULATED = "Numbers on simulated data prove behaviour, not accuracy."


def build_card(model: Model) -> str:
    """Write the card as Markdown; every figure in it is read from the manifest."""
    origin, metrics = model.origin, model.metrics
    counts = f"{origin['n_orders']:,} orders, {origin['n_labelled']:,} of them labelled"
    rows = "\n".join(
        f"| {at['alert_rate']:.1%} | {at['recall']:.1%} | {at['precision']:.1%} |" for at in metrics["at_alert_rate"]
    )
    parts = (
        _describe_kinds(metrics.get("kinds")),
        _describe_claims(metrics.get("claims")),
        _describe_rings(metrics.get("rings")),
        _describe_trust(metrics.get("trust")),
    )
    return f"""# Model {model.model_id}

Scores e-commerce orders for malice at the instant they are placed. A score is a suggestion that a person confirms.

## Learned from
- {origin.get("about", "orders and outcomes given by the user")}
- {counts}, placed from {origin["first_order_at"]} to {origin["last_order_at"]}
- {origin["n_malicious"]:,} labelled malicious; unjudged orders count as innocent after {origin["maturity_days"]:g} days
- fitted on the oldest {origin["n_fitted"]:,} labelled orders, calibrated on the next {origin["n_calibrated"]:,}
- {len(model.spec.names)} features; seed {origin["seed"]}; {_list_versions(model)}

## Measured
On the newest {metrics["n_orders"]:,} labelled orders ({metrics["n_malicious"]:,} malicious), not trained on.
{_warn(model)}
Average precision {metrics["ap"]:.3f}, AUC {metrics["auc"]:.3f}, mean predicted minus observed share
{metrics["calibration_error"]:+.4f}.

| alert rate | recall | precision |
|---|---|---|
{rows}
{"".join(parts)}
## Not for
- deciding without a person: `professional_claim` and `review_extortion` always go to one
- buyers' eyes: reasons are for the desk, never for the customer
- shops whose orders look unlike those it was learned from: train on your own with `ordervet train`
"""


def _describe_kinds(kinds: dict[str, Any] | None) -> str:
    if kinds is None or not kinds["n_orders"]:
        return ""
    right = "" if kinds["right"] is None else f", {kinds['right']:.1%} of them rightly"
    return f"\nThe kind is named on {kinds['named']:.1%} of {kinds['n_orders']:,} malicious orders{right}.\n"


def _describe_claims(claims: dict[str, Any] | None) -> str:
    if claims is None or not claims["n_malicious"]:
        return ""
    n = f"{claims['n_orders']:,} refund requests ({claims['n_malicious']:,} malicious)"
    paid = f"{claims['honest_paid']:.1%} of the honest and {claims['malicious_paid']:.1%} of the malicious"
    if claims["faulty_paid"] is not None:
        paid += f"; of the honest for items that others want their money back for, too, {claims['faulty_paid']:.1%}"
    return (
        f"\nOf {n} made after those that it was fitted on, the model of claims has average precision "
        f"{claims['ap']:.3f}, what their orders were given when they were placed {claims['ap_order']:.3f}. "
        f"Where it would pay at once, it pays {paid}.\n"
    )


def _describe_rings(rows: list[dict[str, Any]] | None) -> str:
    if not rows:
        return ""
    found = build_rings(rows, "en")
    head = [found["titles"], ["---"] * len(found["titles"])]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (*head, *found["rows"]))
    return f"\nNew rings, with one and a quarter orders flagged for each malicious one:\n\n{table}\n"


def _describe_trust(trust: dict[str, Any] | None) -> str:
    if not trust:
        return ""
    columns = (trust[name] for name in ("p", "n_orders", "n_buyers", "share", "upper"))
    rows = "\n".join(
        f"| {p:.4f} | {n_orders:,} | {n_buyers:,} | {share:.2%} | {upper:.2%} |"
        for p, n_orders, n_buyers, share, upper in zip(*columns, strict=True)
    )
    known = f"{trust['min_orders']} earlier orders in 90 days, known for {trust['min_days']:g} days"
    return f"""
Malice among orders of buyers with at least {known}:

| probability at most | orders | buyers | malicious | upper bound |
|---|---|---|---|---|
{rows}
"""


def _list_versions(model: Model) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(model.origin["versions"].items()))


def _warn(model: Model) -> str:
    return f"{SIMULATED}\n" if model.origin.get("is_simulated") else ""
