"""A file several times as large as the memory it may take is read, in a process of its own, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
N_ORDERS = 90_000
MAX_GROWTH_MIB = 48
READ = """
import json, resource, sys
from pathlib import Path
import pyarrow as pa
import pyarrow.compute as pc
from ordervet.contract.files import csv_rows, opening, whole_orders
from ordervet.contract.files.reader import FileReader

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

def read(path):
    totals = [0, 0, 0, 0]
    for piece in FileReader().iter_pieces(0, Path(path)):
        orders = piece.parts[0].table
        found = (piece.n_rows, orders.num_rows, pc.sum(orders["amount_minor"]).as_py() or 0, len(piece.merged_rows))
        totals = [a + b for a, b in zip(totals, found)]
    return totals

pa.set_memory_pool(pa.system_memory_pool())
opening.MAX_PIECE, csv_rows._LONG_BLOCK, whole_orders._ROWS_PER_PIECE = 0, 2**18, 2**12
read(sys.argv[1])
before = peak_mib()
print(json.dumps({"totals": read(sys.argv[2]), "growth_mib": peak_mib() - before}))
"""


def write_export(path: Path, n_orders: int) -> None:
    """Write two lines per order, one below the other, and a long remark in each."""
    remark = "一句很长的备注" * 40
    with path.open("w", encoding="utf-8") as file:
        file.write("订单编号,订单创建时间,总金额,购买数量,备注\n")
        for start in range(0, n_orders, 1000):
            file.writelines(
                f"T{number},2025-11-11 20:00:00,{number}.50,{line},{remark}\n"
                for number in range(start, min(start + 1000, n_orders))
                for line in (1, 2)
            )


def test_file_of_three_times_the_memory_it_may_take_is_read_whole(tmp_path: Path) -> None:
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    write_export(small, 3_000)
    write_export(large, N_ORDERS)

    ended = subprocess.run(
        [sys.executable, "-c", READ, small, large], check=True, capture_output=True, text=True, timeout=300
    )

    found = json.loads(ended.stdout)
    amount = sum(number * 100 + 50 for number in range(N_ORDERS))
    assert found["totals"] == [2 * N_ORDERS, N_ORDERS, amount, N_ORDERS]
    assert large.stat().st_size > 3 * MAX_GROWTH_MIB * MIB
    assert found["growth_mib"] < MAX_GROWTH_MIB
