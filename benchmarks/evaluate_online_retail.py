"""How many orders of honest wholesale customers a model would have looked at: UCI Online Retail, a real wholesaler.

    python benchmarks/evaluate_online_retail.py ../shared/data/online_retail/online_retail.csv.gz

Nobody in that shop is known to be malicious, and a third of its customers cancelled something: whatever is flagged is
counted as a mistake. Lines become orders by invoice; a cancellation invoice (C...) becomes a cancellation of the same
customer's newest earlier order that holds the same item. The first 90 days only fill the history.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb
import numpy as np

from ordervet.contract import Events, split_events
from ordervet.entities import key_events, new_key
from ordervet.features import FeatureEngine, build_later_events, build_order_events
from ordervet.model import ForestPredictor, find_live_model, load_model
from ordervet.policy import ACTIONS, Action, decide, load_policy
from ordervet.score import find_bundled_models

BOUND = 0.02

LINES = """
    SELECT InvoiceNo AS invoice, StockCode AS item, Quantity AS quantity, InvoiceDate AS placed_at,
           CAST(CAST(CustomerID AS DOUBLE) AS BIGINT) AS customer, round(Quantity * UnitPrice * 100) AS amount
    FROM read_csv('{path}', all_varchar = false) WHERE CustomerID IS NOT NULL
"""
ORDERS = """
    SELECT invoice AS order_id, min(placed_at) AS placed_at, greatest(1, CAST(sum(amount) AS BIGINT)) AS amount_minor,
           'GBP' AS currency, CAST(sum(quantity) AS BIGINT) AS quantity, count(*) AS n_lines,
           CAST(any_value(customer) AS VARCHAR) AS buyer_id, arg_max(item, amount) AS item_id
    FROM lines WHERE invoice NOT LIKE 'C%' AND quantity > 0 GROUP BY invoice ORDER BY placed_at, order_id
"""
CANCELLED = """
    SELECT DISTINCT bought.invoice AS order_id, 'cancelled_paid' AS kind, min(gone.placed_at) AS happened_at
    FROM lines gone ASOF JOIN (SELECT * FROM lines WHERE invoice NOT LIKE 'C%') bought
      ON gone.customer = bought.customer AND gone.item = bought.item AND gone.placed_at >= bought.placed_at
    WHERE gone.invoice LIKE 'C%' GROUP BY bought.invoice
"""
DAY_US = 86_400_000_000
WARM_UP_DAYS = 90


def read_shop(path: Path) -> Events:
    """Read the lines, and give the contract's tables; the shop's times are those of London."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE lines AS {LINES.format(path=path)}")
        orders, cancelled = (connection.sql(query).to_arrow_table() for query in (ORDERS, CANCELLED))
    good, bad = split_events("orders", orders, time_zone="Europe/London")
    outcomes, odd = split_events("outcomes", cancelled, time_zone="Europe/London")
    print(f"{good.num_rows:,} orders, {outcomes.num_rows:,} cancelled; {bad.num_rows + odd.num_rows:,} rows set aside")
    empty = Events.empty()
    return Events(good, outcomes, empty.verdicts, empty.corrections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=Path)
    parser.add_argument("--models", type=Path, default=find_bundled_models())
    options = parser.parse_args()
    model = load_model(find_live_model(options.models))
    keyed = key_events(read_shop(options.lines), new_key())
    orders = build_order_events(keyed.orders, model.spec)
    features = FeatureEngine(model.spec).advance(orders, build_later_events(keyed))
    predictor = ForestPredictor(model.booster_text)
    p = model.calibration(predictor.predict_raw(features))
    actions = decide(load_policy(), p, amount_minor=orders.amount_minor).actions
    counted = orders.seen_at >= orders.seen_at.min() + WARM_UP_DAYS * DAY_US
    flagged = (actions != ACTIONS.index(Action.PASS)) & counted
    share = flagged.sum() / counted.sum()
    print(
        f"model {model.model_id}, trained on simulated orders: {flagged.sum():,} of {counted.sum():,} orders of honest"
    )
    print(f"customers flagged: {share:.2%} (bound {BOUND:.0%}: {'kept' if share <= BOUND else 'BROKEN'})")
    if flagged.any():
        gains = predictor.explain(features[flagged])[:, :-1].mean(axis=0)
        print("why, in log-odds on average:")
        for at in np.argsort(-gains)[:8]:
            print(f"  {gains[at]:+.2f}  {model.spec.names[at]}")


if __name__ == "__main__":
    main()
