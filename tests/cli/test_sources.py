"""Orders read from a real PostgreSQL and a real MariaDB, as shops have them."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from canary import MARKS, find_marks, find_marks_in
from databases import DATABASE, PASSWORD, running
from ordervet.cli.sources import SourceReader
from ordervet.entities import Key
from ordervet.history import History
from ordervet.history.ingest import Staging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from databases import Server

KEY = Key(bytes(range(16)))
ORDERS = """CREATE TABLE orders (order_id varchar(40), placed_at {time}, amount_minor bigint, buyer_id varchar(40),
    phone varchar(40), address varchar(200), is_insured {flag}, changed_at {zoned})"""
OUTCOMES = """CREATE TABLE outcomes (id {serial}, order_id varchar(40), outcome_id varchar(40), kind varchar(40),
    happened_at {zoned}, amount_minor bigint)"""
TYPES = {
    "postgresql": {"time": "timestamp", "zoned": "timestamptz", "flag": "boolean", "serial": "serial"},
    "mariadb": {
        "time": "datetime(6)",
        "zoned": "timestamp(6) NULL",
        "flag": "bit(1)",
        "serial": "integer PRIMARY KEY AUTO_INCREMENT",
    },
}
SOURCE = """
url = "{url}"
password = {{ env = "SHOP_PASSWORD" }}
[[query]]
name = "orders"
table = "orders"
grows = "changed_at"
[[query]]
name = "outcomes"
sql = "SELECT * FROM outcomes -- all of them, 100%"
grows = "id"
"""
ORDER = "INSERT INTO orders VALUES ({id}, {placed_at}, {amount}, {buyer}, {phone}, {address}, NULL, {changed_at})"
OUTCOME = "INSERT INTO outcomes (order_id, outcome_id, kind, happened_at) VALUES ({}, {}, 'claim', {})"


def order(id_: str, placed_at: str, changed_at: str = "now()", **values: str) -> str:
    """The statement that adds an order; values are SQL, and what is not given is NULL, but for an amount."""
    given = {"amount": "1200", "buyer": "'b1'", "phone": "NULL", "address": "NULL"} | values
    return ORDER.format(id=f"'{id_}'", placed_at=placed_at, changed_at=changed_at, **given)


def outcome(order_id: str, outcome_id: str, at: str) -> str:
    return OUTCOME.format(f"'{order_id}'", f"'{outcome_id}'", f"'{at}'")


FIRST = (
    order("t1", "'2025-11-11 20:00:00'", "'2025-11-11 12:00:01.5'", phone="'19900001111'", address="'江苏省南京市'"),
    order("t2", "'2025-11-11 21:00:00'", "'2025-11-11 13:00:01'", amount="1300"),
    outcome("t1", "r1", "2025-11-13 01:00:00"),
)


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:  # NOT: pytest's, which no other user may enter
        Path(folder).chmod(0o755)
        with running(request.param, Path(folder) / "data") as server:
            yield server


@pytest.fixture
def shop(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("ORDERVET_KEY", KEY.to_hex())
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    if server.kind == "postgresql":
        zone = "Asia/Tokyo"
        server.run(
            f"ALTER DATABASE {DATABASE} SET timezone = '{zone}'", f"ALTER DATABASE {DATABASE} SET datestyle = 'German'"
        )
    else:
        server.run("SET GLOBAL time_zone = '+09:00'", "SET GLOBAL sql_mode = ''")
    server.run("DROP TABLE IF EXISTS orders", "DROP TABLE IF EXISTS outcomes")
    server.run(ORDERS.format(**TYPES[server.kind]), OUTCOMES.format(**TYPES[server.kind]))
    return Shop(server, tmp_path)


class Shop:
    """A shop's database, whose session is in UTC while it is filled, and its source file."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.source, self.history = server, folder / "shop.toml", folder / "history"
        self.source.write_text(SOURCE.format(url=server.url), encoding="utf-8")

    def run(self, *statements: str) -> None:
        zone = "SET TIME ZONE 'UTC'" if self.server.kind == "postgresql" else "SET time_zone = '+00:00'"
        self.server.run(zone, *statements)

    def read(self) -> dict[str, dict[str, object]]:
        events = History.open(self.history, KEY).read()
        return {row["order_id"]: row for row in events.orders.to_pylist()}


