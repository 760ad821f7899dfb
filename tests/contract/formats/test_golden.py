from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ordervet.contract import list_formats, read_counted_events

if TYPE_CHECKING:
    from datetime import datetime

EXPORTS = Path(__file__).parent / "exports"

# file, format, (read, accepted, merged, quarantined),
# orders: id, placed at (UTC), amount, discount, quantity, lines, item; outcomes: id, kind, at, type, amount, blame
EXPECTED: list[tuple[Any, ...]] = [
    (
        "douyin_after_sales.csv",
        "douyin_after_sales",
        (3, 3, 0, 0),
        [],
        [
            ("69200000000000011", "refund_requested", "11-20 01:00:00", "return_and_refund", 148000, None),
            ("69200000000000037", "refund_requested", "11-11 12:30:00", "before_shipping", 5000, None),
            ("69200000000000011", "refund_requested", "11-21 01:00:00", "refund_only", 4500, None),
            ("69200000000000011", "refund_completed", "11-24 01:00:00", "return_and_refund", 148000, "seller"),
            ("69200000000000037", "refund_completed", "11-11 12:31:00", "before_shipping", 5000, None),
            ("69200000000000011", "refund_rejected", "11-22 01:00:00", "refund_only", 4500, "buyer"),
        ],
    ),
    (
        "douyin_after_sales.json",
        "douyin_after_sales",
        (4, 3, 0, 1),
        [],
        [
            ("69300000000000026", "cancelled_unpaid", "11-11 12:05:00", None, None, None),
            ("69300000000000018", "refund_requested", "11-18 21:06:40", "refund_only", 3000, None),
            ("69300000000000018", "refund_requested", "11-18 23:53:20", "return_and_refund", 1990, None),
            ("69300000000000018", "refund_completed", "11-20 00:53:20", "refund_only", 3000, "seller"),
            ("69300000000000018", "refund_rejected", "11-20 03:40:00", "return_and_refund", 1990, "buyer"),
        ],
    ),
    (
        "douyin_orders.csv",
        "douyin_orders",
        (5, 3, 2, 0),
        [
            ("69200000000000011", "11-11 12:00:01", 152500, 2500, 3, 2, "36002"),
            ("69200000000000029", "11-11 12:02:00", 5000, 0, 1, 1, "36001"),
            ("69200000000000037", "11-11 12:03:00", 5000, 0, 1, 1, "36001"),
        ],
        [
            ("69200000000000011", "fulfilled", "11-19 02:00:00", None, None, None),
            ("69200000000000029", "cancelled_unpaid", "11-12 12:02:00", None, None, None),
        ],
    ),
    (
        "douyin_orders.json",
        "douyin_orders",
        (3, 2, 1, 0),
        [
            ("69300000000000018", "11-11 12:00:00", 4490, 500, 2, 2, "36002"),
            ("69300000000000026", "11-11 12:01:40", 1990, 0, 1, 1, "36001"),
        ],
        [
            ("69300000000000018", "fulfilled", "11-18 12:00:00", None, None, None),
            ("69300000000000026", "cancelled_unpaid", "11-11 12:31:40", None, None, None),
        ],
    ),
    (
        "jd_orders.csv",
        "jd_orders",
        (4, 3, 1, 0),
        [
            ("280000000011", "11-11 12:00:00", 69000, 800, 2, 2, "1002"),
            ("280000000029", "11-11 12:02:00", 99500, 0, 5, 1, "1001"),
            ("280000000037", "11-11 12:03:00", 19900, 0, 1, 1, "1001"),
        ],
        [
            ("280000000011", "fulfilled", "11-15 02:00:00", None, None, None),
            ("280000000037", "delivery_refused", "11-16 01:00:00", None, None, None),
            ("280000000029", "cancelled_unpaid", "11-12 12:02:00", None, None, None),
        ],
    ),
    (
        "pdd_orders.csv",
        "pdd_orders",
        (3, 3, 0, 0),
        [
            ("251111-000000000000011", "11-11 12:00:00", 3390, 600, 2, 1, "5001"),
            ("251111-000000000000029", "11-11 12:01:00", 3990, 0, 2, 1, "5001"),
            ("251111-000000000000037", "11-11 12:02:00", 3990, 0, 9, 1, "5001"),
        ],
        [
            ("251111-000000000000011", "fulfilled", "11-16 01:00:00", None, None, None),
            ("251111-000000000000029", "refund_completed", "11-14 01:00:00", None, None, None),
            ("251111-000000000000037", "cancelled_unpaid", "11-12 12:02:00", None, None, None),
        ],
    ),
    (
        "pdd_orders.json",
        "pdd_orders",
        (2, 2, 0, 0),
        [
            ("251111-100000000000018", "11-11 12:00:00", 7530, 450, 2, 1, "5001"),
            ("251111-100000000000026", "11-11 12:01:00", 3990, 0, 1, 1, "5001"),
        ],
        [
            ("251111-100000000000018", "fulfilled", "11-15 02:00:00", None, None, None),
            ("251111-100000000000026", "refund_completed", "11-14 02:00:00", None, None, None),
        ],
    ),
    (
        "shopify_orders.csv",
        "shopify_orders",
        (5, 4, 1, 0),
        [
            ("#1001", "11-11 12:00:00", 11500, 1000, 3, 2, "CO-1"),
            ("#1002", "11-11 12:05:00", 2500, 0, 1, 1, "SC-1"),
            ("#1003", "11-11 12:06:00", 2500, 0, 1, 1, "SC-1"),
            ("#1004", "11-11 12:07:00", 2500, 0, 1, 1, "SC-1"),
        ],
        [
            ("#1001", "fulfilled", "11-12 01:00:00", None, None, None),
            ("#1004", "fulfilled", "11-12 01:00:00", None, None, None),
            ("#1002", "cancelled_unpaid", "11-11 13:05:00", None, None, None),
            ("#1003", "cancelled_paid", "11-12 00:00:00", None, None, None),
            ("#1003", "refund_completed", "11-12 00:00:00", None, 2500, None),
        ],
    ),
    (
        "taobao_api_refunds.json",
        "taobao_api_refunds",
        (4, 4, 0, 0),
        [],
        [
            ("3301000000000000011", "refund_requested", "11-19 02:00:00", "return_and_refund", 8000, None),
            ("3301000000000000037", "refund_requested", "11-12 02:00:00", "before_shipping", 2000, None),
            ("3301000000000000045", "refund_requested", "11-20 02:00:00", "refund_only", 2000, None),
            ("3301000000000000045", "refund_requested", "11-22 02:00:00", "refund_only", 2000, None),
            ("3301000000000000011", "refund_completed", "11-22 02:00:00", "return_and_refund", 8000, None),
            ("3301000000000000037", "refund_completed", "11-13 00:00:00", "before_shipping", 2000, None),
            ("3301000000000000045", "refund_rejected", "11-21 00:00:00", "refund_only", 2000, None),
        ],
    ),
    (
        "taobao_api_trades.json",
        "taobao_api_trades",
        (5, 4, 1, 0),
        [
            ("3301000000000000011", "11-11 12:00:00", 17500, 500, 3, 2, "602"),
            ("3301000000000000029", "11-11 12:03:00", 2000, 500, 1, 1, "601"),
            ("3301000000000000037", "11-11 12:04:00", 2000, 500, 1, 1, "601"),
            ("3301000000000000045", "11-11 12:05:00", 2000, 500, 1, 1, "601"),
        ],
        [
            ("3301000000000000011", "fulfilled", "11-18 04:00:00", None, None, None),
            ("3301000000000000029", "cancelled_unpaid", "11-12 12:03:00", None, None, None),
            ("3301000000000000037", "cancelled_paid", "11-13 00:00:00", None, None, None),
        ],
    ),
    (
        "tmall_orders_new.csv",
        "tmall_orders",
        (2, 2, 0, 0),
        [
            ("2302000000000000014", "11-11 12:00:00", 12000, None, 1, 1, "SKU-A"),
            ("2302000000000000022", "11-11 12:05:00", 24000, None, 2, 1, "SKU-B"),
        ],
        [
            ("2302000000000000014", "fulfilled", "11-16 04:00:00", None, None, None),
        ],
    ),
    (
        "tmall_orders_old.csv",
        "tmall_orders",
        (8, 4, 1, 3),
        [
            ("2301000000000000017", "11-11 12:00:05", 129900, None, 1, 1, "羽绒服,长款"),
            ("2301000000000000025", "11-11 00:05:00", 9880, None, 3, 2, "手套"),
            ("2301000000000000033", "11-11 12:10:00", 5900, None, 3, 1, "袜子"),
            ("2301000000000000041", "11-11 12:11:00", 25900, None, 1, 1, "帽子"),
        ],
        [
            ("2301000000000000017", "fulfilled", "11-18 01:30:00", None, None, None),
            ("2301000000000000033", "cancelled_unpaid", "11-14 12:10:00", None, None, None),
        ],
    ),
    (
        "tmall_refunds.csv",
        "tmall_refunds",
        (8, 6, 1, 1),
        [],
        [
            ("2301000000000000017", "refund_requested", "11-20 01:00:00", "return_and_refund", 129900, None),
            ("2301000000000000025", "refund_requested", "11-11 13:15:00", "before_shipping", 9880, None),
            ("2301000000000000041", "refund_requested", "11-13 00:00:00", "refund_only", 25900, None),
            ("2301000000000000041", "refund_requested", "11-15 00:00:00", "refund_only", 900, None),
            ("2309999999999999999", "refund_requested", "11-15 00:00:00", "refund_only", 100, None),
            ("2301000000000000017", "refund_completed", "11-25 02:00:00", "return_and_refund", 129900, "seller"),
            ("2301000000000000025", "refund_completed", "11-12 01:00:00", "before_shipping", 9880, "buyer"),
            ("2301000000000000041", "refund_completed", "11-16 10:00:00", "refund_only", 900, "carrier"),
            ("2301000000000000041", "refund_rejected", "11-14 10:00:00", "refund_only", 25900, None),
        ],
    ),
    (
        "verdict_sheet.csv",
        "verdict_sheet",
        (5, 4, 0, 1),
        [],
        [],
    ),
    (
        "verdict_sheet_english.csv",
        "native",
        (2, 2, 0, 0),
        [],
        [],
    ),
    (
        "wechat_orders.csv",
        "wechat_orders",
        (1, 1, 0, 0),
        [
            ("3700000000000000037", "11-11 12:00:00", 12900, None, 1, 1, "w1"),
        ],
        [
            ("3700000000000000037", "fulfilled", "11-15 02:00:00", None, None, None),
        ],
    ),
    (
        "wechat_orders.json",
        "wechat_orders",
        (3, 2, 1, 0),
        [
            ("3700000000000000011", "11-11 12:00:00", 12900, 100, 2, 2, "w2"),
            ("3700000000000000029", "11-11 12:01:40", 2900, 100, 1, 1, "w1"),
        ],
        [
            ("3700000000000000011", "fulfilled", "11-15 09:46:40", None, None, None),
            ("3700000000000000029", "cancelled_unpaid", "11-11 12:31:40", None, None, None),
        ],
    ),
    (
        "woocommerce_orders.csv",
        "woocommerce_orders",
        (3, 3, 0, 0),
        [
            ("501", "11-11 12:00:00", 4500, 0, 2, 1, "Scarf"),
            ("502", "11-11 12:05:00", 2500, 0, 1, 1, "Scarf"),
            ("503", "11-11 12:06:00", 2500, 0, 1, 1, "Scarf"),
        ],
        [
            ("501", "fulfilled", "11-14 08:00:00", None, None, None),
            ("502", "cancelled_unpaid", "11-11 13:05:00", None, None, None),
            ("503", "refund_completed", "11-20 13:05:00", None, None, None),
        ],
    ),
]


