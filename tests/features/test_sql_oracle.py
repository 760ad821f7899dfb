"""The definitions once more, in DuckDB's SQL: an oracle that shares neither code nor language with the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from ordervet.features import FeatureEngine
from ordervet.features.events import JUDGEMENT_BIT
from ordervet.features.spec import LONG_WINDOW, SELECTOR_BIT, SUM_COLUMNS, WINDOWS_US, Statistic
from random_events import SPEC, draw_events

if TYPE_CHECKING:
    from ordervet.features import LaterEvents, OrderEvents
    from ordervet.features.spec import Aggregation

DAY = 86_400


def build_tables(connection: duckdb.DuckDBPyConnection, orders: OrderEvents, later: LaterEvents) -> None:
    """Lay the events out as `orders`, and as `standing`: every event with the instant at which it is taken back."""
    ids = {entity: pa.array(values, mask=values == 0) for entity, values in orders.ids.items()}
    order_table = pa.table(
        {"row": np.arange(len(orders)), "id": orders.order_id, "t": orders.seen_at, "x": orders.amount_minor, **ids}
    )
    later_table = pa.table(
        {"id": later.order_id, "t": later.seen_at, "mask": later.mask, "x": later.amount_minor, "rank": later.rank}
    )
    connection.register("order_table", order_table)
    connection.register("later_table", later_table)
    connection.execute("create table orders as select * from order_table")
    entities = ", ".join(f"o.{entity}" for entity in orders.ids)
    connection.execute(f"""
        create table standing as
        with judged as (
            select *, lead(t, 1, {2**62}) over (partition by id order by t, rank) as until
            from later_table where mask & {JUDGEMENT_BIT} <> 0
        ), events as (
            select id, t, {SELECTOR_BIT["order"]} as mask, x, {2**62} as until from orders
            union all select id, t, mask, x, {2**62} from later_table where mask & {JUDGEMENT_BIT} = 0
            union all select id, t, mask, x, until from judged
        )
        select e.t, e.mask, e.x, e.until, {entities} from events e join orders o using (id)
    """)


def write_sql(aggregation: Aggregation) -> str:
    """One feature as SQL over `orders o` left joined to `standing e`."""
    column, statistic = aggregation.column, aggregation.statistic
    past = f"e.t < o.t and e.until >= o.t and e.{aggregation.entity} = o.{aggregation.entity}"
    if aggregation.window:
        window = LONG_WINDOW if statistic is Statistic.DRIFT else aggregation.window
        past += f" and e.t >= o.t - {WINDOWS_US[window]}"

    def count(selector: str) -> str:
        return f"count(*) filter (where e.mask & {SELECTOR_BIT[selector]} <> 0)"

    def total(what: str, where: str = "true") -> str:
        return f"sum(e.x) filter (where e.mask & {SELECTOR_BIT[SUM_COLUMNS[what]]} <> 0 and {where})::double"

    recent = f"e.t >= o.t - {WINDOWS_US.get(aggregation.window, 0)}"
    n_recent = f"nullif(count(*) filter (where e.mask & {SELECTOR_BIT['order']} <> 0 and {recent}), 0)"
    is_column = f"e.mask & {SELECTOR_BIT.get(column, 0)} <> 0"
    whole = "verdict" if column in ("malicious", "innocent") else "order"
    value = {
        Statistic.COUNT: lambda: count(column),
        Statistic.SHARE: lambda: f"{count(column)}::double / nullif({count(whole)}, 0)",
        Statistic.SUM: lambda: f"coalesce({total(column)}, 0)",
        Statistic.MEAN: lambda: f"{total(column)} / {count(SUM_COLUMNS[column])}",
        Statistic.RATIO: lambda: f"any_value(o.x)::double / nullif({total(column)} / {count('order')}, 0)",
        Statistic.DRIFT: lambda: (
            f"({total(column, recent)} / {n_recent}) / nullif({total(column)} / {count('order')}, 0)"
        ),
        Statistic.DISTINCT: lambda: f"count(distinct e.{column}) filter (where e.mask & {SELECTOR_BIT['order']} <> 0)",
        Statistic.RECENCY: lambda: f"(any_value(o.t) - max(e.t) filter (where {is_column})) / 1e6",
        Statistic.AGE: lambda: f"(any_value(o.t) - min(e.t) filter (where {is_column})) / 1e6",
    }[statistic]()
    known = f"any_value(o.{aggregation.entity}) is not null"
    # NOTE: until >= o.t, because a verdict taken back at this very instant still stands: ties are invisible.
    return f"""select case when {known} then ({value})::double end
               from orders o left join standing e on {past} group by o.row order by o.row"""


@pytest.mark.parametrize(("seed", "span_s", "grain_s"), [(1, 3 * DAY, 1), (2, 40 * DAY, 3_600), (3, 400 * DAY, 60)])
def test_engine_equals_sql(seed: int, span_s: int, grain_s: int) -> None:
    rng = np.random.default_rng(seed)
    orders, later = draw_events(rng, n_orders=500, n_later=1_000, span_s=span_s, grain_s=grain_s)
    served = FeatureEngine(SPEC).advance(orders, later)
    connection = duckdb.connect()
    build_tables(connection, orders, later)

    for column, aggregation in SPEC.aggregations:
        told = connection.execute(write_sql(aggregation)).fetchnumpy()
        expected = np.ma.filled(next(iter(told.values())).astype(np.float64), np.nan).astype(np.float32)

        np.testing.assert_array_equal(served[:, column], expected, err_msg=aggregation.name)
