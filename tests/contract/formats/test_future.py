from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from contract.formats.tmall_exports import write_rows, write_tmall
from ordervet.contract import describe_file, list_formats, read_counted_events
from ordervet.entities import Key, key_events
from ordervet.features import FeatureEngine, build_later_events, build_order_events, build_spec
from ordervet.lab.simulate import SimulationSettings, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.contract import Events, Format

SPEC = build_spec()
KEY = Key(b"0123456789abcdef")
EXPORTS = Path(__file__).parent / "exports"
AS_OF_NOW = ["status", "updated_at"]
STATES_WITHOUT_DATES = {"magento_orders"}
STATUSES = ["交易成功", "交易关闭", "卖家已发货，等待买家确认", "等待买家付款", "另一种", ""]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    simulation = simulate(SimulationSettings(n_orders=500, seed=8, malicious_share=0.2))
    return write_tmall(simulation, tmp_path_factory.mktemp("export"))[0]


def compute_features(events: Events) -> dict[str, np.ndarray]:
    keyed = key_events(events, KEY)
    orders = build_order_events(keyed.orders, SPEC)
    values = FeatureEngine(SPEC).advance(orders, build_later_events(keyed))
    return dict(zip(events.orders["order_id"].to_pylist(), values, strict=True))


def test_features_of_an_order_stay_when_all_its_final_states_change(export: Path, tmp_path: Path) -> None:
    rng = random.Random(4)  # noqa: S311 - a test's dice
    header, *rows = csv.reader(export.read_text("gb18030").splitlines())
    states = [header.index(name) for name in describe_file(export).states]
    before, _, _ = read_counted_events([export])
    features = compute_features(before)
    n_changed = 0
    for chosen in rng.sample(before.orders["order_id"].to_pylist(), 12):
        changed = [list(row) for row in rows]
        for row in (row for row in changed if chosen in row[0]):
            for at in states:
                row[at] = rng.choice(STATUSES if header[at] == "订单状态" else [other[at] for other in rows])
        path = tmp_path / f"{chosen}.csv"
        path.write_bytes(write_rows(header, changed, "utf-8-sig"))

        after, _, _ = read_counted_events([path])

        assert after.orders.drop_columns(AS_OF_NOW).equals(before.orders.drop_columns(AS_OF_NOW))
        np.testing.assert_array_equal(compute_features(after)[chosen], features[chosen])
        n_changed += not after.outcomes.equals(before.outcomes)
    assert n_changed >= 6


@pytest.mark.parametrize("fmt", list_formats(), ids=lambda fmt: fmt.name)
def test_a_format_takes_a_final_state_for_no_field_but_the_status(fmt: Format) -> None:
    fields = {
        name
        for field, sources in fmt.fields.items()
        for source in sources
        for group in source.groups
        for name in group
        if field != "status"
    }
    states = {name for state in fmt.states.values() for name in state.columns}

    assert not fields & states


@pytest.mark.parametrize("path", sorted(EXPORTS.glob("*.[ct][sx][vt]")), ids=lambda path: path.name)
def test_no_column_of_an_order_changes_when_all_of_its_final_states_do(path: Path, tmp_path: Path) -> None:
    described = describe_file(path)
    if described.kind != "orders":
        assert not described.taken.keys() - {"order_id", "verdict", "decided_at", "kind", "by"}
        return
    separator = "\t" if path.suffix == ".txt" else ","
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    rows = list(csv.reader(path.read_text("utf-8").splitlines(keepends=True), delimiter=separator, quoting=quoting))
    at_header = next(at for at, row in enumerate(rows) if described.taken["order_id"][0] in row)
    states = [rows[at_header].index(name) for name in described.states]
    rng = random.Random(7)  # noqa: S311 - a test's dice
    before, _, _ = read_counted_events([path])
    outcomes = {str(before.outcomes.to_pylist())}

    for number in range(8):
        changed = [list(row) for row in rows]
        for row in (row for row in changed[at_header + 1 :] if len(row) == len(rows[at_header]) and any(row)):
            for at in states:
                row[at] = rng.choice(["", *(other[at] for other in rows[at_header + 1 :] if len(other) == len(row))])
        other = tmp_path / f"{number}{path.suffix}"
        text = io.StringIO()
        csv.writer(text, delimiter=separator, quoting=quoting, quotechar=None if quoting else '"').writerows(changed)
        other.write_text(text.getvalue(), "utf-8", newline="")

        after, _, _ = read_counted_events([other])

        assert after.orders.drop_columns(AS_OF_NOW).equals(before.orders.drop_columns(AS_OF_NOW))
        outcomes.add(str(after.outcomes.to_pylist()))
    assert len(outcomes) > 1 or not described.states or described.format in STATES_WITHOUT_DATES


