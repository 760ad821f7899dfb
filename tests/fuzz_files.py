"""Read mutated files and tables over the whole contract: each is read, and its rows add up, or refused with one error.

``python tests/fuzz_files.py 500000 [SEED]`` (``make fuzz-files``). Half of them are mutated exports of every format
(`contract/formats/hostile_driver.py`); the others are tables of odd types, in memory, from pandas, or as Parquet,
Arrow, Feather, JSON lines, CSV or workbooks, whose bytes may be changed too. Batches run in processes of their own, on
every core, so that one that dies is told with its seeds. A small number runs in the suite
(`contract/files/test_fuzz_files.py`).
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import feather, parquet

from contract.formats.hostile_driver import CELLS, MAX_SECONDS, VALUES, build_mutant, check_file, mutate_bytes
from ordervet.contract import split_events
from ordervet.errors import OrdervetError

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 500
MAX_BATCH_SECONDS = 3600  # on the clock: one that waits for something ends with what it waits for
GOOD: dict[str, dict[str, Any]] = {
    "orders": {
        "order_id": "o-1", "placed_at": "2025-11-11 20:00:00", "amount_minor": 12_900, "buyer_id": "b1",
        "recipient": "样本甲", "address": "浙江省杭州市西湖区文三路99号3栋502", "phone": "19900001111",
        "currency": "CNY", "quantity": 2, "item_id": "i1", "discount_minor": 100, "buyer_registered_at": "2024-01-01",
        "is_insured": True, "status": "paid", "updated_at": "2025-11-12", "number__weight": 1.5,
        "category__colour": "red", "entity__till": "t1",
    },
    "outcomes": {
        "order_id": "o-1", "kind": "refund_completed", "happened_at": "2025-11-15 10:00", "refund_type": "refund_only",
        "amount_minor": 500, "blame": "seller", "outcome_id": "r1", "line_id": "l1", "is_inferred": False,
    },
    "verdicts": {"order_id": "o-1", "verdict": "malicious", "decided_at": "2025-11-16", "kind": "empty_return"},
    "corrections": {"order_id": "o-1", "corrected_at": "2025-11-20"},
}  # fmt: skip
TYPES = [
    *(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.null(), pa.date32(), pa.date64()),
    *(pa.decimal128(38, 2), pa.decimal128(38, -3), pa.decimal256(60, 20), pa.time64("us"), pa.duration("ns")),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Shanghai")),
    *(pa.dictionary(index, pa.string()) for index in (pa.int8(), pa.uint32(), pa.int64())),
    *(pa.list_(pa.int64()), pa.struct([("a", pa.string())]), pa.binary(5), pa.uuid(), pa.json_()),
    *(pa.run_end_encoded(pa.int32(), pa.string()), pa.run_end_encoded(pa.int16(), pa.int64())),
]
NUMBERS = [0, 1, -1, 2**31, 2**62, 2**63 - 1, -(2**63), 255, 1_762_862_400_000_000]
ODD: list[Any] = [
    *NUMBERS, *CELLS, *VALUES[:-2], float("nan"), float("inf"), -0.0, 1e19, Decimal("1.005"), Decimal("NaN"),
    date(2025, 11, 11), datetime(2025, 11, 11, 20, tzinfo=UTC), datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59),  # noqa: DTZ001
    b"\xff\xfe", "\ud800", "a\x00b", pd.NaT, pd.NA, np.uint64(2**63 + 1), np.datetime64("NaT"), np.float32("nan"),
]  # fmt: skip


def check_mutant(folder: Path, dice: random.Random) -> str:
    """Build one mutated file or table, and check what becomes of it.

    Raises
    ------
    AssertionError
        It took too long, or its rows do not add up.
    """
    if dice.random() < 0.5:
        path = build_mutant(folder, dice)
        try:
            return f"file {check_file(path)}"
        finally:
            path.unlink()
    kind = dice.choice(sorted(GOOD))
    how = dice.choice(["arrow", "pandas", "rows", "parquet", "feather", "ipc", "jsonl", "csv", "xlsx"])
    if how == "rows":
        return f"rows {check_table(kind, build_rows(kind, dice))}"
    table = build_table(kind, dice)
    if how == "arrow":
        return f"arrow {check_table(kind, table)}"
    try:
        if how == "pandas":
            return f"pandas {check_table(kind, as_frame(table, dice))}"
        path = write_table(table, folder / f"mutant.{'arrow' if how == 'ipc' else how}", dice)
    except (pa.ArrowException, OSError, TypeError, ValueError, OverflowError, NotImplementedError):
        return f"arrow {check_table(kind, table)}"  # no such file or frame can be made of it
    try:
        return f"{how} {check_file(path)}"
    finally:
        path.unlink()


def check_table(kind: str, data: Any) -> str:
    """Split a table; return whether it was read or refused."""
    started = time.process_time()
    try:
        good, failures = split_events(kind, data)  # type: ignore[arg-type]
    except OrdervetError:
        return "refused"
    finally:
        assert time.process_time() - started < MAX_SECONDS
    n_rows = data.num_rows if isinstance(data, pa.Table) else len(data)
    assert good.num_rows + len(set(failures["row"].to_pylist())) == n_rows
    good.validate(full=True)
    return "read"


def build_rows(kind: str, dice: random.Random) -> list[dict[str, Any]]:
    """Rows of Python values, some of them odd."""
    rows = [dict(GOOD[kind], order_id=f"o-{at}") for at in range(dice.randint(0, 5))]
    for row in rows:
        for _ in range(dice.randint(0, 3)):
            row[dice.choice([*GOOD[kind], "strange"])] = dice.choice(ODD)
        if dice.random() < 0.2:
            row.pop(dice.choice(list(row)))
    return rows


def build_table(kind: str, dice: random.Random) -> pa.Table:
    """A table whose columns may be of any type, with empty chunks and slices."""
    n_rows = dice.randint(0, 6)
    names = [name for name in GOOD[kind] if dice.random() < 0.95]
    names += dice.choice([[], [], [], ["strange"], names[:1], [""]])
    columns = [build_column(kind, name, n_rows, dice) for name in names]
    return pa.Table.from_arrays(columns, names=names) if names else pa.table({})


def build_column(kind: str, name: str, n_rows: int, dice: random.Random) -> pa.ChunkedArray:
    """One column: as it should be, of another type, or of what that type can hold."""
    good = GOOD[kind].get(name, "x")
    values = [f"o-{at}" if name == "order_id" else good for at in range(n_rows)]
    odd = dice.random()
    if odd < 0.3:
        values = [dice.choice([value, None, dice.choice(NUMBERS), dice.choice(CELLS)]) for value in values]
    wanted = pa.array(values[:1] or [good]).type if odd > 0.45 else dice.choice(TYPES)
    array = fill(values, wanted, dice)
    cut = dice.randint(0, n_rows)
    chunks = dice.choice([[array], [array.slice(0, cut), array.slice(cut)], [array.slice(0, 0), array, array[:0]]])
    return pa.chunked_array(chunks, array.type)


def fill(values: list[Any], wanted: pa.DataType, dice: random.Random) -> pa.Array:
    """Make an array of a type of what it takes of some values; other cells are null or a number."""
    storage = wanted.storage_type if isinstance(wanted, pa.BaseExtensionType) else wanted
    if pa.types.is_run_end_encoded(wanted):
        return pa.compute.run_end_encode(fill(values, wanted.value_type, dice), run_end_type=wanted.run_end_type)
    cells = []
    for value in values:
        fitting = [value, str(value), str(value).encode()[:5].ljust(5), dice.choice(NUMBERS), [1], {"a": "x"}, None]
        cells.append(next(each for each in fitting if fits(each, storage)))
    try:
        array = pa.array(cells, storage)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # each alone, and not together
        array = pa.nulls(len(cells), storage)
    return pa.ExtensionArray.from_storage(wanted, array) if storage is not wanted else array


def fits(value: Any, wanted: pa.DataType) -> bool:
    """Return whether a type can hold a value."""
    try:
        pa.array([value], wanted)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def as_frame(table: pa.Table, dice: random.Random) -> pd.DataFrame:
    """A frame of pandas, with types of NumPy, of objects or of Arrow."""
    how = dice.randrange(3)
    frame = table.to_pandas(types_mapper=pd.ArrowDtype if how == 0 else None)
    if how == 1:
        frame = frame.astype(object)
        for _ in range(dice.randint(0, 3) if frame.size else 0):
            frame.iloc[dice.randrange(len(frame)), dice.randrange(frame.shape[1])] = dice.choice(ODD)
    return frame


def write_table(table: pa.Table, path: Path, dice: random.Random) -> Path:
    """Write a table as a file of the kind that its ending says, and maybe change some bytes."""
    writers: dict[str, Callable[[], object]] = {
        ".parquet": lambda: parquet.write_table(table, path, compression=dice.choice(["zstd", "snappy", "none"])),
        ".feather": lambda: feather.write_feather(table, path, compression=dice.choice(["lz4", "uncompressed"])),
        ".arrow": lambda: write_ipc(table, path, is_file=dice.random() < 0.5),
        ".jsonl": lambda: path.write_text(
            "".join(json.dumps(row, default=str, ensure_ascii=False) + "\n" for row in table.to_pylist()),
            encoding="utf-8",
            errors="replace",
        ),
        ".csv": lambda: table.to_pandas().to_csv(path, index=False, errors="replace"),
        ".xlsx": lambda: table.to_pandas().astype(str).to_excel(path, index=False, engine="xlsxwriter"),
    }
    writers[path.suffix]()
    if dice.random() < 0.5:
        path.write_bytes(mutate_bytes(path.read_bytes() or b"\0", dice))
    return path


def write_ipc(table: pa.Table, path: Path, *, is_file: bool) -> None:
    """Write Arrow's own format, as a file or as a stream."""
    with (
        pa.OSFile(str(path), "wb") as sink,
        (pa.ipc.new_file if is_file else pa.ipc.new_stream)(sink, table.schema) as writer,
    ):
        writer.write_table(table)


