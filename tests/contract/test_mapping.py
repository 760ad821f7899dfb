from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ordervet.contract import apply_mapping, load_mapping, read_events, shipped_mappings, split_events
from ordervet.entities import canonical_payment
from ordervet.errors import MappingError

if TYPE_CHECKING:
    from ordervet.contract.mapping import Mapping

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared_data = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the evaluation data does not lie beside the project"),
]

SMALL = """
[source]
time_zone = "UTC"
[order]
order_id = "ID"
placed_at = "AT"
amount_minor = { column = "AMOUNT", unit = "major" }
currency = { value = "EUR" }
[order.entities]
terminal = "TERMINAL"
[order.numbers]
weight = "WEIGHT"
[order.categories]
browser = "BROWSER"
[labels]
column = "FRAUD"
malicious = ["1", "yes"]
innocent = ["0"]
delay = "7d"
kind = "stolen_payment"
[ignore]
columns = ["SECRET_SCENARIO"]
[features]
windows = ["1d"]
[backtest]
protocol = "any"
"""
TABLE: dict[str, Any] = {
    "ID": [1, 2, 3, 4],
    "AT": [datetime(2025, 11, 11, 12), datetime(2025, 11, 12), None, datetime(2025, 11, 13)],  # noqa: DTZ001 - read in the zone
    "AMOUNT": [12.34, 5.0, 1.0, 2.0],
    "TERMINAL": [7, None, 7, 8],
    "WEIGHT": [1.5, None, 2.0, 3.0],
    "BROWSER": [True, False, None, True],
    "FRAUD": [1, 0, 1, None],
    "SECRET_SCENARIO": [3, 0, 0, 0],
}


def mapping_of(text: str, tmp_path: Path) -> Mapping:
    (tmp_path / "small.toml").write_text(text)
    return load_mapping(tmp_path / "small.toml")


def problems_of(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(MappingError) as caught:
        mapping_of(text, tmp_path)
    return caught.value.message.splitlines()


def test_apply_mapping_gives_orders_and_verdicts_in_contract_columns(tmp_path: Path) -> None:
    mapped = apply_mapping(pa.table(TABLE), mapping_of(SMALL, tmp_path))

    orders, failures = split_events("orders", mapped.orders, time_zone=mapped.time_zone, in_major=mapped.in_major)
    verdicts, _ = split_events("verdicts", mapped.verdicts, time_zone=mapped.time_zone)

    names = ["order_id", "amount_minor", "currency", "category__browser", "entity__terminal", "number__weight"]
    assert [tuple(row.values()) for row in orders.select(names).to_pylist()] == [
        ("1", 1234, "EUR", "true", "7", 1.5),
        ("2", 500, "EUR", "false", None, None),
        ("4", 200, "EUR", "true", "8", 3.0),
    ]
    assert failures.select(["row", "field", "rule"]).to_pylist() == [
        {"row": 2, "field": "placed_at", "rule": "required"}
    ]
    week_later = datetime(2025, 11, 11, 12, tzinfo=UTC) + timedelta(days=7)
    assert verdicts.select(["order_id", "verdict", "kind", "by", "seen_at"]).to_pylist() == [
        {"order_id": "1", "verdict": "malicious", "kind": "stolen_payment", "by": "platform", "seen_at": week_later},
        {
            "order_id": "2",
            "verdict": "innocent",
            "kind": None,
            "by": "platform",
            "seen_at": week_later + timedelta(hours=12),
        },
    ]
    assert mapped.verdict_rows.tolist() == [0, 1]


def test_apply_mapping_reads_when_labels_were_seen_from_a_column(tmp_path: Path) -> None:
    mapping = mapping_of(SMALL.replace('delay = "7d"', 'seen_at = "KNOWN"'), tmp_path)
    known = [date(2025, 12, 1), None, date(2025, 12, 1), None]

    mapped = apply_mapping(pa.table(TABLE | {"KNOWN": known}), mapping)

    assert mapped.verdicts is not None
    assert mapped.verdicts["order_id"].to_pylist() == [1, 3]
    assert mapped.verdicts["decided_at"].to_pylist() == [datetime(2025, 12, 1, tzinfo=UTC)] * 2


def test_a_label_that_the_mapping_does_not_know_is_a_failure_and_not_an_innocent(tmp_path: Path) -> None:
    table = pa.table(TABLE | {"FRAUD": ["yes", "2", "1", " "]})

    mapped = apply_mapping(table, mapping_of(SMALL, tmp_path))

    verdicts, failures = split_events("verdicts", mapped.verdicts)
    assert verdicts.select(["order_id", "verdict"]).to_pylist() == [{"order_id": "1", "verdict": "malicious"}]
    assert failures.select(["row", "order_id", "field", "rule"]).to_pylist() == [
        {"row": 1, "order_id": "2", "field": "verdict", "rule": "allowed"}
    ]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 23], ["2020-01-02T00:00", "2020-01-02T23:00"]),
        (["9", " 10:30 "], ["2020-01-02T09:00", "2020-01-02T10:30"]),
        (["09:05:06", None], ["2020-01-02T09:05:06", None]),
    ],
)
def test_apply_mapping_joins_a_date_and_a_time(tmp_path: Path, times: list[Any], expected: list[Any]) -> None:
    text = SMALL.replace('placed_at = "AT"', 'placed_at = { column = "DAY", time = "HOUR" }').split("[labels]")[0]
    table = pa.table({"ID": [1, 2], "AMOUNT": [1, 1], "DAY": [date(2020, 1, 2)] * 2, "HOUR": times})
    mapping = mapping_of(text.split("[order.entities]")[0], tmp_path)

    mapped = apply_mapping(table, mapping)

    orders, _ = split_events("orders", mapped.orders, time_zone="UTC")
    instants = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in expected if text]
    assert orders["placed_at"].to_pylist() == instants


