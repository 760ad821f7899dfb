"""Several files become the events they hold, in memory: each is recognised, checked, and held against the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.failures import Fault, build_failures, failures_error
from ordervet.contract.fields import fields_of
from ordervet.contract.files.accounts import build_account
from ordervet.contract.files.json_rows import PayloadRows
from ordervet.contract.files.pieces import AUTO, FILE_FAILURE_SCHEMA, MAPPED, NATIVE, NO_ROWS
from ordervet.contract.files.reader import FileReader
from ordervet.contract.instants import to_mask
from ordervet.contract.schemas import MODELS, Events, concat_events
from ordervet.contract.tables import code_orders

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ordervet.contract.fields import ContractField
    from ordervet.contract.files.accounts import FileAccount
    from ordervet.contract.files.pieces import FilePiece
    from ordervet.contract.instants import Mask, Micros
    from ordervet.contract.mapping import Mapping
    from ordervet.contract.schemas import EventKind

_MAX_FILE_ROWS = 2**40


@dataclass(frozen=True)
class _Gathered:
    """The good rows of one kind of all files, and where each of them comes from.

    Parameters
    ----------
    table : shape (n, n_fields), canonical
    files, rows : shape (n,), the number of the file and the row in it
    failures : what is left out, in `FILE_FAILURE_SCHEMA`
    repeats : shape (k, 2), the file and row of those that repeat an earlier file
    refused : shape (k, 2), the file and row of those that do not go with the other files
    """

    kind: EventKind
    table: pa.Table
    files: Micros
    rows: Micros
    failures: pa.Table
    repeats: Micros = field(default_factory=lambda: NO_ROWS.reshape(0, 2))
    refused: Micros = field(default_factory=lambda: NO_ROWS.reshape(0, 2))

    def without(self, is_dropped: Mask, faults: Sequence[Fault] = (), names: Sequence[str] = ()) -> _Gathered:
        """Drop rows: those with a fault go to the failures, the others repeat an earlier file."""
        found = build_failures(faults, self.table["order_id"])
        numbers = found["row"].to_numpy()
        files = pa.array([names[number] for number in self.files[numbers]], pa.string())
        named = found.set_column(0, "row", pa.array(self.rows[numbers])).add_column(0, "file", files)
        is_repeat = is_dropped.copy()
        is_repeat[numbers] = False
        kept = ~is_dropped
        return replace(
            self,
            table=self.table.filter(pa.array(kept)),
            files=self.files[kept],
            rows=self.rows[kept],
            failures=pa.concat_tables([self.failures, named]),
            repeats=np.concatenate([self.repeats, np.column_stack([self.files[is_repeat], self.rows[is_repeat]])]),
            refused=np.concatenate([self.refused, np.column_stack([self.files[numbers], self.rows[numbers]])]),
        )


def read_events(
    paths: Iterable[str | Path],
    *,
    mapping: Mapping | None = None,
    time_zone: str | None = None,
    formats_dir: str | Path | None = None,
    format: str | None = None,  # noqa: A002 - what it is
    shop: str | None = None,
    currency: str | None = None,
) -> tuple[Events, pa.Table]:
    """Read the events of several files.

    A file is recognised by its column of times (placed_at: orders, happened_at: outcomes, decided_at: verdicts,
    corrected_at: corrections); one that has all the columns of the mapping is read through it; any other is read by the
    platform format that its columns fit. A row that a later file repeats to the letter counts once, so exports may
    overlap.

    Parameters
    ----------
    paths : one file at least; names as for `read_table`, or .json
    mapping : for files with columns of their own
    time_zone : where times without an offset are read, except in files read through the mapping, which has its own;
        without it, where the file's format says, and in Asia/Shanghai
    formats_dir : a folder of further format files
    format : the name of the format of every file ("native" is the contract's own), instead of finding it out
    shop : of events that name none
    currency : of orders that name none, three capital letters; without it, what their format says, and CNY

    Returns
    -------
    events : the good rows, in the order of the files
    failures : shape (n_failures, 6): file (its name), row (from 0), order_id, field, rule, observed. Besides the rules
        of `split_events`: an order whose id an earlier file has with other values breaks "unique" (in an export only if
        it was placed at another time: the platform shows an order as it now is); an event without a good order breaks
        "known_order"; an event from before its order was placed breaks "order_first"

    Raises
    ------
    FileError
        A file is unreadable, or neither holds one of the four kinds nor fits a format.
    ContractError
        A column is unknown or missing.
    MappingError
        A file fits neither the contract nor the mapping nor a format, no file was read through the mapping, or a format
        file is wrong.
    """
    events, failures, _ = read_counted_events(
        paths,
        mapping=mapping,
        time_zone=time_zone,
        formats_dir=formats_dir,
        format=format,
        shop=shop,
        currency=currency,
    )
    return events, failures


def read_counted_events(
    paths: Iterable[str | Path],
    *,
    mapping: Mapping | None = None,
    time_zone: str | None = None,
    formats_dir: str | Path | None = None,
    format: str | None = None,  # noqa: A002 - what it is
    shop: str | None = None,
    currency: str | None = None,
    are_orders_needed: bool | None = True,
) -> tuple[Events, pa.Table, tuple[FileAccount, ...]]:
    """Read the events of several files, and count what became of the rows of each.

    Parameters
    ----------
    paths, mapping, time_zone, formats_dir, format, shop, currency : as for `read_events`
    are_orders_needed : whether an event whose order is not among the files is set aside; a store that knows more orders
        than these files says False; None means where a file has orders

    Returns
    -------
    events, failures : as `read_events` gives them
    accounts : one per file, in their order

    Raises
    ------
    FileError, ContractError, MappingError
        As for `read_events`.
    """
    reader = FileReader(mapping, time_zone, formats_dir, format or AUTO, shop, currency)
    plain = reader.unpack(Path(path) for path in ([paths] if isinstance(paths, str) else paths))
    names = [path.name for path in plain]
    files = reader.read_whole(plain)
    gathered = {kind: _gather(kind, files, names) for kind in MODELS}
    orders = gathered["orders"]
    if are_orders_needed is None:
        are_orders_needed = any(part.kind == "orders" for file in files for part in file.parts)
    for kind in ("outcomes", "verdicts", "corrections"):
        own = _drop_orphans(gathered[kind], orders) if kind == "outcomes" else gathered[kind]
        gathered[kind] = _check_against_orders(own, orders.table, names, are_orders_needed=are_orders_needed)
    failures = pa.concat_tables([each.failures for each in gathered.values()])
    accounts = tuple(_account(file, gathered) for file in files)
    return Events(**{kind: each.table for kind, each in gathered.items()}), failures.combine_chunks(), accounts


def read_payload(
    payload: str | bytes | dict[str, Any] | list[Any],
    format: str,  # noqa: A002 - what it is
    *,
    time_zone: str | None = None,
    formats_dir: str | Path | None = None,
    shop: str | None = None,
    currency: str | None = None,
) -> Events:
    """Read what a platform's message holds, such as a webhook's payload or one answer of an API.

    Parameters
    ----------
    payload : JSON text, or what `json.loads` makes of it
    format : the name of a format of documents, such as ``shopify_api_orders``
    time_zone, formats_dir, shop, currency : as for `read_events`

    Raises
    ------
    FileError
        It is not JSON, not of the format, or there is no such format.
    ContractError
        A row of it breaks a rule; the message carries order ids, nothing personal.
    """
    reader = FileReader(time_zone=time_zone, formats_dir=formats_dir, format=format, shop=shop, currency=currency)
    piece = reader.read_source(lambda places: PayloadRows(payload, places))
    broken = piece.failures
    if broken.num_rows:
        kinds: tuple[EventKind, ...] = ("orders", "outcomes", "verdicts", "corrections")
        fields = {each.name: each for kind in kinds for each in fields_of(MODELS[kind])}
        hint = "read_events sets such rows of a file aside"
        raise failures_error(
            broken.drop_columns(["file"]),
            list(fields.values()),
            n_rows=piece.n_rows,
            things="rows",
            where="the payload",
            hint=hint,
        )
    return piece.events


def _gather(kind: EventKind, files: Sequence[FilePiece], names: Sequence[str]) -> _Gathered:
    """Concatenate the files of one kind; what an earlier file has already is left out."""
    parts = [(file.number, part) for file in files for part in file.parts if part.kind == kind]
    together = _Gathered(
        kind,
        concat_events(kind, [part.table for _, part in parts]),
        np.concatenate([NO_ROWS, *(np.full(len(part.rows), number) for number, part in parts)]),
        np.concatenate([NO_ROWS, *(part.rows for _, part in parts)]),
        pa.concat_tables([FILE_FAILURE_SCHEMA.empty_table(), *(part.failures for _, part in parts)]),
    )
    if len(parts) < 2:
        return together
    together = together.without(_is_repeated(together))
    if kind != "orders":
        return together
    is_export = np.array([file.format not in {NATIVE, MAPPED} for file in files], bool)
    codes = code_orders(together.table)
    is_taken = _later_rows(codes)
    is_later_view = is_taken & is_export[together.files] & _is_same_instant(together.table["placed_at"], codes)
    faults = _faults(_field(kind, "order_id"), "unique", is_taken & ~is_later_view, "an id seen before")
    return together.without(is_taken, faults, names)


def _is_same_instant(placed_at: pa.ChunkedArray, codes: Micros) -> Mask:
    """Shape (n,): the row has the instant of the first row with its code."""
    micros = placed_at.cast(pa.int64()).to_numpy()
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(micros == micros[first[inverse]], bool)


def _drop_orphans(outcomes: _Gathered, orders: _Gathered) -> _Gathered:
    """Drop outcomes derived from final states whose order, in the same row, was refused."""
    is_orphan = np.isin(_place_codes(outcomes.files, outcomes.rows), _place_codes(*orders.refused.T))
    is_orphan &= np.isin(outcomes.files, orders.refused[:, 0])
    return outcomes.without(is_orphan) if is_orphan.any() else outcomes


def _place_codes(files: Micros, rows: Micros) -> Micros:
    """Assign every row of every file a number of its own."""
    return files * _MAX_FILE_ROWS + rows


def _check_against_orders(
    events: _Gathered, orders: pa.Table, names: Sequence[str], *, are_orders_needed: bool
) -> _Gathered:
    """Leave out events whose order is unknown, if that matters, or was placed in a later minute."""
    if not events.table.num_rows:
        return events  # SPEED: else the ids of all orders are hashed to look nothing up
    order_rows = pc.index_in(events.table["order_id"], orders["order_id"].combine_chunks())
    is_known = to_mask(order_rows.is_valid()) | (not are_orders_needed)
    placed_at = pc.floor_temporal(orders["placed_at"].take(order_rows), unit="minute")
    happened_at = {"outcomes": "happened_at", "verdicts": "decided_at", "corrections": "corrected_at"}[events.kind]
    is_early = to_mask(pc.less(events.table[happened_at], placed_at))
    faults = [
        *_faults(_field(events.kind, "order_id"), "known_order", ~is_known, "the id of no good order"),
        *_faults(_field(events.kind, happened_at), "order_first", is_early, "a time before its order"),
    ]
    return events.without(~is_known | is_early, faults, names)


def _account(file: FilePiece, gathered: dict[EventKind, _Gathered]) -> FileAccount:
    """Account for every row of a file by the events of its own kind."""
    main = gathered[file.parts[0].kind]
    is_accepted = _mask(file.n_rows, main.rows[main.files == file.number])
    is_merged = _mask(file.n_rows, file.merged_rows) | _mask(file.n_rows, _of_file(main.repeats, file.number))
    is_merged &= ~is_accepted
    is_failed = _mask(file.n_rows, file.parts[0].failures["row"].to_numpy())
    is_failed |= _mask(file.n_rows, _of_file(main.refused, file.number))
    return build_account(
        file,
        {kind: int(np.count_nonzero(each.files == file.number)) for kind, each in gathered.items()},
        n_accepted=int(np.count_nonzero(is_accepted)),
        n_merged=int(np.count_nonzero(is_merged)),
        n_quarantined=int(np.count_nonzero(is_failed & ~is_accepted & ~is_merged)),
    )


def _of_file(places: Micros, number: int) -> Micros:
    return np.asarray(places[places[:, 0] == number, 1], np.int64)


def _mask(n_rows: int, rows: Micros) -> Mask:
    mask = np.zeros(n_rows, bool)
    mask[rows] = True
    return mask


def _faults(field: ContractField, rule: str, is_broken: Mask, observed: str) -> list[Fault]:
    rows = np.flatnonzero(is_broken)
    return [Fault(field, rule, rows, pa.array([observed] * len(rows)))] if len(rows) else []


def _field(kind: EventKind, name: str) -> ContractField:
    return next(field for field in fields_of(MODELS[kind]) if field.name == name)


def _is_repeated(together: _Gathered) -> Mask:
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
    """Assign each value of a column the number of its distinct value; null is one of them."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices, np.int64)