def run_batch(first: int, n_mutants: int) -> Counter[str]:
    """Check some mutants; each has a seed of its own, which an error names."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + n_mutants):
            try:
                found[check_mutant(Path(folder), random.Random(seed))] += 1  # noqa: S311 - a test's dice
            except BaseException as error:
                error.add_note(f"seed {seed}: python tests/fuzz_files.py 1 {seed}")
                raise
    return found


def run_apart(first: int, n_mutants: int) -> Counter[str]:
    """Check some mutants in a process of its own.

    Raises
    ------
    AssertionError
        It died, or one of the mutants is wrong.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        faulthandler.dump_traceback_later(MAX_BATCH_SECONDS, exit=True)
        ended = 1
        try:
            with os.fdopen(writer, "w") as said:
                json.dump(run_batch(first, n_mutants), said)
            ended = 0
        finally:  # it must not go on as another one of the pool
            if ended:
                traceback.print_exc()
            os._exit(ended)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"seeds {first} to {first + n_mutants - 1}: ended with {status}"
    return Counter(json.loads(text))


def run_all(begin: int, n_asked: int) -> Counter[str]:
    """Check many mutants, in batches on every core; say how far it is."""
    total, began, end = Counter[str](), time.monotonic(), begin + n_asked
    batches = [(at, min(BATCH, end - at)) for at in range(begin, end, BATCH)]
    with multiprocessing.get_context("fork").Pool() as pool:
        for found in pool.imap_unordered(_run_one, batches):
            total += found
            if total.total() % 10_000 == 0:
                print(f"{total.total():,} in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    return total


def _run_one(batch: tuple[int, int]) -> Counter[str]:
    return run_apart(*batch)


if __name__ == "__main__":
    n_mutants, first_seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    found = run_all(first_seed, n_mutants) if n_mutants > 1 else run_batch(first_seed, 1)
    print(dict(sorted(found.items())), f"{found.total():,}")  # noqa: T201
