"""Measure the look-alikes of fits of the starter that differ in their seed alone: python tools/measure_fits.py.

    python tools/measure_fits.py --seeds 1 2 3 4 5 --orders 55000

Printed per look-alike: how often its honest orders are flagged beside those of plain buyers, of each fit, the largest,
and the bound; whether each fit holds it; and how often its refund requests are paid at once beside theirs, the
smallest. Numbers on simulated data prove behaviour, not accuracy.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from train_starter import ABOUT, simulate_merchants

from ordervet.features import build_spec
from ordervet.lab.lookalikes import MIN_PAID, MIN_PAIDS, measure_fits
from ordervet.learn.train import learn_model, prepare
from ordervet.model import FitSettings

if TYPE_CHECKING:
    from ordervet.lab.lookalikes import LookalikeReport


def main() -> None:
    """Fit, measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--orders", type=int, default=55_000, help="of each scenario")
    parser.add_argument("--threads", type=int, default=2, help="the figures do not depend on it")
    options = parser.parse_args()
    spec, origin = build_spec(), {"about": ABOUT, "is_simulated": True}
    parts = [prepare(events, spec, maturity_days=30.0, n_jobs=options.threads) for events in simulate_merchants()]
    models = [
        learn_model(parts, spec, FitSettings(seed=seed), origin=origin, n_jobs=options.threads).model
        for seed in options.seeds
    ]
    reports = measure_fits(models, n_orders=options.orders)
    for seed, model, report in zip(options.seeds, models, reports, strict=True):
        ap, ap_of_claims = model.metrics["ap"], model.metrics["claims"]["ap"]
        print(
            f"seed {seed}: average precision {ap:.4f}, of requests {ap_of_claims:.4f}; "
            f"{report.n_plain:,} plain orders, {report.plain_alert_rate:.2%} flagged; {report.n_plain_claims:,} "
            f"requests, {report.plain_paid:.1%} paid at once; failed: {', '.join(report.failed) or 'none'}"
        )
    describe(reports)


def describe(reports: list[LookalikeReport]) -> None:
    """Print each look-alike's figures over all fits."""
    for rows in zip(*(report.rows for report in reports), strict=True):
        ratios = [row.ratio.value for row in rows]
        paid = min(row.paid / report.plain_paid for row, report in zip(rows, reports, strict=True))
        print(
            f"{rows[0].scenario:>18}: {' '.join(f'{ratio:5.2f}' for ratio in ratios)}; largest {max(ratios):.2f}, "
            f"bound {rows[0].max_ratio:.2f}, held by {sum(row.is_fair for row in rows)} of {len(rows)}, decided in "
            f"{sum(row.is_decided for row in rows)}; twin caught at least {min(row.twin_recall for row in rows):.0%}; "
            f"requests paid at least {paid:.3f} times, bound {MIN_PAIDS.get(rows[0].scenario, MIN_PAID):.2f}, held by "
            f"{sum(row.is_paid_fairly for row in rows)}"
        )


if __name__ == "__main__":
    main()
