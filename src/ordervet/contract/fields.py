"""What the models say about each field, as plain facts for whole columns and for messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import StringConstraints

from ordervet.contract.rules import NotBefore, OnlyWith, Personal, Reads, SameAs

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from ordervet.contract.rules import FieldKind


@dataclass(frozen=True)
class ContractField:
    """One field of a contract model, or one extra column of a table.

    `default` is a plain value, `default_from` names the field whose value stands in; `is_extras` marks a dict of the
    model whose entries are columns of their own in a table.
    """

    name: str
    kind: FieldKind
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
        """Give the same rules under the name of one extra column."""
        return ContractField(**{**self.__dict__, "name": name, "is_extras": False})


@lru_cache(maxsize=16)
def fields_of(model: type[BaseModel]) -> tuple[ContractField, ...]:
    """Read the rules of every field off a contract model, in the order of the model.

    Parameters
    ----------
    model : a model whose fields carry the marks of `rules.py`

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


def _unwrap(annotation: Any, marks: list[Any]) -> tuple[Any, list[Any]]:  # noqa: ANN401 - an annotation can be anything
    """Take `X | None` and `Annotated[X, ...]` apart, down to X and all its marks."""
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
    raise TypeError(f"no vectorised twin for {mark!r}")


_PLAIN_MARKS: tuple[tuple[type, str, str], ...] = (
    (Reads, "kind", "kind"),
    (Ge, "ge", "minimum"),
    (Le, "le", "maximum"),
    (MaxLen, "max_length", "max_length"),
    (StringConstraints, "pattern", "pattern"),
)
