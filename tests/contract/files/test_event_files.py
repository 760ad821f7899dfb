from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordervet.contract import Events, kind_of, load_mapping, read_events, write_table
from ordervet.errors import ContractError, FileError, MappingError

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = "order_id,placed_at,amount_minor,buyer_id\nA,2025-11-11 20:00,100,x\nB,2025-11-11 21:00,200,y\n"
OUTCOMES = "order_id,kind,happened_at\nA,claim,2025-11-12\nB,fulfilled,2025-11-13\n"
MAPPING = """
[source]
time_zone = "UTC"
[order]
order_id = "ID"
placed_at = "AT"
amount_minor = "AMOUNT"
[labels]
column = "FRAUD"
malicious = ["1"]
delay = "1d"
"""


def write(folder: Path, **texts: str) -> list[Path]:
    paths = [folder / f"{name}.csv" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths


def test_read_events_recognises_each_file_by_its_instants(tmp_path: Path) -> None:
    paths = write(
        tmp_path,
        outcomes=OUTCOMES,
        orders=ORDERS,
        verdicts="order_id,verdict,decided_at\nA,malicious,2025-11-14\n",
        corrections="order_id,corrected_at\nA,2025-11-15\n",
    )

    events, failures = read_events(paths)

    assert repr(events) == "Events(2 orders, 2 outcomes, 1 verdicts, 1 corrections)"
    assert failures.num_rows == 0
    assert failures.column_names == ["file", "row", "order_id", "field", "rule", "observed"]


def test_read_events_counts_a_row_once_that_a_later_export_repeats(tmp_path: Path) -> None:
    later = ORDERS + "C,2025-11-11 22:00,300,\n"
    paths = write(tmp_path, first=ORDERS, outcomes=OUTCOMES, second=later, outcomes_again=OUTCOMES)

    events, failures = read_events(paths)

    assert events.orders["order_id"].to_pylist() == ["A", "B", "C"]
    assert events.outcomes.num_rows == 2
    assert failures.num_rows == 0


def test_read_events_keeps_repeated_outcomes_of_one_file(tmp_path: Path) -> None:
    twice = OUTCOMES + "A,claim,2025-11-12\n"

    events, _ = read_events(write(tmp_path, orders=ORDERS, outcomes=twice, again=twice))

    assert events.outcomes["order_id"].to_pylist() == ["A", "B", "A"]


def test_read_events_keeps_the_first_of_two_orders_that_differ(tmp_path: Path) -> None:
    paths = write(tmp_path, first=ORDERS, second=ORDERS.replace("B,2025-11-11 21:00,200", "B,2025-11-11 21:00,250"))

    events, failures = read_events(paths)

    assert events.orders["amount_minor"].to_pylist() == [100, 200]
    assert failures.to_pylist() == [
        {
            "file": "second.csv",
            "row": 1,
            "order_id": "B",
            "field": "order_id",
            "rule": "unique",
            "observed": "an id seen before",
        }
    ]


def test_read_events_leaves_out_events_without_their_order_or_before_it(tmp_path: Path) -> None:
    outcomes = (
        OUTCOMES + "Z,claim,2025-11-12\nB,claim,2025-11-11 20:59\nB,fuflilled,2025-11-12\nB,claim,2025-11-11 21:00\n"
    )

    events, failures = read_events(write(tmp_path, orders=ORDERS, outcomes=outcomes))

    assert events.outcomes["order_id"].to_pylist() == ["A", "B", "B"]
    assert failures.select(["file", "row", "order_id", "field", "rule"]).to_pylist() == [
        {"file": "outcomes.csv", "row": 4, "order_id": "B", "field": "kind", "rule": "allowed"},
        {"file": "outcomes.csv", "row": 2, "order_id": "Z", "field": "order_id", "rule": "known_order"},
        {"file": "outcomes.csv", "row": 3, "order_id": "B", "field": "happened_at", "rule": "order_first"},
    ]


def test_read_events_counts_the_outcome_of_a_bad_order_as_one_without_order(tmp_path: Path) -> None:
    events, failures = read_events(write(tmp_path, orders=ORDERS.replace(",100,", ",-100,"), outcomes=OUTCOMES))

    assert (events.orders.num_rows, events.outcomes.num_rows) == (1, 1)
    assert failures["rule"].to_pylist() == ["minimum", "known_order"]


def test_read_events_reads_naive_times_in_the_zone_asked_for(tmp_path: Path) -> None:
    events, _ = read_events(write(tmp_path, orders=ORDERS), time_zone="UTC")

    assert events.orders["placed_at"].cast(pa.string()).to_pylist()[0] == "2025-11-11 20:00:00.000000Z"


def test_read_events_reads_foreign_files_through_the_mapping_and_others_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    foreign = "ID,AT,AMOUNT,FRAUD\nF1,2025-11-11 20:00,5,1\nF2,bad,5,1\nF3,2025-11-11 20:00,5,3\n"
    paths = write(tmp_path, foreign=foreign, orders=ORDERS, outcomes="order_id,kind,happened_at\nF1,claim,2025-11-13\n")

    events, failures = read_events(paths, mapping=load_mapping(tmp_path / "m.toml"))

    assert events.orders["order_id"].to_pylist() == ["F1", "F3", "A", "B"]
    assert events.outcomes["order_id"].to_pylist() == ["F1"]
    assert events.verdicts.select(["order_id", "verdict"]).to_pylist() == [{"order_id": "F1", "verdict": "malicious"}]
    assert failures.select(["file", "row", "field", "rule"]).to_pylist() == [
        {"file": "foreign.csv", "row": 1, "field": "placed_at", "rule": "instant"},
        {"file": "foreign.csv", "row": 2, "field": "verdict", "rule": "allowed"},
    ]


def test_read_events_names_the_file_that_does_not_fit_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)

    with pytest.raises(MappingError, match=r"foreign\.csv does not fit the mapping m"):
        read_events(write(tmp_path, foreign="ID,AT\n1,2\n"), mapping=load_mapping(tmp_path / "m.toml"))


