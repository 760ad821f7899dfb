"""The marks a contract field can carry; each is a rule for one value and a fact for the vectorised twin.

A field of a model in `events.py` is annotated with these and with the plain bounds of annotated_types (Ge, Le, MaxLen).
pydantic runs them on one value; `fields.py` reads them off the model for whole columns. Nothing is stated twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
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

    from pydantic import GetCoreSchemaHandler, ValidationError, ValidationInfo

FieldKind = Literal["text", "integer", "number", "boolean", "instant"]

_READERS: dict[str, Callable[[Any], Any]] = {
    "text": parse_text,
    "integer": parse_integer,
    "number": parse_number,
    "boolean": parse_boolean,
}


@dataclass(frozen=True)
class Reads:
    """How a raw value becomes a canonical one, before any bound is looked at."""

    kind: FieldKind

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - pydantic's signature
        """Put the parser in front of pydantic's own check."""
        return core_schema.with_info_before_validator_function(self._read, handler(source))

    def _read(self, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - any raw value
        try:
            if self.kind == "instant":
                return parse_instant(value, _zone_of(info.context))
            return _READERS[self.kind](value)
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

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - pydantic's signature
        """Look at the other field once this one is read."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - passes through
        if self.other in info.data and info.data[self.other] not in self.values:
            raise PydanticCustomError("only_with", f"allowed only with a fitting '{self.other}'")
        return value


@dataclass(frozen=True)
class NotBefore:
    """The instant may not lie before that of another field, declared before."""

    other: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:  # noqa: ANN401 - pydantic's signature
        """Look at the other instant once this one is read."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 - passes through
        if self.other in info.data and value < info.data[self.other]:
            raise PydanticCustomError("not_before", f"earlier than '{self.other}'")
        return value


@dataclass(frozen=True)
class SameAs:
    """The default of a field is the value of another one."""

    other: str

    def __call__(self) -> SameAs:
        """Stand in for the value until the model fills it in."""
        return self


def same_as(other: str) -> Any:  # noqa: ANN401 - stands where a value of any type stands
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


def broken_rules(error: ValidationError) -> list[tuple[str, str]]:
    """Say which rules an event broke, in the words of the failure tables and without any value.

    Parameters
    ----------
    error : what a contract model raised

    Returns
    -------
    (field, rule), one per field, in the order of the model; an extra is named by its dict and its own name
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [(".".join(map(str, each["loc"])), _RULES.get(each["type"], each["type"])) for each in details]


def _zone_of(context: Mapping[str, Any] | None) -> ZoneInfo:
    zone = (context or {}).get("time_zone", DEFAULT_TIME_ZONE)
    return load_zone(zone) if isinstance(zone, str) else zone
