"""Read mutated exports of every format: each is read, and its rows add up, or refused with one clear error.

python tests/contract/formats/hostile_driver.py 200000 [SEED]
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ordervet.contract import read_counted_events
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

EXPORTS = Path(__file__).parent / "exports"
MAX_SECONDS = 20  # of the processor, for a file of a few rows: more is a hang
CELLS = [
    *("", "-", '="', "'", '"', "1e400", "9" * 30, "0.1.2", "1,2,3", "２", "-5", "1.5e3", "NaN"),
    *("true", "\x1e", "\ufeff", "=1+1", "a" * 5000, "甲；乙", "x:1|date:y;z", "￥"),
    *("2025-13-45 25:61:00", "2052年1月1日", "05/11/2025 8:00", "45972.5", "1763500000", "0000-00-00", "Feb 30, 2025"),
    *("交易成功", "退款成功", "TRADE_CLOSED", "Completed", "cancelled", "JPY", "kwd"),
]  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "big5", "latin-1")
VALUES: list[Any] = [
    None,
    [],
    {},
    [[]],
    [{}],
    [1],
    0,
    -1,
    10**25,
    1.5e300,
    True,
    "",
    "x",
    [{"id": [{}]}],
    {"a": {"b": []}},
]


def check_file(path: Path) -> str:
    """Read a file; return whether it was read or refused.

    Raises
    ------
    AssertionError
        It took too long, its rows do not add up, or the error does not name it.
    """
    started = time.process_time()
    try:
        events, failures, accounts = read_counted_events([path], are_orders_needed=False)
    except ContractError as error:
        message = error.message
    else:
        message = ""
    finally:
        assert time.process_time() - started < MAX_SECONDS
    if message:
        assert path.stem.partition(".")[0] in message, message
        return "refused"
    for counts in accounts:
        assert counts.n_read == counts.n_accepted + counts.n_merged + counts.n_quarantined, counts
    assert len(set(failures["row"].to_pylist())) >= max(counts.n_quarantined for counts in accounts)
    assert events.orders.num_rows == sum(counts.n_orders for counts in accounts)
    return "read"


def mutate_cells(text: str, dice: random.Random) -> str:
    """Put other values, or those of other rows, in some cells; repeat, drop and swap rows and columns."""
    separator = max(",\t;", key=text.split("\n", 2)[0].count)
    rows = [line.split(separator) for line in text.split("\n")]
    for _ in range(dice.randint(1, 12)):
        row = dice.choice(rows)
        kind = dice.randrange(12)
        if kind < 8:
            row[dice.randrange(len(row))] = dice.choice([*CELLS, dice.choice(dice.choice(rows))])
        elif kind == 8:
            rows.insert(dice.randrange(len(rows)), list(row))
        elif kind == 9 and len(rows) > 2:
            rows.pop(dice.randrange(len(rows)))
        elif kind == 10:
            row.extend([""] * dice.randint(1, 3))
        else:
            dice.shuffle(row)
    joint = dice.choice([separator, separator, ",", "\t", ";", "|"])
    above = dice.choice(["", "", "", "报表\n", "sep=;\n", "\n\n", "a,b\n"])
    return above + dice.choice(["\n", "\n", "\r\n", "\r"]).join(joint.join(row) for row in rows)


def write_markup(text: str, dice: random.Random) -> str:
    """Write a table as HTML or XML, not always well."""
    row, cell = dice.choice([("tr", "td"), ("Row", "ss:Cell"), ("tr", "th")])
    rows = [line.split(max(",\t;|", key=line.count)) for line in text.splitlines()]
    spans = [
        "",
        " rowspan=2",
        " colspan='3'",
        ' ss:Index="4"',
        " ss:MergeDown=1",
        f" rowspan={'9' * dice.randint(1, 12)}",
    ]
    lines = []
    for each in rows:
        tags = [f"<{cell}{dice.choice(spans) if dice.random() < 0.05 else ''}>{text}" for text in each]
        lines.append(f"<{row}>" + dice.choice(["", f"</{cell}>"]).join(tags) + dice.choice(["", f"</{row}>"]))
    return dice.choice(["<table>", "<?xml version='1.0'?><Workbook><Worksheet><Table>", "<html>", ""]) + "".join(lines)


def mutate_document(text: str, dice: random.Random) -> str:
    """Put other values at random places of a document."""
    document = json.loads(text)
    for _ in range(dice.randint(1, 6)):
        place = document
        while isinstance(place, (dict, list)) and place:
            key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], (dict, list)) or dice.random() < 0.15:
                place[key] = copy.deepcopy(dice.choice([*VALUES, *CELLS]))
                break
            place = place[key]
    return json.dumps(document, ensure_ascii=dice.random() < 0.5)


def mutate_bytes(data: bytes, dice: random.Random) -> bytes:
    """Turn some bytes, or cut the end."""
    turned = bytearray(data)
    for _ in range(dice.choice([0, 0, 1, 5, 40])):
        turned[dice.randrange(len(turned))] = dice.randrange(256)
    return bytes(turned[: dice.randrange(1, len(turned) + 1)] if dice.random() < 0.3 else turned)


def build_mutant(folder: Path, dice: random.Random) -> Path:
    """Write one mutated export."""
    origin = dice.choice(sorted(EXPORTS.iterdir()))
    text = origin.read_text("utf-8")
    mutate: Callable[[str, random.Random], str] = mutate_document if origin.suffix == ".json" else mutate_cells
    mutated, suffix = mutate(text, dice), ".json"
    if origin.suffix != ".json":
        suffix = dice.choice([".csv", ".csv", ".txt", ".tsv", ".xls"])
        mutated = write_markup(mutated, dice) if suffix == ".xls" and dice.random() < 0.5 else mutated
    data = mutated.encode(dice.choice(ENCODINGS), errors="replace")
    if dice.random() < 0.3:
        data = mutate_bytes(data, dice)
    name = f"mutant{suffix}"
    packed = dice.randrange(12)
    if packed == 0:
        name, data = f"{name}.gz", gzip.compress(data, 1)
    elif packed == 1:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(f"导出/{name}", data)
        name, data = "mutant.zip", archive.getvalue()
    if packed < 2 and dice.random() < 0.5:
        data = mutate_bytes(data, dice)
    path = folder / name
    path.write_bytes(data)
    return path


def run(n_files: int, seed: int) -> Counter[str]:
    """Read some mutated files; each has a seed of its own, which an error names."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seed, seed + n_files):
            path = build_mutant(Path(folder), random.Random(number))  # noqa: S311 - a test's dice
            try:
                found[check_file(path)] += 1
            except BaseException as error:
                error.add_note(f"seed {number}: hostile_driver.py 1 {number}")
                raise
            path.unlink()
    return found


if __name__ == "__main__":
    n_asked, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    began = time.monotonic()
    print(dict(run(n_asked, first)), f"in {time.monotonic() - began:.0f} s")  # noqa: T201 - what it found
