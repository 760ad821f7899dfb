from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import xlsxwriter

from ordervet.contract import describe_file, list_formats, read_counted_events, read_events
from ordervet.contract.formats.plans import map_values
from ordervet.errors import FileError, MappingError

if TYPE_CHECKING:
    from ordervet.contract import Format

EXPORTS = Path(__file__).parent / "exports"


@pytest.mark.parametrize("fmt", list_formats(), ids=lambda fmt: fmt.name)
def test_a_shipped_format_ignores_no_column_that_it_reads(fmt: Format) -> None:
    read = {name for sources in fmt.fields.values() for source in sources for group in source.groups for name in group}
    read |= (
        {name for state in fmt.states.values() for name in state.columns} | set(fmt.lines.id) | set(fmt.lines.amount)
    )

    assert not read & set(fmt.ignored)
    assert not read & set(fmt.never_keys)


def test_an_oaid_is_never_read_and_its_merge_group_is_the_key() -> None:
    described = describe_file(EXPORTS / "tmall_orders_new.csv")
    events, _, _ = read_counted_events([EXPORTS / "tmall_orders_new.csv"])

    assert list(described.never_keys) == ["OAID"]
    assert described.taken["address_group"] == ("oaid_merge_group",)
    assert not any("oaid-" in str(value) for row in events.orders.to_pylist() for value in row.values())


def test_a_hash_code_is_an_address_group_and_masks_stay_visible() -> None:
    events, _, _ = read_counted_events([EXPORTS / "wechat_orders.json"])

    assert events.orders["address_group"].to_pylist() == ["h1", "h1"]
    assert events.orders["phone"].to_pylist() == ["132****0001-1234", "132****0001-9876"]


def test_ciphertexts_and_bare_regions_are_not_given() -> None:
    events, _, _ = read_counted_events([EXPORTS / "douyin_orders.json"])

    assert events.orders["address"].to_pylist() == [None, None]
    assert events.orders["recipient"].to_pylist() == ["陈*", None]
    assert [events.orders[name].null_count for name in ("address", "phone", "device_id")] == [2, 1, 2]


def test_a_workbook_reads_like_the_csv_it_was_saved_from(tmp_path: Path) -> None:
    with (EXPORTS / "tmall_refunds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    workbook = xlsxwriter.Workbook(tmp_path / "refunds.xlsx")
    sheet = workbook.add_worksheet()
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            sheet.write_string(number, column, cell)
    workbook.close()

    from_xlsx, _, _ = read_counted_events([tmp_path / "refunds.xlsx"], are_orders_needed=False)
    from_csv, _, _ = read_counted_events([EXPORTS / "tmall_refunds.csv"], are_orders_needed=False)

    assert from_xlsx == from_csv


def test_a_workbook_of_numbers_sets_only_the_ids_aside_that_lost_digits(tmp_path: Path) -> None:
    workbook = xlsxwriter.Workbook(tmp_path / "orders.xlsx")
    sheet = workbook.add_worksheet()
    sheet.write_row(0, 0, ["订单编号", "订单创建时间", "总金额", "宝贝总数量"])
    sheet.write_row(1, 0, [23010000001, "2025-11-11 20:00:00", 12.5, 2])
    sheet.write_row(2, 0, [2301000000000000017, "2025-11-11 20:00:00", 12.5, 2])
    workbook.close()

    events, failures, _ = read_counted_events([tmp_path / "orders.xlsx"])

    assert events.orders.select(["order_id", "amount_minor"]).to_pylist() == [
        {"order_id": "23010000001", "amount_minor": 1250}
    ]
    assert failures["rule"].to_pylist() == ["digits"]


def test_the_english_sheet_is_native_and_reads_the_same_by_its_format() -> None:
    native, _, _ = read_counted_events([EXPORTS / "verdict_sheet_english.csv"], are_orders_needed=False)
    by_format, _, (counts,) = read_counted_events(
        [EXPORTS / "verdict_sheet_english.csv"], format="verdict_sheet", are_orders_needed=False
    )

    assert counts.format == "verdict_sheet"
    assert by_format == native


def test_the_desks_words_become_verdicts_and_kinds() -> None:
    events, failures, _ = read_counted_events([EXPORTS / "verdict_sheet.csv"], are_orders_needed=False)

    assert [(row["verdict"], row["kind"]) for row in events.verdicts.to_pylist()] == [
        ("innocent", None),
        ("malicious", "refund_only_abuse"),
        ("malicious", "unpaid_hoarding"),
        ("unsure", None),
    ]
    assert failures["observed"].to_pylist() == ["字字"]


def test_a_drifted_template_is_read_through_a_file_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("单据号,拍下时刻,应收,买家\nA,2025-11-11 20:00,12.00,甲\n", "utf-8")
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "my_erp.toml").write_text(
        'title = "my ERP"\nkind = "orders"\nplatform = "erp"\n[fields]\norder_id = "单据号"\nplaced_at = "拍下时刻"\n'
        'amount_minor = "应收"\nbuyer_id = "买家"\n',
        "utf-8",
    )

    events, failures = read_events([path], formats_dir=folder)

    assert failures.num_rows == 0
    assert events.orders.select(["order_id", "amount_minor", "buyer_id", "platform"]).to_pylist() == [
        {"order_id": "A", "amount_minor": 1200, "buyer_id": "甲", "platform": "erp"}
    ]
    assert describe_file(path, folder).format == "my_erp"