def counts(ended) -> dict[str, tuple[int, ...]]:
    names = ("n_read", "n_accepted", "n_merged", "n_known", "n_quarantined")
    return {each["file"]: tuple(each[name] for name in names) for each in ended.json["files"]}


def test_a_database_is_read_once_and_then_what_is_new(ordervet, shop: Shop) -> None:
    shop.run(*FIRST)
    ingest = ("ingest", "--source", shop.source, "--history", shop.history, "--json")

    first = ordervet(*ingest)
    shop.run(
        order("t3", "'2025-11-12 20:00:00'", "'2025-11-12 12:00:00'", amount="1400", buyer="'b2'"),
        "UPDATE orders SET amount_minor = 1100, changed_at = '2025-11-12 14:00:00' WHERE order_id = 't1'",
        outcome("t3", "r2", "2025-11-14 01:00:00"),
    )
    second = ordervet(*ingest)
    third = ordervet(*ingest)

    assert (first.code, second.code, third.code) == (0, 0, 0), (first.err, second.err)
    assert counts(first) == {"orders": (2, 2, 0, 0, 0), "outcomes": (1, 1, 0, 0, 0)}
    assert counts(second) == {"orders": (3, 1, 1, 1, 0), "outcomes": (2, 1, 0, 1, 0)}
    assert counts(third) == {"orders": (1, 0, 0, 1, 0), "outcomes": (2, 0, 0, 2, 0)}
    assert third.json["version"] == second.json["version"]
    orders = shop.read()
    assert {name: row["amount_minor"] for name, row in orders.items()} == {"t1": 1100, "t2": 1300, "t3": 1400}
    assert str(orders["t1"]["seen_at"]) == "2025-11-11 12:00:00+00:00"
    outcomes = History.open(shop.history, KEY).read().outcomes.to_pylist()
    assert [str(row["seen_at"]) for row in outcomes] == ["2025-11-13 01:00:00+00:00", "2025-11-14 01:00:00+00:00"]


def test_wrong_cells_are_quarantined_and_never_end_the_query(ordervet, shop: Shop) -> None:
    is_postgres = shop.server.kind == "postgresql"
    zero, half = ("'infinity'", "'0044-03-15 BC'") if is_postgres else ("'0000-00-00'", "'2025-00-11'")
    binary = "E'\\n\x01'" if is_postgres else "'\\0\\n'"
    shop.run(
        *FIRST,
        "SELECT 1" if is_postgres else "SET sql_mode = ''",
        *(order(f"w{at}", time) for at, time in enumerate((zero, half, "NULL"))),
        order(
            "x1", "'2025-11-11 20:00:00'", amount="-7", buyer="'\t'' OR 1=1; --'", phone="'😀%s:name'", address=binary
        ),
        order("x2", "'2025-11-11 20:00:00'", amount="9223372036854775807", buyer="'游客'", phone="''", address="''"),
    )
    aside = shop.source.with_name("aside.parquet")

    first = ordervet("ingest", "--source", shop.source, "--history", shop.history, "--json", "--quarantine", aside)
    again = ordervet("ingest", "--source", shop.source, "--history", shop.history, "--json")

    assert (first.code, again.code) == (4, 4), first.err
    assert counts(first)["orders"] == (7, 2, 0, 0, 5)
    assert set(pq.read_table(aside)["order_id"].to_pylist()) == {"w0", "w1", "w2", "x1", "x2"}
    assert shop.read().keys() == {"t1", "t2"}