@pytest.mark.parametrize(("name", "format_name", "counts", "orders", "outcomes"), EXPECTED)
def test_export_becomes_these_events(
    name: str, format_name: str, counts: tuple[int, ...], orders: list[Any], outcomes: list[Any]
) -> None:
    events, _, (file,) = read_counted_events([EXPORTS / name], are_orders_needed=False)

    columns = ["order_id", "placed_at", "amount_minor", "discount_minor", "quantity", "n_lines", "item_id"]
    assert [shown(row, columns) for row in events.orders.to_pylist()] == orders
    columns = ["order_id", "kind", "happened_at", "refund_type", "amount_minor", "blame"]
    assert [shown(row, columns) for row in events.outcomes.to_pylist()] == outcomes
    assert file.format == format_name
    assert (file.n_read, file.n_accepted, file.n_merged, file.n_quarantined) == counts


def test_every_export_is_expected_and_every_format_has_one() -> None:

    assert {path.name for path in EXPORTS.iterdir()} == {expected[0] for expected in EXPECTED}
    assert {each.name for each in list_formats()} | {"native"} == {expected[1] for expected in EXPECTED}


def shown(row: dict[str, Any], columns: list[str]) -> tuple[Any, ...]:
    return tuple(_short(row[name]) if name.endswith("_at") else row[name] for name in columns)


def _short(instant: datetime) -> str:
    return f"{instant:%m-%d %H:%M:%S}"
