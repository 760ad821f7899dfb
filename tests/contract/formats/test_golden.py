from __future__ import annotations

import re
from decimal import Decimal
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
    (
        "amazon_orders.txt",
        "amazon_orders",
        (3, 2, 1, 0),
        [
            ("111-0000001-0000001", "11-11 12:00:00", 4500, 900, 3, 2, "B000000001"),
            ("111-0000002-0000002", "11-11 12:05:00", 1500, None, 1, 1, "B000000001"),
        ],
        [
            ("111-0000001-0000001", "fulfilled", "11-14 08:00:00", None, None, None),
            ("111-0000002-0000002", "cancelled_unpaid", "11-11 13:05:00", None, None, None),
        ],
    ),
    (
        "douyin_after_sale_detail.json",
        "douyin_after_sales",
        (1, 1, 0, 0),
        [],
        [
            ("69300000000000018", "refund_requested", "11-18 21:06:40", "refund_only", 1990, None),
            ("69300000000000018", "refund_completed", "11-19 22:06:40", "refund_only", 1990, "seller"),
        ],
    ),
    (
        "ebay_orders.csv",
        "ebay_orders",
        (5, 2, 2, 1),
        [
            ("18-10000-00001", "11-11 08:00:00", 103000, None, 3, 2, "400000000002"),
            ("18-10000-00002", "11-12 08:00:00", 2500, None, 1, 1, "400000000001"),
        ],
        [
            ("18-10000-00001", "fulfilled", "11-13 08:00:00", None, None, None),
        ],
    ),
    (
        "jd_api_orders.json",
        "jd_api_orders",
        (3, 2, 1, 0),
        [
            ("280000000011", "11-11 12:00:00", 69000, 800, 2, 2, "1002"),
            ("280000000029", "11-11 12:02:00", 19900, 0, 1, 1, "1001"),
        ],
        [
            ("280000000011", "fulfilled", "11-15 02:00:00", None, None, None),
            ("280000000029", "cancelled_unpaid", "11-12 12:02:00", None, None, None),
        ],
    ),
    (
        "jd_refunds.csv",
        "jd_refunds",
        (4, 3, 1, 0),
        [],
        [
            ("280000000011", "refund_requested", "11-18 01:00:00", "return_and_refund", 19900, None),
            ("280000000011", "refund_requested", "11-19 01:00:00", "exchange", None, None),
            ("280000000037", "refund_requested", "11-20 01:00:00", "return_and_refund", 19900, None),
            ("280000000011", "refund_completed", "11-22 02:00:00", "return_and_refund", 19900, "seller"),
            ("280000000037", "refund_rejected", "11-21 01:00:00", "return_and_refund", 19900, "buyer"),
        ],
    ),
    (
        "jushuitan_orders.csv",
        "jushuitan_orders",
        (3, 2, 1, 0),
        [
            ("2301000000000000017", "11-11 12:00:05", 30000, 2000, 3, 2, "M-2"),
            ("2301000000000000025", "11-11 12:05:05", 5000, 0, 1, 1, "M-1"),
        ],
        [
            ("2301000000000000025", "cancelled_unpaid", "11-12 12:05:00", None, None, None),
        ],
    ),
    (
        "kuaimai_orders.csv",
        "kuaimai_orders",
        (2, 2, 0, 0),
        [
            ("2301000000000000017", "11-11 12:00:05", 9500, 500, 2, 1, "M-1"),
            ("2301000000000000025", "11-11 12:05:05", 5000, 0, 1, 1, "M-1"),
        ],
        [
            ("2301000000000000017", "fulfilled", "11-18 01:30:00", None, None, None),
            ("2301000000000000025", "cancelled_unpaid", "11-12 12:05:00", None, None, None),
        ],
    ),
    (
        "kuaishou_orders.csv",
        "kuaishou_orders",
        (2, 2, 0, 0),
        [
            ("2530000000000001", "11-11 12:00:00", 8800, 1200, 2, 1, "7001"),
            ("2530000000000002", "11-11 12:05:00", 5000, 0, 1, 1, "7001"),
        ],
        [
            ("2530000000000001", "fulfilled", "11-20 12:00:00", None, None, None),
            ("2530000000000002", "cancelled_unpaid", "11-12 12:05:00", None, None, None),
        ],
    ),
    (
        "lazada_orders.csv",
        "lazada_orders",
        (4, 3, 1, 0),
        [
            ("400000000000001", "11-11 12:00:00", 20000, 2000, 2, 2, "L-1"),
            ("400000000000002", "11-11 12:05:00", 54000, 6000, 1, 1, "V-1"),
            ("400000000000003", "11-11 12:06:00", 54000, 6000, 1, 1, "V-1"),
        ],
        [
            ("400000000000001", "fulfilled", "11-16 01:00:00", None, None, None),
            ("400000000000001", "refund_completed", "11-13 01:00:00", None, 9000, None),
            ("400000000000002", "cancelled_paid", "11-12 01:00:00", None, None, None),
            ("400000000000003", "return_received", "11-19 01:00:00", None, None, None),
        ],
    ),
    (
        "magento_orders.csv",
        "magento_orders",
        (3, 3, 0, 0),
        [
            ("000000001", "11-11 20:00:05", 11500, None, None, 1, None),
            ("000000002", "11-11 20:05:00", 2500, None, None, 1, None),
            ("000000003", "11-12 00:06:00", 2500, None, None, 1, None),
        ],
        [],
    ),
    (
        "pdd_refunds.csv",
        "pdd_refunds",
        (3, 3, 0, 0),
        [],
        [
            ("251111-000000000000029", "refund_requested", "11-12 01:00:00", "before_shipping", 3990, None),
            ("251111-000000000000011", "refund_requested", "11-17 01:00:00", "return_and_refund", 1000, None),
            ("251111-000000000000011", "refund_requested", "11-18 01:00:00", "refund_only", 1000, None),
            ("251111-000000000000029", "refund_completed", "11-12 01:05:00", "before_shipping", 3990, None),
            ("251111-000000000000011", "refund_rejected", "11-19 01:00:00", "refund_only", 1000, None),
        ],
    ),
    (
        "pdd_refunds.json",
        "pdd_refunds",
        (2, 2, 0, 0),
        [],
        [
            ("251111-100000000000026", "refund_requested", "11-12 01:00:00", "refund_only", 3990, None),
            ("251111-100000000000018", "refund_requested", "11-17 01:00:00", "return_and_refund", 1000, None),
            ("251111-100000000000026", "refund_completed", "11-14 01:00:00", "refund_only", 3990, None),
        ],
    ),
    (
        "shopee_orders.csv",
        "shopee_orders",
        (3, 2, 1, 0),
        [
            ("2511110000001A", "11-11 12:00:00", 119000, 13000, 3, 2, "V-1"),
            ("2511110000002B", "11-11 12:05:00", 9000, 1000, 1, 1, "L-1"),
        ],
        [
            ("2511110000001A", "fulfilled", "11-16 01:00:00", None, None, None),
        ],
    ),
    (
        "shopee_taiwan_orders.csv",
        "shopee_orders",
        (4, 3, 1, 0),
        [
            ("2511110000011T", "11-11 12:00:00", 116000, 10000, 3, 2, "H-1"),
            ("2511110000012T", "11-11 12:05:00", 46000, 0, 1, 1, "H-1"),
            ("2511110000013T", "11-11 12:06:00", 46000, 0, 1, 1, "H-1"),
        ],
        [
            ("2511110000011T", "fulfilled", "11-16 01:00:00", None, None, None),
        ],
    ),
    (
        "shopify_api_orders.json",
        "shopify_api_orders",
        (3, 2, 1, 0),
        [
            ("#1001", "11-11 12:00:00", 11500, 1000, 3, 2, "CO-1"),
            ("#1002", "11-11 12:05:00", 15000, 0, 1, 1, "601"),
        ],
        [
            ("#1001", "fulfilled", "11-12 01:00:00", None, None, None),
            ("#1002", "cancelled_unpaid", "11-11 13:05:00", None, None, None),
            ("#1001", "refund_completed", "11-15 02:00:00", None, 2000, None),
            ("#1001", "refund_completed", "11-15 02:00:00", None, 2000, None),
        ],
    ),
    (
        "shopify_graphql_orders.json",
        "shopify_graphql_orders",
        (2, 1, 1, 0),
        [
            ("#1001", "11-11 12:00:00", 12345, 1000, 3, 2, "CO-1"),
        ],
        [
            ("#1001", "cancelled_paid", "11-13 00:00:00", None, None, None),
            ("#1001", "refund_completed", "11-13 00:00:05", None, 12345, None),
        ],
    ),
    (
        "tiktok_orders.csv",
        "tiktok_orders",
        (5, 3, 2, 0),
        [
            ("576000000000000001", "11-05 12:00:01", 10800, 2500, 3, 2, "902"),
            ("576000000000000002", "11-05 13:00:00", 5000, 0, 1, 1, "901"),
            ("576000000000000003", "11-05 14:00:00", 5000, 0, 1, 1, "901"),
        ],
        [
            ("576000000000000001", "fulfilled", "11-09 01:00:00", None, None, None),
            ("576000000000000003", "fulfilled", "11-09 02:00:00", None, None, None),
            ("576000000000000002", "cancelled_unpaid", "11-06 13:00:00", None, None, None),
        ],
    ),
    (
        "wangdiantong_orders.csv",
        "wangdiantong_orders",
        (3, 2, 1, 0),
        [
            ("6930162745589599991", "11-11 12:00:00", 10000, 1000, 2, 2, "M-2"),
            ("6930162745589599992", "11-11 12:05:00", 5000, 0, 1, 1, "M-1"),
        ],
        [
            ("6930162745589599991", "fulfilled", "11-19 02:00:00", None, None, None),
            ("6930162745589599992", "cancelled_paid", "11-12 02:00:00", None, None, None),
        ],
    ),
    (
        "wechat_after_sales.json",
        "wechat_after_sales",
        (1, 1, 0, 0),
        [],
        [
            ("3700000000000000011", "refund_requested", "11-18 21:06:40", "return_and_refund", 2900, None),
            ("3700000000000000011", "refund_completed", "11-19 19:20:00", "return_and_refund", 2900, None),
        ],
    ),
    (
        "woocommerce_api_orders.json",
        "woocommerce_api_orders",
        (3, 2, 1, 0),
        [
            ("501", "11-11 12:00:00", 4500, 200, 2, 2, "316"),
            ("502", "11-11 12:05:00", 2500, 0, 2, 1, "315"),
        ],
        [
            ("501", "fulfilled", "11-14 08:00:00", None, None, None),
            ("502", "cancelled_unpaid", "11-11 13:05:00", None, None, None),
        ],
    ),
    (
        "woocommerce_api_refunds.json",
        "woocommerce_api_refunds",
        (2, 2, 0, 0),
        [],
        [
            ("501", "refund_completed", "11-20 10:00:00", None, 500, None),
            ("501", "refund_completed", "11-20 10:00:00", None, 500, None),
        ],
    ),
    (
        "xiaohongshu_orders.csv",
        "xiaohongshu_orders",
        (3, 2, 1, 0),
        [
            ("P700000000000000001", "11-11 12:00:00", 13000, 3000, 2, 2, "8002"),
            ("P700000000000000002", "11-11 12:05:00", 6000, 0, 1, 1, "8001"),
        ],
        [
            ("P700000000000000001", "fulfilled", "11-20 12:00:00", None, None, None),
            ("P700000000000000002", "cancelled_unpaid", "11-11 12:35:00", None, None, None),
        ],
    ),
    (
        "youzan_orders.csv",
        "youzan_orders",
        (2, 2, 0, 0),
        [
            ("E20251111200000000000001", "11-11 12:00:00", 10000, 500, 1, 1, "帽子"),
            ("E20251111200500000000002", "11-11 12:05:00", 19900, 0, 3, 2, None),
        ],
        [
            ("E20251111200000000000001", "fulfilled", "11-18 12:01:00", None, None, None),
            ("E20251111200500000000002", "cancelled_unpaid", "11-12 12:05:00", None, None, None),
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


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("tmall_refunds.csv", ["R1", "R2", "R3", "R4", "R5", "R1", "R2", "R4", "R3"]),
        ("taobao_api_refunds.json", None),
        ("douyin_after_sales.csv", ["71001", "71002", "71003", "71001", "71002", "71003"]),
        ("douyin_after_sale_detail.json", ["71009", "71009"]),
        ("jd_refunds.csv", ["F1", "F2", "F3", "F1", "F3"]),
        ("pdd_refunds.csv", ["9001", "9002", "9003", "9001", "9003"]),
        ("wechat_after_sales.json", ["2000000000001", "2000000000001"]),
        ("woocommerce_api_refunds.json", ["9", "10"]),
        ("shopify_api_orders.json", [None, None, "71", "72"]),
        ("shopify_graphql_orders.json", [None, "71"]),
    ],
)
def test_refunds_keep_the_platforms_own_numbers(name: str, numbers: list[str | None] | None) -> None:
    events, _, _ = read_counted_events([EXPORTS / name], are_orders_needed=False)

    found = events.outcomes["outcome_id"].to_pylist()
    assert found == numbers if numbers else all(found)


