"""A mapping file (TOML) says which column of a foreign table is what, and how its labels become verdicts.

[source]           time_zone
[rates]            CODE = what a unit of that currency is worth in CNY, such as USD = 7.08
[order]            contract field = "COLUMN", or { column = "COLUMN", unit = "major" } for money in 元,
                   { column = "DATE", time = "TIME" } for an instant in two columns, { value = "EUR" } for a constant;
                   payment_account = { column = "CARD", brand = "BRAND" } makes a key of a masked card: brand, first six
                   digits, last four
[order.entities]   name = "COLUMN": an extra identity to count by
[order.numbers]    name = "COLUMN": an extra numeric feature
[order.categories] name = "COLUMN": an extra categorical feature, which enters as point-in-time rates
[labels]           column, malicious = [...], innocent = [...], delay = "7d" or seen_at = "COLUMN", kind, by
[ignore]           columns = [...] or all_other = true
[features], [backtest]  kept as they are for the rooms that know them
"""

from __future__ import annotations

import difflib
import re
import tomllib
from datetime import timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from ordervet.contract.fields import fields_of
from ordervet.contract.model import Decider, EntityName, ExtraName, MaliceKind, Order
from ordervet.contract.values import DEFAULT_TIME_ZONE, load_zone
from ordervet.currencies import PER_DOLLAR
from ordervet.errors import ContractError, MappingError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from pydantic_core import ErrorDetails

_DELAY = re.compile(r"^([0-9]{1,6})([smhd])$")
_DELAY_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FIELDS = {field.name: field for field in fields_of(Order) if not field.is_extras}


def _read_source(value: object) -> object:
    """Expand the short form, a column's name alone."""
    return {"column": value} if isinstance(value, str) else value


def read_delay(value: object) -> timedelta:
    """Read a length of time such as ``7d``, ``12h``, ``30m`` or ``45s``.

    Raises
    ------
    ValueError
        The value is no such text.
    """
    match = _DELAY.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('give a length of time such as "7d", "12h", "30m" or "45s"')
    return timedelta(**{_DELAY_UNITS[match[2]]: int(match[1])})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class FieldSource(_Section):
    """Where the values of one contract field come from: a column, or two that belong together, or a constant."""

    column: str | None = None
    time: str | None = None
    brand: str | None = None
    unit: Literal["minor", "major"] = "minor"
    value: str | int | float | bool | None = None

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("give either a column or a value")
        if self.time is not None and self.column is None:
            raise ValueError("give the column of the date beside that of the time")
        if self.brand is not None and self.column is None:
            raise ValueError("give the column of the card beside that of its brand")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(name for name in (self.column, self.time, self.brand) if name is not None)


Source = Annotated[FieldSource, BeforeValidator(_read_source)]


class OrderColumns(_Section):
    """The [order] section: a source per contract field, added below, and the extras."""

    entities: dict[EntityName, str] = {}
    numbers: dict[ExtraName, str] = {}
    categories: dict[EntityName, str] = {}

    @model_validator(mode="after")
    def _check_names_and_kinds(self) -> Self:
        twice = sorted(self.entities.keys() & self.categories.keys())
        if twice:
            raise ValueError(f"both an entity and a category: {', '.join(twice)}")
        for name, source in self.sources.items():
            if source.unit == "major" and not name.endswith("_minor"):
                raise ValueError(f"{name} is no amount of money, so it has no unit")
            if source.time is not None and _FIELDS[name].kind != "instant":
                raise ValueError(f"{name} is no instant, so it has no column of times")
            if source.brand is not None and name != "payment_account":
                raise ValueError(f"{name} is no payment account, so it has no column of card brands")
        return self

    @property
    def sources(self) -> dict[str, FieldSource]:
        """The contract fields that are mapped, and from where."""
        return {name: source for name in _FIELDS if (source := getattr(self, name)) is not None}

    @property
    def extras(self) -> dict[str, str]:
        """The extra columns of the contract table, and the columns they come from."""
        prefixed = {"entity__": self.entities, "number__": self.numbers, "category__": self.categories}
        return {prefix + name: column for prefix, names in prefixed.items() for name, column in names.items()}


# The fields of the section are those of an order: what is required there is required here.
_order_fields: dict[str, Any] = {
    field.name: (Source, ...) if field.is_required else (Source | None, None) for field in _FIELDS.values()
}
if TYPE_CHECKING:
    OrderSection = OrderColumns
else:
    OrderSection = create_model("OrderSection", __base__=OrderColumns, **_order_fields)


class SourceSection(_Section):
    """How the table as a whole is read."""

    time_zone: str = DEFAULT_TIME_ZONE

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        try:
            load_zone(name)
        except ContractError as error:
            raise ValueError(error.message) from None
        return name


