"""Files as spreadsheets, ERP programs and mailboxes leave them: the same table comes out of each."""

from __future__ import annotations

import gzip
import html
import io
import zipfile
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from ordervet.contract import read_counted_events
from ordervet.contract.files.rows import open_rows, read_table
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ordervet.contract import Events

HEADER = ["订单编号", "买家会员名", "总金额", "订单状态", "订单创建时间", "订单付款时间", "宝贝标题", "宝贝总数量"]
ROW = ["2301000000000000017", "甲", "300.00", "已发货", "2025-11-11 20:00:05", "2025-11-11 20:00:30", "帽子", "1"]
OTHER = ["2301000000000000025", "乙", "20.00", "已发货", "2025-11-11 20:01:05", "2025-11-11 20:01:30", "a|b;c", "2"]
REFUNDS = (
    "订单编号,退款编号,退款的申请时间,退款状态,退款完结时间,买家退款金额\n"
    "2301000000000000017,R1,2025-11-12 09:00:00,退款中,,9.00\n"
)


def write_lines(separator: str, rows: list[list[str]]) -> str:
    return "\n".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in rows) + "\n"


def read(path: Path) -> Events:
    events, failures, _ = read_counted_events([path])
    assert failures.num_rows == 0, failures.to_pylist()
    return events


@pytest.fixture
def plain(tmp_path: Path) -> Events:
    path = tmp_path / "plain.csv"
    path.write_text(write_lines(",", [HEADER, ROW, OTHER]), "utf-8")
    events = read(path)
    assert events.orders.num_rows == 2
    return events


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["export.csv", "export.txt", "export.tsv"])
def test_separated_text_is_read_by_its_separator_whatever_its_name(
    tmp_path: Path, plain: Events, name: str, separator: str, encoding: str
) -> None:
    path = tmp_path / name
    path.write_bytes(write_lines(separator, [HEADER, ROW, OTHER]).encode(encoding))

    assert read(path) == plain


@pytest.mark.parametrize(
    "above",
    [
        "sep=;\n",
        '"sep=;"\r\n',
        "订单报表\n",
        "店铺：甲;导出时间：2025-11-12\n\n",
        ";;;;;;;\n订单报表;;;;;;;\n",
        "a\nb\nc\n",
    ],
)
def test_what_stands_above_the_header_is_left_out(tmp_path: Path, plain: Events, above: str) -> None:
    path = tmp_path / "export.csv"
    path.write_text(above + write_lines(";", [HEADER, ROW, OTHER]), "utf-8")

    assert read(path) == plain