@pytest.mark.parametrize("path", sorted(EXPORTS.glob("*.json")), ids=lambda path: path.name)
def test_no_column_of_an_order_changes_when_all_of_the_final_states_of_a_document_do(
    path: Path, tmp_path: Path
) -> None:
    described = describe_file(path)
    if described.kind != "orders":
        assert not described.taken.keys() - {"order_id", "shop_id"}
        return
    document = json.loads(path.read_text("utf-8"))
    leaves = [(parent, name) for parent, name, place in walk(document) if place.endswith(tuple(described.states))]
    values = [parent[name] for parent, name in leaves]
    before, _, _ = read_counted_events([path], format=described.format)
    outcomes = {str(before.outcomes.to_pylist())}
    rng = random.Random(7)  # noqa: S311 - a test's dice

    for number in range(8):
        for parent, name in leaves:
            parent[name] = rng.choice(["", *values])
        other = tmp_path / f"{number}.json"
        other.write_text(json.dumps(document), "utf-8")

        after, _, _ = read_counted_events([other], format=described.format)

        assert after.orders.drop_columns(AS_OF_NOW).equals(before.orders.drop_columns(AS_OF_NOW))
        outcomes.add(str(after.outcomes.to_pylist()))
    assert len(outcomes) > 1


def walk(value: Any, place: str = "") -> Iterator[tuple[dict[str, Any], str, str]]:
    """Walk over the plain values of a document: the object that holds each, its name, and the names down to it."""
    for each in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
        if isinstance(each, dict):
            for name, inner in each.items():
                if isinstance(inner, (dict, list)):
                    yield from walk(inner, f"{place}.{name}")
                else:
                    yield each, name, f"{place}.{name}"


def test_a_state_without_a_date_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "订单编号,订单创建时间,总金额,订单状态,订单付款时间\nA,2025-11-11 20:00:00,1,交易关闭,2025-11-11 20:01:00\n"
    )

    events, failures, (counts,) = read_counted_events([path])

    assert (events.orders.num_rows, events.outcomes.num_rows, failures.num_rows) == (1, 0, 0)
    assert counts.undated == {"cancelled_paid": 1}


def test_an_unpaid_order_without_a_date_is_known_by_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("订单编号,订单创建时间,总金额,订单状态,订单付款时间\nA,2025-11-11 20:00:00,1,交易关闭,\n")

    events, _, _ = read_counted_events([path])

    (outcome,) = events.outcomes.to_pylist()
    assert (outcome["kind"], f"{outcome['seen_at']:%d %H:%M}") == ("cancelled_unpaid", "14 12:00")


def test_an_unreadable_date_leaves_the_outcome_out_and_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("订单编号,订单创建时间,总金额,订单状态,确认收货时间\nA,2025-11-11 20:00:00,1,交易成功,下周\n")

    events, failures, (counts,) = read_counted_events([path])

    assert (events.orders.num_rows, events.outcomes.num_rows, counts.n_accepted, counts.n_quarantined) == (1, 0, 1, 0)
    assert failures.select(["field", "rule", "observed"]).to_pylist() == [
        {"field": "happened_at", "rule": "instant", "observed": "字字"}
    ]


def test_a_state_that_is_not_known_is_counted_by_its_column(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("订单编号,订单创建时间,总金额,订单状态\nA,2025-11-11 20:00:00,1,从未见过\n")

    _, _, (counts,) = read_counted_events([path])

    assert counts.unknown_states == {"订单状态": 1}