class LabelsSection(_Section):
    """How a column of labels becomes verdicts, and when each of them counts as known."""

    column: str
    malicious: list[str] = Field(min_length=1)
    innocent: list[str] = []
    delay: Annotated[timedelta, BeforeValidator(read_delay)] | None = None
    seen_at: str | None = None
    kind: MaliceKind | None = None
    by: Decider = Decider.PLATFORM

    @model_validator(mode="after")
    def _check_when(self) -> Self:
        if (self.delay is None) == (self.seen_at is None):
            raise ValueError("give either a delay or the column seen_at: a label without its time would leak")
        if set(self.malicious) & set(self.innocent):
            raise ValueError("a label is both malicious and innocent")
        return self


class IgnoreSection(_Section):
    """The columns that are left out on purpose."""

    columns: list[str] = []
    all_other: bool = False


class Mapping(_Section):
    """A whole mapping file."""

    name: str = "mapping"
    source: SourceSection = SourceSection()
    order: OrderSection
    labels: LabelsSection | None = None
    ignore: IgnoreSection = IgnoreSection()
    rates: dict[Literal[tuple(PER_DOLLAR)], Annotated[float, Field(gt=0, lt=1e6)]] = {}  # type: ignore[valid-type]
    features: dict[str, Any] = {}
    backtest: dict[str, Any] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the mapping reads, each once, in the order of the contract."""
        names = [name for source in self.order.sources.values() for name in source.columns]
        names += self.order.extras.values()
        if self.labels is not None:
            names += [name for name in (self.labels.column, self.labels.seen_at) if name is not None]
        return tuple(dict.fromkeys(names))


def shipped_mappings() -> tuple[str, ...]:
    """List the names of the mappings that come with the package."""
    files = (Path(file.name) for file in _folder().iterdir())
    return tuple(sorted(file.stem for file in files if file.suffix == ".toml"))


def load_mapping(path_or_name: str | Path) -> Mapping:
    """Load a mapping from a file, or one that comes with the package by its name.

    Parameters
    ----------
    path_or_name : a path that ends in .toml, or a name among `shipped_mappings()`, such as "handbook" or
        "handbook.toml"; a file of that name in the working folder comes first

    Raises
    ------
    MappingError
        There is no such mapping, it is no TOML, or everything that is wrong with it, at once.
    """
    path = Path(path_or_name)
    is_shipped = path.name == str(path_or_name) and path.stem in shipped_mappings() and not path.exists()
    if path.suffix == ".toml" and not is_shipped:
        return _parse(path.name, _read_file(path))
    name = path.stem if is_shipped else str(path_or_name)
    if name not in shipped_mappings():
        near = _near(name, shipped_mappings())
        known = ", ".join(shipped_mappings())
        raise MappingError(f"there is no mapping '{name}'{near}", hint=f"use one of {known}, or a path to a .toml file")
    return _parse(f"{name}.toml", (_folder() / f"{name}.toml").read_bytes())


@lru_cache(maxsize=1)
def _folder() -> Traversable:
    return resources.files("ordervet.contract") / "mappings"


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MappingError(f"{path.name} cannot be read: {error.strerror}", hint="check the path") from None


def _parse(name: str, data: bytes) -> Mapping:
    try:
        raw = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(
            f"{name} is not TOML: {error}", hint='write strings as "text", one key = value per line'
        ) from None
    if "name" in raw:
        raise MappingError(f"{name}: 'name' is taken from the file's name", hint="take it out")
    try:
        return Mapping(name=Path(name).stem, **raw)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        problems = "s" if len(details) > 1 else ""
        lines = [f"{len(details)} problem{problems} in {name}", *(_problem(each) for each in details)]
        raise MappingError(
            "\n".join(lines), hint=f"compare with a shipped mapping: {', '.join(shipped_mappings())}"
        ) from None


def _problem(detail: ErrorDetails) -> str:
    place = [str(part) for part in detail["loc"] if part != "[key]"]
    if detail["type"] == "extra_forbidden":
        text = f"unknown{_near(place[-1], _known_names(place[:-1]))}"
    elif detail["type"] == "missing":
        text = "missing"
    else:
        text = detail["msg"].removeprefix("Value error, ")
    return f" - '{'.'.join(place) or 'the file'}': {text}"


def _known_names(place: list[str]) -> list[str]:
    """List the names that a section knows."""
    sections: dict[str, type[BaseModel]] = {
        "source": SourceSection,
        "order": OrderSection,
        "labels": LabelsSection,
        "ignore": IgnoreSection,
    }
    if not place:
        return list(Mapping.model_fields)
    model = sections.get(place[0], FieldSource) if len(place) == 1 else FieldSource
    return list(model.model_fields)


def _near(name: str, candidates: list[str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""
