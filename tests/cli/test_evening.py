"""An evening as the guide has it: the queue is written every half hour, verdicts come back in between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ordervet.entities import Key
from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.lab.simulate import Simulation

N = 20
HALF_HOUR_US = 1_768_464_000
DAY_US = 48 * HALF_HOUR_US
EAST_US = 8 * 2 * HALF_HOUR_US


def write_time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).isoformat()


def take(table: pa.Table, from_us: int, to_us: int) -> pa.Table:
    seen_at = table["seen_at"].cast(pa.int64()).to_numpy()
    return table.filter(pa.array((seen_at >= from_us) & (seen_at < to_us)))


def find_busiest_day(merchant: Simulation) -> int:
    """Return when the day of most orders begins, UTC microseconds."""
    days = (merchant.orders["seen_at"].cast(pa.int64()).to_numpy() + EAST_US) // DAY_US
    return int(np.bincount(days).argmax()) * DAY_US - EAST_US


def write_past(merchant: Simulation, start_us: int, folder: Path) -> list[Path]:
    paths = []
    for kind in ("orders", "outcomes", "verdicts", "corrections"):
        paths.append(folder / f"{kind}_past.parquet")
        pq.write_table(take(getattr(merchant, kind), 0, start_us), paths[-1])
    return paths


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_evening_in_half_hours_hands_on_the_capacity_and_asks_about_nothing_twice(
    ordervet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", Key(bytes(range(16))).to_hex())
    merchant = simulate(SimulationSettings(n_orders=4_000, seed=seed, malicious_share=0.06))
    is_malicious = dict(zip(*(merchant.truth[name].to_pylist() for name in ("order_id", "is_malicious")), strict=True))
    start = find_busiest_day(merchant)
    past = write_past(merchant, start, tmp_path)
    for name in ("history", "at_once"):
        assert ordervet("ingest", *past, "--history", tmp_path / name).code == 0
    tonight, verdicts = tmp_path / "orders_tonight.parquet", tmp_path / "verdicts.csv"

    def score(history: str, at_us: int, *more: object) -> list[dict[str, Any]]:
        ended = ordervet(
            "score", tonight, "--history", tmp_path / history, "--capacity", N, "--shifts", "20:00-24:00",
            "--now", write_time(at_us), "--top", 10_000, "--json", *more,
        )  # fmt: skip
        flagged: list[dict[str, Any]] = ended.json["flagged"]
        return flagged

    handed: list[str] = []
    judged: set[str] = set()
    for at_us in range(start + 41 * HALF_HOUR_US, start + DAY_US + 1, HALF_HOUR_US):
        pq.write_table(take(merchant.orders, start, at_us), tonight)
        shown = score("history", at_us)
        assert not judged & {each["order_id"] for each in shown}
        assert {each["order_id"] for each in shown if "desk_handed" in each["applied"]} == set(handed) - judged
        new = [each["order_id"] for each in shown if "desk_handed" not in each["applied"]]
        handed += new
        judged |= set(new[::2])
        rows = [f"{each},{'malicious' if is_malicious[each] else 'innocent'},{write_time(at_us)}" for each in new[::2]]
        verdicts.write_text("\n".join(["order_id,verdict,decided_at", *rows]) + "\n", "utf-8")
        assert ordervet("ingest", verdicts, "--history", tmp_path / "history").code == 0
    at_once = [each["order_id"] for each in score("at_once", start + DAY_US, "--dry-run")]

    assert len(handed) == len(set(handed)) == len(at_once) == N
    amounts = dict(zip(*(merchant.orders[name].to_pylist() for name in ("order_id", "amount_minor")), strict=True))
    bad = {name for name in pq.read_table(tonight)["order_id"].to_pylist() if is_malicious[name]}
    caught, best = (sum(amounts[each] for each in bad.intersection(ids)) for ids in (handed, at_once))
    assert caught >= best - 0.03 * sum(amounts[each] for each in bad)