@pytest.mark.parametrize("is_zipped", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_western_file_is_read_in_its_own_letters_and_decimals(tmp_path: Path, encoding: str, is_zipped: bool) -> None:
    header = ["order_number", "date", "status", "order_total", "order_currency", "billing_email", "shipping_name"]
    texts = ["1042", "2025-11-11 20:00:05", "processing", "1.234,56 €", "EUR", "j@example.org", "Jörg Groß"]
    dots = [*texts[:3], "1234.56", *texts[4:]]
    twin, path = tmp_path / "dots.csv", tmp_path / ("commas.csv.gz" if is_zipped else "commas.csv")
    twin.write_text(write_lines(",", [header, dots]), "utf-8")
    data = write_lines(";", [header, texts]).encode(encoding)
    path.write_bytes(gzip.compress(data) if is_zipped else data)

    assert read(path) == read(twin)
    assert read(path).orders["amount_minor"].to_pylist() == [123456]
    assert read(path).orders["recipient"].to_pylist() == ["Jörg Groß"]


def test_a_file_in_contract_columns_is_read_in_western_letters(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes("order_id,placed_at,amount_minor,recipient\nA1,2025-11-11 20:00,100,Jörg\n".encode("cp1252"))

    assert read(path).orders["recipient"].to_pylist() == ["Jörg"]


@pytest.mark.parametrize("n_at_header", [0, 2])
@pytest.mark.parametrize("n_at_rows", [0, 1, 3])
def test_separators_at_the_end_of_rows_say_nothing(
    tmp_path: Path, plain: Events, n_at_header: int, n_at_rows: int
) -> None:
    path = tmp_path / "export.csv"
    rows = [HEADER + [""] * n_at_header, ROW + [""] * n_at_rows, OTHER]
    if n_at_header > n_at_rows or n_at_header:
        rows = [rows[0], ROW + [""] * max(n_at_rows, n_at_header), OTHER + [""] * n_at_header]
    path.write_text(write_lines(",", rows), "utf-8")

    assert read(path) == plain


def test_a_row_with_a_value_beyond_the_header_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(write_lines(",", [HEADER, [*ROW, "", "x"], [*OTHER, ""]]), "utf-8")

    events, failures, _ = read_counted_events([path])

    assert events.orders["order_id"].to_pylist() == [OTHER[0]]
    assert failures.select(["row", "rule"]).to_pylist() == [{"row": 0, "rule": "columns"}]


def test_inches_in_text_separated_by_tabs_are_no_quotation_marks(tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    rows = [HEADER, [*ROW[:6], '"5 screen', "1"], OTHER]
    path.write_text("\n".join("\t".join(row) for row in rows), "utf-8")

    assert read(path).orders["item_id"].to_pylist() == ['"5 screen', "a|b;c"]


@pytest.mark.parametrize(
    "time",
    [
        *("2025年11月11日 20:00:05", "2025.11.11 20:00:05", "2025/11/11 下午 08:00:05", "2025-11-11 8:00:05 PM"),
        *("20251111200005", "45972.8333912037", "2025年11月11日20时00分05秒", "Nov 11, 2025, 8:00:05 PM"),
    ],
)
def test_times_are_read_in_every_notation(tmp_path: Path, plain: Events, time: str) -> None:
    path = tmp_path / "export.csv"
    path.write_text(write_lines(";", [HEADER, [*ROW[:4], time, *ROW[5:]], OTHER]), "utf-8")

    assert read(path) == plain


def build_workbook(rows: Sequence[Sequence[object]], merged: Sequence[tuple[int, int, int, object]] = ()) -> bytes:
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
        for column, first, last, value in merged:
            sheet.merge_range(first, column, last, column, value)
    return data.getvalue()


def test_a_workbooks_titles_are_left_out_and_serial_dates_read(tmp_path: Path, plain: Events) -> None:
    path = tmp_path / "export.xlsx"
    path.write_bytes(build_workbook([["订单报表"], [], HEADER, [*ROW[:4], 45972.8333912037, *ROW[5:]], OTHER]))

    assert read(path) == plain


def test_a_merged_cell_is_the_value_of_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "erp.xlsx"
    lines: list[list[object]] = [HEADER, [""] * 6 + ["帽子", 1], [""] * 6 + ["围巾", 2], list(OTHER)]
    path.write_bytes(build_workbook(lines, [(column, 1, 2, ROW[column]) for column in range(6)]))

    orders = read(path).orders

    assert orders.select(["order_id", "amount_minor", "quantity", "n_lines"]).to_pylist() == [
        {"order_id": ROW[0], "amount_minor": 30000, "quantity": 3, "n_lines": 2},
        {"order_id": OTHER[0], "amount_minor": 2000, "quantity": 2, "n_lines": 1},
    ]


def test_text_under_a_workbooks_name_is_read_as_text(tmp_path: Path, plain: Events) -> None:
    path = tmp_path / "export.xls"
    path.write_bytes(write_lines("\t", [HEADER, ROW, OTHER]).encode("gb18030"))

    assert read(path) == plain


def test_text_of_two_bytes_a_sign_is_read_without_a_mark(tmp_path: Path, plain: Events) -> None:
    for name, encoding in [("a.csv", "utf-16-le"), ("b.txt", "utf-16-be"), ("c.xls", "utf-16"), ("d.xls", "utf-16-le")]:
        path = tmp_path / name
        path.write_bytes(write_lines("\t", [HEADER, ROW, OTHER]).encode(encoding))

        assert read(path) == plain


def write_html(rows: list[list[str]], *, closes: bool = True) -> str:
    cells = [[f"<td x:str>{html.escape(cell)}{'</td>' * closes}" for cell in row] for row in rows]
    lines = "".join(f"<tr>{''.join(row)}{'</tr>' * closes}\n" for row in cells)
    return f"<html><style>td {{color: red}}</style><body><table border=1>\n{lines}</table></body></html>"


def write_xml(rows: list[list[str]]) -> str:
    cells = [[f'<ss:Cell><Data ss:Type="String">{html.escape(cell)}</Data></ss:Cell>' for cell in row] for row in rows]
    lines = "".join(f"<Row>{''.join(row)}</Row>" for row in cells)
    return f'<?xml version="1.0"?><Workbook><Worksheet ss:Name="a"><Table>{lines}</Table></Worksheet></Workbook>'


@pytest.mark.parametrize(
    "data",
    [
        write_html([["订单导出"], HEADER, ROW, OTHER]).encode("gb18030"),
        write_html([HEADER, ROW, OTHER], closes=False).encode("utf-8-sig"),
        write_xml([HEADER, ROW, OTHER]).encode(),
        write_html([HEADER, ROW, OTHER]).encode("utf-16"),
    ],
)
def test_markup_under_a_workbooks_name_is_read_as_a_table(tmp_path: Path, plain: Events, data: bytes) -> None:
    path = tmp_path / "export.xls"
    path.write_bytes(data)

    assert read(path) == plain


def test_cells_of_markup_over_several_rows_and_columns_stand_in_their_places(tmp_path: Path) -> None:
    path = tmp_path / "export.xls"
    path.write_text(
        "<table><tr><td colspan=3>t<tr><th>a<th>b<th>c<tr><td rowspan=2>1<td>2<td>3"
        "<tr><td>4<td rowspan=2>5<tr><td>6<td>7<tr><td colspan=2>8<br>9<td>&lt;</table>",
    )

    assert read_table(path).to_pylist() == [
        {"a": "1", "b": "2", "c": "3"},
        {"a": "1", "b": "4", "c": "5"},
        {"a": "6", "b": "7", "c": "5"},
        {"a": "8 9", "b": "", "c": "<"},
    ]
    path.write_text(
        "<Table><Row><Cell>a<Cell>b<Cell>c</Row><Row><Cell ss:MergeDown='1'>1<Cell ss:Index='3'>2<Row><Cell>3"
    )
    assert read_table(path).to_pylist() == [{"a": "1", "b": "", "c": "2"}, {"a": "1", "b": "3", "c": ""}]


@pytest.mark.parametrize("span", ["colspan=99999999", "colspan=10000 rowspan=100000", "ss:index=99999999"])
def test_cells_of_markup_that_reach_far_are_refused_by_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, span: str
) -> None:
    monkeypatch.setenv("ORDERVET_MAX_SHEET_CELLS", "100000")
    path = tmp_path / "export.xls"
    path.write_text("<table>" + f"<tr><td {span}>a<td {span}>b" * 400)

    with pytest.raises(FileError, match="sheet cells, more than the limit"):
        read_table(path)


@pytest.mark.parametrize(
    "markup", ["<html>sign in</html>", "<table></table>", "<td>a", "<?xml", "<", "<tr><td>x</table><td>"]
)
def test_markup_without_a_table_is_no_workbook(tmp_path: Path, markup: str) -> None:
    path = tmp_path / "export.xls"
    path.write_text(markup)

    with pytest.raises(FileError, match="is not a workbook with a table; it looks like HTML or XML"):
        read_table(path)


def test_a_sheet_that_explains_the_others_is_left_out(tmp_path: Path, plain: Events) -> None:
    path = tmp_path / "export.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        for name, rows in {
            "说明": [["本表为订单导出"], ["请勿修改", "x"]],
            "空": [],
            "订单": [HEADER, ROW, OTHER],
        }.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)

    assert read(path) == plain


