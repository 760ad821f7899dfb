"""What a contract field carries: marks that pydantic runs on one value, and the same facts for whole columns.

A field of a model in `model.py` is annotated with these marks and with the plain bounds of annotated_types (Ge, Le,
MaxLen). `fields_of` reads them off the model, so that a rule is written once for one value and for a column of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import Field, StringConstraints
from pydantic_core import PydanticCustomError, core_schema

from ordervet.contract.values import (
    DEFAULT_TIME_ZONE,
    load_zone,
    parse_boolean,
    parse_instant,
    parse_integer,
    parse_number,
    parse_text,
)
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

    from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError, ValidationInfo
    from pydantic.fields import FieldInfo

FieldKind = Literal["text", "integer", "number", "boolean", "instant"]

_READERS: dict[str, Callable[[Any], Any]] = {
    "text": parse_text,
    "integer": parse_integer,
    "number": parse_number,
    "boolean": parse_boolean,
}


@dataclass(frozen=True)
class Reads:
    """How a raw value becomes a canonical one, before any bound is looked at; a text perhaps in capitals (ASCII)."""

    kind: FieldKind
    is_upper: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Run the parser before pydantic's own check."""
        return core_schema.with_info_before_validator_function(self._read, handler(source))

    def _read(self, value: Any, info: ValidationInfo) -> Any:
        try:
            if self.kind == "instant":
                return parse_instant(value, _zone_of(info.context))
            read = _READERS[self.kind](value)
            return read.upper() if self.is_upper and read.isascii() else read
        except ContractError as error:
            rule = "instant" if self.kind == "instant" else "type"
            raise PydanticCustomError(rule, error.message) from None


@dataclass(frozen=True)
class Personal:
    """The value can point to a person: never shown, logged or repeated in a message."""


@dataclass(frozen=True)
class OnlyWith:
    """The value may be given only where another field, declared before, has one of some values."""

    other: str
    values: frozenset[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Compare with the other field once this one is read."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        if self.other in info.data and info.data[self.other] not in self.values:
            raise PydanticCustomError("only_with", f"allowed only with a fitting '{self.other}'")
        return value


@dataclass(frozen=True)
class NotBefore:
    """The instant may not lie before that of another field, declared before."""

    other: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Compare with the other time once this one is read."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        if self.other in info.data and value < info.data[self.other]:
            raise PydanticCustomError("not_before", f"earlier than '{self.other}'")
        return value


@dataclass(frozen=True)
class SameAs:
    """The default of a field is the value of another one."""

    other: str

    def __call__(self) -> SameAs:
        """Return a placeholder for the value until the model fills it in."""
        return self


def same_as(other: str) -> Any:
    """Declare that a field which is not given has the value of another one."""
    return Field(default_factory=SameAs(other))


# What pydantic calls a broken bound, and what the tables call it.
_RULES = {
    "missing": "required",
    "greater_than_equal": "minimum",
    "less_than_equal": "maximum",
    "too_long": "length",
    "string_pattern_mismatch": "pattern",
    "enum": "allowed",
    "string_unicode": "type",
    "extra_forbidden": "unknown",
}


def _zone_of(context: Mapping[str, Any] | None) -> ZoneInfo:
    zone = (context or {}).get("time_zone", DEFAULT_TIME_ZONE)
    return load_zone(zone) if isinstance(zone, str) else zone


@dataclass(frozen=True)
class ContractField:
    """One field of a contract model, or one extra column of a table.

    `default` is a plain value, `default_from` names the field whose value stands in; `is_extras` marks a dict of the
    model whose entries are columns of their own in a table.
    """

    name: str
    kind: FieldKind
    is_upper: bool = False
    is_required: bool = False
    is_personal: bool = False
    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] = ()
    only_with: OnlyWith | None = None
    not_before: NotBefore | None = None
    default: str | None = None
    default_from: str | None = None
    is_extras: bool = False

    def named(self, name: str) -> ContractField:
        """Return the same rules under the name of one extra column."""
        return ContractField(**{**self.__dict__, "name": name, "is_extras": False})


@lru_cache(maxsize=16)
def fields_of(model: type[BaseModel]) -> tuple[ContractField, ...]:
    """Read the rules of every field off a contract model, in the order of the model.

    Parameters
    ----------
    model : a model whose fields carry the marks above

    Returns
    -------
    one entry per field; a dict of extras is one entry with `is_extras`, its rules being those of the dict's values
    """
    return tuple(_read_field(name, info) for name, info in model.model_fields.items())


def _read_field(name: str, info: FieldInfo) -> ContractField:
    bare, marks = _unwrap(info.annotation, list(info.metadata))
    is_extras = get_origin(bare) is dict
    if is_extras:
        bare, marks = _unwrap(get_args(bare)[1], [])
    facts: dict[str, Any] = {"name": name, "is_required": info.is_required(), "is_extras": is_extras}
    for mark in marks:
        facts |= _facts_of(mark)
    if isinstance(bare, type) and issubclass(bare, StrEnum):
        facts["allowed"] = tuple(bare)
    if isinstance(info.default_factory, SameAs):
        facts["default_from"] = info.default_factory.other
    elif isinstance(info.default, str):
        facts["default"] = str(info.default)
    return ContractField(**facts)


def _unwrap(annotation: Any, marks: list[Any]) -> tuple[Any, list[Any]]:
    """Unwrap `X | None` and `Annotated[X, ...]`, down to X and all its marks."""
    if get_origin(annotation) in {Union, UnionType}:
        (inner,) = (part for part in get_args(annotation) if part is not NoneType)
        return _unwrap(inner, marks)
    if get_origin(annotation) is Annotated:
        inner, *inner_marks = get_args(annotation)
        return _unwrap(inner, [*inner_marks, *marks])
    return annotation, marks


def _facts_of(mark: object) -> dict[str, Any]:
    if isinstance(mark, (OnlyWith, NotBefore)):
        return {"only_with" if isinstance(mark, OnlyWith) else "not_before": mark}
    for mark_type, attribute, fact in _PLAIN_MARKS:
        if isinstance(mark, mark_type):
            return {fact: getattr(mark, attribute)}
    if isinstance(mark, Personal):
        return {"is_personal": True}
    if isinstance(mark, Reads):
        return {"kind": mark.kind, "is_upper": mark.is_upper}
    raise TypeError(f"no vectorised twin for {mark!r}")


_PLAIN_MARKS: tuple[tuple[type, str, str], ...] = (
    (Ge, "ge", "minimum"),
    (Le, "le", "maximum"),
    (MaxLen, "max_length", "max_length"),
    (StringConstraints, "pattern", "pattern"),
)


def broken_rules(error: ValidationError) -> list[tuple[str, str]]:
    """List the rules that an event broke, named as in the failure tables and without any value.

    Parameters
    ----------
    error : what a contract model raised

    Returns
    -------
    (field, rule), one per field, in the order of the model; an extra is named by its dict and its own name
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [(".".join(map(str, each["loc"])), _RULES.get(each["type"], each["type"])) for each in details]
