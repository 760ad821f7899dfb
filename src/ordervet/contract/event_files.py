"""Several files become the events they hold: each is recognised, checked, and put together with the others."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.failures import FAILURE_SCHEMA, Fault, build_failures
from ordervet.contract.fields import fields_of
from ordervet.contract.files import read_table
from ordervet.contract.instants import to_mask
from ordervet.contract.mapped import apply_mapping
from ordervet.contract.schemas import MODELS, Events, concat_events
from ordervet.contract.tables import split_events
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.errors import FileError, MappingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ordervet.contract.fields import ContractField
    from ordervet.contract.instants import Mask, Micros
    from ordervet.contract.mapping import Mapping
    from ordervet.contract.schemas import EventKind

FILE_FAILURE_SCHEMA = pa.schema([pa.field("file", pa.string()), *FAILURE_SCHEMA])
_INSTANT_FIELDS: dict[str, EventKind] = {model.instant_field: kind for kind, model in MODELS.items()}


@dataclass(frozen=True)
class _Checked:
    """Good rows of one kind, and where each of them comes from.

    Parameters
    ----------
    table : shape (n, n_fields), canonical
    files, rows : shape (n,), the number of the file and the row in it
    failures : what is left out, in `FILE_FAILURE_SCHEMA`
    is_mapped : whether it was read through a mapping
    """

    kind: EventKind
    table: pa.Table
    files: Micros
    rows: Micros
    failures: pa.Table
    is_mapped: bool = False

    def without(self, is_dropped: Mask, faults: Sequence[Fault] = (), names: Sequence[str] = ()) -> _Checked:
        """Drop rows, those of the faults among them, which go to the failures."""
        found = build_failures(faults, self.table["order_id"])
        numbers = found["row"].to_numpy()
        files = pa.array([names[number] for number in self.files[numbers]], pa.string())
        named = found.set_column(0, "row", pa.array(self.rows[numbers])).add_column(0, "file", files)
        kept = ~is_dropped
        return replace(
            self,
            table=self.table.filter(pa.array(kept)),
            files=self.files[kept],
            rows=self.rows[kept],
            failures=pa.concat_tables([self.failures, named]),
        )


def read_events(
    paths: Iterable[str | Path], *, mapping: Mapping | None = None, time_zone: str = DEFAULT_TIME_ZONE
) -> tuple[Events, pa.Table]:
    """Read the events of several files.

    A file is recognised by the column of its instants (placed_at: orders, happened_at: outcomes, decided_at: verdicts,
    corrected_at: corrections); one that has all the columns of the mapping is read through it. A row that a later file
    repeats to the letter counts once, so exports may overlap.

    Parameters
    ----------
    paths : one file at least; names as for `read_table`
    mapping : for files with columns of their own
    time_zone : where times without an offset are read, except in files read through the mapping, which has its own

    Returns
    -------
    events : the good rows, in the order of the files
    failures : shape (n_failures, 6): file (its name), row (from 0), order_id, field, rule, observed. Besides the rules
        of `split_events`: an order whose id an earlier file has with other values breaks "unique"; an event without a
        good order breaks "known_order"; an event seen before its order was breaks "order_first"

    Raises
    ------
    FileError
        A file is unreadable, or holds none of the four kinds.
    ContractError
        A column is unknown or missing.
    MappingError
        A file fits neither the contract nor the mapping, or no file was read through the mapping.
    """
    all_paths = [Path(path) for path in ([paths] if isinstance(paths, str) else paths)]
    names = [path.name for path in all_paths]
    parts = [part for number, path in enumerate(all_paths) for part in _read_file(number, path, mapping, time_zone)]
    if mapping is not None:
        _check_use(mapping, parts)
    gathered = {kind: _put_together(kind, [part for part in parts if part.kind == kind], names) for kind in MODELS}
    orders = gathered["orders"].table
    for kind in ("outcomes", "verdicts", "corrections"):
        gathered[kind] = _check_against_orders(gathered[kind], orders, names)
    failures = pa.concat_tables([each.failures for each in gathered.values()])
    return Events(**{kind: each.table for kind, each in gathered.items()}), failures.combine_chunks()


def kind_of(column_names: Sequence[str], *, where: str = "the table") -> EventKind:
    """Tell by its columns which kind of event a table holds.

    Raises
    ------
    FileError
        It has none, or more than one, of the four columns of instants.
    """
    found = [name for name in column_names if name in _INSTANT_FIELDS]
    if len(found) == 1:
        return _INSTANT_FIELDS[found[0]]
    columns = ", ".join(f"{name} ({kind})" for name, kind in _INSTANT_FIELDS.items())
    if found:
        raise FileError(
            f"{where} holds several kinds of events: {', '.join(found)}", hint="give each kind its own file"
        )
    near = [name for name in column_names if difflib.get_close_matches(name.lower(), _INSTANT_FIELDS, n=1, cutoff=0.75)]
    meant = f"; did you misspell it in '{near[0]}'?" if near else ""
    message = f"{where} has no column that tells what it holds: {columns}{meant}"
    raise FileError(message, hint="name the column so, or give a mapping file that says which column is what")


def _read_file(number: int, path: Path, mapping: Mapping | None, time_zone: str) -> Iterator[_Checked]:
    """Read one file as the one or two kinds of events it holds."""
    table = read_table(path)
    is_contract = any(name in _INSTANT_FIELDS for name in table.column_names)
    is_mapped = mapping is not None and (_fits(table.column_names, mapping) or not is_contract)
    if mapping is None or not is_mapped:
        kind = kind_of(table.column_names, where=path.name)
        yield _check(kind, table, number, path.name, np.arange(table.num_rows), time_zone)
        return
    mapped = apply_mapping(table, mapping, where=path.name)
    rows = np.arange(table.num_rows)
    orders = _check("orders", mapped.orders, number, path.name, rows, mapped.time_zone, mapped.in_major)
    yield replace(orders, is_mapped=True)
    if mapped.verdicts is not None:
        yield _check("verdicts", mapped.verdicts, number, path.name, mapped.verdict_rows, mapped.time_zone)


def _fits(column_names: Sequence[str], mapping: Mapping) -> bool:
    return set(mapping.columns) <= set(column_names)


def _check_use(mapping: Mapping, parts: Sequence[_Checked]) -> None:
    """Refuse a mapping that no file was read through: it has a typo, or belongs to another file."""
    if not any(part.is_mapped for part in parts):
        raise MappingError(
            f"the mapping {mapping.name} fits none of the files, which all have contract columns",
            hint=f"leave --mapping away, or correct its column names: {', '.join(mapping.columns[:5])} ...",
        )


def _check(
    kind: EventKind,
    table: pa.Table,
    number: int,
    name: str,
    rows: Micros,
    time_zone: str,
    in_major: Collection[str] = (),
) -> _Checked:
    good, failures = split_events(kind, table, time_zone=time_zone, in_major=in_major, where=name)
    broken = failures["row"].to_numpy()
    good_rows = np.delete(rows, np.unique(broken))
    files = pa.array([name] * failures.num_rows, pa.string())
    named = failures.set_column(0, "row", pa.array(rows[broken])).add_column(0, "file", files)
    return _Checked(kind, good, np.full(len(good_rows), number), good_rows, named)


def _put_together(kind: EventKind, parts: Sequence[_Checked], names: Sequence[str]) -> _Checked:
    """Put the files of one kind below each other; what an earlier file has already is left out."""
    nothing = np.zeros(0, np.int64)
    together = _Checked(
        kind,
        concat_events(kind, [part.table for part in parts]),
        np.concatenate([nothing, *(part.files for part in parts)]),
        np.concatenate([nothing, *(part.rows for part in parts)]),
        pa.concat_tables([FILE_FAILURE_SCHEMA.empty_table(), *(part.failures for part in parts)]),
    )
    if len(parts) < 2:  # noqa: PLR2004 - one file repeats nothing
        return together
    together = together.without(_is_repeated(together))
    if kind != "orders":
        return together
    is_taken = _later_rows(_codes(together.table["order_id"]))
    faults = _faults(_field(kind, "order_id"), "unique", is_taken, "an id seen before")
    return together.without(is_taken, faults, names)


def _check_against_orders(events: _Checked, orders: pa.Table, names: Sequence[str]) -> _Checked:
    """Leave out events whose order is unknown, or was seen only after them."""
    order_rows = pc.index_in(events.table["order_id"], orders["order_id"].combine_chunks())
    is_known = to_mask(order_rows.is_valid())
    order_seen_at = orders["seen_at"].take(order_rows)
    is_early = to_mask(pc.less(events.table["seen_at"], order_seen_at))
    faults = [
        *_faults(_field(events.kind, "order_id"), "known_order", ~is_known, "the id of no good order"),
        *_faults(_field(events.kind, "seen_at"), "order_first", is_early, "a time before its order"),
    ]
    return events.without(~is_known | is_early, faults, names)


def _faults(field: ContractField, rule: str, is_broken: Mask, observed: str) -> list[Fault]:
    rows = np.flatnonzero(is_broken)
    return [Fault(field, rule, rows, pa.array([observed] * len(rows)))] if len(rows) else []


def _field(kind: EventKind, name: str) -> ContractField:
    return next(field for field in fields_of(MODELS[kind]) if field.name == name)


def _is_repeated(together: _Checked) -> Mask:
    """Shape (n,): an earlier file has the very same row."""
    same = np.zeros(len(together.files), np.int64)
    for column in together.table.columns:
        codes = _codes(column)
        _, same = np.unique(same * (codes.max(initial=0) + 1) + codes, return_inverse=True)
    first_file = np.full(len(same), together.files.max(initial=0))
    np.minimum.at(first_file, same, together.files)
    return together.files > first_file[same]


def _later_rows(codes: Micros) -> Mask:
    """Shape (n,): an earlier row has the same code."""
    is_later = np.ones(len(codes), bool)
    is_later[np.unique(codes, return_index=True)[1]] = False
    return is_later


def _codes(column: pa.ChunkedArray) -> Micros:
    """Give each value of a column the number of its distinct value; null is one of them."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices, np.int64)