def test_everything_wrong_with_a_format_file_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'title = "bad"\nkind = "orders"\ncolour = "red"\n[fields]\norder_id = { columns = "A", merge = "sum" }\n'
        'place_at = "B"\n[[outcomes]]\nkind = "fulfilled"\nwhen = { status = "x" }\n',
        "utf-8",
    )

    with pytest.raises(MappingError) as caught:
        list_formats(tmp_path)

    assert "bad.toml" in str(caught.value)
    assert "'colour': unknown" in str(caught.value)
    assert "give at, the dates, or a deadline" in str(caught.value)


def test_fields_and_states_of_a_format_file_are_checked_together(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        'title = "bad"\nkind = "orders"\n[fields]\norder_id = { columns = "A", merge = "sum" }\nplace_at = "B"\n'
        '[states.unused]\ncolumns = "C"\n[[outcomes]]\nkind = "fulfilled"\nat = "done_at"\n',
        "utf-8",
    )

    with pytest.raises(
        MappingError, match="place_at is no field of orders; order_id is no number to be added"
    ) as caught:
        list_formats(tmp_path)

    for problem in ("placed_at is missing", "there is no state 'done_at'", "state 'unused' is not used"):
        assert problem in str(caught.value)


def test_an_unknown_file_names_the_closest_format_and_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("订单编号,买家会员名,总金额,宝贝标题\nA,甲,1,乙\n", "utf-8")

    with pytest.raises(
        FileError, match="the closest is tmall_orders: it knows 100% of the columns, but wants 订单创建时间"
    ):
        read_events([path])


