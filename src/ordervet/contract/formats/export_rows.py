"""The rows of one export, read block by block and not put together yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column
from ordervet.contract.failures import Fault, first_per_field, keep_rows
from ordervet.contract.fields import fields_of
from ordervet.contract.files.pieces import Tally
from ordervet.contract.files.row_source import Block
from ordervet.contract.formats.definition import UPDATED_AT
from ordervet.contract.formats.detection import Header
from ordervet.contract.formats.plans import build_raw, pick_first, plan_fields, read_currencies
from ordervet.contract.formats.states import (
    DERIVED_SCHEMA,
    Derived,
    NestedReader,
    StateReader,
    StateRows,
    read_ids,
)
from ordervet.contract.instants import to_mask
from ordervet.contract.schemas import MODELS, arrow_field
from ordervet.contract.tables import name_currency, read_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from ordervet.contract.files.row_source import RowSource
    from ordervet.contract.formats.definition import Format
    from ordervet.contract.instants import Mask, Micros

ORDER_ID = fields_of(MODELS["orders"])[0]
ORDER_NAMES = ("order_uid", "shop_id")
"""What tells the orders of one id apart."""
HAPPENED_AT = next(field for field in fields_of(MODELS["outcomes"]) if field.name == "happened_at")


@dataclass(frozen=True)
class ExportRows:
    """The rows of a file, or some of them.

    Parameters
    ----------
    table : shape (n_rows, n_fields), canonical columns, null where a value is missing or broken
    rows : shape (n_rows,), ascending, their numbers in the file, its broken rows not counted
    faults : by row of `table`
    line_ids : shape (n_rows,), strings; all null where the format or the file has none
    line_amounts : shape (n_rows,), minor units; likewise
    outcomes : what the states imply, in `DERIVED_SCHEMA`
    """

    table: pa.Table
    rows: Micros
    faults: list[Fault]
    line_ids: pa.ChunkedArray
    line_amounts: pa.ChunkedArray
    outcomes: pa.Table

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Concatenate rows; one part at least."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(len(part.rows) for part in parts)]).tolist()
        return cls(
            pa.concat_tables([part.table for part in parts]),
            np.concatenate([part.rows for part in parts]),
            [
                replace(fault, rows=fault.rows + start)
                for part, start in zip(parts, starts, strict=False)
                for fault in part.faults
            ],
            pa.chunked_array([chunk for part in parts for chunk in part.line_ids.chunks], pa.string()),
            pa.chunked_array([chunk for part in parts for chunk in part.line_amounts.chunks], pa.int64()),
            pa.concat_tables(
                [
                    _with_rows(part.outcomes, part.outcomes["row"].to_numpy() + start)
                    for part, start in zip(parts, starts, strict=False)
                ]
            ),
        )

    def keep(self, is_kept: Mask) -> Self:
        """Keep some of the rows."""
        mask = pa.array(is_kept)
        place = np.cumsum(is_kept) - 1
        kept = (keep_rows(fault, is_kept[fault.rows]) for fault in self.faults)
        kept_outcomes = self.outcomes.filter(pa.array(is_kept[self.outcomes["row"].to_numpy()]))
        return replace(
            self,
            table=self.table.filter(mask),
            rows=self.rows[is_kept],
            faults=[replace(fault, rows=place[fault.rows]) for fault in kept if len(fault.rows)],
            line_ids=self.line_ids.filter(mask),
            line_amounts=self.line_amounts.filter(mask),
            outcomes=_with_rows(kept_outcomes, place[kept_outcomes["row"].to_numpy()]),
        )


class RowReader:
    """Reads one file of a format.

    Parameters
    ----------
    source : the rows of the file
    fmt : its format
    zone : where times without an offset are read
    currency : of orders that name none
    """

    def __init__(self, source: RowSource, fmt: Format, zone: ZoneInfo, currency: str) -> None:
        header = Header(source.names)
        self.format = fmt
        self.plans = plan_fields(fmt, header)
        named = tuple(field for field in fmt.contract_fields if field.name in ORDER_NAMES)
        self.fields = name_currency((ORDER_ID, *named) if fmt.kind == "outcomes" else fmt.contract_fields, currency)
        self._currency = currency
        self._source = source
        self._zone = zone
        self._skipped: list[Micros] = []
        self.tally = Tally({str(kind): hint.model_dump() for kind, hint in fmt.hints.items()})
        self.states = StateReader(fmt, header, self._zone, fmt=fmt, tally=self.tally)
        self._nested = [
            NestedReader(nested, fmt, columns, self._zone, self.tally)
            for nested in fmt.nested.values()
            if (columns := header.find(nested.columns))
        ]
        self._id_columns = next(plan.columns for plan in self.plans if plan.field.name == ORDER_ID.name)
        self._line_id = header.find(fmt.lines.id)
        self._line_amount = header.find(fmt.lines.amount)

    def read_all(self) -> ExportRows:
        """Read every block; only canonical columns are kept."""
        return ExportRows.join([self._no_rows(), *self.iter_rows()])

    def iter_rows(self) -> Iterator[ExportRows]:
        """Read the rows, block by block."""
        for block, rows in self._iter_filled(self.columns):
            yield self._read_block(block, rows)

    def take_skipped(self) -> Micros:
        """Return the numbers of the rows that were skipped since this was asked last."""
        skipped, self._skipped = self._skipped, []
        return np.concatenate([np.zeros(0, np.int64), *skipped])

    def iter_order_ids(self) -> Iterator[pa.Array]:
        """Read the order ids alone, in the same blocks; null where a row has none."""
        plan = next(plan for plan in self.plans if plan.field.name == ORDER_ID.name)
        for block, _ in self._iter_filled(plan.columns):
            self._skipped.clear()
            raw = build_raw(block, [plan], has_epoch=False)
            yield read_batch(raw.table, (ORDER_ID,), self._zone, is_partial=True)[0].column(0)

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns that are read."""
        names = [name for plan in self.plans for name in plan.columns]
        names += [name for columns in self.states.columns.values() for name in columns]
        names += [name for nested in self._nested for name in nested.columns]
        return tuple(dict.fromkeys([*names, *self._line_id, *self._line_amount]))

    def _no_rows(self) -> ExportRows:
        table = pa.schema([arrow_field(field) for field in self.fields]).empty_table()
        none = pa.chunked_array([], pa.string())
        return ExportRows(table, np.zeros(0, np.int64), [], none, none.cast(pa.int64()), DERIVED_SCHEMA.empty_table())

    def _iter_filled(self, columns: Sequence[str]) -> Iterator[tuple[Block, Micros]]:
        """Read blocks in which every row has the id of its order, if that is what blanks mean in the format.

        Yields
        ------
        a block without rows that are none, and the numbers of its rows
        """
        last_id, n_before = "", 0
        for block in self._source.iter_blocks(columns):
            rows = n_before + np.arange(block.n_rows)
            n_before += block.n_rows
            kept = block
            skip = self.format.lines.skip
            if skip is not None and not (is_row := self._find_rows(block, skip)).all():
                mask = pa.array(is_row)
                kept = Block({name: each.filter(mask) for name, each in block.columns.items()}, int(is_row.sum()))
                self._skipped.append(rows[~is_row])
                rows = rows[is_row]
            if self.format.lines.continuation == "blank_id":
                kept, last_id = self._fill_ids(kept, last_id)
            yield kept, rows

    def _find_rows(self, block: Block, skip: str) -> Mask:
        """Shape (n_rows,): the row is one, and no description of the columns."""
        ids = pick_first(block, self._id_columns)
        is_text = pa.types.is_string(ids.type)
        return ~to_mask(pc.match_substring_regex(ids, skip)) if is_text else np.ones(block.n_rows, bool)

    def _read_block(self, block: Block, numbers: Micros) -> ExportRows:
        raw = build_raw(
            block, self.plans, has_epoch=self.format.has_epoch, dates=self.format.dates, currency=self._currency
        )
        is_partial = self.format.kind == "orders"
        batch, found = read_batch(raw.table, self.fields, self._zone, raw.in_major, is_partial=is_partial)
        line_ids = read_ids(block, self._line_id)
        rows = StateRows(
            batch.column("order_id"),
            batch.column("placed_at") if is_partial else None,
            line_ids if self.format.kind == "outcomes" else None,
            read_currencies(block, self.plans, self._currency),
        )
        batch, derived = self._name_rows(batch, self._read_states(block, rows))
        faults = first_per_field([_lost_digits(raw.lost_ids), *found]) if raw.lost_ids else found
        if derived.unreadable:
            undated = np.array(sorted(derived.unreadable))
            shown = pa.array([derived.unreadable[row] for row in undated.tolist()], pa.string())
            faults.append(Fault(HAPPENED_AT, "instant", undated, shown))
        return ExportRows(
            pa.Table.from_batches([batch]),
            numbers,
            faults,
            pa.chunked_array([pa.nulls(block.n_rows, pa.string()) if line_ids is None else line_ids]),
            self._read_line_amounts(block),
            derived.table,
        )

    def _read_states(self, block: Block, rows: StateRows) -> Derived:
        parts = [self.states.read(block, rows), *(nested.read(block, rows) for nested in self._nested)]
        unreadable = {row: shown for part in parts for row, shown in part.unreadable.items()}
        return Derived(pa.concat_tables([part.table for part in parts]), unreadable, parts[0].updated_at)

    def _name_rows(self, batch: pa.RecordBatch, derived: Derived) -> tuple[pa.RecordBatch, Derived]:
        """Give outcomes the shop that stands in their row, and orders the time as of when their row is."""
        if self.format.kind == "outcomes":
            table, places = derived.table, derived.table["row"]
            for name in ORDER_NAMES:
                table = table.set_column(table.column_names.index(name), name, batch.column(name).take(places))
            return batch, replace(derived, table=table)
        if derived.updated_at is not None and UPDATED_AT in batch.schema.names:
            batch = batch.set_column(batch.schema.names.index(UPDATED_AT), UPDATED_AT, derived.updated_at)
        return batch, derived

    def _read_line_amounts(self, block: Block) -> pa.ChunkedArray:
        if not self._line_amount:
            return pa.chunked_array([pa.nulls(block.n_rows, pa.int64())])
        return pa.chunked_array([read_column(pick_first(block, self._line_amount), "money", self._zone).values])

    def _fill_ids(self, block: Block, last_id: str) -> tuple[Block, str]:
        """Fill missing order ids from the row above, across the borders of blocks."""
        names = self._id_columns
        ids = pick_first(block, names)
        if block.n_rows == 0 or not pa.types.is_string(ids.type):
            return block, last_id
        known = pa.concat_arrays([pa.array([last_id]), ids])
        filled = pc.fill_null_forward(pc.if_else(pc.equal(known, ""), None, known)).fill_null("")
        return Block(block.columns | dict.fromkeys(names, filled[1:]), block.n_rows), filled[-1].as_py()


def _with_rows(outcomes: pa.Table, rows: Micros) -> pa.Table:
    return outcomes.set_column(outcomes.num_columns - 1, DERIVED_SCHEMA.field("row"), pa.array(rows, pa.int64()))


def _lost_digits(shapes: dict[int, str]) -> Fault:
    return Fault(ORDER_ID, "digits", np.array(list(shapes)), pa.array(list(shapes.values()), pa.string()))
