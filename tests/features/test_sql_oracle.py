"""The definitions once more, in DuckDB's SQL: an oracle that shares neither code nor language with the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from ordervet.features import FeatureEngine
from ordervet.features.events import (
    AMOUNT_KNOWN_BIT,
    EXCHANGE_BIT,
    EXCUSED_BIT,
    JUDGEMENT_BIT,
    MINOR_REFUND_BIT,
)
from ordervet.features.spec import (
    BASELINE_WINDOW,
    BURST_WINDOW,
    LONG_WINDOW,
    PRIOR_ORDERS,
    PRIOR_PPM,
    RELATIVE,
    RUN_VERDICTS,
    RUNS,
    SELECTOR_BIT,
    SIZED,
    SPIKE_FROM,
    SUM_COLUMNS,
    SYNCHRONY_WINDOW,
    USUAL,
    WINDOWS_US,
    Statistic,
)
from random_events import SPEC, draw_events

if TYPE_CHECKING:
    from ordervet.features import LaterEvents, OrderEvents
    from ordervet.features.spec import Aggregation

DAY = 86_400


def in_reference(amount: str) -> str:
    """Write what an amount is worth in the currency of the features (W11)."""
    return f"case when rate = 1 then {amount} else floor({amount} * rate + 0.5)::bigint end"


def build_tables(connection: duckdb.DuckDBPyConnection, orders: OrderEvents, later: LaterEvents) -> None:
    """Lay the events out as `orders`, and as `standing`: every event with the instant at which it is taken back."""
    ids = {entity: pa.array(values, mask=values == 0) for entity, values in orders.ids.items()}
    order_table = pa.table(
        {
            "row": np.arange(len(orders)), "id": orders.order_id, "t": orders.seen_at,
            "placed": orders.read_placed_at(), "amount": orders.amount_minor, "rate": orders.read_rate(),
             "mask": orders.read_mask(), **ids,
        }
    )  # fmt: skip
    later_table = pa.table(
        {
            "id": later.order_id, "told": later.seen_at, "happened": later.read_happened_at(), "mask": later.mask,
            "x": later.amount_minor, "rank": later.rank,
        }
    )  # fmt: skip
    connection.register("order_table", order_table)
    connection.register("later_table", later_table)
    connection.execute(f"create table orders as select *, {in_reference('amount')} as x from order_table")
    is_minor = f"mask & {MINOR_REFUND_BIT | EXCHANGE_BIT} <> 0"
    of_order = "partition by id, mask & 24 order by t, rank, x desc, mask rows unbounded preceding"
    # What comes before its order waits for it; a refund counts by its part of the order, at most what is left of it.
    connection.execute(f"""
        create table later as
        with known as (
            select l.*, greatest(told, o.t) as t, o.amount as whole, o.rate
            from later_table l join orders o using (id) where told >= o.t or happened >= o.placed
        ), asked as (
            select *, case
                when mask & {EXCHANGE_BIT} <> 0 then 0
                when mask & {AMOUNT_KNOWN_BIT} <> 0 and whole > 0 then least(x * 1000000 // whole, 1000000)
                when mask & {MINOR_REFUND_BIT} <> 0 then 0
                else 1000000 end as part
            from known
        )
        select * replace ({in_reference("x")} as x), case when mask & 24 = 0 then 1000000
            else least(sum(part) over ({of_order}), 1000000) - least(sum(part) over ({of_order}) - part, 1000000)
            end as size,
            case when mask & 24 = 0 or {is_minor} then 0 else mask & ~coalesce(bit_or(
                case when mask & 24 = 0 or {is_minor} then 0 else mask end
            ) over (partition by id order by t, rank, x desc, mask rows between unbounded preceding and 1 preceding), 0)
            end as first_as
        from asked
    """)
    entities = ", ".join(f"o.{entity}" for entity in orders.ids)
    connection.execute(f"""
        create table standing as
        with judged as (
            select *, lead(t, 1, {2**62}) over (partition by id order by t, rank) as until
            from later where mask & {JUDGEMENT_BIT} <> 0
        ), events as (
            select id, t, x, 1000000 as size, 0 as first_as, {2**62} as until, mask | case
                when buyer is not null and t = min(t) over (partition by buyer) then {SELECTOR_BIT["first_order"]}
                else 0 end as mask
            from orders
            union all select id, t, x, size, first_as, {2**62}, mask from later where mask & {JUDGEMENT_BIT} = 0
            union all select id, t, x, size, 0, until, mask from judged
        )
        select row_number() over () as event, o.row as about,
               e.t, e.mask, e.x, e.size, e.first_as, e.until, {entities} from events e join orders o using (id)
    """)


def add_expectation(connection: duckdb.DuckDBPyConnection, selector: str, baseline: str) -> None:
    """Add to `standing` what the baseline of every event led one to expect, in parts per million."""
    column = f"expected_{selector}_{baseline}"
    connection.execute(f"""
        create or replace table standing as
        with known as (
            select e.event, coalesce(sum(p.size) filter (where p.mask & {SELECTOR_BIT[selector]} <> 0), 0) as n,
                   count(*) filter (where p.mask & {SELECTOR_BIT["order"]} <> 0) as m
            from standing e left join standing p
                on p.{baseline} = e.{baseline} and p.t < e.t and p.t >= e.t - {WINDOWS_US[BASELINE_WINDOW]}
            group by e.event
        )
        select e.*, least((n + {PRIOR_ORDERS * PRIOR_PPM[selector]}) // (m + {PRIOR_ORDERS}), 1000000)
            as {column}
        from standing e join known using (event)
    """)


def add_usual(connection: duckdb.DuckDBPyConnection, entity: str) -> None:
    """Add to `standing` how much of an order's amount was usual of its entity when it was seen, instant by instant."""
    recent = f"list_filter(past, lambda p: p.t >= i.t - {WINDOWS_US[LONG_WINDOW]})"
    usual = f"nullif(list_sum(list_transform({recent}, lambda p: p.capped))::double / nullif(len({recent}), 0), 0)"
    part = f"least(floor({SPIKE_FROM * 1e6} * usual / nullif(o.x, 0))::bigint, 1000000)"
    connection.execute(f"""
        create or replace table standing as
        with recursive instants as (
            select {entity} as id, t, dense_rank() over (partition by {entity} order by t) as step,
                   list({{row: row, x: x}}) as orders
            from orders where {entity} is not null group by {entity}, t
        ), known(id, step, past) as (
            select distinct id, 0::bigint as step, []::struct(t bigint, row bigint, part bigint, capped bigint)[]
            from instants
            union all
            select id, step, list_concat(past, list_transform(parts, lambda o: {{
                t: t, row: o.row, part: o.part, capped: (o.x::hugeint * o.part // 1000000)::bigint
            }})) from (
                select i.id, i.step, i.t, past, list_transform(i.orders, lambda o: {{
                    row: o.row, x: o.x, part: coalesce({part.replace("usual", "i.usual")}, 1000000)
                }}) as parts
                from (
                    select i.*, past, {usual} as usual
                    from known k join instants i on i.id = k.id and i.step = k.step + 1
                ) i
            )
        ), whole as (
            select unnest(past, recursive := true) from known
            where (id, step) in (select (id, max(step)) from known group by id)
        )
        select e.*, w.part as part_{entity}, w.capped as capped_{entity}
        from standing e left join whole w on w.row = e.about
    """)


def write_run_sql(aggregation: Aggregation) -> str:
    """Write one feature of runs as SQL: of the standing verdicts those seen after the last of the other."""
    (other,) = set(RUN_VERDICTS) - {aggregation.column}
    value = {
        Statistic.RUN: "count(e.t) filter (where is_its and (ended is null or e.t > ended))",
        Statistic.RUN_AGE: "(any_value(now) - min(e.t) filter (where is_its and (ended is null or e.t > ended))) / 1e6",
        Statistic.RECENCY: "(any_value(now) - max(e.t) filter (where is_its)) / 1e6",
    }[aggregation.statistic]
    return f"""
        with e as (
            select o.row, o.t as now, o.{aggregation.entity} as id, e.t,
                   e.mask & {SELECTOR_BIT[aggregation.column]} <> 0 as is_its,
                   max(e.t) filter (where e.mask & {SELECTOR_BIT[other]} <> 0) over (partition by o.row) as ended
            from orders o left join standing e
                on e.t < o.t and e.until >= o.t and e.t >= o.t - {WINDOWS_US[aggregation.window]}
                and e.{aggregation.entity} = o.{aggregation.entity}
        )
        select case when any_value(id) is not null then ({value})::double end from e group by row order by row
    """


def write_sql(aggregation: Aggregation) -> str:
    """One feature as SQL over `orders o` left joined to `standing e`."""
    column, statistic = aggregation.column, aggregation.statistic
    if statistic in RUNS or (statistic is Statistic.RECENCY and aggregation.window):
        return write_run_sql(aggregation)
    past = f"e.t < o.t and e.until >= o.t and e.{aggregation.entity} = o.{aggregation.entity}"
    if aggregation.window:
        longer = {Statistic.DRIFT: LONG_WINDOW, Statistic.BURST: BURST_WINDOW, Statistic.PEAK: LONG_WINDOW}
        past += f" and e.t >= o.t - {WINDOWS_US[longer.get(statistic, aggregation.window)]}"

    def count(selector: str, where: str = "true") -> str:
        chosen = f"filter (where e.mask & {SELECTOR_BIT[selector]} <> 0 and {where})"
        return f"(coalesce(sum(e.size) {chosen}, 0) / 1e6)" if selector in SIZED else f"count(*) {chosen}"

    def total(what: str, where: str = "true") -> str:
        return f"sum(e.x) filter (where e.mask & {SELECTOR_BIT[SUM_COLUMNS[what]]} <> 0 and {where})::double"

    recent = f"e.t >= o.t - {WINDOWS_US.get(aggregation.window, 0)}"
    n_recent = f"nullif(count(*) filter (where e.mask & {SELECTOR_BIT['order']} <> 0 and {recent}), 0)"
    is_column = f"e.mask & {SELECTOR_BIT.get(column, 0)} <> 0"
    per_window = WINDOWS_US[BURST_WINDOW] // WINDOWS_US.get(aggregation.window, 1)
    latest = f"e.t >= o.t - {WINDOWS_US[SYNCHRONY_WINDOW]}"
    known_ids = f"filter (where e.mask & {SELECTOR_BIT['order']} <> 0)"
    expectation = f"expected_{column}_{aggregation.baseline}"
    expected = f"coalesce(sum({expectation}) {known_ids}, 0) / 1e6"
    exceeding = f"{'e.size' if column in SIZED else 1_000_000} * (1000000 - {expectation}) // 1000000"
    unexcused = f"{is_column} and e.mask & {EXCUSED_BIT} = 0"
    whole = "verdict" if column in ("malicious", "innocent") else "order"
    usual = f"sum(e.capped_{aggregation.entity}) {known_ids}::double / {count('order')}"
    n_first = f"count(*) filter (where e.first_as & {SELECTOR_BIT.get(column, 0)} <> 0)"
    value = {
        Statistic.COUNT: lambda: n_first if column in SIZED else count(column),
        Statistic.SHARE: lambda: f"{count(column)}::double / nullif({count(whole)}, 0)",
        Statistic.SUM: lambda: f"coalesce({total(column)}, 0)",
        Statistic.MEAN: lambda: (
            f"{total(column)} / count(*) filter (where e.mask & {SELECTOR_BIT[SUM_COLUMNS[column]]} <> 0)"
        ),
        Statistic.RATIO: lambda: f"any_value(o.x)::double / nullif({total(column)} / {count('order')}, 0)",
        Statistic.DRIFT: lambda: (
            f"({total(column, recent)} / {n_recent}) / nullif({total(column)} / {count('order')}, 0)"
        ),
        Statistic.DISTINCT: lambda: f"count(distinct e.{column}) filter (where e.mask & {SELECTOR_BIT['order']} <> 0)",
        Statistic.SAMENESS: lambda: (
            f"case when count(e.{column}) {known_ids} > 1 then "
            f"1 - (count(distinct e.{column}) {known_ids} - 1)::double / (count(e.{column}) {known_ids} - 1) end"
        ),
        Statistic.BURST: lambda: (
            f"({count(column, recent)} + 1)::double / ({count(column)} / {per_window}::double + 1)"
        ),
        Statistic.SYNCHRONY: lambda: f"{count(column, latest)}::double / nullif({count(column)}, 0)",
        Statistic.EXCESS: lambda: f"coalesce(sum({exceeding}) filter (where {unexcused}), 0) / 1e6",
        Statistic.EXPECTED: lambda: expected,
        Statistic.LIFT: lambda: f"({count(column)} + 1)::double / ({expected} + 1)",
        Statistic.PEAK: lambda: (
            f"max(e.x) filter (where e.mask & {SELECTOR_BIT['order']} <> 0 and {recent})::double / nullif({usual}, 0)"
        ),
        Statistic.SPIKES: lambda: f"count(*) filter (where e.part_{aggregation.entity} < 1000000 and e.mask & 1 <> 0)",
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
    for selector, baseline in {(a.column, a.baseline) for _, a in SPEC.aggregations if a.statistic in RELATIVE}:
        add_expectation(connection, selector, baseline)
    for entity in sorted({a.entity for _, a in SPEC.aggregations if a.statistic in USUAL}):
        add_usual(connection, entity)

    for column, aggregation in SPEC.aggregations:
        told = connection.execute(write_sql(aggregation)).fetchnumpy()
        expected = np.ma.filled(next(iter(told.values())).astype(np.float64), np.nan).astype(np.float32)

        np.testing.assert_array_equal(served[:, column], expected, err_msg=aggregation.name)
