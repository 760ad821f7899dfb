"""What a format file (TOML) can say about the exports of one platform template.

title, kind, platform, time_zone, unit, has_epoch, dates, unchecked
               the template as a whole; kind is "orders", "outcomes" or "verdicts"; dates says how 05/11/2025 is read
[fields]       contract field = ["COLUMN", "OTHER NAME"], or a table, or a list of tables: the first that fits counts
[lines]        how several rows make one order: id, amount, continuation
[states.NAME]  a column about what became of an order later: columns, unit, passing = values that mean nothing yet
[[outcomes]]   which states, at which date, are which outcome
[[refund_types]], [[blames]]   which states are which refund type, whose fault
[nested.NAME]  a list of records inside a row, such as an order's refunds, with states and outcomes of its own
[hints.KIND]   what to export instead where outcomes of a kind have no date, in both languages
[never_keys]   COLUMN = "why it is no key"
ignored        columns of the template that are left out on purpose
[json]         records, lines: where the rows are in a JSON document

Docs: docs/formats.md.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ordervet.contract.mapping import read_delay
from ordervet.contract.model import Blame, OutcomeKind, RefundType
from ordervet.contract.schemas import MODELS, extra_prefix, table_fields
from ordervet.contract.values import DEFAULT_TIME_ZONE, load_zone
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.contract.fields import ContractField

Merge = Literal["first", "sum", "same_or_sum", "total", "dearest"]
WHOLE_CELL = "*"
Unit = Literal["major", "minor"]
DateOrder = Literal["day_first", "month_first", "by_clock"]
"""Of dates that end with their year; by the clock means month first beside AM or PM, else day first."""
FormatKind = Literal["orders", "outcomes", "verdicts"]
ADDED = frozenset({"sum", "same_or_sum", "total"})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _read_columns(value: object) -> object:
    return [value] if isinstance(value, str) else value


Columns = Annotated[list[str], BeforeValidator(_read_columns)]


class Source(_Section):
    """Where the values of one contract field come from.

    Parameters
    ----------
    columns : names of one column in the templates; of those that a file has, the first one filled counts, row by row;
        a name that ends in * stands for all columns that begin so
    parts : several such lists, whose texts are joined and whose numbers are added
    minus : several such lists, whose amounts are taken off; the rest is never below zero
    joint : the separator of joined texts
    needed : columns of which one has to be given for the joined text to count: a region alone is no address
    value : a constant
    values : what the platform writes (* is any text) → what the contract wants, "" for nothing; the first that fits
        counts, other values stay and are then judged by the contract
    near : how much a text that is none of the values has to resemble the nearest one to count as it, 0..1; None leaves
        it as it is
    unit : of money; without it, that of the format
    merge : what the lines of one order make of it: "first", the first given value; "sum"; "same_or_sum", the one value
        if all are the same and the lines have no ids of their own, else their sum; "total", the one value if all are
        the same, else their sum; "dearest", that of the dearest line
    cut : shorten a text to what the contract takes
    drop : a pattern; cells that match it count as not given
    take : patterns, of which the first that matches gives the value, by its group "value", and * all of the cell; cells
        that match none count as not given
    is_of_one_line : the value counts only where the row is the order's one line: several titles in one cell are no item
    """

    columns: Columns = []
    parts: list[Columns] = []
    minus: list[Columns] = []
    joint: str = ""
    needed: Columns = []
    value: str | None = None
    values: dict[str, str] = {}
    near: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    unit: Unit | None = None
    merge: Merge = "first"
    cut: bool = False
    drop: str | None = None
    take: Columns = []
    is_of_one_line: bool = False

    @field_validator("drop")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error:
            raise ValueError("not a regular expression") from None
        return pattern

    @field_validator("take")
    @classmethod
    def _check_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in (pattern for pattern in patterns if pattern != WHOLE_CELL):
            try:
                is_fitting = "value" in re.compile(pattern).groupindex
            except re.error:
                is_fitting = False
            if not is_fitting:
                raise ValueError('not a regular expression with a group "value", as in (?P<value>[0-9]+)')
        return patterns

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if sum((bool(self.columns), bool(self.parts), self.value is not None)) != 1:
            raise ValueError("give one of columns, parts and value")
        return self

    @property
    def groups(self) -> tuple[list[str], ...]:
        """The columns that are read, one list per part."""
        return (self.columns,) if self.columns else tuple(self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns that are read, in the templates."""
        return tuple(name for group in (*self.groups, *self.minus, self.needed) for name in group)


