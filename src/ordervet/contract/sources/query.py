"""Read a query of a source from where it was read to the last time, and know where it is read to now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.sources.database import describe_errors, list_columns, opening_database
from ordervet.contract.sources.spool import Spool
from ordervet.contract.values import DEFAULT_TIME_ZONE, load_zone
from ordervet.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, CursorResult

    from ordervet.contract.sources.database import Column
    from ordervet.contract.sources.source_file import Query, Source

_ROWS_AT_ONCE = 2**14
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of the database's own times
_MICROSECOND = timedelta(microseconds=1)
_FIRST_YEAR = datetime(1000, 1, 1)  # noqa: DTZ001 - no database has earlier times in all its types
_ENDS = re.compile(r"[;\s]+$")
_INTEGER = r"^-?[0-9]{1,18}$"


@dataclass(frozen=True)
class ReadQuery:
    """The rows of a query, and how far it is read with them.

    Parameters
    ----------
    query : what was read
    columns : of its rows
    rows : with the columns' names
    position : the largest value of the column that grows, in microseconds since 1970 or as it is; None where there is
        no such column, or no value
    """

    query: Query
    columns: tuple[Column, ...]
    rows: Spool
    position: int | None


def read_queries(
    source: Source, positions: Mapping[str, int], report_step: Callable[[str], None] = lambda _: None
) -> list[ReadQuery]:
    """Read the queries of a source, all as of one moment.

    Parameters
    ----------
    source : what to read
    positions : name of a query → how far it was read before
    report_step : called with what is being done

    Raises
    ------
    SourceError
        The database cannot be read, or a query does not fit what it finds there.
    """
    if not source.query:
        raise SourceError(f"the source file {source.name} has no query", hint='add [[query]] with name = "orders"')
    with opening_database(source) as connection:
        now = _read_now(connection)
        return [_read_query(connection, source, query, positions, now, report_step) for query in source.query]


def _read_query(
    connection: Connection,
    source: Source,
    query: Query,
    positions: Mapping[str, int],
    now: datetime,
    report_step: Callable[[str], None],
) -> ReadQuery:
    where = f"{source.name}, query {query.name}"
    with describe_errors(where):
        base = _build_base(connection, query)
        columns = _describe_columns(connection, base, where)
        grows = _find_growing(query, columns, where)
        statement = base
        if grows is not None and query.name in positions:
            overlap = query.overlap_of(is_time=grows.kind != "integer")
            statement = _build_since(connection, base, grows, positions[query.name] - overlap)
        rows = Spool(tuple(each.name for each in columns))
        found = None
        for batch in _iter_batches(connection, statement, columns):
            rows.write(batch)
            report_step(f"reading {query.name}: {rows.n_rows:,} rows so far")
            if grows is not None:
                found = _find_largest(
                    batch.column(grows.name), grows, now, source.time_zone or DEFAULT_TIME_ZONE, found
                )
        rows.close_rows()
    position = found if query.name not in positions or found is None else max(found, positions[query.name])
    return ReadQuery(query, tuple(columns), rows, position)


def _build_base(connection: Connection, query: Query) -> str:
    if query.sql is not None:
        return _ENDS.sub("", query.sql)
    quote = connection.dialect.identifier_preparer.quote
    table = ".".join(quote(part) for part in str(query.table).split("."))
    names = [*query.columns, query.grows] if query.columns and query.grows is not None else query.columns
    columns = ", ".join(quote(name) for name in dict.fromkeys(names)) or "*"
    return f"SELECT {columns} FROM {table}"  # noqa: S608 - quoted


def _describe_columns(connection: Connection, base: str, where: str) -> list[Column]:
    """Ask for no row, and list the columns."""
    result = _execute(connection, f"SELECT * FROM ({base}\n) AS q WHERE 1 = 0")  # noqa: S608 - the user's own statement
    columns = list_columns(connection, result.cursor.description)
    result.close()
    names = [each.name for each in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{where} has a column twice: {', '.join(twice)}", hint="give every column a name of its own")
    return columns


def _find_growing(query: Query, columns: Sequence[Column], where: str) -> Column | None:
    if query.grows is None:
        return None
    found = next((each for each in columns if each.name == query.grows), None)
    if found is None:
        raise SourceError(
            f"{where} has no column {query.grows}, by which it is to grow",
            hint=f"name one of its columns: {', '.join(each.name for each in columns[:12])}",
        )
    if found.kind not in {"integer", "time", "zoned"}:
        raise SourceError(
            f"{where} is to grow by {query.grows}, which holds neither times nor whole numbers",
            hint="name a column such as updated_at, or a number that counts up",
        )
    return found


def _build_since(connection: Connection, base: str, grows: Column, since: int) -> str:
    """Build the statement for the rows from a position on, and those without one, which would never be read."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(grows.name)
    is_postgres = connection.dialect.name == "postgresql"
    if grows.kind == "integer":
        return f"SELECT * FROM ({base}\n) AS q WHERE q.{quoted} >= {since} OR q.{quoted} IS NULL"  # noqa: S608 - own text
    at = max(_EPOCH + timedelta(microseconds=since), _FIRST_YEAR)
    zero = "" if is_postgres else f" OR q.{quoted} = 0"
    return (
        f"SELECT * FROM ({base}\n) AS q WHERE q.{quoted} >= '{at:%Y-%m-%d %H:%M:%S.%f}' "  # noqa: S608 - own text
        f"OR q.{quoted} IS NULL{zero}"
    )


