"""Hard rules: conditions that make a decision stricter or say who looks at it, and nothing else."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

from ordervet.errors import MappingError
from ordervet.features.spec import (
    BUILT_IN_ENTITIES,
    GROUP_NAMES,
    ORDER_VALUES,
    PLACE_TYPES,
    FeatureSpec,
    parse_name,
)
from ordervet.policy.codes import Action

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Rule(BaseModel):
    """A condition, and what follows where it holds.

    Parameters
    ----------
    name : shown beside the decisions it touched
    when : the condition, see docs/policy.md
    action : the least severe action of an order it holds for; "review", "confirm" or "hold"
    route : who looks at the order, such as ``legal``
    owner : who answers for the rule: a team or a role
    expires : the day from which it no longer counts
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    when: str
    action: Annotated[Action, Strict(strict=False)] | None = None
    route: Name | None = None
    owner: Annotated[str, Field(min_length=1, max_length=80)]
    expires: Annotated[date, Strict(strict=False)] | None = None

    @field_validator("when")
    @classmethod
    def _check_condition(cls, text: str) -> str:
        build_expression(text)
        return text

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        if self.action is None and self.route is None:
            raise ValueError("the rule does nothing: give it an action or a route")
        if self.action is Action.PASS:
            raise ValueError("a rule can only make a decision stricter: action must be review, confirm or hold")
        return self

    @property
    def expression(self) -> Expression:
        """The condition, ready to be worked out."""
        return build_expression(self.when)


@lru_cache(maxsize=1024)
def build_expression(text: str) -> Expression:
    """Read a condition once; as `parse_expression`."""
    return parse_expression(text)


NUMBER_FIELDS: Final = ("amount_minor", "quantity", "n_lines", "discount_minor", "shipping_minor")
"""Order fields that are numbers."""
TEXT_FIELDS: Final = ("platform", "channel", "category", "item_id", "shop_id", "campaign", "currency")
"""Order fields that are texts."""
MAX_LENGTH: Final = 1000
"""Longest condition, in characters."""

Columns = Mapping[str, npt.NDArray[Any]]
Type = Literal["number", "text"]
Values = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]  # the value, and whether it is known
Read = Callable[[str], float | str | None]  # the value of a name of one order; None and NaN are not known


class _Node(NamedTuple):
    """A part of a condition, for a batch and for one order; None is not known."""

    many: Callable[[Columns, int], Values]
    one: Callable[[Read], Any]


_COMPARISONS: Final = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
_ARITHMETIC: Final = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "tdiv": operator.truediv}


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition, ready to be worked out.

    Parameters
    ----------
    text : as it was written
    names : the fields and features it reads, sorted
    """

    text: str
    names: tuple[str, ...]
    _run: _Node = field(repr=False, compare=False)

    def holds(self, columns: Columns, n_orders: int) -> npt.NDArray[np.bool_]:
        """Find for which orders the condition is certainly true.

        Parameters
        ----------
        columns : name → shape (n_orders,): numbers with NaN where not known, texts as objects with None; a name that is
            missing is known of no order
        n_orders : number of orders

        Returns
        -------
        shape (n_orders,)
        """
        values, known = self._run.many(columns, n_orders)
        return np.broadcast_to(values & known, (n_orders,)).copy()

    def holds_for(self, read: Read) -> bool:
        """Find whether the condition is certainly true of one order.

        References
        ----------
        Truth: `holds`.
        """
        return self._run.one(read) is True


#: A text in quotes, and the signs for powers, shifts and patterns, which can run away.
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.DOTALL)
_COSTLY = re.compile(r"\*\*|<<|>>|[=!]~~?")


def find_type(name: str) -> Type | None:
    """Describe what kind of value a name stands for."""
    if name in TEXT_FIELDS:
        return "text"
    own = name.removeprefix("order__value__")
    if name in NUMBER_FIELDS or (own != name and own in ORDER_VALUES) or name.startswith("order__number__"):
        return "number"
    if name in GROUP_NAMES or name in {f"order__is__{place_type}" for place_type in PLACE_TYPES}:
        return "number"
    try:
        entity = parse_name(name).entity
        FeatureSpec((name,), entities=(*BUILT_IN_ENTITIES, entity))
    except MappingError:
        return None
    return "number"


def parse_expression(text: str) -> Expression:
    """Read a condition."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is {len(text)} characters long, expected at most {MAX_LENGTH}")
    # NOTE: before it is parsed. rule-engine works constants out as it reads them, for hours if need be.
    bare = _QUOTED.sub('""', text)
    if costly := _COSTLY.search(bare):
        raise ValueError(f"is not allowed in a condition: {costly[0]}")
    tree = _parse(text)
    names: set[str] = set()
    run = _build(tree, names)
    if _name_type(tree) != "BOOLEAN":
        raise ValueError("is a value, expected a condition that is true or false")
    return Expression(text, tuple(sorted(names)), run)


