"""Open a PostgreSQL, MySQL or MariaDB database for reading or writing; whatever goes wrong there is one clear error.

Every value is asked for as the text that the database writes, as a file would have it: a zero date, an infinite time or
a number of any length is then one wrong cell, not the end of the query. Sessions are in UTC, so that a time with a zone
says so, wherever the server is; a time without one is left as it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ordervet.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from ordervet.contract.sources.source_file import Source

CONNECT_S = 15
Kind = Literal["text", "integer", "time", "zoned", "boolean"]
"""What a column holds; the texts of all but "text" are known. "zoned" is a time that the session shows in UTC."""

# PostgreSQL's numbers of types.
_OF_POSTGRES: dict[int, Kind] = {
    16: "boolean",
    20: "integer",
    21: "integer",
    23: "integer",
    1082: "time",
    1114: "time",
    1184: "zoned",
}
# MySQL's: tiny, short, long, longlong, int24, date, datetime, and timestamp, which the session shows in its zone.
_OF_MYSQL: dict[int, Kind] = {
    1: "integer",
    2: "integer",
    3: "integer",
    8: "integer",
    9: "integer",
    10: "time",
    12: "time",
    7: "zoned",
}
_BIT = 16

# What the databases' codes mean; their own words may quote values.
_REFUSED = {"28P01", "28000", "1045", "1698", "1251"}
_NO_DATABASE = {"3D000", "1044", "1049"}
_FORBIDDEN = {"42501", "1142", "1143", "1227"}
_UNREACHABLE = {"2002", "2003", "2005"}
_LOST = {"2006", "2013", "2014", "2055", "1927", "1053", "57P01", "57P02", "57P03", "25P03", "4031"}
_CANCELLED = {"57014", "1317", "3024", "1969", "1205"}
_UNKNOWN_NAME = {"42703", "42P01", "42702", "1054", "1146", "1060"}
_SYNTAX = {"42601", "1064"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a query."""

    name: str
    kind: Kind


@contextmanager
def opening_database(source: Source, *, is_writing: bool = False) -> Iterator[Connection]:
    """Open the database of a source file or sink file, in one transaction, which is committed at the end.

    Parameters
    ----------
    source : names it
    is_writing : else it is read, as of one moment

    Raises
    ------
    SourceError
        It cannot be reached, refuses, or breaks off; messages carry no credential and no value.
    """
    with describe_errors(source.name):
        engine = _build_engine(source, is_writing=is_writing)
        try:
            with engine.connect() as connection, connection.begin():
                _set_up(connection, is_writing=is_writing)
                yield connection
        finally:
            engine.dispose()


def _build_engine(source: Source, *, is_writing: bool) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    url = source.build_url()
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_S}
    if url.drivername.startswith("postgresql"):
        arguments |= {"client_encoding": "utf8", "application_name": "ordervet"}
    else:
        arguments |= {"charset": "utf8mb4"}
        if not is_writing:
            arguments["conv"] = _texts_of_mysql()
    level = "READ COMMITTED" if is_writing else "REPEATABLE READ"
    return create_engine(
        url, poolclass=NullPool, connect_args=arguments, isolation_level=level, hide_parameters=True, echo=False
    )


def _texts_of_mysql() -> dict[Any, Any]:
    """Return how the driver reads values: as texts, but for bits, which are numbers."""
    from pymysql.converters import encoders

    return {**encoders, _BIT: lambda bits: str(int.from_bytes(bits, "big"))}


def _set_up(connection: Connection, *, is_writing: bool) -> None:
    run = connection.exec_driver_sql
    if connection.dialect.name != "postgresql":
        run("SET time_zone = '+00:00'")
        return
    run("SET LOCAL TIME ZONE 'UTC'")
    run("SET LOCAL DateStyle TO 'ISO, YMD'")
    if not is_writing:
        run("SET TRANSACTION READ ONLY")
        run("SET LOCAL cursor_tuple_fraction = 1.0")
        _read_texts_of_postgres(connection)


def _read_texts_of_postgres(connection: Connection) -> None:
    """Let the driver read every type that it knows as the text that the database writes."""
    from psycopg.types.string import TextLoader

    raw: Any = connection.connection.dbapi_connection
    for known in list(raw.adapters.types):
        raw.adapters.register_loader(known.oid, TextLoader)
        if known.array_oid:
            raw.adapters.register_loader(known.array_oid, TextLoader)


def list_columns(connection: Connection, description: Any) -> list[Column]:
    """List the columns of a query, by what its cursor says of them."""
    kinds = _OF_POSTGRES if connection.dialect.name == "postgresql" else _OF_MYSQL
    return [Column(str(each[0]), kinds.get(each[1], "text")) for each in description]


@contextmanager
def describe_errors(where: str) -> Iterator[None]:
    """Turn what the database and its driver raise into one error, without credentials and without values.

    Parameters
    ----------
    where : the name of the source
    """
    from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

    try:
        yield
    except DBAPIError as error:
        raise _describe(error.orig, where) from None
    except NoSuchTableError as error:
        raise SourceError(f"the database of {where} has no table {error}", hint="check its name and schema") from None
    except (SQLAlchemyError, UnicodeDecodeError) as error:
        raise SourceError(
            f"the database of {where} cannot be read: {type(error).__name__}", hint="check its url and encoding"
        ) from None
    except Exception as error:
        # NOTE: while rows are fetched the drivers' own errors come through.
        if type(error).__module__.partition(".")[0] in {"psycopg", "pymysql"}:
            raise _describe(error, where) from None
        raise


def _describe(error: Any, where: str) -> SourceError:
    first = error.args[0] if getattr(error, "args", ()) else ""
    # NOTE: a number is MySQL's own, finer than its SQLSTATE.
    code = str(first if isinstance(first, int) else getattr(error, "sqlstate", None) or "")
    is_psycopg = type(error).__module__.startswith("psycopg")
    said = str(error)
    if code in _REFUSED or (is_psycopg and not code and "authentication failed" in said):
        return SourceError(f"the database of {where} refuses the user or the password", hint="check both")
    if code in _NO_DATABASE or (is_psycopg and not code and "does not exist" in said):
        return SourceError(f"the server of {where} has no such database for this user", hint="check its url")
    if code in _FORBIDDEN:
        return SourceError(
            f"the user of {where} lacks a permission (code {code})",
            hint="grant SELECT on what is read, or more for a sink",
        )
    if code in _UNREACHABLE or (is_psycopg and not code):
        return SourceError(
            f"the database of {where} cannot be reached, or broke off", hint="check that it runs; then run it again"
        )
    if code in _LOST or code.startswith("08") or type(error).__name__ == "InterfaceError":
        return SourceError(
            f"the database of {where} broke off while it was read", hint="run it again: nothing is counted twice"
        )
    if code in _CANCELLED:
        return SourceError(
            f"the database of {where} cancelled the query (code {code})", hint="raise its limits of time, or narrow sql"
        )
    if code in _UNKNOWN_NAME:
        # NOTE: the first line names a table or a column, never a value.
        line = (said if is_psycopg else str(error.args[-1])).splitlines()[0]
        return SourceError(f"the database of {where}: {line}", hint="correct the names in the source file")
    if code in _SYNTAX:
        return SourceError(
            f"the database of {where} cannot parse the statement (code {code})",
            hint="try the sql in the database itself",
        )
    return SourceError(
        f"the database of {where} reports code {code or type(error).__name__}", hint="look it up in its log"
    )
