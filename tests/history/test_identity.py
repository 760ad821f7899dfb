"""The rules of identity once more, one row at a time in plain Python."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from history_events import KINDS, build_events, order, outcome, plain, verdict
from ordervet.entities import key_events
from ordervet.history import History, IngestStatus

if TYPE_CHECKING:
    import pytest

    from ordervet.contract import Events
    from ordervet.entities import Key

DAYS = st.sampled_from(["2025-11-01", "2025-11-02", "2025-11-03"])
NAMES = st.sampled_from("AB")
ORDERS = st.builds(order, NAMES, DAYS, st.sampled_from([1, 2]))
OUTCOMES = st.builds(
    outcome,
    NAMES,
    st.sampled_from(["claim", "fulfilled"]),
    DAYS,
    amount_minor=st.sampled_from([None, 7]),
    blame=st.sampled_from([None, "unknown", "seller", "buyer"]),
)
VERDICTS = st.builds(verdict, NAMES, st.sampled_from(["malicious", "innocent"]), DAYS)
PARTS = st.builds(
    build_events,
    orders=st.lists(ORDERS, max_size=2, unique_by=lambda row: row["order_id"]),
    outcomes=st.lists(OUTCOMES, max_size=4),
    verdicts=st.lists(VERDICTS, max_size=2),
)


class PlainHistory:
    """What a history is, without a thought for speed."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def ingest(self, parts: list[Events]) -> list[list[IngestStatus]]:
        rows = [(n, kind, row) for n, part in enumerate(parts) for kind, row in self._list_rows(part)]
        seen_at = {row["order_id"]: row["seen_at"] for _, kind, row in reversed(rows) if kind == "orders"}
        seen_at |= {key[1]: row["seen_at"] for key, row in self.rows.items() if key[0] == "orders"}
        statuses: list[list[IngestStatus]] = [[] for _ in parts]
        for n, kind, row in rows:
            statuses[n].append(self._add(kind, row, seen_at.get(row["order_id"])))
        return statuses

    def _list_rows(self, part: Events) -> list[tuple[str, dict[str, Any]]]:
        """Every row with its number among equal outcomes: those with a blame first, by its name."""
        listed = []
        for kind in KINDS:
            table = getattr(part, kind).to_pylist()
            counts: Counter[tuple[Any, ...]] = Counter()
            by_blame = lambda at: (table[at].get("blame") in (None, "unknown"), table[at].get("blame") or "")  # noqa: E731, B023 - used at once
            for at in sorted(range(len(table)), key=by_blame):
                identity = self._identify(kind, table[at])
                table[at]["number"] = counts[identity] if kind == "outcomes" else 0
                counts[identity] += 1
            listed += [(kind, row) for row in table]
        return listed

    def _identify(self, kind: str, row: dict[str, Any]) -> tuple[Any, ...]:
        if kind == "orders":
            return kind, row["order_id"]
        details = {name: value for name, value in row.items() if name not in {"blame", "seen_at", "order_id"}}
        return kind, row["order_id"], tuple(details.items())

    def _add(self, kind: str, row: dict[str, Any], order_seen_at: Any) -> IngestStatus:
        if kind != "orders" and order_seen_at is not None and row["seen_at"] < order_seen_at:
            return IngestStatus.EARLY
        stored = self.rows.setdefault(self._identify(kind, row), row)
        if stored is row:
            return IngestStatus.ACCEPTED
        is_open = stored.get("blame") in (None, "unknown")
        if is_open and row.get("blame") not in (None, "unknown"):
            stored["blame"] = row["blame"]
            return IngestStatus.MERGED
        return IngestStatus.KNOWN

    def read(self) -> dict[str, list[dict[str, Any]]]:
        seen_at = {key[1]: row["seen_at"] for key, row in self.rows.items() if key[0] == "orders"}
        kinds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        for (kind, order_id, *_), row in self.rows.items():
            if order_id in seen_at and row["seen_at"] >= seen_at[order_id]:
                kinds[kind].append({name: value for name, value in row.items() if name != "number"})
        return kinds


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(st.lists(PARTS, min_size=1, max_size=3), min_size=1, max_size=3))
def test_history_equals_its_plain_twin(
    tmp_path_factory: pytest.TempPathFactory, key: Key, batches: list[list[Events]]
) -> None:
    history = History.open(tmp_path_factory.mktemp("store") / "history", key, create=True)
    twin = PlainHistory()

    for parts in batches:
        statuses = [[status for kind in KINDS for status in part.statuses[kind]] for part in history.ingest_all(parts)]

        assert statuses == twin.ingest(parts)
    expected = key_events(build_events(**twin.read()), key)
    assert plain(history.read()) == plain(expected)
