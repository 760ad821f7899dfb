"""Which of a file's columns are read for what, and the raw contract columns that come of them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import find_currencies, read_column, read_money
from ordervet.contract.failures import shape_of
from ordervet.contract.files.cells import plain_name, repair_ids
from ordervet.contract.formats.definition import WHOLE_CELL
from ordervet.contract.instants import to_mask
from ordervet.contract.tables import CURRENCY
from ordervet.contract.values import load_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ordervet.contract.columns import ReadColumn
    from ordervet.contract.fields import ContractField
    from ordervet.contract.files.row_source import Block
    from ordervet.contract.formats.definition import DateOrder, Format, Merge, Source, Unit
    from ordervet.contract.formats.detection import Header
    from ordervet.contract.instants import Mask, Micros

_UTC = load_zone("UTC")
_LEAST_LEAD = 0.1
_MIDNIGHT = r"[ T]0{1,2}:00(:00)?$"
_BARE_DAY = r"^\s*[0-9]{4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}日?\s*$"
_DAY = r"^\s*[0-9]{4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}日?([ T]0{1,2}:00(:00)?)?\s*$"
#: Texts that name something: one that lost digits to a spreadsheet must never be taken for another.
_IDS = frozenset(
    {
        "order_id",
        "buyer_id",
        "phone",
        "phone_group",
        "address_group",
        "device_id",
        "payment_account",
        "item_id",
        "shop_id",
    }
)
_EPOCH = re.compile(r"^[0-9]{10}(?:[0-9]{3})?$")
_SECONDS_DIGITS = 10
_SERIAL = re.compile(r"^[3-6][0-9]{4}(?:\.[0-9]+)?$")  # the years 1982 to 2091
_COMPACT = re.compile(r"^20[0-9]{6}(?:[0-9]{6})?$")
_YEAR_LAST = r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.](20[0-9]{2})(.*)$"
_YEAR_LAST_AM_PM = r"^([0-9]{1,2})[-/.]([0-9]{1,2})[-/.](20[0-9]{2})(.*[AaPp][Mm])$"
_SHORTEST_TIME = len("2025-1-5")


@dataclass(frozen=True)
class FieldPlan:
    """How one contract field is read from a file.

    Parameters
    ----------
    groups : the file's columns, one tuple per part; of each tuple the first given value counts, row by row
    minus : likewise, of the amounts that are taken off
    needed : the file's columns of which one has to be given
    is_money, in_major : whether it is an amount, and written in major units
    """

    field: ContractField
    source: Source
    groups: tuple[tuple[str, ...], ...]
    minus: tuple[tuple[str, ...], ...]
    needed: tuple[str, ...]
    is_money: bool
    in_major: bool

    @property
    def is_added(self) -> bool:
        """Whether its number is put together of several, in minor units if it is money."""
        is_number = self.is_money or self.field.kind == "integer"
        return bool(self.source.minus) or (is_number and bool(self.source.parts))

    @property
    def merge(self) -> Merge:
        """What the lines of an order make of it."""
        return self.source.merge

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns that are read."""
        return tuple(dict.fromkeys(name for group in (*self.groups, *self.minus, self.needed) for name in group))


def plan_fields(fmt: Format, header: Header) -> tuple[FieldPlan, ...]:
    """Decide which of a file's columns each contract field is read from; fields without a column have no plan."""
    plans = []
    for field in fmt.contract_fields:
        for source in fmt.fields.get(field.name, ()):
            groups, minus = _find_groups(header, source.groups), _find_groups(header, source.minus)
            needed = header.find(source.needed)
            is_lacking = len(minus) < len(source.minus) or bool(source.needed and not needed)
            if is_lacking or not (groups or source.value is not None):
                continue
            unit: Unit = source.unit or fmt.unit
            is_money = field.name.endswith("_minor")
            in_major = is_money and unit == "major"
            plans.append(FieldPlan(field, source, groups, minus, needed, is_money, in_major))
            break
    return tuple(plans)


def _find_groups(header: Header, groups: Iterable[list[str]]) -> tuple[tuple[str, ...], ...]:
    """Find the columns of each part; one whose only name ends in * is a part per column."""
    found: list[tuple[str, ...]] = []
    for group in groups:
        columns = header.find(group)
        is_each = len(group) == 1 and group[0].endswith("*")
        found += [(name,) for name in columns] if is_each else [columns] if columns else []
    return tuple(found)


