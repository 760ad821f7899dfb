"""Outcomes with a date, derived from an export's final states.

A final state is the future of the order in its row. It becomes an outcome at the date that its rule names; where
there is none, at the rule's deadline; and where there is neither it is left out, and counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column, read_money
from ordervet.contract.failures import observe
from ordervet.contract.files.cells import plain_name
from ordervet.contract.files.json_rows import flatten_record
from ordervet.contract.files.row_source import clean_block
from ordervet.contract.formats.definition import REFUND_REASON, UPDATED_AT
from ordervet.contract.formats.detection import Header
from ordervet.contract.formats.plans import compile_patterns, pick_first, read_bare_times, take_values
from ordervet.contract.formats.refund_reasons import find_refund_reason
from ordervet.contract.instants import to_mask
from ordervet.contract.model import REFUND_KINDS, OutcomeKind
from ordervet.contract.schemas import INSTANT, event_schema
from ordervet.contract.values import load_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from ordervet.contract.columns import ReadColumn, ReadKind
    from ordervet.contract.files.pieces import Tally
    from ordervet.contract.files.row_source import Block
    from ordervet.contract.formats.definition import (
        BlameRule,
        Condition,
        Format,
        Nested,
        OutcomeRule,
        RefundTypeRule,
        StateRules,
    )
    from ordervet.contract.instants import Mask, Micros

_ASKED = OutcomeKind.REFUND_REQUESTED
DERIVED_SCHEMA = pa.schema([*event_schema("outcomes"), pa.field("row", pa.int64())])


@dataclass(frozen=True)
class Derived:
    """Outcomes that a block's states imply.

    Parameters
    ----------
    table : canonical outcome columns, and `row`, the row of the block each comes from
    unreadable : row → what stood where its date should be, without anything personal
    updated_at : shape (n_rows,), as of when each row of the block is; None where the file does not tell
    """

    table: pa.Table
    unreadable: dict[int, str | None]
    updated_at: pa.Array | None = None


@dataclass(frozen=True)
class StateRows:
    """What is known of the rows of a block besides their states.

    Parameters
    ----------
    order_ids : shape (n_rows,), strings
    placed_at : shape (n_rows,), instants, from which deadlines count; None in an export of outcomes
    numbers : shape (n_rows,), strings, the platform's own number of each outcome; None where it gives none
    currencies : shape (n_rows,), where a minor unit has not two digits
    """

    order_ids: pa.Array
    placed_at: pa.Array | None = None
    numbers: pa.Array | None = None
    currencies: pa.Array | None = None

    def take(self, rows: pa.Array, numbers: pa.Array | None) -> StateRows:
        """Return what is known of some rows, under other numbers."""
        columns = (self.order_ids, self.placed_at, self.currencies)
        order_ids, placed_at, currencies = (None if column is None else column.take(rows) for column in columns)
        return StateRows(order_ids, placed_at, numbers, currencies)


class StateReader:
    """Reads the states of a file's blocks.

    Parameters
    ----------
    rules : of the file's format, or of the records nested in its rows
    header : the columns
    zone : where dates are read
    fmt : of the file: how it writes amounts and times
    tally : where what is left out is counted
    """

    def __init__(self, rules: StateRules, header: Header, zone: ZoneInfo, *, fmt: Format, tally: Tally) -> None:
        self._rules = rules
        self._zone = zone
        self._format = fmt
        found = {name: header.find(state.columns) for name, state in rules.states.items()}
        self._columns = {name: columns for name, columns in found.items() if columns}
        self._patterns = _patterns_of(rules)
        self._dates = {name for rule in rules.outcomes for name in rule.at}
        self._dates |= {name for name in rules.states if name.endswith("_at")}
        self.tally = tally

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The file's columns of each state that it has."""
        return self._columns

    def read(self, block: Block, rows: StateRows) -> Derived:
        """Find the outcomes that a block implies."""
        texts = {name: _StateTexts(self._raw(block, name)) for name in self._columns}
        self._count_unknown(texts)
        refund_types = self._choose(self._rules.refund_types, texts, block.n_rows)
        blames = self._choose(self._rules.blames, texts, block.n_rows)
        reasons = texts[REFUND_REASON].translate(find_refund_reason) if REFUND_REASON in texts else None
        every_row = np.arange(block.n_rows)
        updated_at = texts[UPDATED_AT].read("instant", every_row, self._zone).values if UPDATED_AT in texts else None
        tables = [DERIVED_SCHEMA.empty_table()]
        unreadable: dict[int, str | None] = {}
        is_reported: dict[str, Mask] = {}
        for rule in self._rules.outcomes:
            reported = is_reported.setdefault(rule.kind, np.zeros(block.n_rows, bool))
            met = np.flatnonzero(self._is_met(rule, texts, block.n_rows) & ~reported)
            reported[met] = True
            if len(met) == 0:
                continue
            happened_at, is_bound, found = self._date(rule, texts, met, rows.placed_at)
            unreadable |= found
            is_dated = to_mask(happened_at.is_valid())
            self.tally.undated[str(rule.kind)] += int(np.count_nonzero(~is_dated)) - len(found)
            dated = met[is_dated]
            places = pa.array(dated)
            at = happened_at.filter(pa.array(is_dated))
            columns = {
                "order_id": rows.order_ids.take(places),
                "kind": pa.repeat(str(rule.kind), len(dated)),
                "happened_at": at,
                "seen_at": at,
                "refund_type": refund_types.take(places) if rule.kind in REFUND_KINDS else None,
                "amount_minor": self._amount(rule, texts, dated, rows.currencies),
                "reason": None if reasons is None or rule.kind is not _ASKED else reasons.take(places),
                "blame": blames.take(places) if rule.has_blame else None,
                "outcome_id": None if rows.numbers is None else rows.numbers.take(places),
                "is_inferred": pa.array(is_bound[is_dated]),
                "updated_at": None if updated_at is None else updated_at.take(places),
                "row": places,
            }
            filled = [_or_nulls(columns.get(each.name), each, len(dated)) for each in DERIVED_SCHEMA]
            tables.append(pa.table(filled, schema=DERIVED_SCHEMA))
        self._count_undecided(texts, is_reported, block.n_rows)
        return Derived(pa.concat_tables(tables), unreadable, updated_at)

    def _raw(self, block: Block, name: str) -> pa.Array:
        raw = pick_first(block, self._columns[name])
        if name not in self._dates:
            return raw
        return read_bare_times(raw, has_epoch=self._format.has_epoch, dates=self._format.dates)

    def _is_met(self, rule: Condition, texts: Mapping[str, _StateTexts], n_rows: int) -> Mask:
        if any(name not in texts for name in rule.state_names):
            return np.zeros(n_rows, bool)
        return self._is_possible(rule, texts, n_rows)

    def _is_possible(self, rule: Condition, texts: Mapping[str, _StateTexts], n_rows: int) -> Mask:
        """Shape (n_rows,): the rule is met as far as the file has the states it looks at."""
        is_met = np.ones(n_rows, bool)
        for name, patterns in rule.when.items():
            if name in texts:
                is_met &= texts[name].match(patterns)
        for name in (name for name in rule.given if name in texts):
            is_met &= texts[name].is_given
        for name in (name for name in (*rule.missing, *rule.without) if name in texts):
            is_met &= ~texts[name].is_given
        if not is_met.any():
            return is_met
        for names, compare in ((rule.zero, pc.equal), (rule.nonzero, pc.not_equal)):
            for name in (name for name in names if name in texts):
                is_met &= texts[name].compare_zero(self._money_kind(name), self._zone, compare)
        return is_met

    def _count_undecided(self, texts: Mapping[str, _StateTexts], is_reported: Mapping[str, Mask], n_rows: int) -> None:
        """Count the rows whose state is an outcome of which the file lacks a column to say which one, or when."""
        counted = np.zeros(n_rows, bool)
        for rule in self._rules.outcomes:
            is_lacking = any(name not in texts for name in rule.state_names)
            if not is_lacking or not rule.when or any(name not in texts for name in rule.when):
                continue
            is_open = self._is_possible(rule, texts, n_rows) & ~counted
            for other in self._rules.outcomes:
                if set(other.when) & set(rule.when):
                    is_open &= ~is_reported[other.kind]
            counted |= is_open
            self.tally.undated[str(rule.kind)] += int(np.count_nonzero(is_open))

    def _choose(
        self, rules: Sequence[RefundTypeRule | BlameRule], texts: Mapping[str, _StateTexts], n_rows: int
    ) -> pa.Array:
        """Return the value of the first rule that each row meets."""
        values: list[str | None] = [None, *(str(rule.value) for rule in rules)]
        codes = np.zeros(n_rows, np.int64)
        for code, rule in enumerate(rules, start=1):
            codes = np.where((codes == 0) & self._is_met(rule, texts, n_rows), code, codes)
        return pa.array(values, pa.string()).take(pa.array(codes))

    def _date(
        self, rule: OutcomeRule, texts: Mapping[str, _StateTexts], rows: Micros, placed_at: pa.Array | None
    ) -> tuple[pa.Array, Mask, dict[int, str | None]]:
        """Return the times of some rows, null where there is none; which are bounds; and which cannot be read."""
        at = pa.nulls(len(rows), INSTANT)
        unreadable: dict[int, str | None] = {}
        is_open = np.ones(len(rows), bool)
        is_bound = np.zeros(len(rows), bool)
        for name in (name for name in rule.at if name in texts):
            read = texts[name].read("instant", rows, self._zone)
            bad = np.flatnonzero(read.is_unreadable & is_open)
            if len(bad):
                shown = observe(texts[name].raw, rows[bad], is_personal=False).to_pylist()
                unreadable |= dict(zip(rows[bad].tolist(), shown, strict=True))
            at = pc.if_else(pa.array(is_open), read.values, at)
            is_bound |= is_open & read.is_given & self._rules.states[name].is_bound
            is_open &= ~read.is_given
        if rule.deadline is not None and placed_at is not None and is_open.any():
            latest = pc.add(placed_at.take(pa.array(rows)), pa.scalar(rule.deadline, pa.duration("us")))
            at = pc.if_else(pa.array(is_open), latest, at)
            is_bound |= is_open
        return at, is_bound, unreadable

    def _amount(
        self, rule: OutcomeRule, texts: Mapping[str, _StateTexts], rows: Micros, currencies: pa.Array | None
    ) -> pa.Array | None:
        """Return amounts in minor units; one that cannot be read is not known."""
        name = next((name for name in rule.amount if name in texts), None)
        if name is None:
            return None
        places = pa.array(rows)
        if self._money_kind(name) == "integer":
            return pc.abs(texts[name].read("integer", rows, self._zone).values)
        of_rows = None if currencies is None else currencies.take(places)
        return pc.abs(read_money(texts[name].raw.take(places), of_rows, self._zone).values)

    def _money_kind(self, name: str) -> ReadKind:
        unit = self._rules.states[name].unit or self._format.unit
        return "money" if unit == "major" else "integer"

    def _count_unknown(self, texts: Mapping[str, _StateTexts]) -> None:
        for name, patterns in self._patterns.items():
            if name in texts:
                n = int(np.count_nonzero(texts[name].is_given & ~texts[name].match(patterns)))
                self.tally.unknown[self._columns[name][0]] += n