def test_apply_mapping_makes_a_key_of_a_masked_card_and_its_brand(tmp_path: Path) -> None:
    text = SMALL.replace('currency = { value = "EUR" }', 'payment_account = { column = "CARD", brand = "BRAND" }')
    cards = ["434505******9116", "4345 05XX XXXX 9116", "4345051234569116", "tok_77", "434505******9116", None]
    brands = ["Visa", "VISA", "visa", "Visa", None, "Visa"]
    table = pa.table({"ID": range(6), "AT": ["2020-01-02"] * 6, "AMOUNT": [1] * 6, "CARD": cards, "BRAND": brands})
    mapping = mapping_of(text.split("[order.entities]")[0].split("[labels]")[0], tmp_path)

    mapped = apply_mapping(table, mapping)

    accounts = mapped.orders["payment_account"].to_pylist()
    assert accounts == ["visa 434505 9116"] * 3 + ["tok_77", "434505******9116", None]
    assert [canonical_payment(account).evidence.name for account in accounts[3:]] == ["KNOWN", "MASKED", "ABSENT"]


def test_apply_mapping_names_the_columns_that_are_missing_and_what_is_near(tmp_path: Path) -> None:
    table = pa.table(TABLE).rename_columns(["IDS", *list(TABLE)[1:]]).drop_columns(["FRAUD"])

    with pytest.raises(MappingError) as caught:
        apply_mapping(table, mapping_of(SMALL, tmp_path), where="a.csv")

    assert caught.value.message.splitlines() == [
        "a.csv does not fit the mapping small",
        " - 'ID': named in the mapping, not in the table; near: IDS",
        " - 'FRAUD': named in the mapping, not in the table",
        " - 'IDS': neither mapped nor ignored",
    ]


def test_apply_mapping_asks_to_ignore_left_over_columns(tmp_path: Path) -> None:
    table = pa.table(TABLE | {"B": [1] * 4, "A": [1] * 4})

    with pytest.raises(MappingError) as caught:
        apply_mapping(table, mapping_of(SMALL, tmp_path))

    assert caught.value.hint == 'add to the mapping: [ignore] columns = ["A", "B"]'
    everything = mapping_of(SMALL.replace('columns = ["SECRET_SCENARIO"]', "all_other = true"), tmp_path)
    assert apply_mapping(table, everything).orders.num_rows == 4


def test_load_mapping_keeps_the_sections_of_later_rooms_as_they_are(tmp_path: Path) -> None:
    mapping = mapping_of(SMALL, tmp_path)

    assert mapping.name == "small"
    assert mapping.features == {"windows": ["1d"]}
    assert mapping.backtest == {"protocol": "any"}


