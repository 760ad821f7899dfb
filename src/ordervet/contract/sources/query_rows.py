"""From the rows of queries to checked events, as from those of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordervet.contract.fields import fields_of
from ordervet.contract.files.mapped import check_mapped_columns
from ordervet.contract.files.pieces import AUTO, INSTANT_FIELDS, NATIVE, kind_of
from ordervet.contract.files.reader import FileReader
from ordervet.contract.mapping import load_mapping
from ordervet.contract.schemas import MODELS
from ordervet.contract.sources.spool import QueryRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ordervet.contract.files.pieces import FilePiece
    from ordervet.contract.mapping import Mapping
    from ordervet.contract.sources.query import ReadQuery
    from ordervet.contract.sources.source_file import Query, Source

_UPDATED_AT = "updated_at"


def iter_query_pieces(
    source: Source, reads: Sequence[ReadQuery], *, formats_dir: Path | None = None, in_one: bool = False
) -> Iterator[FilePiece]:
    """Read the rows of queries, many of them piece by piece; all rows of an order are in one piece.

    Parameters
    ----------
    source : that the queries are of
    reads : their rows
    formats_dir : a folder of further formats
    in_one : whether even many rows are one piece

    Raises
    ------
    ContractError, MappingError
        As for `read_events`.
    """
    for number, read in enumerate(reads):
        mapping = load_query_mapping(source, read.query)
        reader = FileReader(
            mapping, source.time_zone, formats_dir, read.query.format or AUTO, source.shop, source.currency
        )
        names = _name_columns(read, mapping)
        yield from reader.iter_pieces_of(number, QueryRows(read.query.name, read.rows, names, in_one=in_one))


def load_query_mapping(source: Source, query: Query) -> Mapping | None:
    """Load the mapping of a query; a relative path starts at the folder of the source file.

    Raises
    ------
    MappingError
        It is wrong.
    """
    if query.mapping is None:
        return None
    beside = source.folder / query.mapping
    return load_mapping(beside if beside.is_file() else query.mapping)


def _name_columns(read: ReadQuery, mapping: Mapping | None) -> dict[str, str]:
    """Name the columns as they are read; that by which a query grows is no contract field, but says as of when it is.

    Raises
    ------
    MappingError
        The mapping does not fit.
    """
    names = [each.name for each in read.columns]
    grows = next((each for each in read.columns if each.name == read.query.grows), None)
    named = {name: name for name in names}
    if mapping is not None:
        if grows is not None and grows.name not in {*mapping.columns, *mapping.ignore.columns}:
            del named[grows.name]
        check_mapped_columns(list(named), mapping, where=read.query.name)
        return named
    if read.query.format not in {None, NATIVE} or grows is None or not INSTANT_FIELDS.keys() & set(names):
        return named
    kind = kind_of(names, where=read.query.name)
    fields = {field.name for field in fields_of(MODELS[kind])}
    if grows.name not in fields:
        del named[grows.name]
        if _UPDATED_AT in fields - set(names) and grows.kind != "integer":
            named[grows.name] = _UPDATED_AT
    return named