class NestedReader:
    """Reads the outcomes of records that are nested in the rows of a file, such as the refunds of an order.

    Parameters
    ----------
    nested : where they are, and what they mean
    fmt : the format of the file
    columns : the file's columns that hold them
    tally : where what is left out is counted
    """

    def __init__(self, nested: Nested, fmt: Format, columns: tuple[str, ...], zone: ZoneInfo, tally: Tally) -> None:
        self.columns = columns
        self._nested = nested
        self._format = fmt
        self._zone = zone
        self._tally = tally

    def read(self, block: Block, rows: StateRows) -> Derived:
        """Find the outcomes that the records of a block imply."""
        texts = pick_first(block, self.columns)
        given = np.flatnonzero(to_mask(pc.not_equal(texts, "")))
        found = [(row, record) for row in given.tolist() for record in _split_records(texts[row].as_py())]
        if not found:
            return Derived(DERIVED_SCHEMA.empty_table(), {})
        names = list(dict.fromkeys(name for _, record in found for name in record))
        columns = {name: pa.array([record.get(name, "") for _, record in found], pa.string()) for name in names}
        records = clean_block(pa.table(columns), names)
        header = Header(names)
        reader = StateReader(self._nested, header, self._zone, fmt=self._format, tally=self._tally)
        parents = np.array([row for row, _ in found], np.int64)
        numbers = read_ids(records, header.find(self._nested.id))
        if numbers is not None and self._nested.take:
            numbers = take_values(numbers.fill_null(""), self._nested.take)
        derived = reader.read(records, rows.take(pa.array(parents), numbers))
        own = derived.table["row"].to_numpy()
        at = derived.table.num_columns - 1
        table = derived.table.set_column(at, DERIVED_SCHEMA.field(at), pa.array(parents[own]))
        return Derived(table, {int(parents[row]): shown for row, shown in derived.unreadable.items()})


