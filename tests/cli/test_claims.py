from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ordervet.lab.simulate import SimulationSettings, simulate, write_simulation

if TYPE_CHECKING:
    from pathlib import Path


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
    "option", [("--capacity", "5"), ("--again",), ("--report", "queue.html"), ("--since", "2025-11-11")]
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