def test_load_mapping_says_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    text = """
[source]
time_zone = "Mars/Olympus"
[order]
order_id = "a"
amout_minor = "b"
placed_at = { column = "x", tim = "h" }
quantity = { column = "q", unit = "mayor" }
shop_id = { column = "s", value = "t" }
[order.entities]
buyer = "x"
[labels]
column = "c"
malicious = []
delay = "a week"
[lables]
"""

    lines = problems_of(text, tmp_path)

    assert lines[0] == "10 problems in small.toml"
    assert sorted(lines[1:]) == [
        ' - \'labels.delay\': give a length of time such as "7d", "12h", "30m" or "45s"',
        " - 'labels.malicious': List should have at least 1 item after validation, not 0",
        " - 'lables': unknown; did you mean 'labels'?",
        " - 'order.amount_minor': missing",
        " - 'order.amout_minor': unknown; did you mean 'amount_minor'?",
        " - 'order.entities.buyer': this is the name of a built-in entity",
        " - 'order.placed_at.tim': unknown; did you mean 'time'?",
        " - 'order.quantity.unit': Input should be 'minor' or 'major'",
        " - 'order.shop_id': give either a column or a value",
        " - 'source.time_zone': there is no time zone 'Mars/Olympus'",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'currency = { value = "EUR" }',
            'quantity = { column = "Q", unit = "major" }',
            "quantity is no amount of money",
        ),
        ('currency = { value = "EUR" }', 'item_id = { column = "I", time = "T" }', "item_id is no instant"),
        ('currency = { value = "EUR" }', 'item_id = { column = "I", brand = "B" }', "item_id is no payment account"),
        (
            'currency = { value = "EUR" }',
            'payment_account = { value = "x", brand = "B" }',
            "give the column of the card",
        ),
        ('browser = "BROWSER"', 'terminal = "BROWSER"', "both an entity and a category: terminal"),
        ('delay = "7d"', "", "a label without its time would leak"),
        ('delay = "7d"', 'delay = "7d"\nseen_at = "KNOWN"', "give either a delay or the column seen_at"),
        ('innocent = ["0"]', 'innocent = ["1"]', "a label is both malicious and innocent"),
        ('kind = "stolen_payment"', 'kind = "theft"', "Input should be 'refund_only_abuse'"),
        ("[source]", 'name = "x"\n[source]', "'name' is taken from the file's name"),
        ("[source]", "[source", "is not TOML"),
    ],
)
def test_load_mapping_refuses_what_contradicts_itself(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in SMALL

    lines = problems_of(SMALL.replace(old, new), tmp_path)

    assert any(problem in line for line in lines)


def test_load_mapping_names_the_shipped_ones_when_there_is_none_of_a_name() -> None:
    with pytest.raises(MappingError, match="did you mean 'handbook'"):
        load_mapping("handbok")
    with pytest.raises(MappingError, match=r"none\.toml cannot be read"):
        load_mapping("none.toml")


@pytest.mark.parametrize("name", shipped_mappings())
def test_every_shipped_mapping_loads(name: str) -> None:
    assert load_mapping(name).name == name


@pytest.mark.parametrize(
    ("name", "file", "n_orders", "n_malicious"),
    [
        pytest.param("cloudwalk", "cloudwalk/transactional_sample.csv.gz", 3_199, 391, marks=needs_shared_data),
        pytest.param("rappi", "rappi/ds_challenge_data_2022.csv.gz", 26_975, 810, marks=needs_shared_data),
        pytest.param("handbook", "handbook_raw/transactions.parquet", 1_754_155, 14_681, marks=needs_shared_data),
    ],
)
def test_every_shipped_mapping_reads_its_table_whole(name: str, file: str, n_orders: int, n_malicious: int) -> None:
    events, failures = read_events([SHARED / file], mapping=load_mapping(name))

    assert failures.num_rows == 0
    assert events.orders.num_rows == events.verdicts.num_rows == n_orders
    assert pc.sum(pc.equal(events.verdicts["verdict"], "malicious")).as_py() == n_malicious


def test_first_row_of_a_file_without_a_header_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("张三,13900001111,129.00\n李四,13900002222,29.00\n", encoding="utf-8")

    with pytest.raises(MappingError, match="'字字': neither mapped nor ignored") as refused:
        read_events([path], mapping=load_mapping("handbook.toml"))

    assert not any(cell in str(refused.value) for cell in ("张三", "13900001111"))