def _read_sources(value: object) -> object:
    """Expand the short forms: names alone, or one table."""
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        return [{"columns": value}]
    return [value] if isinstance(value, dict) else value


Sources = Annotated[list[Source], BeforeValidator(_read_sources), Field(min_length=1)]


class Lines(_Section):
    """How several rows make one order.

    Parameters
    ----------
    id : columns that identify a line (or a refund): a row that repeats one counts once
    amount : columns of a line's price, in any unit, by which the dearest line is found
    continuation : "same_id" when further rows repeat the order's id, "blank_id" when they leave it blank
    skip : a pattern of order ids that are none: of rows that describe the columns, or sum them up
    have_states : whether the states of a row are those of its line: an order is cancelled when all of its lines are
    """

    id: Columns = []
    amount: Columns = []
    continuation: Literal["same_id", "blank_id"] = "same_id"
    skip: str | None = None
    have_states: bool = False


class State(_Section):
    """A column about what became of an order: never a feature of it, only the source of dated outcomes.

    Parameters
    ----------
    columns : its names in the templates
    unit : where it is an amount
    passing : values that are known, and mean nothing yet
    is_bound : whether it is a date at which the state was known at the latest, such as that of the last change
    """

    columns: Columns = Field(min_length=1)
    unit: Unit | None = None
    passing: list[str] = []
    is_bound: bool = False


class Condition(_Section):
    """What the states of a row have to be: one of some values (with * for any text), given, missing, or an amount.

    A condition on a column that a file does not have is never met, except `without`: not given, or not in the file.
    """

    when: dict[str, Columns] = {}
    given: Columns = []
    missing: Columns = []
    without: Columns = []
    zero: Columns = []
    nonzero: Columns = []

    @property
    def state_names(self) -> tuple[str, ...]:
        """The states that it looks at, and that a file has to have."""
        return (*self.when, *self.given, *self.missing, *self.zero, *self.nonzero)


class OutcomeRule(Condition):
    """Which states are which outcome, and which date it takes.

    Parameters
    ----------
    kind : of the outcome
    at : states that are dates; the first one given counts
    deadline : how long after the order was placed the outcome is known at the latest, where no date is given
    amount : states that are the amount, of which the first one that the file has counts
    has_blame : whether the fault is known by then
    """

    kind: OutcomeKind
    at: Columns = []
    deadline: Annotated[timedelta | None, BeforeValidator(lambda text: None if text is None else read_delay(text))] = (
        None
    )
    amount: Columns = []
    has_blame: bool = False

    @model_validator(mode="after")
    def _check_when(self) -> Self:
        if not self.at and self.deadline is None:
            raise ValueError("give at, the dates, or a deadline: an outcome without its time would leak")
        return self


class RefundTypeRule(Condition):
    """Which states are which type of refund."""

    value: RefundType


class BlameRule(Condition):
    """Which states are whose fault."""

    value: Blame


class JsonPlaces(_Section):
    """Where rows are in a JSON document, as names joined by dots.

    Parameters
    ----------
    records : lists of records, or single ones; the first that is there counts; NAME/.. is what holds NAME
    lines : the list of an order's lines inside a record; likewise
    """

    records: list[str] = []
    lines: Columns = []


class StateRules(_Section):
    """States, and which outcomes they are."""

    states: dict[str, State] = {}
    outcomes: list[OutcomeRule] = []
    refund_types: list[RefundTypeRule] = []
    blames: list[BlameRule] = []

    def problems_of_states(self) -> Iterator[str]:
        """Describe what does not go together."""
        rules: list[Condition] = [*self.outcomes, *self.refund_types, *self.blames]
        named = {name for rule in rules for name in (*rule.state_names, *rule.without)}
        named |= {name for rule in self.outcomes for name in (*rule.at, *rule.amount)}
        for name in sorted(named - set(self.states)):
            yield f"there is no state '{name}'"
        for name in sorted(set(self.states) - named - {UPDATED_AT, REFUND_REASON}):
            yield f"state '{name}' is not used"


REFUND_REASON = "refund_reason"
"""The state that says in words why a refund is asked for (`refund_reasons.toml`)."""

UPDATED_AT = "updated_at"
"""The state that says as of when a row is."""


