"""A large file is scored in chunks as it is scored whole."""

from __future__ import annotations

import gzip
import importlib.resources
import re
import signal
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from contract.formats.tmall_exports import write_tmall
from ordervet.cli import score, streaming
from ordervet.contract import write_table
from ordervet.contract.files import csv_rows, json_rows, opening, whole_orders
from ordervet.entities import Key, key_events
from ordervet.history import History, ingest
from ordervet.score.stream import stream_scores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ordervet.contract import Events
    from ordervet.entities import KeyedEvents
    from ordervet.lab.simulate import Simulation


@pytest.fixture
def orders(merchant: Events) -> pa.Table:
    return merchant.orders.sort_by("placed_at").slice(0, 2_000)


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Take any file for a large one, and note how many orders each chunk has."""
    sizes: list[int] = []
    find, stream = streaming.find_streamable, stream_scores

    def note(*arguments: Any) -> Iterator[Any]:
        for chunk in stream(*arguments):
            sizes.append(chunk.n_orders)
            yield chunk

    monkeypatch.setattr(score, "find_streamable", lambda files: find(files, min_rows=1))
    monkeypatch.setattr(streaming, "stream_scores", note)
    monkeypatch.setattr(streaming, "CHUNK_ROWS", 300)
    monkeypatch.setattr(whole_orders, "_ROWS_PER_PIECE", 300)
    monkeypatch.setattr(csv_rows, "_LONG_BLOCK", 2**15)
    monkeypatch.setattr(json_rows, "_LINES_AT_ONCE", 300)
    monkeypatch.setattr(streaming, "keep_freed_memory", lambda: True)  # it would last for all tests
    return sizes


@pytest.fixture
def _listening() -> Iterator[None]:
    """Take notice of interrupts, also where the tests run in the background, which are deaf to them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def score_both_ways(orders: pa.Table, folder: Path, ordervet, models_dir: Path, *options: str) -> tuple[dict, dict]:
    """Score the orders from Parquet, which goes in chunks, and from Arrow, which does not."""
    told = []
    for name in ("orders.parquet", "orders.arrow"):
        path = folder / name
        if name.endswith("parquet"):
            pq.write_table(orders, path)
        else:
            with pa.ipc.new_file(path, orders.schema) as file:
                file.write(orders)
        out = folder / f"{name}.csv"
        ended = ordervet("score", path, "--models", models_dir, "--json", "--top", 50, "--out", out, *options)
        content = ended.json | {"code": ended.code, "out": out.read_text(encoding="utf-8")}
        told.append({key: value for key, value in content.items() if key != "elapsed_s"})
    for each in told:
        for file in each["files"]:
            file["file"] = ""
    return told[0], told[1]


def test_chunks_give_what_the_whole_file_gives(orders, chunks, tmp_path: Path, ordervet, models_dir: Path) -> None:
    in_chunks, whole = score_both_ways(orders, tmp_path, ordervet, models_dir)

    assert in_chunks == whole
    assert in_chunks["n_flagged"] > 10
    assert chunks == [300] * 6 + [200]


@pytest.mark.parametrize(("now", "counts"), [(None, False), ("2025-12-31", True), ("2026-01-01 08:00", False)])
def test_rule_ends_by_the_clock_or_the_time_given(
    now, counts, orders, chunks, tmp_path: Path, ordervet, models_dir: Path
) -> None:
    policy = tmp_path / "policy.toml"
    default = importlib.resources.files("ordervet.policy").joinpath("default_policy.toml").read_text("utf-8")
    rule = (
        '\n[[rules]]\nname = "all"\nwhen = "amount_minor > 0"\naction = "review"\nowner = "x"\nexpires = 2026-01-01\n'
    )
    policy.write_text(default + rule, encoding="utf-8")
    options = ("--policy", policy, *(("--now", now) if now else ()))

    in_chunks, whole = score_both_ways(orders.slice(0, 400), tmp_path, ordervet, models_dir, *map(str, options))

    assert in_chunks == whole
    assert (in_chunks["n_flagged"] == 400) is counts
    assert chunks == [300, 100]