def test_a_query_that_was_corrected_is_read_from_the_start(ordervet, shop: Shop) -> None:
    text = shop.source.read_text(encoding="utf-8")
    ingest = ("ingest", "--source", shop.source, "--history", shop.history, "--json")
    shop.run(order("t0", "'2025-10-01 20:00:00'", "'2025-10-01 12:00:00'"), *FIRST)
    wrong = 'sql = "SELECT order_id, placed_at, amount_minor - 10000 AS amount_minor, changed_at FROM orders"'
    shop.source.write_text(text.replace('table = "orders"', wrong), encoding="utf-8")
    before = ordervet(*ingest)
    shop.source.write_text(text, encoding="utf-8")

    corrected, again = ordervet(*ingest), ordervet(*ingest)

    assert counts(before)["orders"] == (3, 0, 0, 0, 3)
    assert counts(corrected)["orders"] == (3, 3, 0, 0, 0)
    assert counts(again)["orders"] == (2, 0, 0, 2, 0)
    assert counts(again)["outcomes"] == (1, 0, 0, 1, 0)


def test_seconds_since_1970_are_read_as_the_guide_says(ordervet, shop: Shop) -> None:
    is_postgres = shop.server.kind == "postgresql"
    placed_at = "to_timestamp(1762819200)" if is_postgres else "CONCAT(FROM_UNIXTIME(1762819200), '+00:00')"
    sql = f'sql = "SELECT order_id, {placed_at} AS placed_at, amount_minor, changed_at FROM orders"'
    shop.source.write_text(shop.source.read_text(encoding="utf-8").replace('table = "orders"', sql), encoding="utf-8")
    shop.run(order("t1", "NULL", "'2025-11-12 12:00:00'"))

    ended = ordervet("ingest", "--source", shop.source, "--history", shop.history)

    assert ended.code == 0, ended.err
    assert str(shop.read()["t1"]["seen_at"]) == "2025-11-11 00:00:00+00:00"


def test_zero_and_missing_times_of_change_are_always_read(ordervet, shop: Shop) -> None:
    shop.run(*FIRST)
    ingest = ("ingest", "--source", shop.source, "--history", shop.history, "--json")
    ordervet(*ingest)
    is_mariadb = shop.server.kind == "mariadb"
    unset = ["NULL", "'0000-00-00'"] if is_mariadb else ["NULL"]
    shop.run(
        "SET sql_mode = ''" if is_mariadb else "SELECT 1",
        *(order(f"n{at}", "'2025-10-01'", time) for at, time in enumerate(unset)),
    )

    ended = ordervet(*ingest)

    assert counts(ended)["orders"][1] == len(unset)


def test_a_row_from_the_future_does_not_hide_those_before_it(ordervet, shop: Shop) -> None:
    ingest = ("ingest", "--source", shop.source, "--history", shop.history, "--json")
    shop.run(*FIRST, "UPDATE orders SET changed_at = '2037-01-01' WHERE order_id = 't1'")
    ordervet(*ingest)
    shop.run(order("t4", "'2025-11-11 22:00:00'", "'2025-11-11 14:00:00'"))

    ended = ordervet(*ingest)

    assert counts(ended)["orders"] == (3, 1, 0, 2, 0)


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_so():
            return
        time.sleep(0.1)
    raise AssertionError("it has not come in a minute")


