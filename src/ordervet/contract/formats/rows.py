"""The rows of one export, read block by block and not put together yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column
from ordervet.contract.failures import Fault, first_per_field
from ordervet.contract.fields import fields_of
from ordervet.contract.formats.blocks import Block
from ordervet.contract.formats.detection import Header
from ordervet.contract.formats.sources import build_raw, pick_first, plan_fields
from ordervet.contract.formats.states import DERIVED_SCHEMA, StateReader
from ordervet.contract.schemas import MODELS, arrow_field
from ordervet.contract.tables import read_batch
from ordervet.contract.values import load_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.contract.formats.blocks import RowSource
    from ordervet.contract.formats.definition import Format

ORDER_ID = fields_of(MODELS["orders"])[0]
HAPPENED_AT = next(field for field in fields_of(MODELS["outcomes"]) if field.name == "happened_at")


@dataclass(frozen=True)
class ExportRows:
    """The rows of a file, or of one of its blocks.

    Parameters
    ----------
    table : shape (n_rows, n_fields), canonical columns, null where a value is missing or broken
    faults : by row of `table`
    line_ids : shape (n_rows,), strings; all null where the format or the file has none
    line_amounts : shape (n_rows,), minor units; likewise
    outcomes : what the states tell of, in `DERIVED_SCHEMA`
    """

    table: pa.Table
    faults: list[Fault]
    line_ids: pa.ChunkedArray
    line_amounts: pa.ChunkedArray
    outcomes: pa.Table


class RowReader:
    """Reads one file of a format.

    Parameters
    ----------
    source : the rows of the file
    fmt : its format
    """

    def __init__(self, source: RowSource, fmt: Format) -> None:
        header = Header(source.names)
        self.format = fmt
        self.plans = plan_fields(fmt, header)
        self.fields = (ORDER_ID,) if fmt.kind == "outcomes" else fmt.contract_fields
        self._source = source
        self._zone = load_zone(fmt.time_zone)
        self.states = StateReader(fmt, header, self._zone)
        self._line_id = header.find(fmt.lines.id)
        self._line_amount = header.find(fmt.lines.amount)

    def read_all(self) -> ExportRows:
        """Read every block; only canonical columns are kept, so that the file may be larger than memory."""
        parts = [self._no_rows(), *self._read_blocks()]
        return ExportRows(
            pa.concat_tables([part.table for part in parts]),
            [fault for part in parts for fault in part.faults],
            pa.chunked_array([chunk for part in parts for chunk in part.line_ids.chunks], pa.string()),
            pa.chunked_array([chunk for part in parts for chunk in part.line_amounts.chunks], pa.int64()),
            pa.concat_tables([part.outcomes for part in parts]),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns that are read."""
        names = [name for plan in self.plans for name in plan.columns]
        names += [name for columns in self.states.columns.values() for name in columns]
        return tuple(dict.fromkeys([*names, *self._line_id, *self._line_amount]))

    def _no_rows(self) -> ExportRows:
        table = pa.schema([arrow_field(field) for field in self.fields]).empty_table()
        none = pa.chunked_array([], pa.string())
        return ExportRows(table, [], none, none.cast(pa.int64()), DERIVED_SCHEMA.empty_table())

    def _read_blocks(self) -> Iterator[ExportRows]:
        n_before, last_id = 0, ""
        for block in self._source.iter_blocks(self.columns):
            filled = block
            if self.format.lines.continuation == "blank_id":
                filled, last_id = self._fill_ids(block, last_id)
            yield self._read_block(filled, n_before)
            n_before += block.n_rows

    def _read_block(self, block: Block, n_before: int) -> ExportRows:
        raw = build_raw(block, self.plans, has_epoch=self.format.has_epoch)
        is_partial = self.format.kind == "orders"
        batch, found = read_batch(raw.table, self.fields, self._zone, raw.in_major, is_partial=is_partial)
        placed_at = batch.column("placed_at") if is_partial else None
        derived = self.states.read(block, batch.column("order_id"), placed_at)
        faults = first_per_field([_lost_digits(raw.lost_ids), *found]) if raw.lost_ids else found
        if derived.unreadable:
            rows = np.array(sorted(derived.unreadable))
            faults.append(
                Fault(
                    HAPPENED_AT,
                    "instant",
                    rows,
                    pa.array([derived.unreadable[row] for row in rows.tolist()], pa.string()),
                )
            )
        outcomes = derived.table
        return ExportRows(
            pa.Table.from_batches([batch]),
            [replace(fault, rows=fault.rows + n_before) for fault in faults],
            self._read_line(block, self._line_id, "text"),
            self._read_line(block, self._line_amount, "money"),
            outcomes.set_column(
                outcomes.num_columns - 1, DERIVED_SCHEMA.field("row"), pc.add(outcomes["row"], n_before)
            ),
        )

    def _read_line(self, block: Block, names: tuple[str, ...], kind: str) -> pa.ChunkedArray:
        if not names:
            return pa.chunked_array([pa.nulls(block.n_rows, pa.string() if kind == "text" else pa.int64())])
        return pa.chunked_array([read_column(pick_first(block, names), kind, self._zone).values])  # type: ignore[arg-type]  # one of three literals

    def _fill_ids(self, block: Block, last_id: str) -> tuple[Block, str]:
        """Give rows without an order id that of the row above, across the borders of blocks."""
        names = next(plan.columns for plan in self.plans if plan.field.name == "order_id")
        ids = pick_first(block, names)
        if block.n_rows == 0 or not pa.types.is_string(ids.type):
            return block, last_id
        known = pa.concat_arrays([pa.array([last_id]), ids])
        filled = pc.fill_null_forward(pc.if_else(pc.equal(known, ""), None, known)).fill_null("")
        return Block(block.columns | dict.fromkeys(names, filled[1:]), block.n_rows), filled[-1].as_py()


def _lost_digits(shapes: dict[int, str]) -> Fault:
    return Fault(ORDER_ID, "digits", np.array(list(shapes)), pa.array(list(shapes.values()), pa.string()))
