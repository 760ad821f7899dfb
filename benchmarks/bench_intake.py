"""A million Tmall orders, CSV in GB18030, against pyarrow.csv reading and transcoding the same file.

python benchmarks/bench_intake.py [--rows 1000000] [--rounds 5] [--keep FILE]

pyarrow.csv alone decodes GB18030, parses, and guesses column types; ordervet also takes off what was put on for Excel,
reads times and amounts, checks every field, merges lines and turns final states into dated outcomes. The rounds
alternate, and the medians are compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

import ordervet
from ordervet.contract import read_counted_events

COLUMNS = (
    "订单编号,买家会员名,买家支付宝账号,买家应付货款,买家应付邮费,买家支付积分,总金额,返点积分,买家实际支付金额,买家实际支付积分,"
    "订单状态,买家留言,收货人姓名,收货地址,运送方式,联系电话,联系手机,订单创建时间,订单付款时间,宝贝标题,宝贝种类,物流单号,物流公司,"
    "订单备注,宝贝总数量,店铺Id,店铺名称,订单关闭原因,确认收货时间,打款商家金额"
)
LIMIT = 2.0


def write_export(path: Path, n_rows: int) -> None:
    """Write invented orders in the old Tmall template."""
    rng = np.random.default_rng(1)
    buyers, amounts = rng.integers(0, 300_000, n_rows), rng.integers(100, 99_999, n_rows)
    seconds = np.sort(rng.integers(0, 20 * 86_400, n_rows))
    start = datetime(2025, 10, 25, tzinfo=UTC)
    with path.open("wb") as file:
        file.write((COLUMNS + "\r\n").encode("gb18030"))
        for low in range(0, n_rows, 50_000):
            rows = zip(
                buyers[low : low + 50_000], amounts[low : low + 50_000], seconds[low : low + 50_000], strict=True
            )
            lines = [
                _write_row(low + i, int(buyer), int(amount), start + timedelta(seconds=int(second)))
                for i, (buyer, amount, second) in enumerate(rows)
            ]
            file.write(("\r\n".join(lines) + "\r\n").encode("gb18030"))


def _write_row(number: int, buyer: int, amount: int, placed: datetime) -> str:
    yuan = f"{amount / 100:.2f}"
    at = f"{placed:%Y-%m-%d %H:%M:%S}"
    confirmed = f"{placed + timedelta(days=7):%Y-%m-%d %H:%M:%S}"
    address = f"示例省 示例市 示例区 样板路{buyer % 999}号{buyer % 40}幢{buyer % 30}单元{buyer % 20}01室"
    return (
        f'="{23 * 10**17 + number}",示例买家{buyer}号,a{buyer}@example.com,{yuan},0.00,0,{yuan},0,{yuan},0,交易成功,,'
        f"张**,{address},快递,,'154{buyer:08d},{at},{at},加绒示例卫衣秋冬新款宽松{buyer % 500},1,No:YT{number:013d},"
        f"示例快递,,1,1234,示例旗舰店,订单未关闭,{confirmed},{yuan}元"
    )


def read_with_pyarrow(path: Path) -> int:
    """Read and transcode, no more."""
    return csv.read_csv(path, csv.ReadOptions(encoding="gb18030")).num_rows


def read_with_ordervet(path: Path) -> int:
    """Read to contract tables, and check that every row is there."""
    events, failures, (counts,) = read_counted_events([path])
    assert (counts.n_read, counts.n_accepted, failures.num_rows) == (events.orders.num_rows, counts.n_read, 0)
    assert events.outcomes.num_rows == counts.n_read
    return events.orders.num_rows


def measure(path: Path, n_rows: int, n_rounds: int) -> tuple[float, float]:
    """Give the median seconds of both, in alternating rounds."""
    times: dict[str, list[float]] = {"pyarrow": [], "ordervet": []}
    for _ in range(n_rounds):
        for name, read in (("pyarrow", read_with_pyarrow), ("ordervet", read_with_ordervet)):
            started = time.perf_counter()
            assert read(path) == n_rows
            times[name].append(time.perf_counter() - started)
    return statistics.median(times["pyarrow"]), statistics.median(times["ordervet"])


def main() -> int:
    """Measure, print, and fail past the limit."""
    parser = argparse.ArgumentParser(description="Time the intake of a Tmall export against pyarrow.csv.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="write the export here and keep it; an existing one is used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder, "orders.csv")
        if not path.exists():
            write_export(path, options.rows)
        alone, whole = measure(path, options.rows, options.rounds)
        size = path.stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{options.rows:,} rows, {size:,.0f} MiB, GB18030; {options.rounds} rounds; {cpus} processors")
    print(f"python {platform.python_version()}, pyarrow {pa.__version__}, ordervet {ordervet.__version__}")
    print(f"pyarrow.csv alone, {pa.cpu_count()} threads: {alone:6.2f} s  ({options.rows / alone:12,.0f} rows/s)")
    print(f"ordervet, to contract tables: {whole:6.2f} s  ({options.rows / whole:12,.0f} rows/s)")
    print(f"ratio {whole / alone:.2f}, at most {LIMIT:.1f} wanted; peak memory of the whole run {peak:,.0f} MiB")
    return 0 if whole <= LIMIT * alone else 1


if __name__ == "__main__":
    sys.exit(main())