def test_read_events_names_the_file_whose_columns_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"1 column does not fit orders in orders\.csv\n - 'buyer': unknown"):
        read_events(write(tmp_path, orders="order_id,placed_at,amount_minor,buyer\n"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["order_id", "plced_at"],
            r"none of the columns that identify its kind: placed_at \(orders\).*misspell it in 'plced_at'",
        ),
        (["订单编号"], "none of the columns that identify its kind"),
        (["placed_at", "decided_at"], "holds several kinds of events: placed_at, decided_at"),
    ],
)
def test_kind_of_says_why_it_cannot_tell(columns: list[str], message: str) -> None:
    with pytest.raises(FileError, match=message):
        kind_of(columns)


def test_read_events_reads_back_what_was_written(tmp_path: Path) -> None:
    events, _ = read_events(write(tmp_path, orders=ORDERS, outcomes=OUTCOMES))

    for ending in ("csv", "jsonl", "parquet", "xlsx"):
        paths = [tmp_path / f"out-{name}.{ending}" for name in ("orders", "outcomes")]
        write_table(events.orders, paths[0])
        write_table(events.outcomes, paths[1])
        again, failures = read_events(paths)
        assert failures.num_rows == 0
        assert again == events


def test_read_events_takes_one_path_and_none_for_what_they_are(tmp_path: Path) -> None:
    (path,) = write(tmp_path, orders=ORDERS)

    assert read_events(str(path))[0].orders.num_rows == 2
    assert read_events([])[0] == Events.empty()


@given(parts=st.lists(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 2)), max_size=4), max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_read_events_puts_files_together_as_a_plain_loop_does(
    tmp_path: Path, parts: list[list[tuple[str, int]]]
) -> None:
    header = "order_id,placed_at,amount_minor"
    texts = {f"f{n}": "\n".join([header, *(f"{i},2025-11-11,{a}" for i, a in part)]) for n, part in enumerate(parts)}

    events, failures = read_events(write(tmp_path, **texts))

    kept: dict[str, int] = {}
    seen_before: set[tuple[str, int]] = set()
    expected_failures = []
    for number, part in enumerate(parts):
        in_file: dict[str, int] = {}
        for row, (order_id, amount) in enumerate(part):
            is_repeated = order_id not in in_file and (order_id, amount) in seen_before
            if order_id in in_file or (not is_repeated and kept.get(order_id, amount) != amount):
                expected_failures.append((f"f{number}.csv", row, order_id, "unique"))
            kept.setdefault(order_id, amount)
            in_file.setdefault(order_id, amount)
        seen_before |= set(in_file.items())
    rows = [(row["file"], row["row"], row["order_id"], row["rule"]) for row in failures.to_pylist()]
    assert sorted(rows) == sorted(expected_failures)
    assert (
        dict(zip(events.orders["order_id"].to_pylist(), events.orders["amount_minor"].to_pylist(), strict=True)) == kept
    )
