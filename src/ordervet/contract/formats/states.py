"""Outcomes with a date, derived from an export's final states.

A final state is the future of the order in its row. It becomes an outcome at the date that its rule names; where
there is none, at the rule's deadline; and where there is neither it is left out, and counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column
from ordervet.contract.failures import observe
from ordervet.contract.files.cells import plain_name
from ordervet.contract.formats.plans import compile_patterns, pick_first, read_epochs
from ordervet.contract.instants import to_mask
from ordervet.contract.model import REFUND_KINDS
from ordervet.contract.schemas import INSTANT, event_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from ordervet.contract.columns import ReadColumn, ReadKind
    from ordervet.contract.files.row_source import Block
    from ordervet.contract.formats.definition import BlameRule, Condition, Format, OutcomeRule, RefundTypeRule
    from ordervet.contract.formats.detection import Header
    from ordervet.contract.instants import Mask, Micros

DERIVED_SCHEMA = pa.schema([*event_schema("outcomes"), pa.field("row", pa.int64())])


@dataclass
class Tally:
    """What was left out while reading states.

    Parameters
    ----------
    undated : outcome kind → rows whose state says so, but not since when
    unknown : the file's column → rows with a state that the format does not know
    """

    undated: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Derived:
    """Outcomes that a block's states imply.

    Parameters
    ----------
    table : canonical outcome columns, and `row`, the row of the block each comes from
    unreadable : row → what stood where its date should be, without anything personal
    """

    table: pa.Table
    unreadable: dict[int, str | None]


class StateReader:
    """Reads the states of a file's blocks.

    Parameters
    ----------
    fmt : the format of the file
    header : its columns
    zone : where its dates are read
    """

    def __init__(self, fmt: Format, header: Header, zone: ZoneInfo) -> None:
        self._format = fmt
        self._zone = zone
        found = {name: header.find(state.columns) for name, state in fmt.states.items()}
        self._columns = {name: columns for name, columns in found.items() if columns}
        self._patterns = _patterns_of(fmt)
        self._dates = {name for rule in fmt.outcomes for name in rule.at}
        self._dates |= {name for name in fmt.states if name.endswith("_at")}
        self.tally = Tally()

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The file's columns of each state that it has."""
        return self._columns

    def read(self, block: Block, order_ids: pa.Array, placed_at: pa.Array | None) -> Derived:
        """Find the outcomes that a block implies.

        Parameters
        ----------
        block : rows of the file
        order_ids : shape (n_rows,), strings
        placed_at : shape (n_rows,), instants, from which deadlines count; None in an export of outcomes
        """
        texts = {name: _StateTexts(self._raw(block, name)) for name in self._columns}
        self._count_unknown(texts)
        refund_types = self._choose(self._format.refund_types, texts, block.n_rows)
        blames = self._choose(self._format.blames, texts, block.n_rows)
        tables = [DERIVED_SCHEMA.empty_table()]
        unreadable: dict[int, str | None] = {}
        is_reported: dict[str, Mask] = {}
        for rule in self._format.outcomes:
            reported = is_reported.setdefault(rule.kind, np.zeros(block.n_rows, bool))
            rows = np.flatnonzero(self._is_met(rule, texts, block.n_rows) & ~reported)
            reported[rows] = True
            if len(rows) == 0:
                continue
            happened_at, found = self._date(rule, texts, rows, placed_at)
            unreadable |= found
            is_dated = to_mask(happened_at.is_valid())
            self.tally.undated[str(rule.kind)] += int(np.count_nonzero(~is_dated)) - len(found)
            dated = rows[is_dated]
            at = happened_at.filter(pa.array(is_dated))
            columns = {
                "order_id": order_ids.take(pa.array(dated)),
                "kind": pa.repeat(str(rule.kind), len(dated)),
                "happened_at": at,
                "seen_at": at,
                "refund_type": refund_types.take(pa.array(dated)) if rule.kind in REFUND_KINDS else None,
                "amount_minor": self._amount(rule, texts, dated),
                "blame": blames.take(pa.array(dated)) if rule.has_blame else None,
                "row": pa.array(dated),
            }
            tables.append(
                pa.table(
                    [_or_nulls(columns[each.name], each, len(dated)) for each in DERIVED_SCHEMA], schema=DERIVED_SCHEMA
                )
            )
        return Derived(pa.concat_tables(tables), unreadable)

    def _raw(self, block: Block, name: str) -> pa.Array:
        raw = pick_first(block, self._columns[name])
        return read_epochs(raw) if name in self._dates and self._format.has_epoch else raw

    def _is_met(self, rule: Condition, texts: Mapping[str, _StateTexts], n_rows: int) -> Mask:
        is_met = np.ones(n_rows, bool)
        if any(name not in texts for name in rule.state_names):
            return ~is_met
        for name, patterns in rule.when.items():
            is_met &= texts[name].match(patterns)
        for name in rule.given:
            is_met &= texts[name].is_given
        for name in rule.missing:
            is_met &= ~texts[name].is_given
        if not is_met.any():
            return is_met
        for name in rule.zero:
            is_met &= texts[name].compare_zero(self._money_kind(name), self._zone, pc.equal)
        for name in rule.nonzero:
            is_met &= texts[name].compare_zero(self._money_kind(name), self._zone, pc.not_equal)
        return is_met

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
    ) -> tuple[pa.Array, dict[int, str | None]]:
        """Return the times of some rows, null where there is none, and which of them cannot be read."""
        at = pa.nulls(len(rows), INSTANT)
        unreadable: dict[int, str | None] = {}
        is_open = np.ones(len(rows), bool)
        for name in (name for name in rule.at if name in texts):
            read = texts[name].read("instant", rows, self._zone)
            bad = np.flatnonzero(read.is_unreadable & is_open)
            if len(bad):
                shown = observe(texts[name].raw, rows[bad], is_personal=False).to_pylist()
                unreadable |= dict(zip(rows[bad].tolist(), shown, strict=True))
            at = pc.if_else(pa.array(is_open), read.values, at)
            is_open &= ~read.is_given
        if rule.deadline is not None and placed_at is not None and is_open.any():
            latest = pc.add(placed_at.take(pa.array(rows)), pa.scalar(rule.deadline, pa.duration("us")))
            at = pc.if_else(pa.array(is_open), latest, at)
        return at, unreadable

    def _amount(self, rule: OutcomeRule, texts: Mapping[str, _StateTexts], rows: Micros) -> pa.Array | None:
        """Return amounts in minor units; one that cannot be read is not known."""
        name = next((name for name in rule.amount if name in texts), None)
        return None if name is None else pc.abs(texts[name].read(self._money_kind(name), rows, self._zone).values)

    def _money_kind(self, name: str) -> ReadKind:
        unit = self._format.states[name].unit or self._format.unit
        return "money" if unit == "major" else "integer"

    def _count_unknown(self, texts: Mapping[str, _StateTexts]) -> None:
        for name, patterns in self._patterns.items():
            if name in texts:
                n = int(np.count_nonzero(texts[name].is_given & ~texts[name].match(patterns)))
                self.tally.unknown[self._columns[name][0]] += n


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
        if self._encoded is None:
            texts = self.raw if pa.types.is_string(self.raw.type) else self.raw.cast(pa.string())
            self._encoded = texts.fill_null("").dictionary_encode()
            self._plain = [plain_name(text) for text in self._encoded.dictionary.to_pylist()]
        expression = compile_patterns(tuple(patterns))
        is_match = np.array([text != "" and expression.fullmatch(text) is not None for text in self._plain], bool)
        codes = self._encoded.indices.to_numpy()
        return is_match[codes] if len(is_match) else np.zeros(len(codes), bool)

    def read(self, kind: ReadKind, rows: Micros, zone: ZoneInfo) -> ReadColumn:
        """Read some rows as one kind of value."""
        return read_column(self.raw.take(pa.array(rows)), kind, zone)

    def compare_zero(self, kind: ReadKind, zone: ZoneInfo, compare: Callable[[pa.Array, int], pa.Array]) -> Mask:
        """Shape (n_rows,): the amount is given, and compares so with 0."""
        return to_mask(compare(read_column(self.raw, kind, zone).values, 0))


def _patterns_of(fmt: Format) -> dict[str, list[str]]:
    """List, for every state that is compared with values, all values that the format knows."""
    known: dict[str, list[str]] = {}
    for rule in (*fmt.outcomes, *fmt.refund_types, *fmt.blames):
        for name, patterns in rule.when.items():
            known.setdefault(name, list(fmt.states[name].passing)).extend(patterns)
    return {name: patterns for name, patterns in known.items() if "*" not in patterns}


def _or_nulls(column: pa.Array | None, of: pa.Field[pa.DataType], n_rows: int) -> pa.Array:
    return pa.nulls(n_rows, of.type) if column is None else column
