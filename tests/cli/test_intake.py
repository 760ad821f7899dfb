"""What a merchant drops is brought in, learned from and scored; every row is accounted for on the screen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from contract.formats.tmall_exports import write_tmall
from ordervet.cli.row_accounts import name_outcome
from ordervet.contract import OutcomeKind, read_events
from ordervet.contract.formats import list_formats
from ordervet.entities import Key
from ordervet.history import History
from ordervet.history.ingest import Staging

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordervet.lab.simulate import Simulation

EXPORTS = Path(__file__).parents[1] / "contract" / "formats" / "exports"
HEADER = "订单编号,买家会员名,订单创建时间,总金额,订单状态,订单付款时间,联系手机,收货地址"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Key:
    key = Key(bytes(range(16)))
    monkeypatch.setenv("ORDERVET_KEY", key.to_hex())
    return key


def write_lines(path: Path, lines: Iterable[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding)
    return path


def sum_of(account: dict[str, int]) -> int:
    return sum(account[name] for name in ("n_accepted", "n_merged", "n_known", "n_quarantined"))


@pytest.mark.usefixtures("key")
def test_tmall_exports_are_ingested_learned_from_and_scored(ordervet, simulation: Simulation, tmp_path: Path) -> None:
    exports = write_tmall(simulation, tmp_path)
    settings = write_lines(tmp_path / "fit.toml", ["num_rounds = 8", "num_leaves = 15", "min_data_in_leaf = 50"])
    verdicts = tmp_path / "verdicts.parquet"
    pq.write_table(simulation.verdicts, verdicts)
    common = ("--history", tmp_path / "history")

    ingested = ordervet("ingest", *exports, verdicts, *common, "--json")
    trained = ordervet("train", *common, "--models", tmp_path / "models", "--settings", settings, "--json")
    scored = ordervet("score", exports[0], *common, "--models", tmp_path / "models", "--json")

    assert [ended.code for ended in (ingested, trained, scored)] == [0, 0, 0]
    orders, refunds = ingested.json["files"][:2]
    assert refunds["n_read"] == refunds["n_accepted"] > 0
    assert (orders["n_accepted"], orders["n_merged"]) == (6_000, orders["n_read"] - 6_000)
    assert trained.json["origin"]["history_version"] == ingested.json["version"] == 1
    (account,) = scored.json["files"]
    assert (account["n_known"] + account["n_merged"], scored.json["n_orders"]) == (orders["n_read"], 6_000)
    assert scored.json["model_id"] == trained.json["model_id"]
    assert account["missing_evidence"]["device"] == 1.0
    assert scored.json["flagged"]
    assert all("device_absent" in flagged["missing"] for flagged in scored.json["flagged"])


ROWS = [
    "A1,甲,2025-11-11 20:00:00,10.00,交易成功,2025-11-11 20:01:00,15400000001,示例省示例市示例区样板路1号",
    "A1,甲,2025-11-11 20:00:00,10.00,交易成功,2025-11-11 20:01:00,15400000001,示例省示例市示例区样板路1号",
    "A2,乙,2025-11-11 20:00:00,10.00,交易成功,,135****0002,",
    "A3,丙,2025-11-11 20:00:00,10.00,交易关闭,不清楚,,",
    "A4,丁,soon,10.00,交易成功,,,",
    "A5,戊,2025-11-11 20:00:00",
]


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("command", ["ingest", "score", "validate"])
def test_counts_add_up_and_missing_evidence_is_told(ordervet, models_dir, tmp_path: Path, command: str) -> None:
    export = write_lines(tmp_path / "orders.csv", [HEADER, *ROWS])
    more = {
        "ingest": ("--history", tmp_path / "history"),
        "score": ("--models", models_dir),
        "validate": (),
    }[command]

    as_json = ordervet(command, export, *more, "--json")
    (account,) = as_json.json["files"]
    as_text = ordervet(command, export, *more)

    assert as_json.code == as_text.code == 4
    assert (account["n_read"], account["n_merged"], account["n_quarantined"]) == (6, 1, 2)
    assert sum_of(account) == account["n_read"]
    assert account["evidence"]["phone"] == {"known": 1, "absent": 1, "masked": 1, "unusable": 0}
    assert account["missing_evidence"] == {
        "recipient": 1.0, "address": 0.6667, "phone": 0.6667, "device": 1.0, "ip": 1.0, "payment": 1.0, "item": 1.0,
    }  # fmt: skip
    n_accepted, n_known = (0, 3) if command == "ingest" else (3, 0)
    expected = f"6 rows read = {n_accepted} accepted + 1 merged + {n_known} already known + 2 quarantined"
    assert f"orders.csv: {expected}" in as_text.out
    assert "phone 67% (33% masked), device 100%, network address 100%" in as_text.out


@pytest.mark.usefixtures("key")
def test_part_that_is_left_out_of_a_good_row_is_no_row_set_aside(ordervet, tmp_path: Path) -> None:
    header = "订单编号,订单创建时间,总金额,订单状态,订单付款时间,确认收货时间"
    export = write_lines(tmp_path / "orders.csv", [header, "A1,2025-11-11,1,交易成功,2025-11-11,翌日"])

    ended = ordervet("ingest", export, "--history", tmp_path / "history", "--quarantine", tmp_path / "aside.csv")

    assert ended.code == 4
    assert "1 row read = 1 accepted + 0 merged + 0 already known + 0 quarantined" in ended.out
    assert "no row was set aside, but parts of rows were skipped (1 line)" in ended.err
    assert '"happened_at","instant"' in (tmp_path / "aside.csv").read_text("utf-8")


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("command", ["ingest", "score", "validate", "formats"])
def test_format_of_ones_own_is_taken_and_a_broken_one_is_one_clear_error(
    ordervet, models_dir, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "formats"
    folder.mkdir()
    good = ['title = "our ERP"', 'kind = "orders"', "[fields]", 'order_id = "单号"', 'placed_at = "时间"']
    write_lines(folder / "our_erp.toml", [*good, 'amount_minor = "钱"'])
    export = write_lines(tmp_path / "orders.csv", ["单号,时间,钱,别的", "A1,2025-11-11,1,x"])
    more = {"ingest": ("--history", tmp_path / "history"), "score": ("--models", models_dir)}.get(command, ())

    taken = ordervet(command, export, "--formats", folder, *more, "--json")
    write_lines(folder / "broken.toml", [*good, "[lines]", 'continuation = "sometimes"'])
    broken = ordervet(command, export, "--formats", folder, *more, "--json")

    assert taken.code == 0
    found = taken.json if command == "formats" else taken.json["files"][0]
    assert found["format"] == "our_erp"
    assert broken.code == 3
    assert "error: 1 problem in broken.toml\n - 'lines.continuation': " in broken.err


def test_formats_lists_every_format_and_shows_taken_and_ignored_columns(ordervet) -> None:
    listed = ordervet("formats")
    shown = ordervet("formats", EXPORTS / "tmall_orders_new.csv")

    assert all(each.name in listed.out for each in list_formats())
    assert "order_id               from 订单编号" in shown.out
    assert "become dated outcomes: 订单状态" in shown.out
    assert "ignored: 支付单号, 买家应付货款, 发货时间, 运单号, 物流公司, 宝贝规格, 是否代付" in shown.out
    assert "never a key: OAID" in shown.out


@pytest.mark.usefixtures("key")
def test_quarantine_that_cannot_be_written_brings_nothing_in(ordervet, monkeypatch, tmp_path: Path) -> None:
    export = write_lines(tmp_path / "orders.csv", [HEADER, *ROWS])
    ordervet("ingest", write_lines(tmp_path / "first.csv", [HEADER, ROWS[2]]), "--history", tmp_path / "history")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)

    ended = ordervet("ingest", export, "--history", tmp_path / "history", "--quarantine", tmp_path / "aside.csv")
    monkeypatch.undo()

    assert ended.code == 3
    assert "cannot write aside.csv: No space left on device" in ended.err
    assert not (tmp_path / "aside.csv").exists()
    assert History.open(tmp_path / "history", Key(bytes(range(16)))).version == 1


@pytest.mark.usefixtures("key")
def test_folder_without_files_of_events_is_one_clear_error(ordervet, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ended = ordervet("ingest", tmp_path / "empty", "--history", tmp_path / "history")

    assert ended.code == 3
    assert "there is no file to read in empty" in ended.err
    assert not (tmp_path / "history").exists()


@pytest.mark.usefixtures("key")
def test_interrupted_ingest_leaves_the_history_as_it_was_and_says_so(ordervet, monkeypatch, tmp_path: Path) -> None:
    export = write_lines(tmp_path / "orders.csv", [HEADER, ROWS[2]])
    common = ("ingest", export, "--history", tmp_path / "history")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(Staging, "commit", interrupt)
        cut_off = ordervet(*common)
    again = ordervet(*common, "--json")

    assert cut_off.code == 130
    assert "the history is unchanged; run the same command again, nothing is counted twice" in cut_off.err
    assert (again.code, again.json["version"], again.json["files"][0]["n_accepted"]) == (0, 1, 1)


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("lang", "said"), [("zh", "没有日期而未采用：1 付款后取消"), ("en", "1 cancellations after payment")]
)
def test_outcomes_without_a_date_are_named_in_the_language_asked_for(ordervet, tmp_path: Path, lang, said) -> None:
    ended = ordervet("ingest", EXPORTS / "douyin_orders.csv", "--history", tmp_path / "history", "--lang", lang)

    assert ended.code == 0
    assert said in ended.out


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_outcome_has_a_name_in_both_languages(kind: OutcomeKind) -> None:
    names = {name_outcome(kind, lang) for lang in ("zh", "en")}

    assert len(names) == 2


REFUND_HEADER = "订单编号,退款编号,退款的申请时间,退款状态,退款完结时间,买家退款金额,是否需要退货"
REFUND = "98001,R98001,2026-03-05 09:00:00,退款成功,2026-03-08 12:00:00,88.00,需要退货"


@pytest.mark.usefixtures("key")
def test_validate_checks_refunds_alone_and_does_not_hint_at_itself(ordervet, tmp_path: Path) -> None:
    refunds = write_lines(tmp_path / "refunds.csv", [REFUND_HEADER, REFUND])
    verdicts = write_lines(tmp_path / "verdicts.csv", ["订单编号,判定,判定时间", "T1,正常,2025-12-01"])

    ended = ordervet("validate", refunds, verdicts)
    empty = ordervet("validate", write_lines(tmp_path / "none.csv", [REFUND_HEADER]))

    assert (ended.code, empty.code) == (0, 0)
    assert "1 row read = 1 accepted" in ended.out
    assert "2 rows good: 2 outcomes, 1 verdict" in ended.out
    assert "0 rows good: 0 orders" in empty.out
    assert "ordervet validate" not in ended.out + ended.err + empty.out + empty.err


@pytest.mark.usefixtures("key")
def test_validate_says_what_is_wrong_when_every_row_has_the_same_fault(ordervet, tmp_path: Path) -> None:
    export = write_lines(tmp_path / "orders.csv", ["订单编号,总金额,订单创建时间", "A,1.00,heute", "B,1.00,morgen"])

    ended = ordervet("validate", export, "--json")

    assert ended.code == 4
    assert (ended.json["n_set_aside"], ended.json["n_failures"]) == (2, 2)
    assert "placed_at" in ordervet("validate", export).out


@pytest.mark.usefixtures("key")
def test_several_currencies_of_a_file_are_said(ordervet, tmp_path: Path) -> None:
    header = "order_id,order_number,date,status,order_total,order_currency,payment_method"
    rows = ["1,1,2025-11-11 20:00:00,processing,95.00,EUR,card", "2,2,2025-11-11 20:05:00,processing,15000,jpy,card"]
    mixed = write_lines(tmp_path / "mixed.csv", [header, *rows])
    one = write_lines(tmp_path / "one.csv", [header, rows[0]])

    shown = ordervet("validate", mixed)
    told = ordervet("validate", mixed, "--json").json["files"][0]

    assert "several currencies, whose amounts are never compared as one: EUR 1, JPY 1" in shown.out
    assert told["currencies"] == {"EUR": 1, "JPY": 1}
    assert "several currencies" not in ordervet("validate", one).out


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_export_without_dates_of_refunds_says_which_one_has_them(ordervet, tmp_path: Path, lang: str) -> None:
    header = "Name,Email,Financial Status,Created at,Total,Lineitem quantity,Lineitem name"
    export = write_lines(tmp_path / "shopify.csv", [header, "#1,a@example.com,refunded,2026-01-05 10:00:00,5,1,S"])

    shown = ordervet("ingest", export, "--history", tmp_path / "history", "--lang", lang)
    described = ordervet("formats", export, "--lang", lang)

    assert "JSON (Admin API)" in shown.out.replace("（", " (").replace("）", ")")
    assert "JSON (Admin API)" in described.out.replace("（", " (").replace("）", ")")


def test_formats_says_what_a_file_tells_of_itself(ordervet, tmp_path: Path) -> None:
    header = "订单编号,子订单编号,总金额,订单创建时间,订单状态,店铺名称,收货人手机号,宝贝标题"
    rows = [
        "A,1,9.00,2025-11-11 20:00:00,某种状态,甲店,1,帽子",
        "A,2,9.00,2025-11-11 20:00:00,交易成功,甲店,1,围巾",
        "B,3,9.00,2025-11-12 20:00:00,已发货,乙店,1,",
        "C,4,x,2025-11-12 20:00:00,已发货,乙店,1,",
    ]
    export = write_lines(tmp_path / "orders.csv", [header, *rows])

    told = ordervet("formats", export, "--json", "--time-zone", "UTC").json
    shown = ordervet("formats", export)

    content = told["content"]
    assert told["time_zone"] == "UTC"
    assert (content["n_rows"], content["n_lines"], content["n_orders"], content["n_set_aside"]) == (4, 3, 2, 1)
    assert (content["first"], content["last"]) == ("2025-11-11 20:00:00Z", "2025-11-12 20:00:00Z")
    assert (content["currencies"], content["shops"]) == ({"CNY": 2}, {"甲店": 1, "乙店": 1})
    assert (content["missing"]["buyer_id"], content["missing"]["item_id"]) == (1.0, 0.5)
    assert (content["unknown_states"], told["alike"]) == ({"订单状态": 1}, {"收货人手机号": "phone"})
    for text in (
        "times without an offset are in Asia/Shanghai",
        "4 rows, 3 lines of orders, 1 row set aside",
        "2 orders, 2025-11-11 12:00:00Z to 2025-11-12 12:00:00Z",
        "currencies: CNY 2",
        "收货人手机号 looks like phone: add it to a format of your own",
        "skipped, no date: 1",
    ):
        assert text in shown.out


@pytest.mark.usefixtures("key")
def test_zone_and_shop_of_files_that_tell_none_are_options(ordervet, tmp_path: Path) -> None:
    header = "订单编号,总金额,订单创建时间,店铺名称"
    export = write_lines(tmp_path / "orders.csv", [header, "A,9.00,2025-11-11 20:00:00,", "B,9.00,2025-11-11,乙店"])

    events, _ = read_events([export], time_zone="Europe/Berlin", shop="甲店")
    ended = ordervet("validate", export, "--time-zone", "Mars/Olympus")
    taken = ordervet("ingest", export, "--history", tmp_path / "history", "--time-zone", "UTC", "--shop", "甲店")

    assert events.orders["shop_id"].to_pylist() == ["甲店", "乙店"]
    assert [f"{at:%d %H:%M}" for at in events.orders["placed_at"].to_pylist()] == ["11 19:00", "10 23:00"]
    assert (ended.code, taken.code) == (3, 0)
    assert "there is no time zone 'Mars/Olympus'" in ended.err


@pytest.mark.usefixtures("key")
def test_every_export_ingested_twice_adds_nothing(ordervet, tmp_path: Path) -> None:
    exports = sorted(path for path in EXPORTS.iterdir() if not path.name.startswith("verdict_sheet"))
    for path in exports:
        history = tmp_path / path.name.replace(".", "-")

        first = ordervet("ingest", path, "--history", history, "--json").json["files"][0]
        again = ordervet("ingest", path, "--history", history, "--json").json["files"][0]

        assert first["n_accepted"] > 0, path.name
        assert again["n_accepted"] == 0, path.name
        assert sum_of(again) == again["n_read"] == first["n_read"], path.name
        assert again["n_quarantined"] == first["n_quarantined"], path.name


def test_what_a_terminal_would_obey_is_never_printed(ordervet, tmp_path: Path) -> None:
    orders, header = tmp_path / "orders.csv", tmp_path / "header.csv"
    orders.write_text(
        'order_id,placed_at,amount_minor\n"a\x1b[31m\x9b2J\u202e",never\x07,x\x1b]0;t\x07\n', encoding="utf-8"
    )
    header.write_text("order_id,placed_at\x1b[31m,amount\x9b\na,b,c\n", encoding="utf-8")

    said = [ordervet("validate", path, *more) for path in (orders, header) for more in ((), ("--json",))]

    printed = "".join(each.out + each.err for each in said)
    assert not set(printed) & {"\x1b", "\x07", "\x9b", "\u202e", "\r"}
    assert "\\u001b[31m" in said[1].out


def test_thousands_of_unknown_columns_are_one_short_error(ordervet, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    names = ["order_id", "placed_at", "amount_minor", *(f"c{at}" for at in range(50_000))]
    path.write_text(",".join(names) + "\n" + ",".join("x" * len(names)) + "\n")

    ended = ordervet("validate", path)

    assert ended.code == 3
    assert "50000 columns do not fit orders in orders.csv\n - 'c0': unknown" in ended.err
    assert ended.err.count("\n") < 30


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_draft_of_a_format_reads_an_unknown_export_once_it_is_corrected(ordervet, tmp_path: Path, lang: str) -> None:
    export, folder = tmp_path / "mall.csv", tmp_path / "mine"
    export.write_text(
        "订单id,用户名,创建时间,商品数量,应收合计款,收货地址,订单状态\n7,u,2025-11-11 12:00:01,2,99.00,甲路,已付款\n",
        "utf-8",
    )
    unknown = ordervet("formats", export, "--lang", lang)

    drafted = ordervet("formats", export, "--draft", folder, "--lang", lang)
    draft = (folder / "mall.toml").read_text("utf-8")
    open_ = ordervet("formats", export, "--formats", folder, "--lang", lang)
    again = ordervet("formats", export, "--draft", folder, "--lang", lang)
    (folder / "mall.toml").write_text(draft.replace("amount_minor = []", 'amount_minor = ["应收合计款"]'), "utf-8")
    told = ordervet("formats", export, "--formats", folder, "--json").json

    assert "--draft" in unknown.err
    assert str(folder / "mall.toml") in drafted.out
    assert "mall.toml" in open_.err
    assert "mall.toml" in again.err
    assert told["taken"] == {
        "order_id": ["订单id"], "placed_at": ["创建时间"], "amount_minor": ["应收合计款"], "quantity": ["商品数量"],
        "address": ["收货地址"],
    }  # fmt: skip
    assert told["content"]["n_orders"] == 1
    assert "订单状态" in draft.splitlines()[-1]
