"""Write simulated orders and refunds the way the Tmall seller desk exports them, traps included."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from ordervet.lab.simulate import Simulation

CHINA = timezone(timedelta(hours=8))
ORDER_COLUMNS = [
    "订单编号", "买家会员名", "买家支付宝账号", "买家应付货款", "买家应付邮费", "总金额", "优惠金额",
    "买家实际支付金额", "订单状态", "收货人姓名", "收货地址", "联系手机", "oaid_merge_group", "订单创建时间",
    "订单付款时间", "宝贝ID", "宝贝类目", "宝贝总数量", "店铺Id", "流量来源", "运费险", "订单关闭原因",
    "确认收货时间", "订单关闭时间", "打款商家金额",
]  # fmt: skip
REFUND_COLUMNS = [
    "订单编号", "退款编号", "买家会员名称", "宝贝标题", "买家退款金额", "是否需要退货", "退款的申请时间", "退款状态",
    "发货物流信息", "责任方", "售中或售后", "完结时间",
]  # fmt: skip
TOLD = ("fulfilled", "cancelled_unpaid", "cancelled_paid", "refund_requested", "refund_completed", "refund_rejected")
_RETURN_WANTED = {
    "return_and_refund": "是",
    "refund_only": "否",
    "before_shipping": "否",
    "exchange": "换货",
    "price_protection": "退差价",
    "freight": "退运费",
    "other": "",
}
_BLAMES = {
    "seller": "卖家责任",
    "buyer": "买家责任",
    "carrier": "物流责任",
    "platform": "平台责任",
    "unknown": "无责",
    None: "",
}


def write_tmall(simulation: Simulation, folder: Path, *, encoding: str = "gb18030") -> list[Path]:
    """Write orders.csv and refunds.csv; an order of several lines takes as many rows."""
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    for outcome in simulation.outcomes.to_pylist():
        told[outcome["order_id"]][outcome["kind"]] = outcome
    orders = simulation.orders.to_pylist()
    order_rows = (row for order in orders for row in _order_rows(order, told[order["order_id"]]))
    refund_rows = (row for order in orders for row in _refund_rows(order, told[order["order_id"]]))
    paths = [folder / "orders.csv", folder / "refunds.csv"]
    for path, columns, rows in zip(paths, (ORDER_COLUMNS, REFUND_COLUMNS), (order_rows, refund_rows), strict=True):
        path.write_bytes(write_rows(columns, rows, encoding))
    return paths


def write_rows(columns: list[str], rows: Iterable[list[str]], encoding: str) -> bytes:
    """Write a CSV as platforms do, with Windows line ends."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue().encode(encoding)


def expected_outcomes(simulation: Simulation) -> set[tuple[Any, ...]]:
    """List the outcomes that the two exports can tell: fault only once it is known, no type "other"."""
    return {_key(row) for row in simulation.outcomes.to_pylist() if row["kind"] in TOLD}


def outcome_keys(outcomes: pa.Table) -> set[tuple[Any, ...]]:
    return {_key(row) for row in outcomes.to_pylist()}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    is_refund = row["kind"].startswith("refund")
    refund_type = row["refund_type"] if row["refund_type"] != "other" else None
    blame = row["blame"] if is_refund and row["kind"] != "refund_requested" else None
    amount = row["amount_minor"] if is_refund else None
    return row["order_id"], row["kind"], row["happened_at"], refund_type, amount, blame


def _order_rows(order: dict[str, Any], told: dict[str, Any]) -> list[list[str]]:
    closed = told.get("cancelled_unpaid") or told.get("cancelled_paid")
    done = told.get("fulfilled")
    is_paid = "cancelled_unpaid" not in told
    amount = _yuan(order["amount_minor"])
    number = sum(map(ord, order["order_id"]))
    values = [
        (f'="{order["order_id"]}"', f"\t{order['order_id']}", order["order_id"])[number % 3],
        order["buyer_id"],
        order["payment_account"],
        amount,
        _yuan(order["shipping_minor"]),
        (amount, f"{order['amount_minor'] / 100:,.2f}", f"￥{amount}")[number % 3],
        _yuan(order["discount_minor"]),
        amount if is_paid else "0.00",
        "交易关闭" if closed else "交易成功" if done else "卖家已发货，等待买家确认",
        order["recipient"],
        order["address"],
        f"'{order['phone']}" if order["phone"] else "-",
        order["address_group"],
        _local(order["placed_at"], slashed=number % 2 == 0),
        _local(order["placed_at"], slashed=False) if is_paid else "",
        order["item_id"],
        order["category"],
        str(order["quantity"]),
        order["shop_id"],
        order["channel"],
        "有" if order["is_insured"] else "无",
        "买家未付款" if "cancelled_unpaid" in told else "订单未关闭",
        _local(done and done["happened_at"]),
        _local(closed and closed["happened_at"]),
        f"{amount}元",
    ]
    return [[value or "" for value in values]] * order["n_lines"]


def _refund_rows(order: dict[str, Any], told: dict[str, Any]) -> list[list[str]]:
    asked = told.get("refund_requested")
    ended = told.get("refund_completed") or told.get("refund_rejected")
    known = ended or asked
    if known is None:
        return []
    is_before = known["refund_type"] == "before_shipping"
    status = {"refund_completed": "退款成功", "refund_rejected": "卖家拒绝退款"}.get(
        known["kind"], "买家已经申请退款，等待卖家同意"
    )
    return [
        [
            order["order_id"],
            f"R{order['order_id']}",
            order["buyer_id"] or "",
            "示例宝贝",
            f"{known['amount_minor'] / 100:,.2f}元",
            _RETURN_WANTED[known["refund_type"]],
            _local(asked and asked["happened_at"]),
            status,
            "" if is_before else "YT0001",
            _BLAMES[ended["blame"] if ended else None],
            "售中" if is_before else "售后",
            _local(ended and ended["happened_at"]),
        ]
    ]


def _yuan(minor: int) -> str:
    return f"{minor / 100:.2f}"


def _local(instant: datetime | None, *, slashed: bool = False) -> str:
    if instant is None:
        return ""
    local = instant.astimezone(CHINA)
    if slashed and local.second == 0:
        return f"{local.year}/{local.month}/{local.day} {local.hour}:{local.minute:02}"
    return f"{local.year}/{local.month}/{local.day} {local:%H:%M:%S}" if slashed else f"{local:%Y-%m-%d %H:%M:%S}"
