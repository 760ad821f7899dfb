"""The ends of the stages: rows of a DataFrame become keyed events, and orders with their features become rows.

What only some of the processes need is imported where it is used: there are many, and each begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities import KeyedEvents, key_events
from ordervet.entities.keyed import ID, KEYED_KINDS, ORDER_ID, complete_columns, keyed_schema
from ordervet.errors import ContractError
from ordervet.features import build_later_events, build_order_events, build_spec
from ordervet.history.stored_rows import read_ints
from ordervet.spark.messages import gather, pack, split
from ordervet.spark.slot_stages import (
    LATER,
    LATER_TYPE,
    ORDERS,
    SETTLE,
    VERDICT_TYPE,
    VERDICTS,
    finish,
    to_later_events,
    to_later_rows,
    to_order_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from ordervet.contract import EventKind
    from ordervet.entities import Key
    from ordervet.features import FeatureSpec
    from ordervet.model import ForestPredictor, Model
    from ordervet.policy import Lang, Policy
    from ordervet.spark.messages import Inbox, Message
    from ordervet.spark.slot_stages import Layout

    Finish = Callable[[pa.Table, NDArray[np.float32], Inbox], pa.Table]

_TYPES = {"int64": "bigint", "int8": "tinyint", "bool": "boolean"}


def name_columns(schema: pa.Schema) -> str:
    """Return columns as Spark names types."""
    plain = ((each.name, str(each.type).partition("[")[0]) for each in schema)
    return ", ".join(f"`{name}` {_TYPES.get(type_, type_)}" for name, type_ in plain)


def to_us(time: datetime) -> int:
    """Return a time in UTC microseconds.

    Raises
    ------
    ContractError
        It has no zone.
    """
    if time.tzinfo is None:
        raise ContractError(f"got the time {time}, which has no zone", hint="datetime(2025, 12, 1, tzinfo=UTC)")
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


FEATURE_SCHEMA = pa.schema({"order_id": pa.string(), ORDER_ID: pa.int64(), "seen_at": pa.timestamp("us", "UTC")})

#: So many rows are keyed at once. SPEED: fewer make more and smaller messages, more take memory.
_KEYED_ROWS = 100_000


def key_batches(
    batches: Iterable[pa.RecordBatch],
    *,
    kind: EventKind,
    layout: Layout,
    key: Key,
    columns: tuple[str, ...],
    until_us: int | None,
) -> Iterator[pa.RecordBatch]:
    """Key rows of one kind of event, and send each to its order's slot; see `slot_stages.settle`.

    Parameters
    ----------
    batches : contract columns, or keyed ones
    kind, layout, key : of the events
    columns : of orders, what goes with them; empty for all
    until_us : what was seen from this time on is not known, UTC microseconds; None knows all
    """
    send = partial(_send, kind=kind, layout=layout, key=key, columns=columns, until_us=until_us)
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.num_rows for each in held) >= _KEYED_ROWS:
            yield from pack(send(pa.Table.from_batches(held)))
            held = []
    if held:
        yield from pack(send(pa.Table.from_batches(held)))


def _send(
    table: pa.Table, *, kind: EventKind, layout: Layout, key: Key, columns: tuple[str, ...], until_us: int | None
) -> Iterator[Message]:
    keyed = _read_keyed(table, kind, key) if ORDER_ID in table.column_names else _key(table, kind, key)
    given: pa.Table = getattr(keyed, kind)
    if until_us is not None:
        given = given.filter(pa.array(read_ints(given["seen_at"]) < until_us))
        keyed = replace(keyed, **{kind: given})
    if kind == "orders":
        orders = build_order_events(given, layout.spec)
        kept = given.select(list(columns)) if columns else given
        for at, (_, name) in enumerate(layout.spec.order_columns):
            kept = kept.append_column(name, pa.array(orders.own[:, at]))
        yield from split(SETTLE, layout.find_home(orders.order_id), ORDERS, to_order_rows(orders, layout), kept)
        return
    rows = to_later_rows(build_later_events(keyed))
    homes = layout.find_home(rows["order_id"])
    yield from split(SETTLE, homes, LATER, rows)
    if kind == "verdicts" and until_us is not None:
        told = np.zeros(len(rows), VERDICT_TYPE)
        told["order_id"], told["seen_at"] = rows["order_id"], rows["seen_at"]
        yield from split(SETTLE, homes, VERDICTS, told, given.select(["kind", "by"]))


def _key(table: pa.Table, kind: EventKind, key: Key) -> KeyedEvents:
    """Read rows by the contract and key them; what is wrong with any is one error."""
    from ordervet.contract import Events
    from ordervet.contract.failures import build_failures, failures_error
    from ordervet.contract.schemas import table_fields
    from ordervet.contract.tables import read_batch

    fields = table_fields(kind, table.column_names)
    batch = table.combine_chunks().to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], table.schema)
    read, faults = read_batch(batch, fields, ZoneInfo(DEFAULT_TIME_ZONE))
    events = pa.Table.from_batches([read])
    if faults:
        raise failures_error(
            build_failures(faults, events["order_id"]), fields, n_rows=table.num_rows, things=kind,
            where="a batch of the DataFrame", hint=f"ordervet validate lists what is wrong with files of {kind}",
        )  # fmt: skip
    empty = Events.empty()
    tables = {each: events if each == kind else getattr(empty, each) for each in KEYED_KINDS}
    return key_events(Events(**tables), key)


def _read_keyed(table: pa.Table, kind: EventKind, key: Key) -> KeyedEvents:
    """Read rows that are keyed; Spark has the bits of ids as bigint."""
    schema = keyed_schema(kind, table.column_names)
    given = [field for field in schema if field.name in table.column_names]
    columns = [pc.cast(table[field.name], field.type, safe=not field.name.startswith(ID)) for field in given]
    keyed = complete_columns(pa.table(columns, [field.name for field in given]), schema)
    tables = {each: keyed if each == kind else keyed_schema(each).empty_table() for each in KEYED_KINDS}
    return KeyedEvents(**tables, key_id=key.key_id)


def run_last(batches: Iterable[pa.RecordBatch], *, layout: Layout, finish_rows: Finish) -> Iterator[pa.RecordBatch]:
    """Turn the orders of each slot and their features into rows."""
    for _, inbox in gather(batches):
        table, matrix = finish(layout, inbox)
        if table.num_rows:
            yield from finish_rows(table, matrix, inbox).to_batches()


def build_feature_rows(spec: FeatureSpec, orders: pa.Table, matrix: NDArray[np.float32], _: Inbox) -> pa.Table:
    """Build rows of features."""
    columns = [orders["order_id"], pc.cast(orders[ORDER_ID], pa.int64(), safe=False), orders["seen_at"]]
    columns += [pa.array(np.ascontiguousarray(matrix[:, at])) for at in range(len(spec.names))]
    return pa.table(columns, ["order_id", ORDER_ID, "seen_at", *spec.names])


def name_features(spec: FeatureSpec) -> str:
    """Return the columns of features as Spark names types."""
    return name_columns(pa.schema([(name, pa.float32()) for name in spec.names]))


@dataclass(frozen=True)
class BatchDecider:
    """Decides about orders row by row: model and policy, as they are sent to workers."""

    model: Model
    policy: Policy
    lang: Lang
    explain_all: bool
    now_us: int

    @classmethod
    def load(
        cls,
        models: str | Path | None,
        policy: str | Path | None,
        *,
        lang: Lang,
        explain_all: bool,
        now: datetime | None,
    ) -> Self:
        """Load what serves."""
        from ordervet.model import find_bundled_models, load_serving_model
        from ordervet.policy import load_policy

        model, _ = load_serving_model(Path(models) if models else find_bundled_models())
        return cls(model, load_policy(policy), lang, explain_all, to_us(now or datetime.now(UTC)))

    def decide(self, table: pa.Table, matrix: NDArray[np.float32], _: Inbox) -> pa.Table:
        """Decide about orders, in the columns of `DECISION_SCHEMA`."""
        from ordervet.score.batch import score_batch

        names = self.model.claim_spec.names
        position = {name: at for at, name in enumerate(names)}
        orders = table.drop_columns([name for name in names if name in table.column_names])
        scored = score_batch(
            orders, build_order_events(orders, self.model.spec),
            np.ascontiguousarray(matrix[:, [position[name] for name in self.model.spec.names]]),
            model=self.model, predictor=_find_predictor(self.model.booster_text), policy=self.policy, lang=self.lang,
            explain_rows=range(orders.num_rows) if self.explain_all else (), now_us=self.now_us,
        )  # fmt: skip
        return scored.build_table()


@lru_cache(maxsize=2)
def _find_predictor(booster_text: str) -> ForestPredictor:
    """Compile a forest once a process."""
    from ordervet.model import ForestPredictor

    return ForestPredictor(booster_text)


@dataclass(frozen=True)
class TrainingRows:
    """Builds rows to learn from: what is asked for, as it is sent to workers."""

    spec: FeatureSpec
    made_with: str
    as_of_us: int
    maturity_us: int

    @classmethod
    def of(cls, spec: FeatureSpec | None, key: Key, as_of: datetime, maturity_days: float) -> Self:
        """Check what is asked for; without a spec take what `ordervet retrain` needs."""
        from ordervet.learn.labels import DAY_US
        from ordervet.learn.promotion import unite_specs
        from ordervet.learn.training_data import describe_making
        from ordervet.model import load_starter

        spec = spec or unite_specs(build_spec(), load_starter())
        return cls(spec, describe_making(spec, key), to_us(as_of), int(maturity_days * DAY_US))

    def build(self, table: pa.Table, matrix: NDArray[np.float32], inbox: Inbox) -> pa.Table:
        """Build rows of the orders of a slot, each once."""
        from ordervet.learn.training_data import build_rows

        _, first = np.unique(np.asarray(table[ORDER_ID]), return_index=True)
        table, matrix = table.take(first), matrix[first]
        orders = build_order_events(table, self.spec)
        rows = build_rows(
            _add_verdicts(table, inbox), orders, to_later_events(inbox.read(LATER, LATER_TYPE)),
            made_with=self.made_with, as_of_us=self.as_of_us, maturity_us=self.maturity_us,
        )  # fmt: skip
        for at, name in enumerate(self.spec.names):
            rows = rows.append_column(name, pa.array(np.ascontiguousarray(matrix[:, at])))
        return rows


def _add_verdicts(table: pa.Table, inbox: Inbox) -> pa.Table:
    """Add the kind of malice that each order's latest verdict with one names, and whether any is of the audit."""
    from ordervet.contract import Decider

    verdicts = inbox.read(VERDICTS, VERDICT_TYPE)
    given = inbox.read_table(VERDICTS) if len(verdicts) else keyed_schema("verdicts").empty_table()
    by_time = np.argsort(verdicts["seen_at"], kind="stable")
    named = zip(verdicts["order_id"][by_time].tolist(), given["kind"].take(by_time).to_pylist(), strict=True)
    kinds = {order_id: kind for order_id, kind in named if kind}
    audited = verdicts["order_id"][np.asarray(pc.fill_null(pc.equal(given["by"], Decider.AUDIT), fill_value=False))]
    ids = np.asarray(table[ORDER_ID])
    kind = pa.array([kinds.get(each) for each in ids.tolist()], pa.string())
    return table.append_column("kind", kind).append_column("is_audited", pa.array(np.isin(ids, audited)))
