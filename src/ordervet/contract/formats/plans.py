"""Which of a file's columns are read for what, and the raw contract columns that come of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import read_column
from ordervet.contract.failures import shape_of
from ordervet.contract.files.cells import plain_name, repair_ids
from ordervet.contract.instants import to_mask
from ordervet.contract.values import load_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ordervet.contract.columns import ReadKind
    from ordervet.contract.fields import ContractField
    from ordervet.contract.files.row_source import Block
    from ordervet.contract.formats.definition import Format, Merge, Source, Unit
    from ordervet.contract.formats.detection import Header

_UTC = load_zone("UTC")
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
_EPOCH = r"^[0-9]{10}(?:[0-9]{3})?$"


@dataclass(frozen=True)
class FieldPlan:
    """How one contract field is read from a file.

    Parameters
    ----------
    groups : the file's columns, one tuple per part; of each tuple the first given value counts, row by row
    needed : the file's columns of which one has to be given
    is_money, in_major : whether it is an amount, and written in major units
    """

    field: ContractField
    source: Source
    groups: tuple[tuple[str, ...], ...]
    needed: tuple[str, ...]
    is_money: bool
    in_major: bool

    @property
    def merge(self) -> Merge:
        """What the lines of an order make of it."""
        return self.source.merge

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns that are read."""
        return tuple(name for group in self.groups for name in group)


def plan_fields(fmt: Format, header: Header) -> tuple[FieldPlan, ...]:
    """Decide which of a file's columns each contract field is read from; fields without a column have no plan."""
    plans = []
    for field in fmt.contract_fields:
        for source in fmt.fields.get(field.name, ()):
            groups = tuple(found for group in source.groups if (found := header.find(group)))
            if groups or source.value is not None:
                unit: Unit = source.unit or fmt.unit
                is_money = field.name.endswith("_minor")
                plans.append(
                    FieldPlan(field, source, groups, header.find(source.needed), is_money, is_money and unit == "major")
                )
                break
    return tuple(plans)


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


def build_raw(block: Block, plans: Iterable[FieldPlan], *, has_epoch: bool) -> RawColumns:
    """Build the raw contract columns of a block.

    Parameters
    ----------
    block : rows of a file
    plans : of the fields
    has_epoch : whether an instant can be a bare number of seconds or milliseconds since 1970
    """
    columns: dict[str, pa.Array] = {}
    in_major = set()
    lost_ids: dict[int, str] = {}
    for plan in plans:
        name = plan.field.name
        column = _read_plan(block, plan)
        if name in _IDS:
            written = column
            column, is_lost = repair_ids(column)
            if name == "order_id":
                lost_ids = {int(row): shape_of(written[int(row)].as_py()) for row in np.flatnonzero(is_lost)}
        if has_epoch and plan.field.kind == "instant":
            column = read_epochs(column)
        if plan.in_major and not pa.types.is_int64(column.type):
            in_major.add(name)
        columns[name] = column
    return RawColumns(pa.record_batch(columns), frozenset(in_major), lost_ids)


def _read_plan(block: Block, plan: FieldPlan) -> pa.Array:
    source = plan.source
    if source.value is not None:
        return pa.repeat(pa.scalar(source.value, pa.string()), block.n_rows)
    parts = [_drop(pick_first(block, group), source.drop) for group in plan.groups]
    column = parts[0]
    if source.parts:
        column = _add_amounts(parts, plan) if plan.is_money else _join_parts(block, parts, plan)
    if not pa.types.is_string(column.type):
        return column
    if source.values:
        column = map_values(column, source.values)
    if source.cut and plan.field.max_length is not None:
        column = _cut(column, plan.field.max_length)
    return column


def pick_first(block: Block, names: tuple[str, ...]) -> pa.Array:
    """Return, row by row, the first of some columns that has a value."""
    column = block.columns[names[0]]
    for name in names[1:]:
        other = block.columns[name]
        is_given = to_mask(pc.not_equal(column, "")) if pa.types.is_string(column.type) else to_mask(column.is_valid())
        if not is_given.all():
            column = pc.if_else(pa.array(is_given), _as_text(column), _as_text(other))
    return column


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
    if not plan.source.needed:
        return joined
    if not plan.needed:
        return pa.repeat(pa.scalar("", pa.string()), block.n_rows)
    needed = _drop(pick_first(block, plan.needed), plan.source.drop)
    return pc.if_else(pc.equal(_as_text(needed), ""), "", joined)


def _add_amounts(parts: list[pa.Array], plan: FieldPlan) -> pa.Array:
    """Add amounts as whole minor units; where one is unreadable its text is kept, for the contract to refuse."""
    kind: ReadKind = "money" if plan.in_major else "integer"
    read = [read_column(part, kind, _UTC) for part in parts]
    if any(each.is_unreadable.any() for each in read):
        return _join_texts(parts)
    sums = np.sum([each.values.fill_null(0).to_numpy() for each in read], axis=0, dtype=np.int64)
    return pa.array(sums, mask=~np.any([each.is_given for each in read], axis=0))


def _drop(texts: pa.Array, pattern: str | None) -> pa.Array:
    if pattern is None or not pa.types.is_string(texts.type):
        return texts
    encoded = texts.dictionary_encode()
    is_dropped = [re.search(pattern, text) is not None for text in encoded.dictionary.to_pylist()]
    if not any(is_dropped):
        return texts
    return pc.if_else(pa.array(is_dropped).take(encoded.indices), "", texts)


def map_values(texts: pa.Array, values: Mapping[str, str]) -> pa.Array:
    """Replace what a platform writes by what the contract wants; other texts stay as they are."""
    encoded = texts.dictionary_encode()
    by_plain = {plain_name(of): to for of, to in values.items()}
    mapped = [by_plain.get(plain_name(text), text) for text in encoded.dictionary.to_pylist()]
    return pa.array(mapped, pa.string()).take(encoded.indices)


@lru_cache(maxsize=512)
def compile_patterns(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile one expression for texts, as `plain_name` gives them, that are one of some values; * is any text."""
    return re.compile("|".join(".*".join(map(re.escape, plain_name(each).split("*"))) for each in patterns))


def _cut(texts: pa.Array, length: int) -> pa.Array:
    if len(texts) == 0 or pc.max(pc.binary_length(texts)).as_py() <= length:
        return texts
    return pc.utf8_slice_codeunits(texts, 0, length)


def read_epochs(column: pa.Array) -> pa.Array:
    """Convert bare numbers of seconds (ten digits) or milliseconds (thirteen) since 1970 to texts in UTC."""
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string()).fill_null("")
    if not pa.types.is_string(column.type):
        return column
    is_epoch = to_mask(pc.match_substring_regex(column, _EPOCH))
    if not is_epoch.any():
        return pc.if_else(pc.equal(column, "0"), "", column)
    numbers = pc.if_else(pa.array(is_epoch), column, "0").cast(pa.int64()).to_numpy()
    micros = np.where(numbers < 10**11, numbers * 1_000_000, numbers * 1000)
    stamps = pa.array(micros).cast(pa.timestamp("us")).cast(pa.string())
    written = pc.binary_join_element_wise(stamps, "Z", "")
    return pc.if_else(pa.array(is_epoch), written, pc.if_else(pc.equal(column, "0"), "", column))