def test_a_file_that_fits_two_formats_asks_which(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(
            'title = "x"\nkind = "orders"\n[fields]\norder_id = "甲"\nplaced_at = "乙"\namount_minor = "丙"\n', "utf-8"
        )
    path = tmp_path / "orders.csv"
    path.write_text("甲,乙,丙\nA,2025-11-11,1\n", "utf-8")

    with pytest.raises(FileError, match=r"fits one and two equally well\nhint: say which: --format one"):
        read_events([path], formats_dir=tmp_path)
    assert read_events([path], formats_dir=tmp_path, format="two")[0].orders.num_rows == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "there is no format 'nope'"),
        ("jd_orders", "does not match the format jd_orders: it lacks the column"),
    ],
)
def test_a_format_that_does_not_fit_is_refused(name: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_events([EXPORTS / "tmall_orders_new.csv"], format=name)


def test_describe_file_accounts_for_every_column() -> None:
    for path in EXPORTS.iterdir():
        described = describe_file(path)
        taken = [name for names in described.taken.values() for name in names]
        with_use = {*taken, *described.states, *described.line_columns, *described.never_keys}

        assert described.score == 1.0, path.name
        assert not described.unknown, path.name
        assert not with_use & set(described.ignored), path.name


def test_a_later_export_adds_only_what_is_new(tmp_path: Path) -> None:
    header = "订单编号,订单创建时间,总金额,收货地址,订单状态,确认收货时间\n"
    first, later = tmp_path / "first.csv", tmp_path / "later.csv"
    first.write_text(header + "A,2025-11-11 20:00:00,1,样板路1号,卖家已发货，等待买家确认,\n", "utf-8")
    later.write_text(
        header + "A,2025-11-11 20:00:00,1,样板路***,交易成功,2025-11-18 09:00:00\n"
        "B,2025-11-12 20:00:00,2,样板路2号,交易成功,2025-11-19 09:00:00\n",
        "utf-8",
    )

    events, failures, (_, counts) = read_counted_events([first, later])

    assert failures.num_rows == 0
    assert events.orders["address"].to_pylist() == ["样板路1号", "样板路2号"]
    assert events.outcomes["order_id"].to_pylist() == ["A", "B"]
    assert (counts.n_read, counts.n_accepted, counts.n_merged, counts.n_outcomes) == (2, 1, 1, 2)


def test_another_order_of_the_same_id_is_refused_with_its_outcomes(tmp_path: Path) -> None:
    header = "订单编号,订单创建时间,总金额,订单状态,确认收货时间\n"
    first, other = tmp_path / "first.csv", tmp_path / "other.csv"
    first.write_text(header + "A,2025-11-11 20:00:00,1,等待买家付款,\n", "utf-8")
    other.write_text(header + "A,2025-11-12 20:00:00,2,交易成功,2025-11-18 09:00:00\n", "utf-8")

    events, failures, (_, counts) = read_counted_events([first, other])

    assert events.outcomes.num_rows == 0
    assert failures.select(["file", "rule"]).to_pylist() == [{"file": "other.csv", "rule": "unique"}]
    assert (counts.n_read, counts.n_accepted, counts.n_quarantined) == (1, 0, 1)


def test_an_order_with_a_broken_line_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "订单编号,订单创建时间,总金额,购买数量\nA,2025-11-11,5,1\nA,2025-11-11,5,x\nB,2025-11-11,6,1\n", "utf-8"
    )

    events, failures, (counts,) = read_counted_events([path])

    assert events.orders["order_id"].to_pylist() == ["B"]
    assert failures.select(["row", "field", "rule"]).to_pylist() == [
        {"row": 0, "field": "order_id", "rule": "whole_order"},
        {"row": 1, "field": "quantity", "rule": "type"},
    ]
    assert (counts.n_accepted, counts.n_merged, counts.n_quarantined) == (1, 0, 2)


def test_refunds_wait_for_their_orders_where_a_store_knows_more() -> None:
    kept, _, _ = read_counted_events([EXPORTS / "tmall_refunds.csv"], are_orders_needed=False)
    refused, failures, (counts,) = read_counted_events([EXPORTS / "tmall_refunds.csv"])

    assert (kept.outcomes.num_rows, refused.outcomes.num_rows) == (9, 0)
    assert set(failures["rule"].to_pylist()) == {"known_order", "no_outcome"}
    assert counts.n_read == counts.n_merged + counts.n_quarantined


