"""`score --hold-list` and `--shifts`: what the ERP is told as verdicts come in, and what the desk gets per shift."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from ordervet.contract import write_table

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events

VERDICTS = "order_id,verdict,kind,by,decided_at\n"


@pytest.fixture
def files(merchant: Events, tmp_path: Path) -> list[Path]:
    """Write orders and what became of them until the last third were placed: these can still be stopped."""
    placed_at = merchant.orders["placed_at"].sort()
    known = merchant.outcomes.filter(pc.less(merchant.outcomes["happened_at"], placed_at[2 * len(placed_at) // 3]))
    paths = [tmp_path / "orders.parquet", tmp_path / "outcomes.parquet"]
    for table, path in zip((merchant.orders, known), paths, strict=True):
        write_table(table, path)
    return paths


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_hold_list_is_brought_up_to_date_as_verdicts_release_orders(
    ordervet, files, models_dir, tmp_path: Path
) -> None:
    holds, released = tmp_path / "erp" / "holds.csv", tmp_path / "erp" / "holds.released.csv"
    common = ("score", *files, "--models", models_dir, "--hold-list", holds, "--top", 0, "--lang", "en")

    first = ordervet(*common)
    stopped = read_rows(holds)
    verdicts = tmp_path / "verdicts.csv"
    verdicts.write_text(VERDICTS + f"{stopped[0]['order_id']},innocent,,desk,2026-06-01 10:00:00\n", encoding="utf-8")
    second = ordervet(*common[:3], verdicts, *common[3:])

    assert first.code == second.code == 0
    assert f"hold list: {len(stopped)} orders ({len(stopped)} new)" in first.out
    assert "release list: 1 (1 new)" in second.out
    assert [row["order_id"] for row in read_rows(released)] == [stopped[0]["order_id"]]
    assert stopped[0]["order_id"] not in {row["order_id"] for row in read_rows(holds)}
    assert {row["action"] for row in stopped} <= {"hold", "confirm"}
    assert max(sum(other["batch"] == row["batch"] for other in stopped) for row in stopped) <= 20


def test_score_with_shifts_gives_each_shift_its_share(ordervet, files, models_dir, tmp_path: Path) -> None:
    target = tmp_path / "flags.parquet"

    ended = ordervet(
        "score", *files, "--models", models_dir, "--capacity", 4, "--shifts", "20:00-24:00", "--all", "--out", target
    )  # fmt: skip

    rows = pq.read_table(target).to_pylist()
    per_day: dict[str, int] = {}
    for row in rows:
        if row["action"] != "pass" and row["kind"] not in {"professional_claim", "review_extortion"}:
            day = row["placed_at"].astimezone(ZoneInfo("Asia/Shanghai")).date().isoformat()
            per_day[day] = per_day.get(day, 0) + 1
    assert ended.code == 0
    assert max(per_day.values()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shifts", "8-9", "--capacity", "5"), "--shifts: got 8-9"),
        (("--shifts", "20:00-24:00"), "give n or per_hour"),
        (("--hold-list", "holds.txt"), "unknown ending"),
    ],
)
def test_score_refuses_wrong_shifts_and_hold_lists_before_any_work(ordervet, files, arguments, message: str) -> None:
    ended = ordervet("score", *files, *arguments)

    assert ended.code == 3
    assert message in ended.err
