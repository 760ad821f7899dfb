"""Small files as merchants really have them, each with what is right about it: amounts, items and states."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ordervet.contract import read_counted_events

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events, FileAccount

TMALL_LINES = (
    "子订单编号,主订单编号,商品标题,商品价格,购买数量,订单状态,"
    "商家编码,买家应付货款,买家实付金额,订单创建时间,订单付款时间,商品ID"
)
DOUYIN = (
    "主订单编号,子订单编号,选购商品,商品ID,商品数量,商品金额,"
    "订单应付金额,订单提交时间,支付完成时间,订单完成时间,订单状态,售后状态"
)
PDD = (
    "订单成交时间,商品,订单号,订单状态,商品总价(元),邮费(元),"
    "店铺优惠折扣(元),平台优惠折扣(元),用户实付金额(元),商品数量(件),商品id,售后状态"
)
DOUYIN_BORNE = (
    "主订单编号,子订单编号,选购商品,商品数量,商家编码,订单应付金额,订单提交时间,订单状态,"
    "平台实际承担优惠金额,商家实际承担优惠金额,达人实际承担优惠金额"
)
JD = "订单号,商品ID,商品名称,订购数量,下单时间,京东价,订单金额,余额支付,应付金额,订单状态,下单帐号,付款确认时间"
WOO = (
    "order_id,order_number,order_date,paid_date,status,"
    "order_total,order_currency,payment_method,customer_email,customer_user"
)


def read(folder: Path, text: str, name: str = "export.csv") -> tuple[Events, FileAccount]:
    path = folder / name
    path.write_text(text, "utf-8")
    events, failures, (account,) = read_counted_events([path], are_orders_needed=False)
    assert failures.num_rows == 0, failures.to_pylist()
    return events, account


def read_order(folder: Path, text: str, name: str = "export.csv") -> dict[str, Any]:
    (order,) = read(folder, text, name)[0].orders.to_pylist()
    return order


def outcomes_of(events: Events) -> list[tuple[str, str, int | None]]:
    return [
        (row["kind"], f"{row['happened_at']:%m-%d %H:%M}", row["amount_minor"]) for row in events.outcomes.to_pylist()
    ]


@pytest.mark.parametrize(
    ("lines", "amount", "quantity"),
    [
        (["L1,T,红,99.00,1,{s},A-1,88.00,88.00", "L2,T,蓝,99.00,1,{s},A-2,88.00,88.00"], 17600, 2),
        (["L1,T,红,99.00,2,{s},A-1,88.00,88.00", "L2,T,蓝,99.00,2,{s},A-2,88.00,88.00"], 17600, 4),
        (["L1,T,红,99.00,1,{s},A-1,88.00,88.00", "L1,T,红,99.00,1,{s},A-1,88.00,88.00"], 8800, 1),
        ([",T,红,99.00,1,{s},A-1,88.00,88.00", ",T,蓝,99.00,1,{s},A-2,88.00,88.00"], 8800, 2),
        (["L1,T,红,99.00,1,{s},A-1,88.00,88.00", "L2,T,蓝,99.00,1,{s},A-2,12.50,12.50"], 10050, 2),
        (["L1,T,红,0.00,1,{s},A-1,0.00,0.00", "L2,T,赠,0.00,1,{s},A-2,0.00,0.00"], 0, 2),
    ],
    ids=["equal lines", "equal quantities", "one line twice", "lines without ids", "different lines", "free lines"],
)
def test_lines_with_ids_of_their_own_are_added(tmp_path: Path, lines: list[str], amount: int, quantity: int) -> None:
    rows = [line.format(s="已发货") + ",2026-03-01 10:00:00,2026-03-01 10:00:30,701" for line in lines]

    order = read_order(tmp_path, "\n".join([TMALL_LINES, *rows]))

    assert (order["amount_minor"], order["quantity"]) == (amount, quantity)


def test_an_orders_total_on_each_of_its_lines_counts_once_whatever_ids_the_lines_have(tmp_path: Path) -> None:
    header = "主订单编号,子订单编号,总金额,宝贝总数量,订单创建时间"

    order = read_order(tmp_path, f"{header}\nT,L1,300.00,3,2026-03-01 10:00\nT,L2,300.00,3,2026-03-01 10:00")

    assert (order["amount_minor"], order["quantity"], order["n_lines"]) == (30000, 3, 2)


@pytest.mark.parametrize(
    ("header", "row", "amount", "discount"),
    [
        (JD, "T,100,甲,1,2026-01-15 10:00:00,100.00,100.00,0.00,50.00,等待出库,u,2026-01-15 10:00:20", 5000, 5000),
        (JD, "T,100,甲,1,2026-01-15 10:00:00,100.00,100.00,30.00,50.00,等待出库,u,2026-01-15 10:00:20", 8000, 2000),
        (JD, "T,100,甲,1,2026-01-15 10:00:00,100.00,100.00,0.00,106.00,等待出库,u,2026-01-15 10:00:20", 10600, 0),
        (PDD, "2026-06-01 00:05:00,样,T,待发货,40.00,5.00,2.00,3.00,40.00,1,7001,无售后", 4000, 500),
        (PDD, "2026-06-01 00:05:00,样,T,待付款,40.00,0,2.00,3.00,0,1,7001,无售后", 3500, 500),
        (
            DOUYIN_BORNE,
            "T,L,甲,1,K-1,28.90,2026-09-22 00:54:10,已发货,21.00,25.00,0.00",
            2890,
            4600,
        ),
        (
            "主订单编号,子订单编号,选购商品,商品数量,订单应付金额,订单提交时间,订单状态,平台优惠,商家优惠,支付优惠",
            "T,L,甲,1,28.90,2026-09-22 00:54:10,已发货,1.00,2.00,0.10",
            2890,
            310,
        ),
        ("订单编号,买家应付货款,买家应付邮费,订单创建时间,宝贝标题", "T,88.80,10.00,2026-03-01 10:00,甲", 9880, None),
        ("视频号订单号,订单总金额,优惠金额,订单下单时间,商品名称", "T,29.00,4.00,2026-03-01 10:00,甲", 2500, 400),
    ],
)
def test_amount_is_what_the_buyer_pays_and_the_discount_stands_beside_it(
    tmp_path: Path, header: str, row: str, amount: int, discount: int | None
) -> None:
    order = read_order(tmp_path, f"{header}\n{row}\n")

    assert (order["amount_minor"], order["discount_minor"]) == (amount, discount)


def test_one_unreadable_part_of_an_amount_sets_its_own_order_aside_alone(tmp_path: Path) -> None:
    path = tmp_path / "jd.csv"
    row = "{},100,甲,1,2026-01-15 10:00:00,9.50,9.50,{},7.50,等待出库,u,2026-01-15 10:00:20\n"
    path.write_text(JD + "\n" + row.format("A", "x") + row.format("B", "1.00"), "utf-8")

    events, failures, _ = read_counted_events([path])

    assert events.orders.select(["order_id", "amount_minor"]).to_pylist() == [{"order_id": "B", "amount_minor": 850}]
    assert failures.select(["row", "field", "rule"]).to_pylist() == [
        {"row": 0, "field": "amount_minor", "rule": "type"},
        {"row": 0, "field": "discount_minor", "rule": "type"},
    ]


@pytest.mark.parametrize(
    ("cell", "item", "quantity"),
    [
        ("name:Model Lamp|product_id:315|sku:L-1|quantity:2|total:26.00", "315", 2),
        ("name:Model Lamp|product_id:0|sku:L-1|quantity:1|total:13.00", "L-1", 1),
        ("name:Model Lamp|product_id:|sku:|quantity:1|total:13.00", "Model Lamp", 1),
        ("Model Lamp x3", "Model Lamp", 3),
        ("Model Lamp × 3", "Model Lamp", 3),
        ("Model x30 Lamp", "Model x30 Lamp", None),
    ],
)
def test_an_item_never_holds_its_quantity_or_price(tmp_path: Path, cell: str, item: str, quantity: int | None) -> None:
    name = "line_item_1" if cell.startswith("name:") else "order_item_1"
    row = "7,7,2025-08-05 11:00:00,,processing,13.00,EUR,card,a@example.com,0"

    order = read_order(tmp_path, f"{WOO},{name}\n{row},{cell}\n")

    assert (order["item_id"], order["quantity"]) == (item, quantity)


@pytest.mark.parametrize(("title", "n", "item"), [("甲，乙", 2, None), ("甲,乙", 1, "甲,乙"), ("甲", "", "甲")])
def test_several_titles_in_one_cell_are_no_item(tmp_path: Path, title: str, n: object, item: str | None) -> None:
    row = f'T,80.00,2026-03-01 10:00,"{title}",{n}'

    order = read_order(tmp_path, f"订单编号,总金额,订单创建时间,宝贝标题,宝贝种类\n{row}\n")

    assert order["item_id"] == item


def test_the_merchants_code_is_the_item_where_the_platforms_id_is_missing(tmp_path: Path) -> None:
    header = "订单编号,总金额,订单创建时间,宝贝标题,商家编码"

    assert read_order(tmp_path, f"{header}\nT,80.00,2026-03-01 10:00,甲,K-1\n")["item_id"] == "K-1"
    assert read_order(tmp_path, f"{header}\nT,80.00,2026-03-01 10:00,甲,\n")["item_id"] == "甲"


def test_a_guests_number_is_no_buyer(tmp_path: Path) -> None:
    row = "7,7,2025-08-05 11:00:00,,processing,13.00,EUR,card,{},{}"
    text = "\n".join([WOO, row.format("", "0"), row.format("", "12").replace("7,7", "8,8")])

    events, _ = read(tmp_path, text)

    assert events.orders["buyer_id"].to_pylist() == [None, "12"]


@pytest.mark.parametrize(
    ("shop", "name", "expected"), [("0", "甲店", "甲店"), ("", "甲店", "甲店"), ("12", "甲店", "12")]
)
def test_a_shop_of_zero_is_none_and_its_name_tells(tmp_path: Path, shop: str, name: str, expected: str) -> None:
    row = f"T,80.00,2026-03-01 10:00,甲,{shop},{name}"

    order = read_order(tmp_path, f"订单编号,总金额,订单创建时间,宝贝标题,店铺Id,店铺名称\n{row}\n")

    assert order["shop_id"] == expected


@pytest.mark.parametrize(
    ("cell", "recipient", "phone", "address"),
    [
        (
            "样本甲，86-19900000001，江苏省 扬州市 样板路1号 ，225000",
            "样本甲",
            "19900000001",
            "江苏省 扬州市 样板路1号",
        ),
        ("样本甲，19900000001，江苏省 扬州市 样板路1号", "样本甲", "19900000001", "江苏省 扬州市 样板路1号"),
        ("样本甲，86-199****0001，江苏省扬州市，000000", "样本甲", "199****0001", "江苏省扬州市"),
        ("江苏省 扬州市，样板路1号，2栋", None, None, "江苏省 扬州市，样板路1号，2栋"),
        ("江苏省 扬州市 样板路1号", None, None, "江苏省 扬州市 样板路1号"),
    ],
)
def test_name_and_phone_in_the_address_are_taken_out(
    tmp_path: Path, cell: str, recipient: str | None, phone: str | None, address: str
) -> None:
    order = read_order(
        tmp_path, f"订单编号,总金额,收货地址,订单创建时间,宝贝标题\nT,52.00,{cell},2026-02-01 09:00,丁\n"
    )

    assert (order["recipient"], order["phone"], order["address"]) == (recipient, phone, address)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            ["已完成,2025-11-19 10:00:00", "已关闭,2025-11-13 10:00:00"],
            [("fulfilled", "11-19 02:00", None), ("refund_completed", "11-13 02:00", 7500)],
        ),
        (
            ["已关闭,2025-11-12 10:00:00", "已关闭,2025-11-13 10:00:00"],
            [("cancelled_paid", "11-13 02:00", None)],
        ),
        (["已完成,2025-11-19 10:00:00", "已发货,-"], []),
        (["已完成,2025-11-19 10:00:00", "已完成,2025-11-21 10:00:00"], [("fulfilled", "11-21 02:00", None)]),
        (["已发货,-", "已关闭,2025-11-13 10:00:00"], [("refund_completed", "11-13 02:00", 7500)]),
    ],
)
def test_an_order_is_cancelled_or_fulfilled_with_all_of_its_lines_only(
    tmp_path: Path, rows: list[str], expected: list[Any]
) -> None:
    lines = []
    for (state, at), (line, price, paid) in zip(
        (row.split(",") for row in rows), [("L1", 50, "45.00"), ("L2", 80, "75.00")], strict=True
    ):
        lines.append(f"T,{line},甲,36001,1,{price}.00,{paid},2025-11-11 20:00:01,2025-11-11 20:00:20,{at},{state},-")

    events, _ = read(tmp_path, "\n".join([DOUYIN, *lines]))

    assert outcomes_of(events) == expected


def test_a_closed_order_without_a_column_of_payments_is_unpaid_when_nothing_was_paid(tmp_path: Path) -> None:
    row = "2026-06-01 00:05:00,样,{},已取消,17.80,0,0,0,{},9,7001,无售后或售后取消"
    events, account = read(tmp_path, "\n".join([PDD, row.format("A", "0"), row.format("B", "17.80")]))

    assert outcomes_of(events) == [("cancelled_unpaid", "06-01 16:05", None)]
    assert events.outcomes["order_id"].to_pylist() == ["A"]
    assert account.undated == {"cancelled_unpaid": 1}


def test_a_closed_order_is_counted_as_undated_where_nothing_says_what_was_paid(tmp_path: Path) -> None:
    events, account = read(tmp_path, "订单编号,总金额,订单创建时间,订单状态\nT,52.00,2026-02-01 09:00,交易关闭\n")

    assert events.outcomes.num_rows == 0
    assert account.undated == {"cancelled_unpaid": 1}


@pytest.mark.parametrize(
    ("status", "cell", "expected"),
    [
        (
            "refunded",
            "amount:13.00|reason:broken|date:2025-08-10 10:00:00",
            [("refund_completed", "08-10 10:00", 1300)],
        ),
        (
            "completed",
            "amount:5.00|reason:part|date:2025-08-12 10:00:00;amount:2.50|reason:|date:2025-08-13 10:00:00",
            [("refund_completed", "08-12 10:00", 500), ("refund_completed", "08-13 10:00", 250)],
        ),
        ("processing", "", []),
        ("processing", "amount:5.00|reason:no date", []),
        ("refunded", "", [("refund_completed", "08-20 10:00", None)]),
    ],
)
def test_listed_refunds_are_read_with_their_dates(tmp_path: Path, status: str, cell: str, expected: list[Any]) -> None:
    row = f"7,7,2025-08-05 11:00:00,2025-08-05 11:00:07,{status},13.00,EUR,card,a@example.com,0,{cell}"

    events, _ = read(tmp_path, f"{WOO},refund_items,date_modified\n{row},2025-08-20 10:00:00\n")

    assert [each for each in outcomes_of(events) if each[0] == "refund_completed"] == expected


@pytest.mark.parametrize(
    ("status", "refund_status", "kinds"),
    [
        (53, 3, ["refund_requested", "refund_completed"]),
        (51, 3, ["refund_requested", "refund_completed"]),
        (53, 4, ["refund_requested"]),
        (51, 0, ["refund_requested"]),
        (12, 3, ["refund_requested", "refund_completed"]),
    ],
)
def test_an_ended_after_sale_is_a_refund_where_the_money_went_back(
    tmp_path: Path, status: int, refund_status: int, kinds: list[str]
) -> None:
    info = {
        "aftersale_id": "9", "aftersale_type": 0, "aftersale_status": status, "refund_status": refund_status,
        "refund_amount": 1990, "apply_time": 1763500000, "refund_time": 1763590000, "update_time": 1763600000,
    }  # fmt: skip
    document = {"data": {"items": [{"aftersale_info": info, "order_info": {"shop_order_id": "T"}}]}}

    events, account = read(tmp_path, json.dumps(document), "after.json")

    assert events.outcomes["kind"].to_pylist() == kinds
    assert not account.unknown_states


@pytest.mark.parametrize("state", ["锁定订单", "暂停订单", "等待付款", "等待打印", "商品出库", "自提途中", "已锁定"])
def test_a_locked_or_waiting_order_of_jd_is_known_and_nothing_yet(tmp_path: Path, state: str) -> None:
    row = f"T,100,甲,1,2026-01-15 10:00:00,100.00,100.00,0.00,100.00,{state},u,2026-01-15 10:00:20"

    events, account = read(tmp_path, f"{JD}\n{row}\n")

    assert (events.outcomes.num_rows, account.unknown_states, account.undated) == (0, {}, {})


@pytest.mark.parametrize(
    ("status", "after_sales", "expected"),
    [
        ("已发货，待收货", "无售后或售后取消", {}),
        ("拼团中", "", {}),
        ("已签收，退款成功", "", {"refund_completed": 1}),
        ("未发货，退款成功", "", {"refund_completed": 1}),
        ("已收货，退款成功", "退款成功", {"refund_completed": 1}),
        ("未成交，退款成功", "", {"refund_completed": 1}),
    ],
)
def test_a_refund_in_the_state_of_an_order_of_pdd_is_one_without_a_date(
    tmp_path: Path, status: str, after_sales: str, expected: dict[str, int]
) -> None:
    row = f"2025-11-11 20:00:00,甲,251111-1,{status},59.90,0.00,5.00,3.00,51.90,1,66,{after_sales}"

    _, account = read(tmp_path, f"{PDD}\n{row}\n")

    assert (account.undated, account.unknown_states) == (expected, {})


@pytest.mark.parametrize(
    ("status", "after_sales", "expected"),
    [
        ("已完成", "退款成功", {"refund_completed": 1}),
        ("已完成", "已全额退款", {"refund_completed": 1}),
        ("已完成", "售后关闭", {}),
        ("已发货", "待商家处理", {}),
        ("已发货", "-", {}),
    ],
)
def test_a_refund_beside_an_order_of_douyin_is_one_without_a_date(
    tmp_path: Path, status: str, after_sales: str, expected: dict[str, int]
) -> None:
    row = f"T,T,甲,1,1,99.00,99.00,2025-11-11 20:00:00,2025-11-11 20:00:20,2025-11-19 10:00:00,{status},{after_sales}"

    _, account = read(tmp_path, f"{DOUYIN}\n{row}\n")

    assert (account.undated, account.unknown_states) == (expected, {})


def test_an_amazon_report_without_promotions_is_read(tmp_path: Path) -> None:
    header = (
        "amazon-order-id\tpurchase-date\tlast-updated-date\torder-status\tsku\tasin\tquantity\tcurrency\titem-price"
    )
    row = "403-1\t2026-09-20T18:45:00+00:00\t2026-09-21T10:00:00+00:00\tShipped\tS\tB0\t2\tINR\t461.00"

    order = read_order(tmp_path, f"{header}\n{row}\n", "orders.txt")

    assert (order["amount_minor"], order["currency"], order["quantity"]) == (46100, "INR", 2)


@pytest.mark.parametrize("name", ["用户应付金额(元)", "用户应付金额（元）", "用户应付金额"])
def test_a_unit_behind_a_columns_name_changes_nothing(tmp_path: Path, name: str) -> None:
    header = f"订单号,订单状态,小红书编码,{name},订单创建时间,支付时间"
    row = "P1,已完成,X,700.00,2026-03-14 14:43:10,2026-03-14 14:43:14"

    assert read_order(tmp_path, f"{header}\n{row}\n")["amount_minor"] == 70000


def test_a_list_of_objects_is_read_by_its_first(tmp_path: Path) -> None:
    detail = {
        "product_infos": [{"product_id": "w1", "sku_cnt": 1, "sale_price": 2900}],
        "price_info": {"order_price": 2900, "freight": 0},
        "source_infos": [{"sku_id": "1", "sale_channel": 4}, {"sku_id": "2", "sale_channel": 5}],
    }
    document = {"order": {"order_id": "T", "status": 20, "create_time": 1762862400, "order_detail": detail}}

    assert read_order(tmp_path, json.dumps(document), "order.json")["channel"] == "4"


@pytest.mark.parametrize(
    ("currency", "total", "amount"),
    [("EUR", "95.00", 9500), ("JPY", "15000", 15000), ("jpy", "15000.00", 15000), ("KWD", "12.345", 12345)],
)
def test_an_amount_has_the_minor_units_of_its_currency(tmp_path: Path, currency: str, total: str, amount: int) -> None:
    order = read_order(
        tmp_path, f"{WOO}\n7,7,2025-08-05 11:00:00,,processing,{total},{currency},card,a@example.com,0\n"
    )

    assert (order["currency"], order["amount_minor"]) == (currency.upper(), amount)


SHOPIFY = (
    "Name,Email,Financial Status,Paid at,Currency,Total,Created at,Lineitem quantity,Lineitem name,Cancelled at,Id"
)


@pytest.mark.parametrize("ids", [("5001", "9001"), ("5001", "5001")])
def test_two_shops_with_one_order_number_have_two_orders(tmp_path: Path, ids: tuple[str, str]) -> None:
    for name, email, day, number in (("one", "a@example.com", 5, ids[0]), ("two", "b@example.com", 6, ids[1])):
        row = f"#1001,{email},refunded,2026-01-0{day} 10:00:00 +0000,EUR,50.00,2026-01-0{day} 10:00:00 +0000,1,Scarf,"
        (tmp_path / f"{name}.csv").write_text(f"{SHOPIFY}\n{row}2026-01-0{day} 11:00:00 +0000,{number}\n", "utf-8")

    events, failures, _ = read_counted_events([tmp_path / "one.csv", tmp_path / "two.csv"])

    if ids[0] == ids[1]:
        assert failures["rule"].to_pylist() == ["unique"]
        return
    assert failures.num_rows == 0
    assert events.orders["order_uid"].to_pylist() == list(ids)
    assert {(row["order_uid"], f"{row['happened_at']:%d}") for row in events.outcomes.to_pylist()} == {
        ("5001", "05"), ("9001", "06"),
    }  # fmt: skip


def test_a_closed_line_is_a_refund_of_that_line_until_its_own_report_comes(tmp_path: Path) -> None:
    lines = [
        f"T,{line},甲,36001,1,80.00,75.00,2025-11-11 20:00:01,2025-11-11 20:00:20,2025-11-13 10:00:00,{state},-"
        for line, state in (("L1", "已完成"), ("L2", "已关闭"))
    ]

    events, _ = read(tmp_path, "\n".join([DOUYIN, *lines]))

    refund = events.outcomes.to_pylist()[1]
    assert (refund["kind"], refund["line_id"], refund["is_inferred"]) == ("refund_completed", "L2", True)


@pytest.mark.parametrize(
    ("written", "day"), [("25/06/2026 13:03:57", 25), ("06/25/2026 1:03:57 PM", 25), ("05/06/2026 13:03:57", 5)]
)
def test_a_date_beside_am_or_pm_is_month_first_where_the_platform_writes_it_so(
    tmp_path: Path, written: str, day: int
) -> None:
    path = tmp_path / "tiktok.csv"
    amounts = "SKU Platform Discount,SKU Subtotal After Discount,Order Amount"
    header = f"Order ID,Order Status,SKU ID,Quantity,{amounts},Created Time"
    path.write_text(f"{header}\n576000000000000001\t,To ship,9,1,0,118.30,123.30,{written}\t\n", "utf-8")

    events, _, _ = read_counted_events([path])

    assert [at.strftime("%m-%d %H:%M:%S") for at in events.orders["placed_at"].to_pylist()] == [
        f"06-{day:02d} 05:03:57"
    ]
