"""Read one order or outcome: what the model's `model_validate` gives, without Python code for each of its fields.

Most are tidy: exact types, texts without white space at their ends, instants such as ``2025-11-11 20:00:00``.
For them a second validator, made of the same model's rules, gives what the model gives. It refuses whatever it is not
sure of; then the model itself, which is the definition, reads the order or says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import SchemaValidator, core_schema

from ordervet.contract.fields import fields_of
from ordervet.contract.model import MAX_EXTRAS, Order, Outcome, check_entity_name, check_extra_name
from ordervet.contract.values import FIRST_INSTANT, LAST_INSTANT, TRIMMED, drop_halves, is_missing, parse_instant
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from ordervet.contract.fields import ContractField
    from ordervet.contract.model import Event

__all__ = ["find_fields", "read_order", "read_outcome"]

#: NOT the currency: without it an amount would be one of yuan.
_OPTIONAL = frozenset(field.name for field in fields_of(Order) if not field.is_required) - {"currency"}
_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
_SHORT, _LONG = len("2025-11-11 20:00"), len("2025-11-11 20:00:00")
_END_OF_HOUR = len("2025-11-11 20")
_TIDY = rf"(?s)^[^{TRIMMED}](.*[^{TRIMMED}])?$"


def read_order(order: Order | Mapping[str, Any]) -> Order:
    """Read one order.

    Parameters
    ----------
    order : an Order, which is taken as it is, or its fields by name; instants without an offset are those of the
        default time zone

    Raises
    ------
    ValidationError
        The order breaks the contract.

    References
    ----------
    Truth: ``Order.model_validate``.
    """
    if isinstance(order, Order):
        return order
    try:
        tidy: Order = _build_validator(Order).validate_python(order)
    except (ValidationError, ContractError, TypeError, ValueError):
        return _read_untidy(order) if isinstance(order, Mapping) else Order.model_validate(order)
    return tidy


def read_outcome(outcome: Mapping[str, Any]) -> Outcome:
    """Read one outcome.

    Parameters
    ----------
    outcome : its fields by name, instants as those of an order

    Raises
    ------
    ValidationError
        The outcome breaks the contract.

    References
    ----------
    Truth: ``Outcome.model_validate``.
    """
    try:
        tidy: Outcome = _build_validator(Outcome).validate_python(outcome)
    except (ValidationError, ContractError, TypeError, ValueError):
        return Outcome.model_validate(outcome)
    return tidy


def _read_untidy(order: Mapping[str, Any]) -> Order:
    """Read an order of which nothing is known: clean it, and leave out what an order can do without.

    What is missing (NaT, NaN, a blank text) is not given, as in a table. Half an emoji is dropped. An optional field
    that breaks the contract is not known: nobody can switch the scoring of an order off with a strange address.
    """
    given = {
        name: drop_halves(value) if isinstance(value, str) else value
        for name, value in order.items()
        if not is_missing(value)
    }
    for _ in range(2):
        try:
            return Order.model_validate(given)
        except ValidationError as error:
            faulty = {fault["loc"][0] for fault in error.errors(include_url=False, include_input=False) if fault["loc"]}
            if not faulty & _OPTIONAL:
                raise
            given = {name: value for name, value in given.items() if name not in faulty & _OPTIONAL}
    return Order.model_validate(given)


def find_fields(error: ContractError | ValidationError, model: type[Event] = Order) -> tuple[str, ...]:
    """Return the names of the fields that an order, or another event, failed with, each once; none where it is none."""
    if isinstance(error, ContractError):
        return ()
    faults = error.errors(include_url=False, include_input=False)
    known = {field.name for field in fields_of(model)}
    return tuple(dict.fromkeys(str(fault["loc"][0]) for fault in faults if fault["loc"] and fault["loc"][0] in known))


@cache
def _build_validator(model: type[Event]) -> SchemaValidator:
    fields = {field.name: core_schema.model_field(_build_schema(field)) for field in fields_of(model)}
    schema = core_schema.model_fields_schema(fields, model_name=model.__name__, extra_behavior="forbid")
    return SchemaValidator(core_schema.model_schema(model, schema, frozen=True))


def _build_schema(field: ContractField) -> core_schema.CoreSchema:
    schema = _build_value_schema(field)
    for rule in (field.not_before, field.only_with):
        if rule is not None:
            schema = rule.__get_pydantic_core_schema__(None, lambda _, plain=schema: plain)  # type: ignore[arg-type]
    if field.is_extras:
        check = check_extra_name if field.kind == "number" else check_entity_name
        name = core_schema.no_info_after_validator_function(check, core_schema.str_schema(strict=True))
        extras = core_schema.dict_schema(name, schema, strict=True, max_length=MAX_EXTRAS)
        return core_schema.with_default_schema(extras, default_factory=dict)
    if field.default_from:
        other = field.default_from
        return core_schema.with_default_schema(
            schema, default_factory=lambda data: data.get(other), default_factory_takes_data=True
        )
    # NOTE: None is refused. The model leaves it out of the fields that were given.
    return schema if field.is_required else core_schema.with_default_schema(schema, default=field.default)


def _build_value_schema(field: ContractField) -> core_schema.CoreSchema:
    match field.kind:
        case "text" if field.allowed:
            return core_schema.enum_schema(type(field.allowed[0]), list(field.allowed))
        case "text":
            return core_schema.str_schema(strict=True, pattern=field.pattern or _TIDY, max_length=field.max_length)
        case "integer":
            return core_schema.int_schema(strict=True, ge=field.minimum, le=field.maximum)
        case "number":
            return core_schema.float_schema(strict=True, allow_inf_nan=False)
        case "boolean":
            return core_schema.bool_schema(strict=True)
        case "instant":
            return core_schema.no_info_plain_validator_function(_read_instant)


def _read_instant(value: object) -> datetime:
    """Read an instant; a text of the usual notation without its definition."""
    if type(value) is str and len(value) in (_SHORT, _LONG):
        is_usual = value[4] == value[7] == "-" and value[13] == value[-3] == ":" and value[10] in " T"
        hour = _find_hour(value[:_END_OF_HOUR]) if is_usual else None
        if hour is not None:
            try:
                return hour[1] + (datetime.fromisoformat(value) - hour[0])
            except ValueError:
                pass
    return parse_instant(value)


@lru_cache(maxsize=256)
def _find_hour(text: str) -> tuple[datetime, datetime] | None:
    """Find the beginning of an hour, as local time and in UTC; None where not all of the hour is as far from UTC."""
    local = f"{text}:00"
    try:
        start, end = parse_instant(local), parse_instant(f"{text}:59:59.999999")
    except ContractError:
        return None
    is_plain = end - start == _HOUR - _MICROSECOND and start >= FIRST_INSTANT and end <= LAST_INSTANT
    return (datetime.fromisoformat(local), start) if is_plain else None
