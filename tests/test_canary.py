"""Marked people go through every command, error and file: nothing of them is found anywhere but in the input.

A new command needs a line in RUNS; without one, a test fails.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from canary import MARKS, TELLING, find_marks, find_marks_in, look_into, mark_orders
from ordervet import Order, Outcome, Scorer
from ordervet.cli import ENTRIES, load_command, run
from ordervet.contract import Events, event_schema
from ordervet.contract.fields import fields_of
from ordervet.entities import Key
from ordervet.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ordervet.lab.simulate import Simulation

KEY = Key(bytes(range(16)))
NIGHT = """
[maturity]
order_days = 0
[learning]
holdout_days = 60
[gates]
lookalike_orders = 0
[fit]
num_rounds = 3
num_leaves = 7
min_data_in_leaf = 20
"""
N_ORDERS, N_MARKED = 2_500, 60

#: Command → lines to run, each after its exit code (0|6|7: there may be too little to learn, or a gate refuses).
#: {files}: orders, outcomes, verdicts; {all}: more of them, enough to learn from; {inputs}: the folder of these and of
#: the wrong files; {history}: with {files} in it; {long}: with {all}; {models}: learned from others, and {mine}: a copy
#: of them; {model}: the one of them; {out}: to write into; {order}: a marked order; {address}: a marked address.
RUNS: dict[str, tuple[str, ...]] = {
    "ingest": (
        "0 {files} --history {out}/new --json",
        "4 {inputs}/bad.csv --history {history} --quarantine {out}/aside.csv",
        "4 {inputs}/bad.csv --history {history} --quarantine {out}/aside.parquet --json",
        "4 {inputs}/bad.csv --history {history} --quarantine {out}/aside.xlsx",
        "0 {inputs}/tmall.csv --history {out}/tmall",
        "3 {inputs}/headless.csv --history {history}",
        "3 {inputs}/broken.parquet --history {history}",
        "3 {inputs}/broken.xlsx --history {history}",
        "3 {inputs}/broken.jsonl --history {history}",
        "3 {inputs}/orders.parquet --mapping {inputs}/wrong.toml --history {history}",
        "3 {inputs}/orders.parquet --mapping {inputs}/telling.toml --history {history}",
        "3 {inputs}/orders.parquet --history {inputs}/foreign",
    ),
    "score": (
        "0 {files} --models {models} --all --top 50 --out {out}/flags.csv",
        "0 {files} --models {models} --all --out {out}/flags.xlsx --lang zh",
        "0 {files} --models {models} --all --out {out}/flags.jsonl --json --top 100",
        "0 {inputs}/orders.parquet --models {models} --history {history} --out {out}/flags.parquet",
        "4 {inputs}/bad.csv {inputs}/orders.parquet --models {models} --out {out}/some.csv",
        "0 {inputs}/tmall.csv --models {models} --all --out {out}/tmall.csv",
        "3 {inputs}/headless.csv --models {models}",
        "3 {inputs}/broken.parquet --models {models}",
    ),
    "explain": (
        "0 {order} {files} --models {models}",
        "0 {order} --history {history} --models {models} --json",
        "3 {order} {inputs}/broken.jsonl --models {models}",
        "0 --buyer {buyer} --history {history} --models {models} --report {out}/buyer.html --out {out}/buyer.xlsx",
        "0 --ring {order} --history {history} --models {models} --json",
    ),
    "correct": ("0 {order} --history {history}", "3 {order} --history {inputs}/foreign", "3 none --history {history}"),
    "history verify": (
        "0 --history {history} --json",
        "0 --history {history} --repair --backup {long}",
        "3 --history {inputs}",
    ),
    "history publish": (
        "0 file://{out}/published --history {history} --snapshots",
        "0 file://{out}/published --history {history} --json",
        "3 s3:// --history {history}",
    ),
    "erase": (
        "0 {buyer} --history {history} --yes --json",
        "0 {buyer} --history {history} --lift",
        "3 {buyer} --history {inputs}/foreign --yes",
    ),
    "serve": (  # what it serves: tests/serve/test_serving.py
        "3 --history {out}/none",
        "3 --history {history} --host 127.0.0.1",
        "3 --history {history} --socket-mode 9",
        "3 --history {history} --policy {inputs}/telling.toml",
        "3 --history {history} --host 127.0.0.1 --token-file {inputs}/bad.csv",
    ),
    "validate": (
        "4 {inputs}/bad.csv --out {out}/wrong.csv",
        "4 {inputs}/bad.csv --json",
        "4 {inputs}/shifted.csv --out {out}/wrong.jsonl",
        "3 {inputs}/headless.csv",
        "3 {inputs}/broken.xlsx",
    ),
    "train": (
        "0 {all} --models {out}/models --settings {inputs}/fit.toml",
        "6 --history {history} --models {out}/models --settings {inputs}/fit.toml --json",
        "3 {inputs}/broken.parquet --models {out}/models",
    ),
    "retrain": (
        "0|6|7 --history {long} --models {out}/models --settings {inputs}/night.toml --metrics {out}/night.prom",
        "0|6|7 --history {long} --models {out}/models --settings {inputs}/night.toml --dry-run --json",
        "3 --history {inputs}/foreign --models {out}/models",
    ),
    "models list": ("0 --models {mine}", "0 --models {mine} --json"),
    "models show": ("0 --models {mine}", "5 --models {out}/none"),
    "models compare": ("0 --models {mine}",),
    "models promote": ("0 {model} --models {mine}",),
    "models rollback": ("0 --models {mine}",),
    "models prune": ("0 --models {mine}",),
    "models verify": ("0 --models {mine}",),
    "backtest": ("0 {all} --settings {inputs}/fit.toml", "6 --history {history} --settings {inputs}/fit.toml --json"),
    "lookalikes": ("5 --models {out}/none",),  # it takes no data of anybody's
    "simulate": ("0 --out {out}/simulated --orders 500",),
    "formats": ("0 {inputs}/tmall.csv", "0 {inputs}/tmall.csv --json", "3 {inputs}/broken.xlsx"),
    "address": ("0 --json --compare {address} 南京市",),
    "campaign plan": (
        "0 --history {long} --models {models} --capacity 300 --out {out}/plan.xlsx --report {out}/plan.html",
        "0 --history {long} --models {models} --json",
        "3 --history {inputs}/foreign --models {models}",
    ),
    "campaign watch": ("0 --history {long} --models {models} --report {out}/board.html", "0 --history {long} --json"),
    "campaign review": (
        '0 --history {long} --models {models} --start "2025-10-01 00:00" --out {out}/review.xlsx',
        '3 --history {inputs}/foreign --start "2025-10-01 00:00"',
    ),
    "policy check": ("3 {inputs}/wrong.toml", "3 {inputs}/telling.toml --json"),
    "policy mark": (
        "0 {buyer} --as trusted --until 2030-01-01 --owner desk --list {out}/keys.csv",
        "3 {buyer} --as watched --until soon --owner desk --list {out}/keys.csv",
    ),
    "policy simulate": ("3 {inputs}/telling.toml --history {long}",),
    "scripts list": ("0",),
    "scripts show": ("0 coupon_farming.paid",),
    "scripts page": ("0 {out}/scripts.html",),
    "scripts check": ("0",),
    "key new": ("0 --out {out}/key",),
    "key rotate": (
        "3 {inputs}/bad.csv --history {history} --new-key {inputs}/new.key",
        "3 {inputs}/headless.csv --history {history} --new-key {inputs}/new.key",
        "3 {files} --history {history} --new-key {inputs}/orders.csv",
        "0 {files} --history {history} --new-key {inputs}/new.key",
    ),
    "key id": ("0", "3 --key-file {inputs}/orders.csv"),
}


@dataclass(frozen=True)
class Scene:
    """Where the marked orders are, and where things are written."""

    inputs: Path
    outside: Path
    places: dict[str, str]

    def run(self, line: str) -> tuple[int, str]:
        """Run one line; its exit code, and all that it said."""
        said = io.StringIO()
        logging.getLogger().addHandler(handler := logging.StreamHandler(said))
        argv, sys.argv = sys.argv, ["ordervet", *shlex.split(line.format_map(self.places))]
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended:
                run()
        finally:
            sys.argv = argv
            logging.getLogger().removeHandler(handler)
        return int(ended.value.code or 0), said.getvalue()


@pytest.fixture(scope="module")
def inputs(simulation: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    orders = mark_orders(simulation.orders.sort_by("placed_at").slice(0, N_ORDERS), N_MARKED)
    pq.write_table(orders, folder / "orders.parquet")
    pq.write_table(mark_orders(simulation.orders, N_MARKED), folder / "all-orders.parquet")
    pa_csv.write_csv(orders.slice(0, N_MARKED), folder / "orders.csv")
    for kind in ("outcomes", "verdicts"):
        of_orders = pc.is_in(getattr(simulation, kind)["order_id"], orders["order_id"].combine_chunks())
        pq.write_table(getattr(simulation, kind), folder / f"all-{kind}.parquet")
        pq.write_table(getattr(simulation, kind).filter(of_orders), folder / f"{kind}.parquet")
    write_wrong_files(folder)
    History.open(folder / "foreign", Key(bytes(16)), create=True)
    return folder


def write_wrong_files(folder: Path) -> None:
    rows = list(csv.reader((folder / "orders.csv").read_text(encoding="utf-8").splitlines()))
    header, first = rows[0], rows[1]
    write_csv(folder / "headless.csv", first, *rows[2:5])
    write_csv(folder / "shifted.csv", header, *([*row[1:], row[0]] for row in rows[1:5]))
    write_csv(folder / "bad.csv", header, first, *list_bad_rows(header, first))
    write_tmall(folder / "tmall.csv")
    whole = (folder / "orders.parquet").read_bytes()
    (folder / "broken.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "broken.xlsx").write_bytes(b"PK\3\4" + "".join(first).encode())
    (folder / "broken.jsonl").write_text(json.dumps(MARKS, ensure_ascii=False) + "\n{" + ",".join(first) + "\n")
    (folder / "wrong.toml").write_text(
        '[order]\norder_id = "order_id"\nplaced_at = "address"\namount_minor = "phone"\n'
    )
    (folder / "telling.toml").write_text(f'[order]\norder_id = "{MARKS["phone"]}"\nplaced_at = "{MARKS["address"]}"\n')
    (folder / "night.toml").write_text(NIGHT)
    (folder / "new.key").write_text(bytes(range(7, 23)).hex())
    (folder / "fit.toml").write_text("num_rounds = 3\nnum_leaves = 7\nmin_data_in_leaf = 20\n")


def write_csv(path: Path, *rows: list[str], encoding: str = "utf-8") -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows(rows)


def list_bad_rows(header: list[str], good: list[str]) -> list[list[str]]:
    """For each field a row that holds a mark where none may be, or too much of one."""
    rows = []
    # NOTE: a bare phone number where a number may be is a number; nobody can tell.
    marks = [mark for mark in MARKS.values() if not mark.isdigit()]
    for at, field in enumerate(fields_of(Order)):
        if field.name in header and field.name != "order_id" and (field.kind != "text" or field.is_personal):
            row = [*good]
            row[0] = f"bad-{at}"
            row[header.index(field.name)] = marks[at % len(marks)] * (60 if field.kind == "text" else 1)
            rows.append(row)
    return rows


def write_tmall(path: Path) -> None:
    header = "订单编号,买家会员名,买家支付宝账号,总金额,买家实际支付金额,订单状态,收货人姓名,收货地址,联系手机,宝贝标题"
    person = (MARKS["buyer_id"], MARKS["payment_account"], "12.00", "12.00", "交易成功", MARKS["recipient"])
    where = (MARKS["address"], MARKS["phone"], "毛衣")
    rows = [[f"77{n}", *person, *where, f"2025-11-11 20:00:0{n}"] for n in range(5)]
    write_csv(path, [*header.split(","), "订单创建时间"], *rows, encoding="gb18030")


@pytest.fixture
def scene(
    inputs: Path,
    models_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept_history: Path,
    long_history: Path,
) -> Scene:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    outside = tmp_path / "outside"
    shutil.copytree(kept_history, outside / "history")
    places = {
        "inputs": inputs,
        "files": " ".join(str(inputs / f"{kind}.parquet") for kind in ("orders", "outcomes", "verdicts")),
        "all": " ".join(str(inputs / f"all-{kind}.parquet") for kind in ("orders", "outcomes", "verdicts")),
        "history": outside / "history",
        "long": long_history,
        "models": models_dir,
        "mine": shutil.copytree(models_dir, outside / "mine"),
        "model": next(models_dir.glob("*/manifest.json")).parent.name,
        "out": outside,
        "order": pq.read_table(inputs / "orders.parquet", columns=["order_id"])["order_id"][0].as_py(),
        "address": shlex.quote(MARKS["address"]),
        "buyer": shlex.quote(MARKS["buyer_id"]),
    }
    return Scene(inputs, outside, {name: str(value) for name, value in places.items()})


@pytest.fixture(scope="module")
def kept_history(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ingest_marked(inputs, "", tmp_path_factory.mktemp("kept") / "history")


@pytest.fixture(scope="module")
def long_history(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ingest_marked(inputs, "all-", tmp_path_factory.mktemp("long") / "history")


def ingest_marked(inputs: Path, prefix: str, folder: Path) -> Path:
    tables = {kind: pq.read_table(inputs / f"{prefix}{kind}.parquet") for kind in ("orders", "outcomes", "verdicts")}
    history = History.open(folder, KEY, create=True)
    history.ingest(Events(**tables, corrections=event_schema("corrections").empty_table()))
    return history.path


def list_commands() -> Iterator[str]:
    for name in ENTRIES:
        command = load_command(name)
        below = getattr(command, "commands", {})
        yield from (f"{name} {each}" for each in below) if below else (name,)


def test_every_command_has_a_canary_run() -> None:
    assert sorted(RUNS) == sorted(list_commands())


def test_marks_are_found_in_what_is_written_plainly(inputs: Path) -> None:
    # Otherwise nothing below would mean anything.
    found = find_marks_in(inputs)

    assert {"orders.parquet", "orders.csv", "tmall.csv", "bad.csv", "broken.xlsx"} <= set(found)
    assert found["orders.parquet"] == set(TELLING)


@pytest.mark.parametrize("command", RUNS)
def test_command_lets_nothing_of_a_marked_person_out(scene: Scene, command: str) -> None:
    for line in RUNS[command]:
        expected, _, arguments = line.partition(" ")

        code, said = scene.run(f"{command} {arguments}")

        assert str(code) in expected.split("|"), (line, said)
        assert find_marks(said.encode()) == set(), line
    assert find_marks_in(scene.outside) == {}


def test_erased_buyer_does_not_come_back_with_the_next_export_nor_into_a_model(scene: Scene) -> None:
    orders = pq.read_table(scene.inputs / "orders.parquet")
    gone = orders.filter(pc.equal(orders["buyer_id"], MARKS["buyer_id"]))["order_id"].to_pylist()
    history = History.open(scene.places["history"], KEY)
    before = history.read().orders
    buyer = before.filter(pc.is_in(before["order_id"], pa.array(gone, pa.string())))["id__buyer"].to_numpy()[0]
    marks = [*(name.encode() for name in gone), str(buyer.view("int64")).encode(), buyer.tobytes()]

    erased, _ = scene.run("erase {buyer} --history {history} --yes")
    again, said = scene.run("ingest {files} --history {history} --lang en")
    trained, _ = scene.run("train --history {history} --models {out}/after --settings {inputs}/fit.toml")

    assert (erased, again) == (0, 0), said
    assert trained in {0, 6, 7}
    assert "rows are of erased buyers and stay out" in said
    assert history.read().orders.num_rows == before.num_rows - len(gone)
    files = [path for path in scene.outside.rglob("*") if path.is_file()]
    assert not [(path, mark) for path in files for mark in marks if mark in path.read_bytes()]
    lifted, _ = scene.run("erase {buyer} --history {history} --lift")
    back, _ = scene.run("ingest {files} --history {history}")
    assert (lifted, back) == (0, 0)
    assert history.read().orders.num_rows == before.num_rows


def test_address_shows_what_was_asked_and_says_nothing_else(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # The one command that shows an address: to whoever typed it. What it shows is its answer, and no file.
    code, said = scene.run("address {address} --json")

    assert code == 0
    assert find_marks(json.dumps(json.loads(said)["door_key"]).encode()) == set()
    assert find_marks_in(scene.outside) == {}
    monkeypatch.setenv("ORDERVET_KEY", MARKS["phone"])
    code, said = scene.run("address {address}")
    assert (code, find_marks(said.encode())) == (3, set())


def test_scorer_lets_nothing_of_a_marked_person_out(
    scene: Scene, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    scorer = Scorer.open(scene.places["models"], history=scene.places["history"])
    order = {"order_id": "live-1", "placed_at": "2026-01-15 10:00", "amount_minor": 90_000} | MARKS

    decisions = [
        scorer.score(order),
        scorer.score(Order(**order | {"order_id": "live-2"})),
        scorer.score(order | {"order_id": "live-3", "amount_minor": MARKS["ip"]}),
        scorer.score({name: mark * 60 for name, mark in MARKS.items()}),
    ]
    scorer.observe(Outcome(order_id="live-1", kind="claim", happened_at="2026-01-16"))
    said = repr(decisions) + repr([decision.as_dict() for decision in decisions]) + repr(Order(**order)) + caplog.text

    assert find_marks(said.encode() + "".join(capfd.readouterr()).encode()) == set()
    assert find_marks_in(scene.outside) == {}


@pytest.mark.parametrize(
    "command",
    [
        "ingest {inputs}/orders.parquet --history {out}/full",
        "score {files} --out {out}/full.csv --all --models {models}",
    ],
)
def test_full_disk_lets_nothing_of_a_marked_person_out(scene: Scene, command: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, limits[1]))
    try:
        code, said = scene.run(command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert code == 3, said
    assert find_marks(said.encode()) == set()
    assert find_marks_in(scene.outside) == {}


@pytest.mark.parametrize("delay_s", [0.0, 0.02])
def test_killed_command_leaves_nothing_of_a_marked_person(scene: Scene, delay_s: float) -> None:
    line = "ingest {files} --history {out}/killed".format_map(scene.places)
    process = subprocess.Popen(
        [sys.executable, "-m", "ordervet", *shlex.split(line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"TMPDIR": str(scene.outside), "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    killed = scene.outside / "killed"
    while process.poll() is None and not (killed / "_delta_log").exists():
        time.sleep(0.002)
    time.sleep(delay_s)
    process.kill()
    said, _ = process.communicate()

    assert find_marks(said) == set()
    assert find_marks_in(scene.outside) == {}


def test_packed_files_are_looked_into(tmp_path: Path, inputs: Path) -> None:
    import gzip
    import zipfile

    (tmp_path / "a.gz").write_bytes(gzip.compress((inputs / "orders.csv").read_bytes()))
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inputs / "orders.parquet", "within.parquet")

    found = find_marks_in(tmp_path)

    assert set(found) == {"a.gz", "b.xlsx"}
    assert all(marks == set(TELLING) for marks in found.values())
    assert sum(1 for _ in look_into((tmp_path / "b.xlsx").read_bytes())) > 3