def test_an_order_of_one_shop_has_one_id_of_its_own_in_every_shopify_export() -> None:
    names = ("shopify_orders.csv", "shopify_api_orders.json", "shopify_graphql_orders.json")

    read = [read_counted_events([EXPORTS / name])[0] for name in names]

    assert [events.orders["order_uid"][0].as_py() for events in read] == ["5551001"] * 3
    assert all(
        set(events.outcomes["order_uid"].to_pylist()) <= set(events.orders["order_uid"].to_pylist()) for events in read
    )


@pytest.mark.parametrize(
    ("name", "inferred"),
    [
        ("tmall_orders_old.csv", {"fulfilled": False, "cancelled_unpaid": True}),
        ("woocommerce_orders.csv", {"fulfilled": False, "cancelled_unpaid": True, "refund_completed": True}),
        ("pdd_orders.csv", {"fulfilled": False, "refund_completed": True, "cancelled_unpaid": True}),
        ("jd_api_orders.json", {"fulfilled": False, "cancelled_unpaid": True}),
        ("amazon_orders.txt", {"fulfilled": True, "cancelled_unpaid": True}),
    ],
)
def test_a_date_that_is_a_bound_or_a_deadline_is_marked_as_inferred(name: str, inferred: dict[str, bool]) -> None:
    events, _, _ = read_counted_events([EXPORTS / name])

    assert {row["kind"]: row["is_inferred"] for row in events.outcomes.to_pylist()} == inferred