def _execute(connection: Connection, statement: str) -> CursorResult[Any]:
    streaming = connection.execution_options(
        no_parameters=True, stream_results=True, max_row_buffer=_ROWS_AT_ONCE, yield_per=_ROWS_AT_ONCE
    )
    return streaming.exec_driver_sql(statement)


def _iter_batches(connection: Connection, statement: str, columns: Sequence[Column]) -> Iterator[pa.RecordBatch]:
    """Run a statement; its rows come from a cursor of the server, some thousand at a time."""
    result = _execute(connection, statement)
    names = [each.name for each in columns]
    for rows in result.partitions(_ROWS_AT_ONCE):
        arrays = [_to_texts(values, column) for values, column in zip(zip(*rows, strict=True), columns, strict=True)]
        yield pa.record_batch(arrays, names=names)


def _to_texts(values: Sequence[Any], column: Column) -> pa.Array:
    """Build a column of texts; bytes that are no text in UTF-8 show what can be shown of them."""
    try:
        texts = pa.array(values, pa.string())
    except (pa.ArrowException, TypeError, UnicodeError):
        texts = pa.array(list(map(_to_text, values)), pa.string())
    if column.kind == "boolean":
        return pc.if_else(pc.equal(texts, "t"), "true", "false")
    if column.kind in {"time", "zoned"}:
        # NOTE: MySQL's date of zeros is its own word for none; a date of which a part is missing stays, and is wrong.
        texts = pc.if_else(pc.starts_with(texts, "0000-00-00"), pa.scalar(None, pa.string()), texts)
    return _add_zone(texts) if column.kind == "zoned" else texts


def _to_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return bytes(value).decode("utf-8", "replace") if isinstance(value, (bytes, bytearray, memoryview)) else str(value)


def _add_zone(texts: pa.Array) -> pa.Array:
    """Write the offset of UTC in full: a session in UTC shows it as +00, or not at all."""
    bare = pc.replace_substring_regex(texts, r"\+00$", "")
    return pc.binary_join_element_wise(bare, pa.scalar("+00:00"), "")


def _read_now(connection: Connection) -> datetime:
    """Read the clock of the server, UTC: later times in a column that grows are mistakes."""
    is_postgres = connection.dialect.name == "postgresql"
    statement = "SELECT CAST(CURRENT_TIMESTAMP AS text)" if is_postgres else "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)"
    text = str(connection.exec_driver_sql(statement).scalar_one())
    return datetime.fromisoformat(text.replace("+00", "")).replace(tzinfo=UTC)


def _read_micros(text: str) -> int | None:
    try:
        return (datetime.fromisoformat(text).replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    except ValueError:  # of a year that no calendar here has
        return None


def _find_largest(texts: pa.Array, grows: Column, now: datetime, time_zone: str, before: int | None) -> int | None:
    """Find the largest value so far of the column that grows; what lies ahead of the server's clock does not count."""
    if grows.kind == "integer":
        numbers = texts.filter(pc.fill_null(pc.match_substring_regex(texts, _INTEGER), fill_value=False)).cast(
            pa.int64()
        )
        found = pc.max(numbers).as_py()
    else:
        # SPEED: as texts, which sort as the times do; one of them is parsed.
        latest = now.replace(tzinfo=None) if grows.kind == "zoned" else now.astimezone(load_zone(time_zone))
        text = pc.max(
            texts.filter(pc.fill_null(pc.less_equal(texts, f"{latest:%Y-%m-%d %H:%M:%S.%f}"), fill_value=False))
        ).as_py()
        found = None if text is None else _read_micros(text)
    return max((each for each in (before, found) if each is not None), default=None)
