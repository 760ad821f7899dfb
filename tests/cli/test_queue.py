"""The desk's queue, from orders to verdicts and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import python_calamine
import xlsxwriter
from rich.cells import cell_len

from ordervet.entities import Key
from ordervet.history import History
from ordervet.lab.simulate import write_simulation
from ordervet.reports.queue_book import write_queue_book
from ordervet.words import find_words
from queue_makers import make_queue

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation

DECIDED = "2026-03-01 10:00"
TITLES = {"zh": ("订单编号", "判定", "类型", "判定时间"), "en": ("order id", "verdict", "kind", "decided at")}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Key:
    key = Key(bytes(range(16)))
    monkeypatch.setenv("ORDERVET_KEY", key.to_hex())
    return key


@pytest.fixture(scope="session")
def files(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_simulation(simulation, tmp_path_factory.mktemp("merchant"), format="parquet", truth=False)


def fill_in(queue: Path, filled: Path, lang: str) -> dict[str, str]:
    """Fill verdicts into a queue as a person would, into every second row; give what was filled in, by order."""
    book = python_calamine.CalamineWorkbook.from_path(queue)
    words, verdicts = list(find_words("verdicts", lang).items()), {}
    order, verdict, kind, decided = TITLES[lang]
    with xlsxwriter.Workbook(str(filled)) as copy:
        for name in book.sheet_names:
            rows = book.get_sheet_by_name(name).to_python()
            titles = rows[0] if rows else []
            if verdict in titles:
                places = {title: titles.index(title) for title in (order, verdict, kind, decided)}
                for row in rows[1::2]:
                    value, word = words[len(verdicts) % len(words)]
                    verdicts[row[places[order]]] = str(value)
                    row[places[verdict]], row[places[decided]] = word, DECIDED
                    if str(value) == "malicious":
                        row[places[kind]] = "羊毛党" if lang == "zh" else "coupon_farming"
            sheet = copy.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, [str(cell) for cell in row])
    return verdicts


def test_verdicts_filled_into_the_queue_are_learned_from(ordervet, files, models_dir, key: Key, tmp_path: Path) -> None:
    history, queue, filled = tmp_path / "history", tmp_path / "queue.xlsx", tmp_path / "filled.xlsx"
    ordervet("score", *files, "--models", models_dir, "--history", history, "--out", queue, "--lang", "zh")
    before = History.open(history, key).read().verdicts.num_rows
    verdicts = fill_in(queue, filled, "zh")

    blank = ordervet("ingest", queue, "--history", history, "--json")
    ended = ordervet("ingest", filled, "--history", history, "--json")

    assert (blank.code, ended.code) == (0, 0)
    stored = History.open(history, key).read().verdicts
    new = {
        row["order_id"]: row for row in stored.to_pylist() if row["decided_at"].isoformat().startswith("2026-03-01T02")
    }
    assert {order_id: row["verdict"] for order_id, row in new.items()} == verdicts
    assert {row["kind"] for row in new.values()} == {"coupon_farming", None}
    assert stored.num_rows == before + len(verdicts)
    settings = tmp_path / "small.toml"
    settings.write_text("num_rounds = 10\nnum_leaves = 7\n", encoding="utf-8")
    trained = ordervet(
        "train", "--history", history, "--models", tmp_path / "models", "--settings", settings, "--json"
    ).json
    assert trained["origin"]["history_version"] == History.open(history, key).version


@pytest.mark.usefixtures("key")
def test_english_queue_is_read_back(ordervet, tmp_path: Path) -> None:
    queue, filled = tmp_path / "queue.xlsx", tmp_path / "filled.xlsx"
    write_queue_book(make_queue(40), queue, lang="en")
    verdicts = fill_in(queue, filled, "en")

    ended = ordervet("ingest", filled, "--history", tmp_path / "history", "--json")

    assert ended.code == 0
    told = ended.json["files"][0]
    assert (told["n_read"], told["n_accepted"], told["n_merged"]) == (40, len(verdicts), 40 - len(verdicts))


@pytest.mark.usefixtures("key")
def test_queue_is_written_as_a_page_too(ordervet, files, models_dir, tmp_path: Path) -> None:
    page = tmp_path / "out" / "queue.html"

    ended = ordervet("score", *files, "--models", models_dir, "--report", page, "--lang", "zh", "--top", 0)

    assert ended.code == 0
    assert f"已写出：{page}" in ended.out
    assert '<html lang="zh-CN">' in page.read_text(encoding="utf-8")


def test_page_of_another_ending_is_refused_before_any_work(ordervet, files, tmp_path: Path) -> None:
    ended = ordervet("score", *files, "--report", tmp_path / "queue.pdf")

    assert ended.code == 3
    assert "cannot write queue.pdf: unknown ending" in ended.err


@pytest.mark.parametrize(("locale", "expected"), [("zh_CN.UTF-8", "单已评分"), ("de_DE.UTF-8", "orders scored")])
def test_language_is_the_locales_unless_it_is_named(
    ordervet, files, models_dir, monkeypatch: pytest.MonkeyPatch, locale: str, expected: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)

    ended = ordervet("score", *files, "--models", models_dir, "--top", 1)

    assert expected in ended.out


REVIEW_ALL = """protocol = 1
name = "all"
bands = { by = "explicit", elevated = 0.05, high = 0.2, severe = 0.7 }
actions = { low = "review", elevated = "review", high = "review", severe = "review" }
"""


@pytest.mark.usefixtures("key")
def test_script_and_sheet_are_of_the_stage_the_order_is_in_now(ordervet, models_dir, tmp_path: Path) -> None:
    policy, orders, queue = tmp_path / "policy.toml", tmp_path / "orders.csv", tmp_path / "queue.xlsx"
    policy.write_text(REVIEW_ALL, "utf-8")
    call = ("score", orders, "--models", models_dir, "--policy", policy, "--history", tmp_path / "history")
    row, scripts = "2302000000000000014,1.00,2025-11-11 20:00,", []

    for status in ("等待买家付款", "买家已付款，等待卖家发货", "卖家已发货，等待买家确认", "交易成功"):
        orders.write_text(f"订单编号,总金额,订单创建时间,订单状态\n{row}{status}\n", "utf-8")
        scripts.append(ordervet(*call, "--json").json["flagged"][0]["script"])
    ordervet(*call, "--out", queue, "--lang", "zh")

    assert scripts == ["general.placed", "general.paid", "general.in_transit", "general.received"]
    assert python_calamine.CalamineWorkbook.from_path(queue).sheet_names[0] == "已签收"


def test_own_scripts_take_the_place_of_the_shipped_ones(ordervet, files, models_dir, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("kind: no_such_kind\n", encoding="utf-8")

    ended = ordervet("score", *files, "--models", models_dir, "--scripts", tmp_path)

    assert ended.code == 3
    assert "no_such_kind" in ended.err


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_flags_fit_eighty_columns(ordervet, files, models_dir, lang: str) -> None:
    ended = ordervet("score", *files, "--models", models_dir, "--lang", lang, "--top", 40)

    assert max(map(cell_len, ended.out.split("\n\n")[0].splitlines())) <= 80


@pytest.mark.usefixtures("key")
def test_files_are_accounted_for_in_the_locales_language(
    ordervet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    orders = tmp_path / "orders.csv"
    orders.write_text(
        "order_id,placed_at,amount_minor,phone\nt1,2025-11-01,100,135****1111\nt2,soon,1,\n", encoding="utf-8"
    )

    checked = ordervet("validate", orders)
    brought = ordervet("ingest", orders, "--history", tmp_path / "history")

    line = "orders.csv：读入 2 行 = 采用 1 + 合并 0 + 已有 0 + 搁置 1"
    assert line in checked.out
    assert line in brought.out
    assert "缺少证据的订单占比（共 1 单）" in checked.out
    assert "收货电话 100%（100% 脱敏）" in brought.out
    assert "合格 1 行：1 笔订单" in checked.out
    assert "1 行被搁置（1 条）：用 --quarantine FILE 列出" in brought.err
    assert "历史库现为版本 1" in brought.out


@pytest.mark.usefixtures("key")
def test_orders_are_scored_again_by_what_is_known_now(ordervet, files, models_dir, tmp_path: Path) -> None:
    ways = [*files, "--models", models_dir, "--lang", "en"]
    kept = [*ways, "--history", tmp_path / "history", "--all"]
    ordervet("score", *kept, "--out", tmp_path / "first.jsonl")

    again = ordervet("score", *kept, "--again", "--out", tmp_path / "again.jsonl")
    early = ordervet("score", *ways, "--again", "--now", "2020-01-01")

    first, second = (read_risks(tmp_path / f"{name}.jsonl") for name in ("first", "again"))
    assert again.code == 0
    assert second.keys() == first.keys()
    assert sum(second[order_id] != first[order_id] for order_id in first) > len(first) / 2
    assert early.code == 3
    assert early.err.startswith("error: --now: something is known from 20")


def read_risks(path: Path) -> dict[str, float]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {row["order_id"]: row["p_malicious"] for row in rows}
