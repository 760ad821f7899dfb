"""Kill what reads a database, and the database, at random times: nothing may be lost, nothing may count twice.

    PYTHONPATH=tests python tests/crash_sources.py N_KILLS [SEED]

A shop goes on selling meanwhile: it adds orders with their outcomes, and changes amounts. Odd kills end the command,
even ones the server, which starts again. At the end a last run must leave the history with what the tables hold, each
once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from databases import PASSWORD, Server
from ordervet.entities import Key
from ordervet.history import History

KEY = Key(bytes(range(16)))
SOURCE = """
url = "{url}"
password = {{ env = "SHOP_PASSWORD" }}
[[query]]
name = "orders"
table = "orders"
grows = "updated_at"
overlap = "1m"
[[query]]
name = "outcomes"
table = "outcomes"
grows = "updated_at"
overlap = "1m"
"""
ROWS = 3_000
NAMES = {"postgresql": "generate_series({}, {}) AS s(n)", "mariadb": "(SELECT seq AS n FROM seq_{}_to_{}) AS s"}


def sell(server: Server, first: int) -> None:
    """Add some orders with an outcome each, and change some that are there."""
    numbers = NAMES[server.kind].format(first, first + ROWS - 1)
    text = "text" if server.kind == "postgresql" else "char"
    order_id, outcome_id = (f"concat('{letter}', CAST(n AS {text}))" for letter in "TR")
    times = "timestamp '2025-11-11 20:00:00' + n * interval '1' second"
    if server.kind == "mariadb":
        times = "'2025-11-11 20:00:00' + interval n second"
    server.run(
        f"INSERT INTO orders SELECT {order_id}, {times}, 1000 + n, 'b1', now() FROM {numbers}",
        f"INSERT INTO outcomes SELECT {order_id}, {outcome_id}, 'claim', {times}, now() FROM {numbers}",
        "UPDATE orders SET amount_minor = amount_minor + 1, updated_at = now() WHERE order_id LIKE '%77'",
    )


def check(server: Server, folder: Path) -> None:
    events = History.open(folder / "history", KEY).read()
    orders = Counter(zip(*(events.orders[name].to_pylist() for name in ("order_id", "amount_minor")), strict=True))
    outcomes = Counter(events.outcomes["order_id"].to_pylist())
    assert orders == Counter(server.run("SELECT order_id, amount_minor FROM orders"))
    assert outcomes == Counter(row[0] for row in server.run("SELECT order_id FROM outcomes"))


def crash(kind: str, n_kills: int, seed: int, folder: Path) -> None:
    dice = random.Random(seed)  # noqa: S311 - kills need no secrecy
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    server = Server(kind, folder / "server")
    try:
        zoned = "timestamptz" if kind == "postgresql" else "timestamp"
        server.run(
            "CREATE TABLE orders (order_id varchar(20), placed_at timestamp, amount_minor bigint, "
            f"buyer_id varchar(9), updated_at {zoned})",
            "CREATE TABLE outcomes (order_id varchar(20), outcome_id varchar(20), kind varchar(20), "
            f"happened_at timestamp, updated_at {zoned})",
        )
        (folder / "shop.toml").write_text(SOURCE.format(url=server.url), encoding="utf-8")
        command = [sys.executable, "-m", "ordervet", "ingest", "--source", str(folder / "shop.toml")]
        command += ["--history", str(folder / "history"), "--json"]
        environment = os.environ | {"ORDERVET_KEY": KEY.to_hex(), "SHOP_PASSWORD": PASSWORD}
        codes: Counter[int] = Counter()
        started = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        longest = time.monotonic() - started
        for kill in range(n_kills):
            sell(server, kill * ROWS)
            started = time.monotonic()
            running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(dice.uniform(0.4, 1.1) * longest)
            if kill % 2:
                running.send_signal(signal.SIGKILL)
            else:
                server.kill()
            said = running.communicate()[1].decode()
            codes[running.returncode] += 1
            assert running.returncode in {0, 3, -signal.SIGKILL}, said
            assert PASSWORD not in said
            longest = time.monotonic() - started if running.returncode == 0 else longest * 1.02
            if not kill % 2:
                server.start()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        check(server, folder)
        orders = (kill + 1) * ROWS
        sys.stdout.write(
            f"{kind}: {n_kills} kills, exit codes {dict(codes)}; {orders:,} orders each once, with outcomes\n"
        )
    finally:
        server.kill()


def main() -> None:
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        for kind in ("postgresql", "mariadb"):
            crash(kind, n_kills, seed, Path(folder) / kind)


if __name__ == "__main__":
    main()
