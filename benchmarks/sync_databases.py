"""Time the first sync of a shop's database, that of 10,000 changes, and publishing after each, and read what is there.

    PYTHONPATH=tests python benchmarks/sync_databases.py [N_ORDERS] [--kinds postgresql,mariadb]

The tables are data/samples (simulated) copied so often, each copy with orders, buyers and devices of its own, some
hours later; orders have 25 columns, and there are 1.4 outcomes per order. The changes are amounts of the last orders,
and as many claims. Seconds of the clock include those of the server, which runs beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.csv as pa_csv
from sqlalchemy import Column, MetaData, Table, Text

from databases import PASSWORD, Server
from ordervet.entities import Key

KEY = Key(bytes(range(16)))
SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
N_CHANGES = 10_000
STEPS = ("first sync", "10,000 changes", "nothing new")
SOURCE = """
url = "{url}"
password = {{ env = "SHOP_PASSWORD" }}
[[query]]
name = "orders"
table = "orders"
grows = "changed_at"
overlap = "1s"
[[query]]
name = "outcomes"
table = "outcomes"
grows = "changed_at"
overlap = "1s"
"""


def fill(server: Server, n_orders: int) -> int:
    """Fill the tables; return how many orders there are."""
    is_postgres = server.kind == "postgresql"
    engine = server.connect()
    options = pa_csv.ConvertOptions(strings_can_be_null=True)
    for name in ("orders", "outcomes"):
        table = pa_csv.read_csv(SAMPLES / f"{name}.csv", convert_options=options)
        rows = [{key: None if value is None else str(value) for key, value in row.items()} for row in table.to_pylist()]
        with engine.begin() as connection:
            base = Table(f"{name}_base", MetaData(), *(Column(each, Text) for each in table.column_names))
            base.create(connection)
            connection.execute(base.insert(), rows)
    copies = max(1, n_orders // 3_000)
    series = (
        f"generate_series(1, {copies}) AS s(n)" if is_postgres else f"(SELECT seq AS n FROM seq_1_to_{copies}) AS s"
    )
    times = (
        "CAST({} AS timestamptz) + n * interval '1 hour'"
        if is_postgres
        else "CAST(LEFT({}, 19) AS datetime) + INTERVAL n HOUR"
    )
    n_text = "CAST(n AS text)" if is_postgres else "CAST(n AS char)"
    own = {"order_id", "buyer_id", "phone_group", "address_group", "device_id", "payment_account"}
    dated = {"placed_at", "happened_at", "buyer_registered_at"}
    for name in ("orders", "outcomes"):
        columns = pa_csv.read_csv(SAMPLES / f"{name}.csv").column_names
        values = [
            f"{times.format(each)} AS {each}"
            if each in dated
            else f"CASE WHEN {each} IS NOT NULL THEN concat({each}, 'x', {n_text}) END AS {each}"
            if each in own
            else each
            for each in columns
        ]
        changed = (
            "CAST('2026-01-01' AS timestamptz) + n * interval '1 minute'"
            if is_postgres
            else "CAST('2026-01-01' AS datetime) + INTERVAL n MINUTE"
        )
        server.run(
            f"CREATE TABLE {name} AS SELECT {', '.join(values)}, {changed} AS changed_at FROM {name}_base, {series}",
            f"CREATE INDEX {name}_changed ON {name} (changed_at)",
        )
    engine.dispose()
    return copies * 3_000


def run(command: list[str], environment: dict[str, str]) -> tuple[dict[str, Any], float, float, float]:
    """Run a command; return what it says, its seconds by the clock and of processors, and its memory in MiB."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(ended.stdout), time.monotonic() - started, used, after.ru_maxrss / 1024


def read_rows(folder: Path) -> pl.Series:
    """Read a table as another engine does; return the digests of its rows, sorted: their values take too much room."""
    table = pl.scan_delta(str(folder))
    rows = pl.struct(sorted(table.collect_schema().names())).hash()
    return table.select(rows).collect(engine="streaming").to_series().sort()


def measure(kind: str, n_orders: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    server = Server(kind, folder / "server")
    try:
        n = fill(server, n_orders)
        (folder / "shop.toml").write_text(SOURCE.format(url=server.url), encoding="utf-8")
        ordervet = [sys.executable, "-m", "ordervet"]
        ingest = [*ordervet, "ingest", "--source", str(folder / "shop.toml"), "--history", str(folder / "h"), "--json"]
        publish = [
            *ordervet,
            "history",
            "publish",
            (folder / "published").as_uri(),
            "--history",
            str(folder / "h"),
            "--json",
        ]
        environment = os.environ | {"ORDERVET_KEY": KEY.to_hex(), "SHOP_PASSWORD": PASSWORD}
        for step in STEPS:
            if step == "10,000 changes":
                n_each = min(N_CHANGES // 2, n)
                (edge,) = server.run(
                    f"SELECT placed_at FROM orders ORDER BY placed_at DESC LIMIT 1 OFFSET {n_each - 1}"
                )
                server.run(
                    "UPDATE orders SET amount_minor = concat(amount_minor, '1'), changed_at = now() "
                    f"WHERE placed_at >= '{edge[0]}'",
                    "INSERT INTO outcomes (order_id, kind, happened_at, changed_at) "
                    f"SELECT order_id, 'claim', now(), now() FROM orders WHERE placed_at >= '{edge[0]}'",
                )
            before = server.processor_s
            said, seconds, used, memory = run(ingest, environment)
            served = server.processor_s - before
            counts = {each["file"]: (each["n_read"], each["n_accepted"], each["n_merged"]) for each in said["files"]}
            sys.stdout.write(
                f"{kind}, {n:,} orders, {step}: {seconds:.1f} s at load {os.getloadavg()[0]:.0f}; processor s: "
                f"{used:.1f} and {served:.1f} of the server; {memory:,.0f} MiB; "
                f"(read, accepted, merged) {counts}\n"
            )
            said, seconds, used, _ = run(publish, environment)
            sys.stdout.write(
                f"  published: {seconds:.1f} s, {said['n_files']} files, {said['n_bytes'] / 2**20:.1f} MiB; "
            )
            published, kept = (read_rows(folder / name) for name in ("published", "h"))
            assert published.equals(kept)
            sys.stdout.write(f"polars reads {len(kept):,} equal rows\n")
            sys.stdout.flush()
        stored = sum(path.stat().st_size for path in (folder / "h").glob("*.parquet"))
        sys.stdout.write(f"  the history takes {stored / n:.0f} bytes per order with its outcomes\n")
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n_orders", nargs="?", type=int, default=500_000)
    parser.add_argument("--kinds", default="postgresql,mariadb")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        for kind in given.kinds.split(","):
            measure(kind, given.n_orders, Path(folder) / kind)


if __name__ == "__main__":
    main()