def test_what_follows_a_database_goes_on_until_it_is_told_to_stop(ordervet, shop: Shop, tmp_path: Path) -> None:
    ingest = ("ingest", "--source", shop.source, "--history", shop.history, "--json")
    said, complained = tmp_path / "said", tmp_path / "complained"
    shop.run(*FIRST)
    with said.open("wb") as out, complained.open("wb") as err:
        command = [sys.executable, "-m", "ordervet", *map(str, ingest), "--follow", "1"]
        following = subprocess.Popen(command, stdout=out, stderr=err)
    try:
        wait_until(lambda: b"outcomes" in said.read_bytes())
        shop.run(order("t3", "'2025-11-12 20:00:00'", "'2025-11-12 12:00:00'"))
        wait_until(lambda: "t3" in shop.read())
        shop.server.kill()
        wait_until(lambda: b"shop" in complained.read_bytes())
        shop.server.start()
        shop.run(order("t4", "'2025-11-13 20:00:00'", "'2025-11-13 12:00:00'"))
        wait_until(lambda: "t4" in shop.read())
        following.send_signal(signal.SIGTERM if shop.server.kind == "postgresql" else signal.SIGINT)

        assert following.wait(timeout=60) == 0, complained.read_text(encoding="utf-8")
    finally:
        following.kill()
    lines = complained.read_text(encoding="utf-8").splitlines()
    assert any("the database of shop" in line for line in lines), lines
    # The second is said where the signal comes in the middle of a round.
    assert all("the database of shop" in line or "the history is unchanged" in line for line in lines), lines
    version = History.open(shop.history, KEY).version
    assert shop.read().keys() == {"t1", "t2", "t3", "t4"}
    after = ordervet(*ingest)
    assert [n_accepted for _, n_accepted, *_ in counts(after).values()] == [0, 0]
    assert after.json["version"] == version


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE orders DROP COLUMN changed_at", "has no column changed_at, by which it is to grow"),
        ("ALTER TABLE orders DROP COLUMN placed_at", "orders has none of the columns that identify its kind"),
        ("ALTER TABLE outcomes DROP COLUMN kind", "'kind': missing"),
        ("DROP TABLE outcomes", "outcomes"),
        ("ALTER TABLE orders DROP COLUMN phone", "phone"),
    ],
)
def test_what_is_dropped_in_between_is_one_clear_message(ordervet, shop: Shop, change: str, said: str) -> None:
    shop.run(*FIRST)
    named = 'table = "orders"\ncolumns = ["order_id", "placed_at", "amount_minor", "phone"]'
    if "phone" in change:
        shop.source.write_text(SOURCE.format(url=shop.server.url).replace('table = "orders"', named), encoding="utf-8")
    ingest = ("ingest", "--source", shop.source, "--history", shop.history, "--json")
    ordervet(*ingest)
    version = History.open(shop.history, KEY).version
    shop.run(change)

    ended = ordervet(*ingest)

    assert ended.code == 3
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 5
    assert History.open(shop.history, KEY).version == version


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("127.0.0.1", "127.0.0.2", "cannot be reached"),
        ("reader@", "nobody@", "refuses the user or the password"),
        ("/shop", "/no_shop", "no such database"),
        ('table = "orders"', 'table = "no_orders"', "no_orders"),
        ('table = "orders"', 'sql = "SELEC 1"', "cannot parse the statement"),
        ('table = "orders"', 'sql = "SELECT order_id, order_id, changed_at FROM orders"', "rder_id"),
        ('grows = "changed_at"', 'grows = "phone"', "holds neither times nor whole numbers"),
        ('grows = "changed_at"', 'grows = "changed_at"\noverlap = 5', "its overlap does not"),
    ],
)
def test_what_a_database_refuses_is_said_without_the_password(
    ordervet, shop: Shop, before: str, after: str, said: str
) -> None:
    text = shop.source.read_text(encoding="utf-8")
    shop.run(*FIRST)
    shop.source.write_text(text.replace(before, after), encoding="utf-8")
    if after.endswith("= 5"):
        shop.source.write_text(text, encoding="utf-8")
        ordervet("ingest", "--source", shop.source, "--history", shop.history)
        shop.source.write_text(text.replace(before, after), encoding="utf-8")

    ended = ordervet("ingest", "--source", shop.source, "--history", shop.history)

    assert ended.code == 3
    assert said in ended.err
    assert "kanari" not in ended.err + ended.out
    assert PASSWORD not in ended.err + ended.out