def test_what_a_row_says_is_as_of_its_last_change() -> None:
    events, _, _ = read_counted_events([EXPORTS / "woocommerce_orders.csv"])

    assert [_short(at) for at in events.orders["updated_at"].to_pylist()] == [
        "11-14 08:00:00",
        "11-11 13:05:00",
        "11-20 13:05:00",
    ]
    assert [_short(at) for at in events.outcomes["updated_at"].to_pylist()] == [
        "11-14 08:00:00",
        "11-11 13:05:00",
        "11-20 13:05:00",
    ]


# By hand from the text of the files, in major units: what the buyer pays, and what was taken off it.
BY_HAND = [
    ("douyin_orders.csv", "69200000000000011", "45.00 + 1480.00", "3.00 + 2.00 + 10.00 + 10.00"),
    ("jd_orders.csv", "280000000011", "690.00 + 0.00", "698.00 - 690.00"),
    ("jushuitan_orders.csv", "2301000000000000017", "300.00", "20.00"),
    ("kuaimai_orders.csv", "2301000000000000017", "2 * 50.00 - 5.00", "5.00"),
    ("kuaishou_orders.csv", "2530000000000001", "88.00", "5.00 + 7.00"),
    ("pdd_orders.csv", "251111-000000000000011", "39.90 + 0.00 - 5.00 - 1.00", "5.00 + 1.00"),
    ("shopee_orders.csv", "2511110000001A", "90.00 + 2 * 540.00 + 20.00", "10.00 + 2 * 60.00"),
    ("wangdiantong_orders.csv", "6930162745589599991", "40.00 + 60.00", "10.00"),
    ("xiaohongshu_orders.csv", "P700000000000000001", "60.00 + 100.00 - 20.00 - 10.00", "20.00 + 10.00"),
    ("youzan_orders.csv", "E20251111200000000000001", "99.00 + 6.00 - 5.00", "5.00"),
]


@pytest.mark.parametrize(("name", "order_id", "amount", "discount"), BY_HAND)
def test_amounts_are_those_that_the_text_of_the_file_adds_up_to(
    name: str, order_id: str, amount: str, discount: str
) -> None:
    orders = read_counted_events([EXPORTS / name])[0].orders.to_pylist()

    (found,) = [row for row in orders if row["order_id"] == order_id]

    assert (found["amount_minor"], found["discount_minor"]) == (add_up(amount), add_up(discount))


def add_up(text: str) -> int:
    """Add up an account such as ``2 * 50.00 - 5.00``, in minor units."""
    total = Decimal(0)
    for sign, times, each in re.findall(r"([+-]?) ?(?:([0-9]+) \* )?([0-9.]+)", text):
        total += Decimal(f"{sign}1") * int(times or 1) * Decimal(each)
    return int(100 * total)