@dataclass(frozen=True)
class RawColumns:
    """Raw contract columns of a block, to be checked by the contract.

    Parameters
    ----------
    table : shape (n_rows, n_planned), contract columns
    in_major : money columns in major units
    lost_ids : row → the shape of an order id that has lost digits
    """

    table: pa.RecordBatch
    in_major: frozenset[str]
    lost_ids: dict[int, str]


def build_raw(
    block: Block,
    plans: Sequence[FieldPlan],
    *,
    has_epoch: bool,
    dates: DateOrder | None = None,
    currency: str | None = None,
) -> RawColumns:
    """Build the raw contract columns of a block.

    Parameters
    ----------
    block : rows of a file
    plans : of the fields
    has_epoch : whether an instant can be a bare number of seconds or milliseconds since 1970
    dates : whether 05/11/2025 is November or May
    currency : of rows that name none
    """
    columns: dict[str, pa.Array] = {}
    in_major = set()
    lost_ids: dict[int, str] = {}
    currencies = read_currencies(block, plans, currency)
    for plan in plans:
        name = plan.field.name
        column = _read_plan(block, plan, currencies)
        if name in _IDS:
            written = column
            column, is_lost = repair_ids(column)
            if name == "order_id":
                lost_ids = {int(row): shape_of(written[int(row)].as_py()) for row in np.flatnonzero(is_lost)}
        if name == "decided_at":
            column = end_days(column)
        if plan.field.kind == "instant":
            column = read_bare_times(column, has_epoch=has_epoch, dates=dates)
        if plan.in_major and not plan.is_added:
            in_major.add(name)
        columns[name] = column
    return RawColumns(pa.record_batch(columns), frozenset(in_major), lost_ids)


def end_days(texts: pa.Array, *, is_midnight_none: bool = True) -> pa.Array:
    """Read a date without a time, as people fill it in, as the end of that day.

    Parameters
    ----------
    texts : shape (n,); other types than texts and dates are left alone
    is_midnight_none : whether midnight is no time, but what a spreadsheet holds for a date
    """
    if pa.types.is_date(texts.type):
        texts = texts.cast(pa.date32()).cast(pa.string())
    if not pa.types.is_string(texts.type):
        return texts
    is_day = pc.match_substring_regex(texts, _DAY if is_midnight_none else _BARE_DAY)
    days = pc.replace_substring_regex(texts, _MIDNIGHT, "")
    return pc.if_else(is_day, pc.binary_join_element_wise(days, "23:59:59", " "), texts)


def read_currencies(block: Block, plans: Iterable[FieldPlan], default: str | None = None) -> pa.Array | None:
    """Read the currencies of rows, if there is one whose amounts are read in a way of their own.

    Parameters
    ----------
    block : rows of a file
    plans : of the fields
    default : of rows that name none
    """
    plan = next((plan for plan in plans if plan.field.name == CURRENCY), None)
    codes = pa.nulls(block.n_rows, pa.string()) if plan is None else _read_plan(block, plan, None)
    return find_currencies(codes, default)


def _read_plan(block: Block, plan: FieldPlan, currencies: pa.Array | None) -> pa.Array:
    source = plan.source
    if source.value is not None:
        return pa.repeat(pa.scalar(source.value, pa.string()), block.n_rows)
    parts = [_read_part(block, group, source) for group in plan.groups]
    minus = [_read_part(block, group, source) for group in plan.minus]
    column = parts[0]
    if plan.is_added:
        column = _add_numbers(parts, minus, plan, currencies)
        if plan.needed:
            column = pc.if_else(pa.array(_is_needed_given(block, plan)), column, None)
    elif source.parts:
        column = _join_parts(block, parts, plan)
    if not pa.types.is_string(column.type):
        return column
    if source.values:
        column = map_values(column, source.values, source.near)
    if source.cut and plan.field.max_length is not None:
        column = _cut(column, plan.field.max_length)
    return column


def _read_part(block: Block, names: tuple[str, ...], source: Source) -> pa.Array:
    texts = pick_first(block, names, source.drop)
    return take_values(texts, source.take) if source.take and pa.types.is_string(texts.type) else texts


