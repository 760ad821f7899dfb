"""The boards before, during and after a campaign, from a history of a simulated season."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import python_calamine
from rich.cells import cell_len

from ordervet.entities import Key
from ordervet.history import History
from ordervet.policy.capacity import Capacity
from ordervet.words import find_words

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events

EVENING = "2025-11-10 20:00"
KEY = Key(bytes(range(16)))


@pytest.fixture(scope="session")
def season(merchant: Events, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season") / "history"
    History.open(folder, KEY, create=True).ingest(merchant)
    return folder


@pytest.fixture
def campaign(ordervet, season: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())

    def call(board: str, *arguments: object, lang: str = "en") -> Any:
        common = ("--history", season, "--models", models_dir, "--lang", lang)
        return ordervet("campaign", board, *common, *arguments)

    return call


@pytest.mark.parametrize("board", ["plan", "watch", "review"])
def test_help_has_an_example_and_the_exit_codes(ordervet, board: str) -> None:
    ended = ordervet("campaign", board, "--help")

    assert ended.code == 0
    assert f"Example: ordervet campaign {board} --history history" in " ".join(ended.out.split())
    assert "Exit codes:" in ended.out


def test_plan_grows_the_hours_it_is_measured_by(campaign) -> None:
    once = campaign("plan", "--like", EVENING, "--hours", 3, "--json").json
    grown = campaign(
        "plan", "--like", EVENING, "--hours", 3, "--growth", 2, "--start", "2026-06-17 20:00", "--json"
    ).json

    assert [hour["orders"] * 2 for hour in once["hours"]] == [hour["orders"] for hour in grown["hours"]]
    assert grown["hours"][0]["hour"] == "2026-06-17T20:00:00"
    assert all(hour["orders"] >= hour["flags"] >= hour["holds"] for hour in once["hours"])
    doubled = {row["volume"]: row for row in once["sections"]["desk"]}["×2"]
    assert doubled["flags"] == pytest.approx(sum(hour["flags"] for hour in grown["hours"]))
    assert doubled["minutes"] == pytest.approx(3 * doubled["flags"])


def test_plan_finds_the_busiest_hours(campaign) -> None:
    found = campaign("plan", "--hours", 4, "--json").json
    evening = campaign("plan", "--hours", 4, "--like", EVENING, "--json").json

    assert sum(hour["orders"] for hour in found["hours"]) >= sum(hour["orders"] for hour in evening["hours"])


def test_thresholds_fall_and_cover_more_as_capacity_grows(campaign) -> None:
    rows = campaign("plan", "--like", EVENING, "--capacity", 20, "--json").json["sections"]["thresholds"]

    assert [row["capacity"] for row in rows] == [10, 20, 30, 40]
    assert [row["p_from"] for row in rows] == sorted((row["p_from"] for row in rows), reverse=True)
    assert [row["risk_share"] for row in rows] == sorted(row["risk_share"] for row in rows)


def test_plan_writes_what_a_policy_reads(campaign) -> None:
    told = campaign("plan", "--like", EVENING, "--hours", 6, "--capacity", 50, "--json").json

    settings = tomllib.loads("\n".join(told["sections"]["policy"]))["capacity"]
    capacity = Capacity.model_validate(settings)
    assert capacity.n == 50
    assert (capacity.shifts[0].start, capacity.shifts[0].end) == ("20:00", "02:00")
    assert list(capacity.plan.values()) == [round(hour["orders"]) for hour in told["hours"]]


def test_watch_compares_with_the_plan_and_does_not_see_later(campaign, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(campaign("plan", "--like", EVENING, "--start", EVENING, "--json").out, encoding="utf-8")

    early = campaign("watch", "--plan", plan, "--now", "2025-11-10 21:30", "--json").json
    late = campaign("watch", "--plan", plan, "--now", "2025-11-10 23:59:59", "--json").json

    assert early["orders"] < late["orders"]
    assert sum(row["orders"] for row in late["sections"]["hours"]) == late["orders"]
    assert late["pace"]["orders_ratio"] == pytest.approx(1.0, abs=0.01)
    assert late["pace"]["flags_ratio"] == pytest.approx(1.0, abs=0.05)
    assert sum(row["flags"] for row in late["sections"]["channels"]) == late["flags"]
    assert late["backlog"] <= late["flags"]
    assert all(row["buyers"] >= 2 and row["orders"] >= row["flags"] >= 2 for row in late["sections"]["rings"])


def test_review_accounts_for_every_flagged_order(campaign) -> None:
    told = campaign("review", "--start", "2025-11-01", "--end", "2025-11-20", "--as-of", "2025-12-05", "--json").json

    totals = told["totals"]
    parts = ("confirmed", "wrong", "unsure", "open_immature", "open_mature")
    assert totals["flags"] == sum(totals[name] for name in parts)
    assert totals["flags_minor"] == sum(totals[f"{name}_minor"] for name in parts)
    assert totals["confirmed"] > 0
    assert told["minutes"] == 3 * (totals["confirmed"] + totals["wrong"] + totals["unsure"])
    for section in ("kinds", "bands", "channel_results"):
        rows = told["sections"][section]
        assert sum(row["flags"] for row in rows) == totals["flags"]
        assert sum(row["missed"] for row in rows) == totals["missed"]
    shifts = told["sections"]["shifts"]
    assert [sum(row[name] for row in shifts) for name in ("flags", "confirmed", "wrong")] == [
        totals["flags"], totals["confirmed"], totals["wrong"],
    ]  # fmt: skip
    assert sum(row["held_amount"] for row in shifts) == totals["held_minor"]
    assert sum(row["orders"] for row in told["sections"]["desk"]) == totals["flags"]
    assert told["sections"]["next_time"]


def test_review_counts_refund_requests_by_answer_and_what_became_of_them(
    ordervet, season: Path, merchant: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    span = ("--start", "2025-11-01", "--end", "2025-11-20")
    told = ordervet("campaign", "review", "--history", season, *span, "--json", "--lang", "en").json
    rows = told["sections"]["requests"]

    placed = {row["order_id"]: row["placed_at"] for row in merchant.orders.to_pylist()}
    start, end = (datetime(2025, 11, day, tzinfo=ZoneInfo("Asia/Shanghai")) for day in (1, 20))
    kinds: dict[str, list[str]] = {}
    for row in merchant.outcomes.to_pylist():
        if start <= placed[row["order_id"]] < end:
            kinds.setdefault(row["order_id"], []).append(row["kind"])
    asked = [name for name, each in kinds.items() for kind in each if kind == "refund_requested"]
    assert [row["answer"] for row in rows] == ["a person decides", "ask for pictures", "goods first", "refund at once"]
    assert sum(row["requests"] for row in rows) == len(asked) > 50
    assert sum(row["refunded"] for row in rows) == sum("refund_completed" in kinds[name] for name in asked) > 0
    assert sum(row["rejected"] for row in rows) == sum("refund_rejected" in kinds[name] for name in asked)
    assert all(row["requests"] == row["n_malicious"] + row["n_innocent"] + row["open"] for row in rows)
    assert sum(row["n_malicious"] for row in rows) > 0


def test_review_says_what_is_immature(campaign) -> None:
    span = ("--start", "2025-11-01", "--end", "2025-11-20")

    soon = campaign("review", *span, "--as-of", "2025-11-21", "--json").json
    late = campaign("review", *span, "--as-of", "2026-03-01", "--json").json

    assert soon["n_immature"] > 0
    assert any("cannot count as innocent yet" in warning for warning in soon["warnings"])
    assert late["n_immature"] == 0


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("board", ["plan", "watch", "review"])
def test_boards_are_a_page_a_book_and_a_screen(campaign, tmp_path: Path, board: str, lang: str) -> None:
    start = ("--start", EVENING) if board != "plan" else ("--like", EVENING)
    targets = ("--out", tmp_path / "b.xlsx", "--report", tmp_path / "b.html")

    ended = campaign(board, *start, *targets, lang=lang)

    title = find_words(f"campaign.{board}", lang)["title"]
    page = (tmp_path / "b.html").read_text(encoding="utf-8")
    assert ended.code == 0
    assert title in ended.out
    assert title in page
    assert "<svg" in page
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"<script|https?://|style=", page)
    names = python_calamine.CalamineWorkbook.from_path(tmp_path / "b.xlsx").sheet_names
    assert len(names) >= 4
    tables = [line for line in ended.out.splitlines() if re.search(r"\d  +\S", line)]
    assert max(map(cell_len, tables)) <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "--like", "2030-01-01"), "--like: the history has no order in those hours"),
        (("plan", "--like", "soon"), "--like: got soon, expected a time"),
        (("watch", "--start", "2030-01-01", "--now", "2025-12-01"), "--start: the campaign would begin after its end"),
        (("watch", "--now", "2000-01-01"), "has no order until then"),
        (("review", "--start", "2025-11-01", "--out", "x.csv"), "cannot write x.csv: unknown ending"),
        (("watch", "--plan", "no-such.json"), "cannot read no-such.json"),
    ],
)
def test_what_cannot_be_shown_is_one_error(campaign, arguments: tuple, message: str) -> None:
    ended = campaign(*arguments)

    assert ended.code == 3
    assert message in ended.err


@pytest.mark.parametrize("text", ["{}", "no json", '{"board": "plan", "hours": [], "n_hours": 0}', "[1]"])
def test_file_that_is_no_plan_is_one_error(campaign, tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")

    ended = campaign("watch", "--plan", tmp_path / "plan.json")

    assert ended.code == 3
    assert "plan.json is no plan" in ended.err


def test_plan_counts_what_expires_on_a_list(campaign, tmp_path: Path) -> None:
    rows = ("list,entity,value,expires,owner", "allow,buyer,b1,2025-01-01,desk", "deny,buyer,b2,2099-01-01,desk")
    (tmp_path / "lists.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")

    checks = campaign("plan", "--list", tmp_path / "lists.csv", "--json").json["sections"]["checklist"]

    assert any("2 list entries: 1 expire before the campaign, 0 during it" in line for line in checks)


def test_amounts_of_several_currencies_are_told_in_one(
    ordervet, models_dir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    rows = (
        "order_id,placed_at,amount_minor,currency",
        "t1,2025-11-01,100,USD",
        "t2,2025-11-01,100,EUR",
        "t3,2025-11-01,9,USD",
    )
    (tmp_path / "orders.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    ordervet("ingest", tmp_path / "orders.csv", "--history", tmp_path / "history")

    ended = ordervet("campaign", "watch", "--history", tmp_path / "history", "--models", models_dir, "--lang", "en")

    assert "0 yuan held" in ended.out
    assert "Amounts (USD, EUR) are converted to CNY" in ended.out