def _parse(text: str) -> Any:  # rule-engine's tree
    # NOT: at the top. A policy without rules does not wait for it.
    import rule_engine

    types = {"number": rule_engine.DataType.FLOAT, "text": rule_engine.DataType.STRING}

    def resolve(name: str) -> Any:  # a type of rule-engine
        type_ = find_type(name)
        if type_ is None:
            raise ValueError(_describe_unknown(name))
        return types[type_]

    try:
        return rule_engine.Rule(text, context=rule_engine.Context(type_resolver=resolve)).statement.expression
    except rule_engine.errors.RuleSyntaxError as error:
        raise ValueError(f"cannot be read: {error.message}") from None
    except rule_engine.errors.EngineError as error:
        raise ValueError(f"has operands that do not fit: {error.message}") from None
    except (ArithmeticError, RecursionError, TypeError) as error:
        raise ValueError(f"cannot be evaluated: {type(error).__name__}") from None


def _describe_unknown(name: str) -> str:
    near = get_close_matches(
        name, [*NUMBER_FIELDS, *TEXT_FIELDS, *(f"order__value__{own}" for own in ORDER_VALUES)], n=1
    )
    close = f", did you mean '{near[0]}'?" if near else ""
    return f"'{name[:80]}' is neither an order field nor a feature{close}"


def _name_type(node: Any) -> str:  # rule-engine's tree
    name: str = node.result_type.name
    return name


def _build(node: Any, names: set[str]) -> _Node:  # rule-engine's tree
    """Turn a node into a function over columns; note the names it reads."""
    match type(node).__name__:
        case "SymbolExpression":
            names.add(node.name)
            return _read_column(node.name, is_text=_name_type(node) == "STRING")
        case "FloatExpression":
            if not math.isfinite(node.value):
                raise ValueError("holds an infinite number")
            return _build_constant(float(node.value))
        case "StringExpression" | "BooleanExpression":
            return _build_constant(node.value)
        case "UnaryExpression" if node.type in {"not", "uminus"}:
            _require(node.right, "BOOLEAN" if node.type == "not" else "FLOAT")
            operand = _build(node.right, names)
            if node.type == "not":
                return _apply(np.logical_not, operator.not_, operand)
            return _apply(np.negative, operator.neg, operand)
        case "LogicExpression":
            _require(node.left, "BOOLEAN")
            _require(node.right, "BOOLEAN")
            join = _both if node.type == "and" else _either
            return join(_build(node.left, names), _build(node.right, names))
        case "ComparisonExpression" | "ArithmeticComparisonExpression":
            if _name_type(node.left) != _name_type(node.right):
                raise ValueError("compares values of different kinds")
            return _combine(_COMPARISONS[node.type], _build(node.left, names), _build(node.right, names))
        case "AddExpression" | "SubtractExpression" | "ArithmeticExpression" if node.type in _ARITHMETIC:
            _require(node.left, "FLOAT")
            return _combine(_ARITHMETIC[node.type], _build(node.left, names), _build(node.right, names))
        case "ContainsExpression" if type(node.container).__name__ == "ArrayExpression":
            return _build_membership(node, names)
    raise ValueError(f"is not allowed in a condition: {_describe_node(node)}")


def _build_membership(node: Any, names: set[str]) -> _Node:  # rule-engine's tree
    members = node.container.value
    if any(type(member).__name__ not in {"FloatExpression", "StringExpression"} for member in members):
        raise ValueError("uses 'in' with a list that holds more than numbers and texts")
    if any(_name_type(member) != _name_type(node.member) for member in members):
        raise ValueError("compares values of different kinds")
    if not members:
        raise ValueError("uses 'in' with an empty list")
    value = _build(node.member, names)
    equal = [_combine(operator.eq, value, _build(member, names)) for member in members]
    found = equal[0]
    for other in equal[1:]:
        found = _either(found, other)
    return found