def test_neither_people_nor_the_password_are_kept_anywhere(ordervet, shop: Shop, tmp_path: Path) -> None:
    marks = {
        name: f"'{MARKS[column]}'"
        for name, column in {"buyer": "buyer_id", "phone": "phone", "address": "address"}.items()
    }
    shop.run(*FIRST, order("k1", "'2025-11-11 20:00:00'", **marks), order("k2", "NULL", **marks))

    ended = ordervet(
        "ingest", "--source", shop.source, "--history", shop.history, "--quarantine", tmp_path / "aside.csv"
    )

    assert ended.code == 4, ended.err
    assert find_marks((ended.out + ended.err).encode()) == set()
    assert find_marks_in(tmp_path) == {}


def fill(shop: Shop, n: int, first: int = 0) -> None:
    times = [f"'2025-11-11 {at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}'" for at in range(first, first + n)]
    shop.run(*(order(f"T{at}", time, time, buyer=f"'b{at % 7}'") for at, time in enumerate(times, start=first)))


def decided(shop: Shop, columns: str = "order_id, action, code, model_id") -> list[tuple[object, ...]]:
    return shop.server.run(f"SELECT {columns} FROM ordervet_decisions ORDER BY order_id")


def test_decisions_go_back_into_their_table_once(ordervet, shop: Shop) -> None:
    shop.server.run("DROP TABLE IF EXISTS ordervet_decisions")
    fill(shop, 30)
    shop.source.write_text(shop.source.read_text(encoding="utf-8").replace('"1h"', '"10s"'), encoding="utf-8")
    score = ("score", "--source", shop.source, "--sink", shop.source, "--history", shop.history, "--json")

    first = ordervet(*score)
    written = decided(shop)
    fill(shop, 3, first=30)
    second = ordervet(*score)
    nothing = ordervet(*score)

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.json["n_orders"] == 30
    assert len(written) == 30
    assert {row[0] for row in decided(shop)} == {f"T{at}" for at in range(33)}
    assert set(written) <= set(decided(shop))
    assert nothing.code == 0, nothing.err
    assert {row[2] for row in decided(shop)} == {"SCORED"}


def test_decisions_are_written_again_where_the_history_did_not_get_to_know(
    ordervet, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.server.run("DROP TABLE IF EXISTS ordervet_decisions")
    fill(shop, 20)
    score = ("score", "--source", shop.source, "--sink", shop.source, "--history", shop.history, "--json")

    def end(_: Staging) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Staging, "commit", end)
        interrupted = ordervet(*score)
    written = decided(shop)
    again = ordervet(*score)

    assert (interrupted.code, again.code) == (130, 0), again.err
    assert len(written) == again.json["n_orders"] == 20
    assert decided(shop) == written
    assert len(shop.read()) == 20


def test_a_table_that_could_have_an_order_twice_is_refused(ordervet, shop: Shop) -> None:
    fill(shop, 2)
    shop.server.run(
        "DROP TABLE IF EXISTS ordervet_decisions",
        "CREATE TABLE ordervet_decisions (shop_id varchar(9), order_id varchar(40), action varchar(9))",
    )

    ended = ordervet("score", "--source", shop.source, "--sink", shop.source, "--history", shop.history)

    assert (ended.code, "is not unique by shop and order" in ended.err) == (3, True), ended.err
    queries = SourceReader.open(shop.source, "score")
    assert not History.open(shop.history, KEY).read_positions(map(queries._name, queries.source.query))


def test_a_table_of_theirs_gets_the_columns_that_it_has(ordervet, shop: Shop) -> None:
    fill(shop, 2)
    shop.server.run(
        "DROP TABLE IF EXISTS ordervet_decisions",
        "CREATE TABLE ordervet_decisions (order_id varchar(40) PRIMARY KEY, action varchar(9), band text, note int)",
        "INSERT INTO ordervet_decisions VALUES ('T1', 'hold', 'high', 7)",
    )

    ended = ordervet("score", "--source", shop.source, "--sink", shop.source, "--history", shop.history)

    assert ended.code == 0, ended.err
    assert decided(shop, "order_id, action, note") == [("T0", "pass", None), ("T1", "pass", 7)]