def test_files_of_one_name_in_two_zipped_folders_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "months.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("10/orders.csv", write_lines(",", [HEADER, ROW]))
        archive.writestr("11/orders.csv", write_lines(",", [HEADER, OTHER]))
        archive.writestr("__MACOSX/11/._orders.csv", b"\0\5\x16\7")
        archive.writestr("11/~$orders.xlsx", b"x")
        archive.writestr(".hidden/orders.csv", b"x")

    events, _, accounts = read_counted_events([path])

    assert sorted(events.orders["order_id"].to_pylist()) == [ROW[0], OTHER[0]]
    assert [each.file for each in accounts] == ["months - 10 - orders.csv", "months - 11 - orders.csv"]


@pytest.mark.parametrize("page", ["[]", '{"orders": []}', '{"data": {"list": []}, "total": 0}'])
def test_a_page_without_orders_has_no_rows(tmp_path: Path, page: str) -> None:
    path = tmp_path / "page.json"
    path.write_text(page)

    events, failures, (account,) = read_counted_events([path], are_orders_needed=False)

    assert (events.orders.num_rows, failures.num_rows, account.n_read) == (0, 0, 0)


@pytest.mark.parametrize("name", ["export.csv.gz", "export.txt.gz", "export.tsv.gz", "export.xlsx.gz"])
def test_gzipped_files_are_unpacked(tmp_path: Path, plain: Events, name: str) -> None:
    path = tmp_path / name
    data = write_lines("\t", [HEADER, ROW, OTHER]).encode()
    path.write_bytes(gzip.compress(build_workbook([HEADER, ROW, OTHER]) if ".xlsx" in name else data))

    assert read(path) == plain


