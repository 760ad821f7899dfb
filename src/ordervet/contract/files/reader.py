"""One reader for every file: in contract columns, through a mapping, or by a platform's format; whole or in pieces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column
from ordervet.contract.files.mapped import apply_mapping, check_mapped_columns, map_order_ids
from ordervet.contract.files.opening import is_long
from ordervet.contract.files.pieces import (
    AUTO,
    INSTANT_FIELDS,
    MAPPED,
    NATIVE,
    NO_ROWS,
    EventRows,
    FilePiece,
    kind_of,
    name_failures,
    near_instants,
)
from ordervet.contract.files.row_source import RawRows
from ordervet.contract.files.rows import open_rows
from ordervet.contract.files.unpacking import Unpacker
from ordervet.contract.files.whole_orders import close_orders, find_ends
from ordervet.contract.formats.definition import Format
from ordervet.contract.formats.detection import choose_format, detect_format
from ordervet.contract.formats.exports import end_today, iter_exports
from ordervet.contract.formats.library import list_formats
from ordervet.contract.formats.plans import end_days
from ordervet.contract.schemas import Events
from ordervet.contract.tables import check_columns, split_events
from ordervet.contract.values import DEFAULT_TIME_ZONE, load_zone
from ordervet.errors import FileError, MappingError
from ordervet.object_stores import find_address, find_place, list_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ordervet.contract.files.row_source import RowSource
    from ordervet.contract.formats.definition import JsonPlaces
    from ordervet.contract.instants import Micros
    from ordervet.contract.mapping import Mapping
    from ordervet.contract.schemas import EventKind

_FILE_STEMS = ("orders", "outcomes", "verdicts", "corrections")
_ROWS_PER_GROUP = 2**16
_MANY_COLUMNS = 2_000
SHOP = "shop_id"


def list_event_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """List files; of a folder, those named after a kind of event (orders.csv, outcomes-november.parquet).

    Addresses of an object store (s3://…) are paths too.
    """
    if not isinstance(paths, (str, Path)):
        return [Path(path) for path in paths]
    folder = Path(paths)
    if address := find_address(folder):
        found = list_files(find_place(address))
        return [Path(each.address) for each in found if len(found) == 1 or each.name.startswith(_FILE_STEMS)]
    return sorted(p for p in folder.iterdir() if p.name.startswith(_FILE_STEMS)) if folder.is_dir() else [folder]


def expand_folders(files: Sequence[Path]) -> list[Path]:
    """List the files of a command; a folder stands for those in it that are named after a kind of event.

    Raises
    ------
    FileError
        There is none.
    """
    paths = [path for file in files for path in list_event_files(file)]
    if not paths:
        raise FileError(
            f"there is no file to read in {', '.join(file.name for file in files)}",
            hint="name the files themselves; a folder stands for its files named orders, outcomes and so on",
        )
    return paths


@dataclass(frozen=True)
class FileReader:
    """Reads files the way a caller wants them read.

    Parameters
    ----------
    mapping : for files that have all of its columns
    time_zone : where times without an offset are read, except through the mapping, which has its own; without it, the
        format's, and the contract's for native files
    formats_dir : a folder of further formats
    format : a format's name, "native", or "auto" to find it out
    shop : of rows that name none
    currency : of orders that name none, three capital letters
    """

    mapping: Mapping | None = None
    time_zone: str | None = None
    formats_dir: str | Path | None = None
    format: str = AUTO
    shop: str | None = None
    currency: str | None = None

    def unpack(self, paths: Iterable[Path]) -> list[Path]:
        """Return the files to be read instead of zipped ones; they stay as long as the reader does."""
        return [plain for path in paths for plain in self._unpacker.unpack(path)]

    @cached_property
    def _unpacker(self) -> Unpacker:
        return Unpacker()

    def read_whole(self, paths: Iterable[Path]) -> list[FilePiece]:
        """Read files, each as one piece.

        Raises
        ------
        FileError, ContractError, MappingError
            As for `read_events`.
        """
        return list(self.iter_files(paths, in_one=True))

    def iter_files(self, paths: Iterable[Path], *, in_one: bool = False) -> Iterator[FilePiece]:
        """Read files one after the other, long ones piece by piece in bounded memory, unless `in_one` says otherwise.

        Raises
        ------
        FileError, ContractError, MappingError
            As for `read_events`, as soon as it is met.
        """
        formats: set[str] = set()
        for number, path in enumerate(self.unpack(paths)):
            for piece in self.iter_pieces(number, path, in_one=in_one):
                formats.add(piece.format)
                yield piece
        self._check_use(formats)

    def iter_groups(self, paths: Sequence[Path]) -> Iterator[list[FilePiece]]:
        """Read files in groups of pieces that fit into memory, files with orders first; short files make one group.

        Raises
        ------
        FileError, ContractError, MappingError
            As for `read_events`, as soon as it is met.
        """
        plain = self.unpack(paths)
        numbered = list(enumerate(plain))
        if any(is_long(path) for path in plain):
            numbered.sort(key=lambda each: not self._holds_orders(each[1]))
        yield from group_pieces(self._iter_used(numbered))

    def _iter_used(self, numbered: Iterable[tuple[int, Path]]) -> Iterator[FilePiece]:
        """Read files one after the other, and check at the end that the mapping was used."""
        formats: set[str] = set()
        for number, path in numbered:
            for piece in self.iter_pieces(number, path):
                formats.add(piece.format)
                yield piece
        self._check_use(formats)

    def iter_pieces(self, number: int, path: Path, *, in_one: bool = False) -> Iterator[FilePiece]:
        """Read one file, a long one piece by piece in bounded memory; all rows of an order are in one piece.

        Parameters
        ----------
        number : of the file among those of the call
        path : of the file
        in_one : whether even a long file is one piece

        Raises
        ------
        FileError, ContractError, MappingError
            As for `read_events`; or a long file changed while it was read.
        """
        yield from self.iter_pieces_of(number, self._open(path, in_one=in_one))

    def iter_pieces_of(self, number: int, source: RowSource) -> Iterator[FilePiece]:
        """Read rows that are open already, as `iter_pieces` does."""
        if not source.names:  # a page of an API without orders; a file of rows always has a header
            nothing = EventRows("orders", Events.empty().orders, NO_ROWS)
            yield FilePiece(source.path.name, NATIVE, (nothing,), 0, number=number)
            return
        how = self._choose(source)
        if isinstance(how, Format):
            pieces_of_export = iter_exports(source, how, self.time_zone, self.currency)
            yield from (replace(self._name_shop(piece), number=number) for piece in pieces_of_export)
            return
        if how == NATIVE and len(source.raw_names) > _MANY_COLUMNS:  # else it is found out when all of them are read
            check_columns(kind_of(source.raw_names, where=source.path.name), source.raw_names, where=source.path.name)
        pieces = self._iter_whole_orders(source, how) if source.is_long else [RawRows.join([*source.iter_raw_rows()])]
        for rows in pieces:
            parts = tuple(self._check_rows(rows, how, source.path.name))
            yield self._name_shop(FilePiece(source.path.name, how, parts, len(rows.rows), number=number))

    def read_source(self, open_source: Callable[[Sequence[JsonPlaces]], RowSource]) -> FilePiece:
        """Read rows that are no file, by the format that is named.

        Parameters
        ----------
        open_source : opens them, given where the format expects rows in a document

        Raises
        ------
        FileError
            There is no such format, or the rows are not of it.
        """
        places = [each.json_places for each in self._formats if each.name == self.format]
        source = open_source(places)
        fmt = choose_format(self.format, source.names, self._formats, where=source.path.name)
        (piece,) = iter_exports(source, fmt, self.time_zone, self.currency)
        return self._name_shop(piece)

    def _name_shop(self, piece: FilePiece) -> FilePiece:
        """Fill in the shop of events that name none."""
        if self.shop is None:
            return piece
        parts = [replace(part, table=_fill_shop(part.table, self.shop)) for part in piece.parts]
        return replace(piece, parts=tuple(parts))

    def _check_use(self, formats: Collection[str]) -> None:
        """Refuse a mapping that no file was read through: it has a typo, or belongs to another file."""
        if self.mapping is not None and MAPPED not in formats:
            raise MappingError(
                f"no file was read through the mapping {self.mapping.name}",
                hint=f"leave --mapping away, or correct its column names: {', '.join(self.mapping.columns[:5])} ...",
            )

    def _holds_orders(self, path: Path) -> bool:
        source = self._open(path)
        how = self._choose(source)
        if isinstance(how, Format):
            return how.kind == "orders"
        return how == MAPPED or kind_of(source.raw_names, where=path.name) == "orders"

    def _open(self, path: Path, *, in_one: bool = False) -> RowSource:
        is_json = path.name.lower().endswith((".json", ".jsonl"))
        return open_rows(path, [each.json_places for each in self._formats] if is_json else (), in_one=in_one)

    @cached_property
    def _formats(self) -> tuple[Format, ...]:
        return list_formats(self.formats_dir)

    def _choose(self, source: RowSource) -> Format | str:
        """Choose how a file is read, by its columns: by a format, in contract columns, or through the mapping."""
        where = source.path.name
        if self.format == NATIVE:
            return NATIVE
        if self.format != AUTO:
            return choose_format(self.format, source.names, self._formats, where=where)
        if self.mapping is not None and set(self.mapping.columns) <= set(source.names):
            return MAPPED
        if any(name in INSTANT_FIELDS for name in source.raw_names):
            return NATIVE
        try:
            return detect_format(source.names, self._formats, where=where, envelope=source.envelope)
        except FileError:
            if self.mapping is not None:
                return MAPPED
            if near_instants(source.names):
                kind_of(source.names, where=where)
            raise

    def _iter_whole_orders(self, source: RowSource, how: str) -> Iterator[RawRows]:
        """Read a long file in pieces that hold whole orders."""
        names, where = source.raw_names, source.path.name
        if how == NATIVE:
            check_columns(kind_of(names, where=where), names, where=where)
        else:
            check_mapped_columns(names, self._known_mapping, where=where)
        ends = find_ends(self._read_order_ids(rows, how).combine_chunks() for rows in source.iter_raw_rows())
        pieces = close_orders(source.iter_raw_rows(), ends, lambda rows: self._read_order_ids(rows, how), source.path)
        yield from (rows for rows, _ in pieces)

    def _read_order_ids(self, rows: RawRows, how: str) -> pa.ChunkedArray:
        raw = rows.table["order_id"] if how == NATIVE else map_order_ids(rows.table, self._known_mapping)
        return pa.chunked_array([read_column(raw.combine_chunks(), "text", load_zone("UTC")).values], pa.string())

    def _check_rows(self, rows: RawRows, how: str, name: str) -> Iterator[EventRows]:
        if how == NATIVE:
            kind, time_zone = kind_of(rows.table.column_names, where=name), self.time_zone or DEFAULT_TIME_ZONE
            yield _split(kind, rows.table, rows.rows, name, time_zone, currency=self.currency)
            return
        mapped = apply_mapping(rows.table, self._known_mapping, where=name)
        yield _split("orders", mapped.orders, rows.rows, name, mapped.time_zone, mapped.in_major, self.currency)
        if mapped.verdicts is not None:
            yield _split("verdicts", mapped.verdicts, rows.rows[mapped.verdict_rows], name, mapped.time_zone)

    @property
    def _known_mapping(self) -> Mapping:
        if self.mapping is None:
            raise AssertionError("a file is read through a mapping only where there is one")
        return self.mapping


def group_pieces(pieces: Iterable[FilePiece]) -> Iterator[list[FilePiece]]:
    """Gather pieces until they are enough rows for one step of an ingestion."""
    group: list[FilePiece] = []
    for piece in pieces:
        group.append(piece)
        if sum(each.n_rows for each in group) >= _ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


def _fill_shop(table: pa.Table, shop: str) -> pa.Table:
    if SHOP not in table.column_names:
        return table
    return table.set_column(table.column_names.index(SHOP), SHOP, pc.fill_null(table[SHOP], shop))


def _split(
    kind: EventKind,
    table: pa.Table,
    rows: Micros,
    name: str,
    time_zone: str,
    in_major: Collection[str] = (),
    currency: str | None = None,
) -> EventRows:
    """Split rows into good ones and failures, both by their numbers in the file."""
    if kind == "verdicts":
        table = _end_decided_days(table)
    good, failures = split_events(kind, table, time_zone=time_zone, in_major=in_major, where=name, currency=currency)
    broken = failures["row"].to_numpy()
    numbered = failures.set_column(0, "row", pa.array(rows[broken]))
    if kind == "verdicts":
        good = end_today(good)
    return EventRows(kind, good, np.delete(rows, np.unique(broken)), name_failures(numbered, name))


def _end_decided_days(verdicts: pa.Table) -> pa.Table:
    """Read days without a time, as people fill them in, as the ends of these days."""
    at = verdicts.schema.get_field_index("decided_at")
    return verdicts.set_column(
        at, "decided_at", end_days(verdicts["decided_at"].combine_chunks(), is_midnight_none=False)
    )
