"""What becomes of whole batches of rows: by columns, and by the rules alone, order id after order id."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from history_events import build_events, ids, order, outcome, plain, verdict
from ordervet.entities import new_key
from ordervet.history import History, ingest
from ordervet.history.admission import make_id
from ordervet.history.ingest import build_batch, settle_files
from ordervet.history.stored_rows import drop_replaced, row_schema, sort_rows, to_events
from ordervet.history.views import IngestStatus, settle

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract import Events
    from ordervet.entities import Key

DAYS = st.sampled_from(["2025-11-01", "2025-11-02", "2025-11-03"])
NAMES = st.sampled_from("AB")
SHOPS = st.sampled_from([None, None, "one", "two"])
ORDERS = st.builds(order, NAMES, DAYS, st.sampled_from([1, 2]), shop_id=SHOPS)
OUTCOMES = st.builds(
    outcome,
    NAMES,
    st.sampled_from(["refund_requested", "fulfilled"]),
    DAYS,
    amount_minor=st.sampled_from([None, 7, 8]),
    blame=st.sampled_from([None, "unknown", "seller", "buyer"]),
    outcome_id=st.sampled_from([None, None, "R1", "R2"]),
    is_inferred=st.sampled_from([None, True]),
    shop_id=SHOPS,
)
VERDICTS = st.builds(verdict, NAMES, st.sampled_from(["malicious", "innocent"]), DAYS)
PARTS = st.builds(
    build_events,
    orders=st.lists(ORDERS, max_size=2, unique_by=lambda row: row["order_id"]),
    outcomes=st.lists(OUTCOMES, max_size=4),
    verdicts=st.lists(VERDICTS, max_size=2),
)


class PlainHistory:
    """A history that settles every row by the rules, without a thought for speed."""

    def __init__(self, key: Key) -> None:
        self.rows: list[dict[str, Any]] = []
        self._key = key

    def ingest(self, parts: list[Events]) -> list[int]:
        rows = _to_plain(build_batch(parts, self._key, recorded_at=0).rows)
        statuses = [0] * len(rows)
        groups: dict[int, list[int]] = defaultdict(list)
        for at, row in enumerate(rows):
            groups[row["id__order"]].append(at)
        for name, places in groups.items():
            stored = [row for row in self.rows if (row["name_id"] or row["id__order"]) == name]
            settled = settle([rows[at] for at in places], stored, lambda text: make_id(text, self._key))
            self.rows += settled.new
            for at, status in zip(places, settled.statuses, strict=True):
                statuses[at] = int(status)
        return statuses

    def read(self) -> pa.Table:
        schema = row_schema()
        plain_schema = pa.schema(
            [(each.name, pa.int64() if pa.types.is_timestamp(each.type) else each.type) for each in schema]
        )
        built = pa.Table.from_pylist(self.rows, schema=plain_schema)
        return sort_rows(drop_replaced(built.cast(schema)))


def _to_plain(rows: pa.Table) -> list[dict[str, Any]]:
    columns = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in rows.columns]
    return pa.table(columns, names=rows.column_names).to_pylist()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.lists(PARTS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_history_equals_its_plain_twin(
    tmp_path_factory: pytest.TempPathFactory, key: Key, batches: list[list[Events]]
) -> None:
    history = History.open(tmp_path_factory.mktemp("store") / "history", key, create=True)
    twin = PlainHistory(key)

    for parts in batches:
        statuses = [
            int(status) for each in history.ingest_all(parts) for kind in each.statuses.values() for status in kind
        ]

        assert statuses == twin.ingest(parts)
    assert plain(history.read()) == plain(to_events(twin.read(), key.key_id))


@pytest.mark.parametrize(
    ("numbers", "n_known"), [(("R1", "R2"), 0), (("R1", "R1"), 1), (("R1", None), 1), ((None, None), 1)]
)
@pytest.mark.parametrize("is_order_known", [False, True])
def test_states_with_numbers_of_their_own_are_two_outcomes(
    tmp_path: Path, key: Key, numbers: tuple[str | None, str | None], n_known: int, is_order_known: bool
) -> None:
    history = History.open(tmp_path / "history", key, create=True)
    if is_order_known:
        history.ingest_all([build_events(orders=[order("A", "2025-11-01", 1)])])
    told = [outcome("A", "refund_requested", "2025-11-02", outcome_id=each, is_inferred=True) for each in numbers]

    (account,) = history.ingest_all([build_events(outcomes=told)])

    assert account.count(IngestStatus.KNOWN) == n_known
    assert history.read().outcomes.num_rows == (2 - n_known) * is_order_known


def test_what_was_known_before_its_id_had_two_orders_is_known_when_it_is_sent_again(tmp_path: Path, key: Key) -> None:
    one, two = (order("B", "2025-11-01", 1, shop_id=shop) for shop in ("one", "two"))
    judged, new = verdict("B", "malicious", "2025-11-02"), verdict("B", "innocent", "2025-11-03")
    history = History.open(tmp_path / "history", key, create=True)
    history.ingest_all([build_events(orders=[one], verdicts=[judged])])
    history.ingest_all([build_events(orders=[two])])

    (told,) = history.ingest_all([build_events(verdicts=[judged, new])])

    assert told.statuses["verdicts"].tolist() == [IngestStatus.KNOWN, IngestStatus.AMBIGUOUS]


def test_files_alone_are_settled_alike_whatever_the_key() -> None:
    orders = [order(f"T{n}", "2025-11-01 10:00", buyer_id=f"b{n % 7}") for n in range(40)]
    outcomes = [outcome(f"T{n}", "refund_requested", "2025-11-05 10:00") for n in range(0, 50, 3)]
    parts = [build_events(orders=orders[:25], outcomes=outcomes), build_events(orders=orders[10:])]

    (one, told), (other, _) = (settle_files(parts, new_key(), are_orders_needed=True) for _ in range(2))

    assert ids(one, "orders") == ids(other, "orders") == sorted(each["order_id"] for each in orders)
    assert ids(one, "outcomes") == ids(other, "outcomes")
    assert told[0].count(IngestStatus.NO_ORDER) == 3
    assert told[1].count(IngestStatus.KNOWN) == 15


def test_files_alone_are_settled_alike_in_parts_of_the_order_ids(monkeypatch: pytest.MonkeyPatch, key: Key) -> None:
    orders = [order(f"T{n}", "2025-11-01 10:00", buyer_id=f"b{n % 7}") for n in range(40)]
    later = [outcome(f"T{n}", "refund_requested", "2025-11-05 10:00") for n in range(0, 50, 3)]
    parts = [
        build_events(orders=orders[:25], outcomes=later, verdicts=[verdict("T4", "malicious", "2025-11-09")]),
        build_events(orders=[each | {"amount_minor": 7} for each in orders[10:]]),
    ]

    events, told = settle_files(parts, key, are_orders_needed=True)
    monkeypatch.setattr(ingest, "_ROWS_PER_PART", 3)
    events_of_parts, told_of_parts = settle_files(parts, key, are_orders_needed=True)

    assert events_of_parts == events
    for one, other in zip(told, told_of_parts, strict=True):
        assert {kind: codes.tolist() for kind, codes in one.statuses.items()} == {
            kind: codes.tolist() for kind, codes in other.statuses.items()
        }
        assert (one.n_waiting, one.evidence) == (other.n_waiting, other.evidence)