def test_a_zipped_folder_is_all_of_its_exports(tmp_path: Path) -> None:
    path = tmp_path / "november.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("导出/订单.csv", write_lines(",", [HEADER, ROW]).encode("gb18030"))
        archive.writestr("导出/more/b.xlsx", build_workbook([HEADER, OTHER]))
        archive.writestr("导出/refunds.csv", REFUNDS)
        archive.writestr("readme.md", "nothing")

    events, failures, accounts = read_counted_events([path])

    assert failures.num_rows == 0
    assert sorted(events.orders["order_id"].to_pylist()) == [ROW[0], OTHER[0]]
    assert events.outcomes["kind"].to_pylist() == ["refund_requested"]
    assert {each.file for each in accounts} == {"november - 订单.csv", "november - b.xlsx", "november - refunds.csv"}


def test_names_in_a_zip_archive_cannot_leave_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.csv", write_lines(",", [HEADER, ROW]))
        archive.writestr("..\\..\\evil2.csv", write_lines(",", [HEADER, OTHER]))

    _, _, accounts = read_counted_events([path])

    assert {each.file for each in accounts} == {"bad - evil.csv", "bad - evil2.csv"}
    assert [each.name for each in tmp_path.iterdir()] == ["bad.zip"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"x", "is not a whole zip archive"),
        (b"PK\x05\x06" + b"\0" * 18, "holds no file that can be read"),
        (b"PK\x03\x04" + b"\0" * 40, "is not a whole zip archive"),
    ],
)
def test_a_zip_archive_without_exports_is_one_clear_error(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)

    with pytest.raises(FileError, match=rf"a\.zip {message}"):
        read_counted_events([path])


def test_what_was_unpacked_goes_away_with_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "export.txt.gz"
    path.write_bytes(gzip.compress(write_lines("\t", [HEADER, ROW]).encode()))

    source = open_rows(path)
    folder = source.path.parent.parent
    assert folder.is_dir()
    del source

    assert not folder.exists()


def test_an_unknown_file_says_how_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "strange.txt"
    path.write_text("报表\n甲;乙;丙\n1;2;3\n", "utf-8")

    with pytest.raises(FileError, match="read with separator ;, utf-8, header in line 2, 3 columns"):
        read_counted_events([path])