def test_what_is_set_aside_shows_nothing_personal(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    cells = ["A", "15400009999", "示例买家甲", "甲" * 200, "154" * 40, "样板路" * 300]
    path.write_text("订单编号,订单创建时间,总金额,买家会员名,联系手机,收货地址\n" + ",".join(cells) + "\n", "utf-8")

    _, failures, _ = read_counted_events([path])

    shown = " ".join(str(value) for row in failures.to_pylist() for value in row.values())
    assert failures.num_rows == 5
    assert not any(secret in shown for secret in ("15400009999", "示例买家", "甲", "154", "样板路"))


def test_the_example_in_the_docs_is_a_format_that_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "formats.md").read_text("utf-8")
    (tmp_path / "our_erp.toml").write_text(page.split("```toml")[1].split("```")[0], "utf-8")
    path = tmp_path / "orders.csv"
    path.write_text(
        "单据号,下单时间,应收,件数,省,市,区,地址,运费险,加密地址,行号,单价,状态,完成时间,打印状态\n"
        "A,2025-11-11 20:00,30.00,1,示例省,示例市,示例区,样板路1号,有,#x#,1,10,已完成,2025-11-15 10:00,是\n"
        "A,2025-11-11 20:00,30.00,2,示例省,示例市,示例区,样板路1号,有,#x#,2,10,已完成,2025-11-15 10:00,是\n",
        "utf-8",
    )

    events, failures = read_events([path], formats_dir=tmp_path)

    assert failures.num_rows == 0
    (order,) = events.orders.to_pylist()
    assert (order["amount_minor"], order["quantity"], order["n_lines"], order["is_insured"]) == (3000, 3, 2, True)
    assert order["address"] == "示例省示例市示例区样板路1号"
    assert events.outcomes["kind"].to_pylist() == ["fulfilled"]
    assert not describe_file(path, tmp_path).unknown


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("等待买家付款", "unpaid"),
        ("买家已付款，等待卖家发货", "paid"),
        ("买家已付款,等待卖家发货", "paid"),
        ("卖家部分发货", "shipped"),
        ("卖家已发货，等待买家确认", "shipped"),
        ("买家已收货", "received"),
        ("交易成功", "received"),
        ("交易关闭", None),
        ("", None),
    ],
)
def test_status_is_how_far_the_order_has_come(tmp_path: Path, written: str, status: str | None) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        f'订单编号,总金额,订单创建时间,订单状态\n2302000000000000014,1.00,2025-11-11 20:00,"{written}"\n', "utf-8"
    )

    events, failures = read_events([path])

    assert failures.num_rows == 0
    assert events.orders["status"].to_pylist() == [status]


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("douyin_orders.csv", ["received", None, None]),
        ("jd_orders.csv", ["received", None, None]),
        ("pdd_orders.json", ["received", "shipped"]),
        ("wechat_orders.json", ["received", None]),
        ("shopify_orders.csv", ["shipped", None, None, "shipped"]),
        ("woocommerce_orders.csv", ["shipped", None, None]),
    ],
)
def test_status_is_read_from_the_exports_of_other_platforms(name: str, statuses: list[str | None]) -> None:
    events, _ = read_events([Path(__file__).parent / "exports" / name])

    assert events.orders["status"].to_pylist() == statuses


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "amazon_orders",
            "Pending|unpaid Unshipped|paid Shipped|shipped Shipped - Delivered to Buyer|received Cancelled|",
        ),
        ("ebay_orders", "Nov-12-25|shipped |"),
        (
            "jd_api_orders",
            "NOT_PAY|unpaid WAIT_SELLER_STOCK_OUT|paid WAIT_GOODS_RECEIVE_CONFIRM|shipped FINISHED_L|received",
        ),
        ("jushuitan_orders", "待付款|unpaid 已客审待财审|paid 已发货|shipped 已完成|received 被合并| 取消|"),
        ("kuaimai_orders", "待付款|unpaid 待打印|paid 已发货|shipped 已签收|received 挂起|"),
        ("kuaishou_orders", "待付款|unpaid 待发货|paid 待收货|shipped 已签收|received"),
        ("lazada_orders", "unpaid|unpaid ready_to_ship_pending|paid shipped|shipped delivered|received canceled|"),
        ("magento_orders", "Pending Payment|unpaid processing|paid complete|shipped closed|"),
        (
            "shopee_orders",
            "Unpaid|unpaid To ship|paid Shipping|shipped Order Received but still open|received Cancelled|",
        ),
        ("shopify_api_orders", "pending|unpaid paid|paid fulfilled|shipped voided|"),
        ("shopify_graphql_orders", "PENDING|unpaid PAID|paid PARTIALLY_FULFILLED|shipped VOIDED|"),
        ("tiktok_orders", "Unpaid|unpaid Awaiting shipment|paid In transit|shipped Completed|received Canceled|"),
        ("wangdiantong_orders", "待尾款|unpaid 待客审|paid 已发货|shipped 已完成|received 异常单|"),
        ("woocommerce_api_orders", "on-hold|unpaid processing|paid completed|shipped refunded|"),
        ("xiaohongshu_orders", "待支付|unpaid 清关中|paid 待收货|shipped 已签收|received 已关闭|"),
        ("youzan_orders", "待付款|unpaid 待成团|paid 已发货|shipped 交易完成|received 交易关闭|"),
    ],
)
def test_a_status_says_how_far_an_order_has_come(name: str, texts: str) -> None:
    fmt = next(each for each in list_formats() if each.name == name)
    pairs = re.findall(r"(.*?)\|(\w*)(?: |$)", texts)

    found = map_values(pa.array([text for text, _ in pairs]), fmt.fields["status"][0].values)

    assert len(pairs) == texts.count("|")
    assert found.to_pylist() == [status for _, status in pairs]


@pytest.mark.parametrize("fmt", [each for each in list_formats() if each.kind == "orders"], ids=lambda fmt: fmt.name)
def test_every_format_of_orders_says_how_far_they_have_come(fmt: Format) -> None:
    (source,) = fmt.fields["status"]

    assert set(source.values.values()) - {""} <= {"unpaid", "paid", "shipped", "received"}
    assert list(source.values)[-1] == "*"