def read_ids(block: Block, names: tuple[str, ...]) -> pa.Array | None:
    """Read ids of lines or outcomes; None without a column."""
    return read_column(pick_first(block, names), "text", load_zone("UTC")).values if names else None


def _split_records(text: str) -> Iterator[dict[str, str]]:
    """Split the text of a list: JSON, or records such as ``amount:5.00|date:2025-08-10`` with ; between them."""
    if text[:1] in {"[", "{"}:
        try:
            found: Any = json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return
        listed = found if isinstance(found, list) else [found]
        yield from (flatten_record(each) for each in listed if isinstance(each, dict))
        return
    for record in text.split(";"):
        pairs = [pair.partition(":") for pair in record.split("|")]
        if any(joint for _, joint, _ in pairs):
            yield {name.strip(): value.strip() for name, joint, value in pairs if joint}


class _StateTexts:
    """One state of a block: each distinct text is looked at once."""

    def __init__(self, raw: pa.Array) -> None:
        self.raw = raw
        is_text = pa.types.is_string(raw.type)
        self.is_given = to_mask(pc.not_equal(raw, "")) if is_text else to_mask(raw.is_valid())
        self._encoded: pa.DictionaryArray | None = None
        self._plain: list[str] = []

    def match(self, patterns: Sequence[str]) -> Mask:
        """Shape (n_rows,): the text is one of some values."""
        encoded = self._encode()
        if not self._plain:
            self._plain = [plain_name(text) for text in encoded.dictionary.to_pylist()]
        expression = compile_patterns(tuple(patterns))
        is_match = np.array([text != "" and expression.fullmatch(text) is not None for text in self._plain], bool)
        codes = encoded.indices.to_numpy()
        return is_match[codes] if len(is_match) else np.zeros(len(codes), bool)

    def translate(self, find: Callable[[str], str | None]) -> pa.Array:
        """Translate each text, shape (n_rows,), strings."""
        encoded = self._encode()
        found = [None if told is None else str(told) for told in map(find, encoded.dictionary.to_pylist())]
        return pa.array(found, pa.string()).take(encoded.indices)

    def _encode(self) -> pa.DictionaryArray:
        if self._encoded is None:
            texts = self.raw if pa.types.is_string(self.raw.type) else self.raw.cast(pa.string())
            self._encoded = texts.fill_null("").dictionary_encode()
        return self._encoded

    def read(self, kind: ReadKind, rows: Micros, zone: ZoneInfo) -> ReadColumn:
        """Read some rows as one kind of value."""
        return read_column(self.raw.take(pa.array(rows)), kind, zone)

    def compare_zero(self, kind: ReadKind, zone: ZoneInfo, compare: Callable[[pa.Array, int], pa.Array]) -> Mask:
        """Shape (n_rows,): the amount is given, and compares so with 0."""
        return to_mask(compare(read_column(self.raw, kind, zone).values, 0))


def _patterns_of(rules: StateRules) -> dict[str, list[str]]:
    """List, for every state that is compared with values, all values that the format knows."""
    known: dict[str, list[str]] = {}
    for rule in (*rules.outcomes, *rules.refund_types, *rules.blames):
        for name, patterns in rule.when.items():
            known.setdefault(name, list(rules.states[name].passing)).extend(patterns)
    return {name: patterns for name, patterns in known.items() if "*" not in patterns}


def _or_nulls(column: pa.Array | None, of: pa.Field[pa.DataType], n_rows: int) -> pa.Array:
    return pa.nulls(n_rows, of.type) if column is None else column