def _require(node: Any, type_name: str) -> None:  # rule-engine's tree
    if _name_type(node) != type_name:
        expected = "a condition" if type_name == "BOOLEAN" else "a number"
        raise ValueError(f"has {_describe_node(node)} where {expected} is expected")


def _describe_node(node: Any) -> str:  # rule-engine's tree
    kind = type(node).__name__.removesuffix("Expression").lower()
    detail = getattr(node, "name", None) or getattr(node, "type", None)
    return f"{kind} {detail}" if detail else kind


def _read_column(name: str, *, is_text: bool) -> _Node:
    def many(columns: Columns, n_orders: int) -> Values:
        if name not in columns:
            return np.zeros(n_orders), np.zeros(n_orders, bool)
        values = columns[name]
        return values, np.array([value is not None for value in values], bool) if is_text else ~np.isnan(values)

    def one(read: Read) -> float | str | None:
        value = read(name)
        return None if value != value else value  # noqa: PLR0124 - NaN

    return _Node(many, one)


def _build_constant(constant: object) -> _Node:
    values = (np.array(constant), np.array(True))  # noqa: FBT003  # a scalar that is known
    return _Node(lambda _columns, _n_orders: values, lambda _read: constant)


def _apply(function: Callable[[Any], Any], scalar: Callable[[Any], Any], operand: _Node) -> _Node:
    def many(columns: Columns, n_orders: int) -> Values:
        values, known = operand.many(columns, n_orders)
        return function(values), known

    def one(read: Read) -> Any:
        value = operand.one(read)
        return None if value is None else scalar(value)

    return _Node(many, one)


def _combine(function: Callable[[Any, Any], Any], left: _Node, right: _Node) -> _Node:
    def many(columns: Columns, n_orders: int) -> Values:
        (one, one_known), (other, other_known) = left.many(columns, n_orders), right.many(columns, n_orders)
        known = one_known & other_known
        with np.errstate(all="ignore"):
            if {one.dtype.kind, other.dtype.kind} & {"O", "U"}:
                return _compare_texts(function, one, other, known), known
            values = np.asarray(function(one, other))
        is_number = values.dtype.kind == "f"
        return values, known & np.isfinite(values) if is_number else known

    def one(read: Read) -> Any:
        first, second = left.one(read), right.one(read)
        if first is None or second is None:
            return None
        try:
            value = function(first, second)
        except ZeroDivisionError:
            return None
        return value if not isinstance(value, float) or math.isfinite(value) else None

    return _Node(many, one)


def _compare_texts(
    function: Callable[[Any, Any], Any], one: Any, other: Any, known: Any
) -> npt.NDArray[np.bool_]:  # texts or None
    lefts, rights, both = np.broadcast_arrays(one, other, known)
    pairs = zip(lefts.ravel(), rights.ravel(), both.ravel(), strict=True)
    answers = [bool(function(left, right)) if is_known else False for left, right, is_known in pairs]
    return np.array(answers, bool).reshape(both.shape)


def _both(left: _Node, right: _Node) -> _Node:
    def many(columns: Columns, n_orders: int) -> Values:
        (one, one_known), (other, other_known) = left.many(columns, n_orders), right.many(columns, n_orders)
        is_false = (one_known & ~one.astype(bool)) | (other_known & ~other.astype(bool))
        return ~is_false, (one_known & other_known) | is_false

    return _Node(many, lambda read: _join(left.one(read), right.one(read), decisive=False))


def _either(left: _Node, right: _Node) -> _Node:
    def many(columns: Columns, n_orders: int) -> Values:
        (one, one_known), (other, other_known) = left.many(columns, n_orders), right.many(columns, n_orders)
        is_true = (one_known & one.astype(bool)) | (other_known & other.astype(bool))
        return is_true, (one_known & other_known) | is_true

    return _Node(many, lambda read: _join(left.one(read), right.one(read), decisive=True))


def _join(one: bool | None, other: bool | None, *, decisive: bool) -> bool | None:
    """Join two conditions: either decides where it is `decisive`; else both have to be known."""
    if one is decisive or other is decisive:
        return decisive
    return None if one is None or other is None else not decisive
