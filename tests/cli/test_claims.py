from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import python_calamine
import xlsxwriter

from ordervet.entities import Key
from ordervet.history import History
from ordervet.lab.simulate import SimulationSettings, simulate, write_simulation
from ordervet.words import find_words

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """protocol = 1
name = "x"
bands = { by = "explicit", elevated = 0.05, high = 0.2, severe = 0.7 }
actions = { low = "pass", elevated = "pass", high = "review", severe = "hold" }
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merchant")
    write_simulation(simulate(SimulationSettings(n_orders=500, malicious_share=0.2, seed=21)), folder, truth=False)
    return folder


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERVET_KEY", bytes(range(16)).hex())


def split_requests(files: Path, folder: Path, n: int) -> tuple[Path, Path]:
    """Part the last refund requests of a merchant from all other outcomes."""
    head, *rows = (files / "outcomes.csv").read_text("utf-8").splitlines(keepends=True)
    newest = [row for row in rows if ",refund_requested," in row][-n:]
    known, asked = folder / "outcomes_known.csv", folder / "requests.csv"
    known.write_text(head + "".join(row for row in rows if row not in newest), "utf-8")
    asked.write_text(head + "".join(newest), "utf-8")
    return known, asked


def test_refund_requests_are_answered_the_most_urgent_first(ordervet, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "claims.csv"

    ended = ordervet("score", *sorted(files.iterdir()), "--claims", "--out", out, "--top", "3", "--json")

    lines = out.read_text("utf-8-sig").splitlines()
    assert ended.code == 0
    assert ended.json["n_claims"] == sum(ended.json["answers"].values()) == len(lines) - 1
    assert len(ended.json["claims"]) == 3
    assert ended.json["answers"]["pay_now"] > ended.json["n_claims"] / 2
    assert ended.json["claims"][0]["answer"] != "pay_now"
    assert ended.json["claims"][0]["reasons"]


def test_requests_beside_a_history_are_judged_as_among_all_files_and_ingested_once(
    ordervet, files: Path, tmp_path: Path
) -> None:
    known, asked = split_requests(files, tmp_path, 20)
    history = tmp_path / "history"
    assert ordervet("ingest", files / "orders.csv", files / "verdicts.csv", known, "--history", history).code == 0
    every = ordervet("score", *sorted(files.iterdir()), "--claims", "--top", "9999", "--json").json["claims"]

    dry = ordervet("score", asked, "--claims", "--history", history, "--top", "99", "--json", "--dry-run").json
    first = ordervet("score", asked, "--claims", "--history", history, "--top", "99", "--json").json
    again = ordervet("score", asked, "--claims", "--history", history, "--top", "99", "--json").json

    wanted = {(row["order_id"], row["happened_at"]): row["p_malicious"] for row in every}
    assert len(first["claims"]) == 20
    for told in (dry, first, again):
        assert {(row["order_id"], row["happened_at"]): row["p_malicious"] for row in told["claims"]} == {
            key: wanted[key] for key in ((row["order_id"], row["happened_at"]) for row in first["claims"])
        }
    assert again["files"][0]["n_known"] == 20


def test_answers_are_printed_in_both_languages(ordervet, files: Path) -> None:
    said = {lang: ordervet("score", *sorted(files.iterdir()), "--claims", "--lang", lang).out for lang in ("en", "zh")}

    assert "refund requests: refund at once" in said["en"]
    assert "个退款申请：直接退款" in said["zh"]


@pytest.mark.parametrize(
    "option", [("--now", "2025-11-11"), ("--again",), ("--hold-list", "holds.csv"), ("--since", "2025-11-11")]
)
def test_options_about_orders_do_not_go_with_claims(ordervet, files: Path, option: tuple[str, ...]) -> None:
    ended = ordervet("score", files / "orders.csv", "--claims", *option)

    assert ended.code == 3
    assert f"--claims does not go with {option[0]}" in ended.err


def test_files_without_a_request_are_one_error(ordervet, files: Path, tmp_path: Path) -> None:
    ended = ordervet("score", files / "orders.csv", "--claims")
    assert (ended.code, "there is no refund request in orders.csv" in ended.err) == (3, True)

    history = tmp_path / "none"
    ended = ordervet("score", files / "outcomes.csv", "--claims", "--history", history)
    assert (ended.code, history.exists()) == (3, False)


def fill_in(book: Path, filled: Path, lang: str) -> tuple[dict[str, list[list[Any]]], str]:
    """Judge the first request of a queue as its desk would; return the sheets of answers, and its order."""
    words = find_words("workbook", lang)["columns"]
    kind = {"zh": ("恶意", "仅退款"), "en": ("malicious", "refund_only_abuse")}[lang]
    choice = dict(zip(("verdict", "kind", "decided_at"), (*kind, "2026-06-01 10:00"), strict=True))
    sheets, judged = {}, ""
    workbook = python_calamine.CalamineWorkbook.from_path(book)
    with xlsxwriter.Workbook(str(filled)) as copy:
        for name in workbook.sheet_names:
            head, *rows = workbook.get_sheet_by_name(name).to_python()
            sheet = copy.add_worksheet(name)
            if head[0] == words["rank"]:
                sheets[name] = rows
                if not judged:
                    judged = str(rows[0][head.index(words["order_id"])])
                    for column, value in choice.items():
                        rows[0][head.index(words[column])] = value
            for at, row in enumerate([head, *rows]):
                sheet.write_row(at, 0, [str(value) if isinstance(value, datetime) else value for value in row])
    return sheets, judged


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_requests_are_a_queue_whose_verdicts_are_taken_back(ordervet, files: Path, tmp_path: Path, lang: str) -> None:
    known, asked = split_requests(files, tmp_path, 20)
    history, book, page = (tmp_path / name for name in ("history", "requests.xlsx", "requests.html"))
    assert ordervet("ingest", files / "orders.csv", known, "--history", history).code == 0

    written = ordervet(
        "score", asked, "--claims", "--history", history, "--out", book, "--report", page, "--lang", lang
    )
    sheets, judged = fill_in(book, tmp_path / "filled.xlsx", lang)
    taken = ordervet("ingest", tmp_path / "filled.xlsx", "--history", history, "--json")

    assert written.code == 0
    answers = [text.capitalize() for text in find_words("answers", lang).values()]
    assert set(sheets) <= set(answers)
    assert len(sheets) > 1
    assert sum(map(len, sheets.values())) == 20
    assert all(row[1].capitalize() == name for name, rows in sheets.items() for row in rows)
    assert all(row[2] in row[20] and row[2] in row[21] for rows in sheets.values() for row in rows)
    assert find_words("request_queue", lang)["title"] in page.read_text("utf-8")
    verdicts = History.open(history, Key(bytes(range(16)))).read().verdicts
    assert taken.code == 0
    assert verdicts.select(["order_id", "verdict", "kind"]).to_pylist() == [
        {"order_id": judged, "verdict": "malicious", "kind": "refund_only_abuse"}
    ]


def test_desk_with_places_for_some_answers_the_same_file_the_same(ordervet, files: Path, tmp_path: Path) -> None:
    known, asked = split_requests(files, tmp_path, 40)
    history, policy = tmp_path / "history", tmp_path / "policy.toml"
    policy.write_text(HEAD + "[claims]\npay_below = 0.0\nperson_from = 0.0\n")
    assert ordervet("ingest", files / "orders.csv", known, "--history", history).code == 0
    score = ("score", asked, "--claims", "--history", history, "--policy", policy, "--json", "--top", "99")

    free = ordervet(*score, "--dry-run").json
    first = ordervet(*score, "--capacity", "1").json
    again = ordervet(*score, "--capacity", "40").json

    codes = [code for row in first["claims"] for code in row["applied"]]
    assert {"capacity_full", "capacity_beyond"} <= set(codes)
    assert not any(code.startswith("capacity") for row in free["claims"] for code in row["applied"])
    assert first["answers"]["person"] < free["answers"]["person"]
    assert again["claims"] == first["claims"]


def test_rows_of_requests_that_are_wrong_are_set_aside(ordervet, files: Path, tmp_path: Path) -> None:
    known, asked = split_requests(files, tmp_path, 5)
    broken = asked.read_text("utf-8").replace(",refund_requested,", ",refund_requsted,", 1)
    asked.write_text(broken, "utf-8")

    ended = ordervet("score", files / "orders.csv", known, asked, "--claims", "--out", tmp_path / "claims.csv")

    assert ended.code == 4
    assert '"requests.csv",0,' in (tmp_path / "claims.quarantine.csv").read_text("utf-8-sig")