@pytest.mark.parametrize("options", [[], ["--all"]], ids=["flagged", "all"])
@pytest.mark.parametrize("fault", ["", "order", "row", "cut"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl"])
def test_text_goes_in_chunks_as_it_goes_whole(
    ending, fault, options, orders, chunks, tmp_path: Path, ordervet, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "order":
        orders = pa.concat_tables([orders.slice(1_000), orders.slice(0, 1_000)])
    path = tmp_path / f"orders.{ending}"
    write_table(orders, path.with_suffix("") if ending == "csv.gz" else path)
    data = (path.with_suffix("") if ending == "csv.gz" else path).read_bytes()
    if fault == "row":
        data += b"only,this\n" if ending != "jsonl" else b'{"order_id": "x", "placed_at": "soon", "amount_minor": 1}\n'
    data = data[:-9] if fault == "cut" else data
    path.write_bytes(gzip.compress(data) if ending == "csv.gz" else data)
    told = []

    for max_piece in (0, 2**40):
        monkeypatch.setattr(opening, "MAX_PIECE", max_piece)
        out = tmp_path / f"{max_piece}.csv"
        ended = ordervet("score", path, "--models", models_dir, "--json", "--top", 50, "--out", out, *options)
        said = re.sub(r'"elapsed_s": [0-9.]+', "", ended.out.replace(out.name, ""))
        told.append((ended.code, said, ended.err, out.read_text("utf-8") if out.exists() else ""))

    assert told[0] == told[1]
    if not fault:
        assert sum(chunks) == len(orders)
        assert len(chunks) > 1


@pytest.mark.parametrize("options", [["--all"], ["--all", "--explain-all"]], ids=" ".join)
def test_all_orders_are_written_as_they_come(options, orders, chunks, tmp_path: Path, ordervet, models_dir) -> None:
    in_chunks, whole = score_both_ways(orders, tmp_path, ordervet, models_dir, *options)

    assert in_chunks == whole
    assert in_chunks["out"].count("\n") == len(orders) + 1
    assert len(chunks) == 7
    header, *lines = in_chunks["out"].splitlines()
    at = header.replace('"', "").split(",").index("reasons")
    n_explained = sum("R" in line.split(",")[at] for line in lines)
    assert (n_explained > len(orders) / 2) == ("--explain-all" in options)


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_all_orders_are_written_to_any_file(
    ending, orders, chunks, tmp_path: Path, ordervet, models_dir, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(orders, tmp_path / "orders.parquet")
    outs = [tmp_path / f"{name}.{ending}" for name in ("streamed", "whole")]

    for out in outs:
        ordervet("score", tmp_path / "orders.parquet", "--models", models_dir, "--all", "--out", out)
        monkeypatch.setattr(streaming, "CHUNK_ROWS", 10**6)

    assert outs[0].stat().st_size > 1_000
    if ending == "jsonl":
        assert outs[0].read_text(encoding="utf-8") == outs[1].read_text(encoding="utf-8")
    else:
        assert pq.read_table(outs[0]).equals(pq.read_table(outs[1]))
    assert chunks == [300] * 6 + [200, 2_000]


@pytest.mark.usefixtures("_listening")
@pytest.mark.parametrize("options", [[], ["--all"]], ids=["flagged", "all"])
def test_an_interrupt_leaves_nothing_half_written(
    options, orders, tmp_path: Path, ordervet, models_dir: Path, chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> Iterator[Any]:
        for number, chunk in enumerate(stream(*arguments)):
            if number == 4:
                found.extend(path.name for path in tmp_path.iterdir())
                signal.raise_signal(signal.SIGINT)
            yield chunk

    pq.write_table(orders, tmp_path / "orders.parquet")
    stream, found, out = vars(streaming)["stream_scores"], [], tmp_path / "flags.csv"
    out.write_text("what stood there", encoding="utf-8")
    monkeypatch.setattr(streaming, "stream_scores", interrupt)

    ended = ordervet("score", tmp_path / "orders.parquet", "--models", models_dir, "--out", out, *options)

    assert ended.code != 0
    assert any(name.endswith(".part") for name in found) == bool(options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flags.csv", "orders.parquet"]
    assert out.read_text(encoding="utf-8") == "what stood there"
    assert len(chunks) == 5


@pytest.mark.parametrize("options", [[], ["--all"]], ids=["flagged", "all"])
@pytest.mark.parametrize("fault", ["order", "twice", "row"])
@pytest.mark.usefixtures("chunks")
def test_a_file_with_faults_is_read_whole(fault, options, orders, tmp_path: Path, ordervet, models_dir: Path) -> None:
    if fault == "order":
        orders = pa.concat_tables([orders.slice(1_000), orders.slice(0, 1_000)])
    elif fault == "twice":
        orders = pa.concat_tables([orders, orders.slice(1_999)])
    else:
        amounts = pa.array([-1, *orders["amount_minor"].to_pylist()[1:]])
        orders = orders.set_column(orders.column_names.index("amount_minor"), "amount_minor", amounts)

    in_chunks, whole = score_both_ways(orders, tmp_path, ordervet, models_dir, *options)

    assert in_chunks == whole
    assert in_chunks["n_orders"] == 2_000 - (fault == "row")


@pytest.mark.parametrize("options", [(), ("--capacity", 9), ("--history",)], ids=["plain", "capacity", "history"])
def test_a_long_export_is_scored_in_pieces_as_it_is_whole(
    options, simulation: Simulation, tmp_path: Path, ordervet, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", Key(bytes(range(16))).to_hex())
    exports = write_tmall(cut_first(simulation, 900), tmp_path)
    told, n_alive = [], []
    note_alive_pieces(monkeypatch, n_alive)
    monkeypatch.setattr(whole_orders, "_ROWS_PER_PIECE", 100)
    monkeypatch.setattr(csv_rows, "_LONG_BLOCK", 2**13)

    for max_piece in (0, 2**40):
        monkeypatch.setattr(opening, "MAX_PIECE", max_piece)
        out, history = tmp_path / f"{max_piece}.csv", tmp_path / f"history{max_piece}"
        how = ("--history", history) if options == ("--history",) else options
        ended = ordervet("score", *exports, "--models", models_dir, "--json", "--top", 50, "--out", out, *how)
        events = History.open(history, Key(bytes(range(16)))).read() if history.exists() else None
        content = {name: value for name, value in ended.json.items() if name != "elapsed_s"}
        told.append((ended.code, content, out.read_text("utf-8"), events))

    assert told[0] == told[1]
    assert told[0][1]["n_flagged"] > 5
    assert len(n_alive) > 12
    assert max(n_alive) == 1


def cut_first(simulation: Simulation, n_orders: int) -> Simulation:
    """Take the first orders of a merchant, and what became of them."""
    orders = simulation.orders.slice(0, n_orders)
    is_theirs = pc.is_in(simulation.outcomes["order_id"], orders["order_id"].combine_chunks())
    return replace(simulation, orders=orders, outcomes=simulation.outcomes.filter(is_theirs))


def note_alive_pieces(monkeypatch: pytest.MonkeyPatch, found: list[int]) -> None:
    """Note, whenever a piece of a file is keyed, of how many pieces the orders are in memory as they stood."""
    pieces: list[weakref.ref[pa.Table]] = []

    def note(events: Events, key: Key) -> KeyedEvents:
        pieces.append(weakref.ref(events.orders))
        found.append(sum(piece() is not None for piece in pieces))
        return key_events(events, key)

    monkeypatch.setattr(ingest, "key_events", note)


def test_only_one_file_of_orders_is_scored_in_chunks(orders, merchant: Events, tmp_path: Path) -> None:
    for name, table in {"orders": orders, "outcomes": merchant.outcomes, "odd": pa.table({"x": [1]})}.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    found = [streaming.find_streamable([path], min_rows=1) for path in sorted(tmp_path.iterdir())]

    assert [path and path.name for path in found] == [None, None, "orders.parquet", None]
    assert streaming.find_streamable([tmp_path / "orders.parquet"]) is None
    assert streaming.find_streamable([tmp_path / "orders.parquet"] * 2, min_rows=1) is None