def pick_first(block: Block, names: tuple[str, ...], drop: str | None = None) -> pa.Array:
    """Return, row by row, the first of some columns that has a value.

    Parameters
    ----------
    block : rows of a file
    names : of the columns
    drop : a pattern of values that count as not given
    """
    column = _drop(block.columns[names[0]], drop)
    for name in names[1:]:
        is_given = to_mask(pc.not_equal(column, "")) if pa.types.is_string(column.type) else to_mask(column.is_valid())
        if not is_given.all():
            other = _drop(block.columns[name], drop)
            column = pc.if_else(pa.array(is_given), _as_text(column), _as_text(other))
    return column


def take_values(texts: pa.Array, patterns: list[str]) -> pa.Array:
    """Return what the first matching pattern takes of each text, "" where none matches."""
    taken = pa.nulls(len(texts), pa.string())
    for pattern in patterns:
        if taken.null_count == 0:
            break
        if pattern == WHOLE_CELL:
            taken = texts if taken.null_count == len(texts) else pc.coalesce(taken, texts)
        else:
            found = pc.struct_field(pc.extract_regex(texts, pattern), "value")
            taken = found if taken.null_count == len(texts) else pc.coalesce(taken, found)
    return pc.fill_null(taken, "")


def _as_text(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else pc.fill_null(column.cast(pa.string()), "")


def _join_texts(parts: list[pa.Array], joint: str = "") -> pa.Array:
    # NOT: binary_join_element_wise(null_handling="skip"), which in pyarrow 26 loses the rows where every part is null.
    joined, *others = map(_as_text, parts)
    for other in others:
        is_bare = pc.equal(joined, "")
        both = pc.binary_join_element_wise(joined, other, joint)
        joined = pc.if_else(is_bare, other, pc.if_else(pc.equal(other, ""), joined, both))
    return joined


def _join_parts(block: Block, parts: list[pa.Array], plan: FieldPlan) -> pa.Array:
    """Join texts, where one of those that are needed is given."""
    joined = _join_texts(parts, plan.source.joint)
    return pc.if_else(pa.array(_is_needed_given(block, plan)), joined, "") if plan.needed else joined


def _is_needed_given(block: Block, plan: FieldPlan) -> Mask:
    return to_mask(pc.not_equal(_as_text(pick_first(block, plan.needed, plan.source.drop)), ""))


def _add_numbers(
    parts: list[pa.Array], minus: list[pa.Array], plan: FieldPlan, currencies: pa.Array | None
) -> pa.Array:
    """Add whole numbers, take others off; where one is unreadable its text is kept, for the contract to refuse."""

    def read_part(part: pa.Array) -> ReadColumn:
        return read_money(part, currencies, _UTC) if plan.in_major else read_column(part, "integer", _UTC)

    read, less = [read_part(part) for part in parts], [read_part(part) for part in minus]
    is_unreadable = np.any([each.is_unreadable for each in (*read, *less)], axis=0)
    sums = _sum(read) - _sum(less) if less else _sum(read)
    is_given = np.any([each.is_given for each in read], axis=0) & ~is_unreadable
    added = pa.array(np.maximum(sums, 0) if less else sums, mask=~is_given)
    if not is_unreadable.any():
        return added
    return pc.coalesce(added.cast(pa.string()), _join_texts([*parts, *minus]))


def _sum(columns: list[ReadColumn]) -> Micros:
    return np.asarray(sum(each.values.fill_null(0).to_numpy() for each in columns), np.int64)


def _drop(texts: pa.Array, pattern: str | None) -> pa.Array:
    if pattern is None or not pa.types.is_string(texts.type):
        return texts
    encoded = texts.dictionary_encode()
    is_dropped = [re.search(pattern, text) is not None for text in encoded.dictionary.to_pylist()]
    if not any(is_dropped):
        return texts
    return pc.if_else(pa.array(is_dropped).take(encoded.indices), "", texts)


def map_values(texts: pa.Array, values: Mapping[str, str], near: float | None = None) -> pa.Array:
    """Replace what a platform writes by the first of the values (* is any text) that fits; other texts stay.

    Parameters
    ----------
    texts : shape (n_rows,), strings
    values : what is written → what it means
    near : resemblance from which the nearest value counts, if no other meaning is nearly as near
    """
    encoded = texts.dictionary_encode()
    rules = [(compile_patterns((of,)), to) for of, to in values.items()]

    def find(text: str) -> str:
        plain = plain_name(text)
        fitting = (to for pattern, to in rules if text and pattern.fullmatch(plain))
        return next(fitting, _find_nearest(plain, values, near) or text if near and plain else text)

    mapped = [find(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(mapped, pa.string()).take(encoded.indices)


def _find_nearest(plain: str, values: Mapping[str, str], near: float) -> str | None:
    """Return the meaning that a text resembles most, unless it resembles none, or two alike."""
    resemblance: dict[str, float] = {}
    for of, to in (*values.items(), *((to, to) for to in values.values())):
        ratio = difflib.SequenceMatcher(None, plain, plain_name(of)).ratio()
        resemblance[to] = max(resemblance.get(to, 0.0), ratio)
    best, *others = sorted(resemblance, key=resemblance.__getitem__, reverse=True)
    is_clear = not others or resemblance[best] - resemblance[others[0]] >= _LEAST_LEAD
    return best if resemblance[best] >= near and is_clear else None


@lru_cache(maxsize=512)
def compile_patterns(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile one expression for texts, as `plain_name` gives them, that are one of some values; * is any text."""
    return re.compile("|".join(".*".join(map(re.escape, plain_name(each).split("*"))) for each in patterns))


def _cut(texts: pa.Array, length: int) -> pa.Array:
    if len(texts) == 0 or pc.max(pc.binary_length(texts)).as_py() <= length:
        return texts
    return pc.utf8_slice_codeunits(texts, 0, length)


def read_bare_times(column: pa.Array, *, has_epoch: bool, dates: DateOrder | None) -> pa.Array:
    """Write the bare numbers of a column of times as times, and dates that end with their year in the usual order.

    Parameters
    ----------
    column : shape (n,); of texts and whole numbers
    has_epoch : whether numbers of ten digits are seconds, and of thirteen milliseconds, since 1970
    dates : of dates that end with their year, which else are no times

    Returns
    -------
    shape (n,); what a spreadsheet holds for a date (days since 1899-12-30), and dates of eight or fourteen digits, are
    local times; epochs are UTC
    """
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string()).fill_null("")
    if not pa.types.is_string(column.type) or len(column) == 0:
        return column
    if dates is not None:
        if dates == "by_clock":
            column = pc.replace_substring_regex(column, _YEAR_LAST_AM_PM, r"\3-\1-\2\4")
        usual = r"\3-\1-\2\4" if dates == "month_first" else r"\3-\2-\1\4"
        column = pc.replace_substring_regex(column, _YEAR_LAST, usual)
    # SPEED: times proper begin with a year and a separator, so that no regular expression runs over them.
    is_bare = to_mask(pc.less(pc.binary_length(column), _SHORTEST_TIME)) | ~_has_separator(column)
    if not is_bare.any():
        return column
    encoded = column.filter(pa.array(is_bare)).dictionary_encode()
    times = [_write_bare_time(text, has_epoch) for text in encoded.dictionary.to_pylist()]
    return pc.replace_with_mask(column, pa.array(is_bare), pa.array(times, pa.string()).take(encoded.indices))


def _has_separator(texts: pa.Array) -> Mask:
    """Shape (n,): the fifth character is no digit."""
    return to_mask(pc.invert(pc.ascii_is_decimal(pc.utf8_slice_codeunits(texts, 4, 5))))


def _write_bare_time(text: str, has_epoch: bool) -> str:
    if _SERIAL.match(text):
        at = datetime(1899, 12, 30) + timedelta(seconds=round(float(text) * 86_400))  # noqa: DTZ001 - local
        return at.isoformat(sep=" ")
    if _COMPACT.match(text):
        date = f"{text[:4]}-{text[4:6]}-{text[6:8]}"
        return f"{date} {text[8:10]}:{text[10:12]}:{text[12:]}" if text[8:] else date
    if has_epoch and _EPOCH.match(text):
        seconds = int(text) if len(text) == _SECONDS_DIGITS else int(text) / 1000
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ").replace("+00:00", "Z")
    return "" if text == "0" else text
