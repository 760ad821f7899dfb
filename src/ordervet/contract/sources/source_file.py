"""A source file (TOML) says which database to read, with which queries; a sink file, into which table decisions go.

url = "postgresql://reader@db.example.com/shop"    or mysql://…, or { env = "NAME" }, which may hold a password
password = { env = "SHOP_DB_PASSWORD" }            or { file = "/run/secrets/shop-db" }; never in the file itself
time_zone, shop, currency                          of rows that name none, as the options of `ordervet ingest`

[[query]]                                          a source has one or more, orders first
name = "orders"
table = "orders"                                   all its columns, or columns = […]; or sql = "SELECT …"
grows = "updated_at"                               the column by which new and changed rows are found: times or numbers
overlap = "1h"                                     what is read once more: a length of time, or of numbers how many
mapping = "orders.toml"                            or format = "…"; without them rows are recognised as those of a file

[sink]                                             of a sink file, which may be the same
table = "ordervet_decisions"
"""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ordervet.contract.mapping import read_delay
from ordervet.contract.values import DEFAULT_TIME_ZONE, load_zone
from ordervet.errors import ContractError, SourceError

_OVERLAP_ROWS = 10_000
_OVERLAP = timedelta(hours=1)
_MAX_SECRET = 4096
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Secret(_Section):
    """Where a secret is: in a variable of the environment, or in a file."""

    env: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError('give { env = "NAME" } or { file = "PATH" }')
        return self

    def read(self, folder: Path) -> str:
        """Read the secret; a relative path starts at the folder of the source file.

        Raises
        ------
        SourceError
            It is missing or empty.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "")
            if not value:
                raise SourceError(f"the variable {self.env} is not set", hint="set it before the command runs")
            return value
        path = folder / str(self.file)
        try:
            with path.open(encoding="utf-8") as file:
                value = file.read(_MAX_SECRET).strip()
        except (OSError, UnicodeDecodeError):
            value = ""
        if not value:
            raise SourceError(f"the secret in {path.name} cannot be read", hint="check the path and its permissions")
        return value


def _read_overlap(value: object) -> object:
    return read_delay(value) if isinstance(value, str) else value


class Query(_Section):
    """What is read of one table, or by one statement.

    Parameters
    ----------
    name : of the query, in messages, counts and the history
    table, sql : one of them
    columns : of the table; without them all that it has
    grows : column of times or whole numbers that never become smaller from row to row; None reads all, every time
    overlap : how far back from the largest value so far is read again
    mapping, format : how rows are read
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    table: str | None = None
    columns: list[str] = []
    sql: str | None = None
    grows: str | None = None
    overlap: Annotated[timedelta | Annotated[int, Field(ge=0)] | None, BeforeValidator(_read_overlap)] = None
    mapping: str | None = None
    format: str | None = None

    @model_validator(mode="after")
    def _check_one_of_each(self) -> Self:
        if (self.table is None) == (self.sql is None):
            raise ValueError("give either a table or sql")
        if self.columns and self.table is None:
            raise ValueError("columns belong to a table; sql names its own")
        if self.mapping is not None and self.format is not None:
            raise ValueError("give a mapping or a format, not both")
        if self.overlap is not None and self.grows is None:
            raise ValueError("an overlap belongs to a column that grows")
        return self

    def overlap_of(self, *, is_time: bool) -> int:
        """Return the overlap in microseconds, or in numbers.

        Raises
        ------
        SourceError
            It is a length of time for a column of numbers, or a number for one of times.
        """
        overlap = self.overlap if self.overlap is not None else _OVERLAP if is_time else _OVERLAP_ROWS
        if isinstance(overlap, timedelta) != is_time:
            kind, example = ("times", '"1h"') if is_time else ("numbers", "10000")
            raise SourceError(
                f"the column {self.grows} of {self.name} holds {kind}, and its overlap does not",
                hint=f"overlap = {example}",
            )
        return overlap // timedelta(microseconds=1) if isinstance(overlap, timedelta) else overlap


class SinkTable(_Section):
    """Where decisions go."""

    table: str = "ordervet_decisions"


class Source(_Section):
    """A whole source file, or sink file.

    Parameters
    ----------
    name : of the file, without its ending
    folder : of the file
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    folder: Path
    url: str | Secret
    password: Secret | None = None
    time_zone: str | None = None
    shop: str | None = None
    currency: str | None = None
    query: list[Query] = []
    sink: SinkTable | None = None

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, name: str | None) -> str | None:
        try:
            load_zone(name or DEFAULT_TIME_ZONE)
        except ContractError as error:
            raise ValueError(error.message) from None
        return name

    @field_validator("query")
    @classmethod
    def _check_names(cls, queries: list[Query]) -> list[Query]:
        if len({each.name for each in queries}) < len(queries):
            raise ValueError("two queries have the same name")
        return queries

    def build_url(self) -> Any:
        """Build the address of the database for SQLAlchemy, with its password.

        Raises
        ------
        SourceError
            The address is none, or not of PostgreSQL, MySQL or MariaDB; or a secret is missing or in the file itself.
        """
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        text = self.url if isinstance(self.url, str) else self.url.read(self.folder)
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        driver = None if url is None else _DRIVERS.get(url.drivername.partition("+")[0])
        if url is None or driver is None:
            raise SourceError(
                f"the url of {self.name} is none of PostgreSQL, MySQL or MariaDB",
                hint='url = "postgresql://reader@host:5432/shop", or mysql://reader@host:3306/shop',
            )
        if isinstance(self.url, str) and (url.password or "password" in url.query or "passwd" in url.query):
            raise SourceError(
                f"the url of {self.name} holds a password, which belongs in the environment or in a file of its own",
                hint="take it out, and say under password where it is",
            )
        url = url.set(drivername=driver)
        return url if self.password is None else url.set(password=self.password.read(self.folder))


def load_source(path: str | Path) -> Source:
    """Load a source file or sink file.

    Raises
    ------
    SourceError
        It cannot be read, is no TOML, or everything that is wrong with it, at once.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}", hint="check the path") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise SourceError(
            f"{path.name} is not TOML", hint='write strings as "text", one key = value per line'
        ) from None
    try:
        return Source(**{"name": path.stem, "folder": path.resolve().parent} | raw)
    except ValidationError as error:
        # NOT: pydantic's own text of a section. The values that are wrong may be secrets.
        details = error.errors(include_url=False, include_input=False, include_context=False)
        problems = sorted({f" - '{_place(each['loc'])}': {_problem(each)}" for each in details})
        raise SourceError(
            f"the source file {path.name} is wrong\n" + "\n".join(problems),
            hint="docs/sources.md has an example of each section",
        ) from None


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(each) for each in loc if each not in {"str", "Secret"}) or "the file"


def _problem(detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        return "unknown"
    return "missing" if detail["type"] == "missing" else str(detail["msg"]).removeprefix("Value error, ")