class Nested(StateRules):
    """A list of records inside a row, such as the refunds of an order.

    Parameters
    ----------
    columns : where the list is: JSON, or records such as ``amount:5.00|date:2025-08-10`` with ; between them
    id : the number of a record
    take : as of a source, of its number
    """

    columns: Columns = Field(min_length=1)
    id: Columns = []
    take: Columns = []


class Hint(_Section):
    """One action, in both languages."""

    en: str
    zh: str


class Format(StateRules):
    """One platform template, or several that differ by the names of their columns only.

    `currency` is that of orders that name none: XXX, in ISO 4217, where it is not known.
    """

    name: str
    title: str
    kind: FormatKind
    platform: str | None = None
    time_zone: str = DEFAULT_TIME_ZONE
    unit: Unit = "major"
    has_epoch: bool = False
    dates: DateOrder | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "CNY"
    unchecked: Hint | None = None
    fields: dict[str, Sources]
    lines: Lines = Lines()
    nested: dict[str, Nested] = {}
    hints: dict[OutcomeKind, Hint] = {}
    never_keys: dict[str, str] = {}
    ignored: list[str] = []
    required: list[Columns] = []
    json_places: JsonPlaces = Field(default=JsonPlaces(), alias="json")

    @model_validator(mode="before")
    @classmethod
    def _add_platform(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Add the platform of the format to its orders."""
        if data.get("kind") != "orders" or not data.get("platform") or not isinstance(data.get("fields"), dict):
            return data
        return data | {"fields": {"platform": {"value": data["platform"]}} | data["fields"]}

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, name: str) -> str:
        try:
            load_zone(name)
        except ContractError as error:
            raise ValueError(error.message) from None
        return name

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        problems = [*self._field_problems(), *self._state_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _field_problems(self) -> Iterator[str]:
        known = {field.name: field for field in table_fields(self.kind, self.fields)}
        for name in sorted(set(self.fields) - set(known)):
            yield f"{name} is no field of {self.kind}"
        for name, sources in self.fields.items():
            is_amount = name.endswith("_minor")
            merges = {source.merge for source in sources}
            if name in known and merges & ADDED and not (is_amount or known[name].kind == "integer"):
                yield f"{name} is no number to be added"
            if any(source.unit for source in sources) and not is_amount:
                yield f"{name} is no amount of money, so it has no unit"
        wanted = {"orders": ["order_id", "placed_at", "amount_minor"], "outcomes": ["order_id"]}
        for name in wanted.get(self.kind, ["order_id", "verdict", "decided_at"]):
            if name not in self.fields:
                yield f"{name} is missing"
        if self.kind == "outcomes" and not (self.outcomes or self.nested):
            yield "an export of outcomes needs [[outcomes]]"
        if self.kind == "outcomes" and set(self.fields) - {"order_id", "order_uid", "shop_id"}:
            yield "an export of outcomes has the fields order_id, order_uid and shop_id: the rest are states"
        if self.kind == "verdicts" and self.outcomes:
            yield "a verdict sheet has no [[outcomes]]"

    def _state_problems(self) -> Iterator[str]:
        yield from self.problems_of_states()
        for rules in self.nested.values():
            yield from rules.problems_of_states()
        of_all = [*self.outcomes, *(rule for rules in self.nested.values() for rule in rules.outcomes)]
        if self.kind == "outcomes" and any(rule.deadline for rule in of_all):
            yield "a deadline counts from an order's placed_at, which an export of outcomes does not have"

    @cached_property
    def contract_fields(self) -> tuple[ContractField, ...]:
        """The contract fields of the table that the format gives."""
        return table_fields(self.kind, [name for name in self.fields if extra_prefix(name)])

    @cached_property
    def required_columns(self) -> tuple[list[str], ...]:
        """One list of names per column without which a file is not of this format."""
        model = MODELS[self.kind]
        names = [name for name, info in model.model_fields.items() if info.is_required() and name in self.fields]
        of_fields = [[name for source in self.fields[field] for g in source.groups for name in g] for field in names]
        return (*(names for names in of_fields if names), *self.required)

    @cached_property
    def known_columns(self) -> frozenset[str]:
        """Every column that the format knows, whether it reads it or not."""
        names = [name for sources in self.fields.values() for source in sources for name in source.names]
        names += [name for state in self.states.values() for name in state.columns]
        names += [name for nested in self.nested.values() for name in nested.columns]
        names += [*self.lines.id, *self.lines.amount, *self.never_keys, *self.ignored]
        return frozenset(names + [name for group in self.required for name in group])
