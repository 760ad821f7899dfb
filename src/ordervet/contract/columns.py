"""Whole columns: the vectorised twins of the parsers in `values.py`.

A column of any Arrow type is first brought to one of a few shapes, in which null means missing. Then each kind of field
has one reader per shape; a value that is given but comes out null is unreadable. Shapes without a quick reader
(decimals, huge unsigned integers) go through the scalar parser once per distinct value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet import _core
from ordervet.contract.fields import FieldKind
from ordervet.contract.instants import FIRST_MICROS, LAST_MICROS, read_text_instants, read_timestamps, to_mask
from ordervet.contract.schemas import arrow_field
from ordervet.contract.values import (
    FALSE_WORDS,
    INTEGER_PATTERN,
    MAX_EXACT_FLOAT,
    MAX_FLOAT_ERROR,
    MAX_FLOAT_MONEY,
    MAX_MONEY,
    MONEY_GROUPS,
    MONEY_PATTERN,
    NUMBER_PATTERN,
    TRIMMED,
    TRUE_WORDS,
    is_missing,
    load_zone,
    parse_boolean,
    parse_integer,
    parse_money,
    parse_number,
    parse_text,
)
from ordervet.currencies import DOTTED, EXPONENTS
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from ordervet.contract.fields import ContractField
    from ordervet.contract.instants import Bytes, Mask

    Offsets: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

ReadKind = FieldKind | Literal["money"]  # money: an integer of minor units, written in major units
Shape = Literal["text", "integer", "number", "boolean", "instant", "exact", "opaque"]

_PRICED = pa.array(sorted(DOTTED | EXPONENTS.keys()))
"""Currencies whose amounts are not read as those of two decimals are."""
_MONEY_DECIMAL = pa.decimal128(38, 2)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_MAX_NARROW = 2**31  # bytes: longer text columns need wide offsets

_SPACE = 0x20
_MAY_BEGIN_TRIMMED = np.zeros(256, bool)
_MAY_BEGIN_TRIMMED[: _SPACE + 1] = True
_MAY_BEGIN_TRIMMED[sorted({char.encode()[0] for char in TRIMMED})] = True
"""By first byte, in UTF-8, whether a character could be one of TRIMMED."""


@dataclass(frozen=True)
class ReadColumn:
    """A column as read.

    Parameters
    ----------
    values : shape (n,), canonical type; null where missing or unreadable
    is_given : shape (n,), False where missing
    """

    values: pa.Array
    is_given: Mask

    @property
    def is_unreadable(self) -> Mask:
        """Shape (n,): given, but no value of the kind."""
        return self.is_given & ~to_mask(self.values.is_valid())

    def take(self, indices: pa.Array) -> ReadColumn:
        """Return the rows at some indices; a null index is a missing value."""
        is_given = pc.take(pa.array(self.is_given), indices)
        return ReadColumn(self.values.take(indices), to_mask(is_given))


def take_canonical(raw: pa.Array, field: ContractField, before: Mapping[str, pa.Array]) -> pa.Array | None:
    """Return a column as it is, if it is canonical already and breaks no rule of its field.

    Parameters
    ----------
    raw : shape (n,), any type; texts may be dictionary-encoded
    field : whose values these are
    before : the columns read before

    Returns
    -------
    shape (n,), the column itself, wide offsets of texts made narrow; None where it has to be read
    """
    if (field.is_required and raw.null_count) or field.allowed or field.only_with is not None:
        return None
    if raw.type in (pa.large_string(), pa.string_view()) and raw.nbytes < _MAX_NARROW:
        raw = raw.cast(pa.string())
    if pa.types.is_dictionary(raw.type):
        return raw if _is_canonical_dictionary(raw, field) else None
    if raw.type != arrow_field(field).type or len(raw) == raw.null_count:
        return None
    if field.kind == "text":
        return raw if _are_texts_canonical(raw, field) else None
    if field.kind == "integer":
        return raw if _is_within(raw, field.minimum, field.maximum) else None
    if field.kind == "instant":
        return raw if _are_instants_canonical(raw, field, before) else None
    return raw if field.kind == "boolean" else None


def _is_canonical_dictionary(raw: pa.DictionaryArray, field: ContractField) -> bool:
    texts = raw.dictionary
    is_text = field.kind == "text" and texts.type == pa.string() and len(texts) > texts.null_count == 0
    return is_text and _are_texts_canonical(texts, field)


def _are_texts_canonical(texts: pa.Array, field: ContractField) -> bool:
    may_need_trim, longest = measure_texts(texts)
    is_short = field.max_length is None or longest <= field.max_length
    if may_need_trim or not is_short:
        return False
    return field.pattern is None or bool(pc.all(pc.match_substring_regex(texts, field.pattern)).as_py())


def _is_within(numbers: pa.Array, minimum: int | None, maximum: int | None) -> bool:
    ends = pc.min_max(numbers).as_py()
    return (minimum is None or ends["min"] >= minimum) and (maximum is None or ends["max"] <= maximum)


def _are_instants_canonical(instants: pa.Array, field: ContractField, before: Mapping[str, pa.Array]) -> bool:
    micros = instants.view(pa.int64())
    if not _is_within(micros, FIRST_MICROS, LAST_MICROS):
        return False
    if field.not_before is None:
        return True
    other = before[field.not_before.other].view(pa.int64())
    if micros.null_count or other.null_count:
        return False
    return not bool(np.less(micros.to_numpy(), other.to_numpy()).any())


def read_column(raw: pa.Array, kind: ReadKind, zone: ZoneInfo) -> ReadColumn:
    """Read a column of any Arrow type as one kind of contract field.

    Parameters
    ----------
    raw : shape (n,)
    kind : of the field; "money" for minor units that are written in major units
    zone : where instants without an offset are read
    """
    if isinstance(raw.type, pa.BaseExtensionType):
        return read_column(raw.storage, kind, zone)
    if pa.types.is_dictionary(raw.type):
        return read_column(raw.dictionary, kind, zone).take(raw.indices)
    if pa.types.is_run_end_encoded(raw.type):
        return read_column(pc.run_end_decode(raw), kind, zone)
    if pa.types.is_union(raw.type):
        return _read_union(raw, kind, zone)
    shape, column = _to_shape(raw)
    is_given = to_mask(column.is_valid()) if column.null_count else np.ones(len(column), bool)
    return ReadColumn(_read_shape(column, shape, kind, zone), is_given)


def find_currencies(codes: pa.Array, default: str | None = None) -> pa.Array | None:
    """Return the currencies of rows in capital letters, if there is one whose amounts are read in a way of their own.

    Parameters
    ----------
    codes : shape (n,), any type, as given
    default : of rows that name none
    """
    texts = read_column(codes, "text", load_zone("UTC")).values.cast(pa.string())
    texts = pc.fill_null(texts, default or "").dictionary_encode()
    upper = pc.ascii_upper(texts.dictionary)
    return upper.take(texts.indices) if pc.any(pc.is_in(upper, _PRICED)).as_py() else None


def read_money(raw: pa.Array, currencies: pa.Array | None, zone: ZoneInfo) -> ReadColumn:
    """Read amounts in major units as minor units, each by its currency.

    Parameters
    ----------
    raw : shape (n,)
    currencies : shape (n,), as `find_currencies` gives them; without them the minor unit has two digits
    zone : of other kinds of values
    """
    read = read_column(raw, "money", zone)
    if currencies is None:
        return read
    rows = np.flatnonzero(to_mask(pc.is_in(currencies, _PRICED)))
    values = read.values.to_pylist()
    for row, code in zip(rows.tolist(), currencies.take(pa.array(rows)).to_pylist(), strict=True):
        values[row] = _parse_money_or_none(raw[row].as_py(), code)
    return ReadColumn(pa.array(values, pa.int64()), read.is_given)


def _parse_money_or_none(value: Any, currency: str) -> int | None:
    try:
        return None if is_missing(value) else parse_money(value, currency)
    except ContractError:
        return None


def _read_union(raw: pa.Array, kind: ReadKind, zone: ZoneInfo) -> ReadColumn:
    """Read each child of a union as the column it is, then put the rows back in their order."""
    codes = np.asarray(raw.type_codes)
    parts, rows = [], []
    for index, code in enumerate(raw.type.type_codes):
        of_child = np.flatnonzero(codes == code)
        child = raw.field(index)
        positions = np.asarray(raw.offsets)[of_child] if raw.type.mode == "dense" else of_child + raw.offset
        parts.append(read_column(child.take(pa.array(positions)), kind, zone))
        rows.append(of_child)
    order = pa.array(np.argsort(np.concatenate(rows), kind="stable"))
    values = pa.concat_arrays([part.values for part in parts])
    return ReadColumn(values, np.concatenate([part.is_given for part in parts])).take(order)


def _to_shape(raw: pa.Array) -> tuple[Shape, pa.Array]:
    """Bring a column to one of the shapes, with null where a value is missing."""
    is_type = pa.types
    if is_type.is_string(raw.type) or is_type.is_large_string(raw.type) or is_type.is_string_view(raw.type):
        texts = raw.cast(pa.string())
        if measure_texts(texts)[0]:
            texts = pc.utf8_trim(texts, characters=TRIMMED)
            texts = pc.if_else(pc.equal(texts, ""), None, texts)
        return "text", texts
    if is_type.is_boolean(raw.type):
        return "boolean", raw
    if is_type.is_integer(raw.type):
        is_huge = raw.type == pa.uint64() and (pc.max(raw).as_py() or 0) > _INT64_MAX
        return ("exact", raw) if is_huge else ("integer", raw.cast(pa.int64()))
    if is_type.is_floating(raw.type):
        numbers = raw.cast(pa.float64())
        return "number", pc.if_else(pc.is_nan(numbers), None, numbers)
    if is_type.is_timestamp(raw.type) or is_type.is_date(raw.type):
        return "instant", raw
    return ("exact", raw) if is_type.is_decimal(raw.type) else ("opaque", raw)


def measure_texts(texts: pa.Array[Any]) -> tuple[bool, int]:
    """Measure the ends and lengths of texts; most columns hold none that needs trimming.

    Parameters
    ----------
    texts : shape (n,), of type string

    Returns
    -------
    whether one could be blank, or begin or end with a character of TRIMMED; and the longest, in bytes
    """
    if len(texts) == texts.null_count:
        return False, 0
    return _core.scan_texts(*view_rows(texts), _MAY_BEGIN_TRIMMED)


def view_rows(texts: pa.Array[Any]) -> tuple[Bytes, Offsets, Bytes, int]:
    """View texts as the core reads them: bytes, offsets, bits of validity (none where all are given), the first bit.

    Parameters
    ----------
    texts : shape (n,), of type string, at least one row
    """
    validity, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)
    bits = np.frombuffer(validity if texts.null_count else b"", np.uint8)
    return data, offsets, bits, texts.offset


def _read_shape(column: pa.Array, shape: Shape, kind: ReadKind, zone: ZoneInfo) -> pa.Array:
    if kind == "instant" and shape in {"text", "instant"}:
        return (read_text_instants if shape == "text" else read_timestamps)(column, zone)
    if shape == "exact" and kind in _SCALAR_PARSERS:
        return _read_each_distinct(column, kind)
    reader = _READERS.get((kind, shape))
    return pa.nulls(len(column), _VALUE_TYPES[kind]) if reader is None else reader(column)


def _read_each_distinct(column: pa.Array, kind: ReadKind) -> pa.Array:
    """Run the scalar parser on each distinct value."""
    encoded = column.dictionary_encode()
    values = [_parse_or_none(value, kind) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, _VALUE_TYPES[kind]).take(encoded.indices)


def _parse_or_none(value: Decimal | int, kind: ReadKind) -> Any:
    try:
        parsed = _SCALAR_PARSERS[kind](value)
    except ContractError:
        return None
    return max(_INT64_MIN, min(_INT64_MAX, parsed)) if _VALUE_TYPES[kind] == pa.int64() else parsed


def _whole_floats(numbers: pa.Array) -> pa.Array:
    """Convert floats that are exact whole numbers to int64, the rest to null."""
    is_whole = pc.and_(pc.equal(pc.trunc(numbers), numbers), pc.less(pc.abs(numbers), float(MAX_EXACT_FLOAT)))
    return pc.if_else(is_whole, numbers, None).cast(pa.int64())


def _matching(texts: pa.Array, pattern: str) -> pa.Array:
    is_match = pc.match_substring_regex(texts, pattern)
    return texts if pc.all(is_match).as_py() else pc.if_else(is_match, texts, None)


def _text_to_integer(texts: pa.Array) -> pa.Array:
    return pc.utf8_ltrim(_matching(texts, INTEGER_PATTERN), characters="+").cast(pa.int64())


def _text_to_number(texts: pa.Array) -> pa.Array:
    return _matching(texts, NUMBER_PATTERN).cast(pa.float64())


def _finite(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(numbers), numbers, None)


def _text_to_boolean(texts: pa.Array) -> pa.Array:
    words = pc.utf8_lower(texts)
    is_true = pc.is_in(words, pa.array(TRUE_WORDS))
    return pc.if_else(pc.or_(is_true, pc.is_in(words, pa.array(FALSE_WORDS))), is_true, None)


def _integer_to_boolean(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_in(numbers, pa.array([0, 1])), pc.equal(numbers, 1), None)


def _text_to_money(texts: pa.Array) -> pa.Array:
    amounts = texts
    if not pc.all(pc.match_substring_regex(texts, r"^[0-9]{1,15}(?:\.[0-9]{1,2})?$")).as_py():
        found = pc.extract_regex(texts, MONEY_PATTERN)
        sign, whole, minor = (
            pc.binary_join_element_wise(*(pc.struct_field(found, name) for name in names), "") for names in MONEY_GROUPS
        )
        digits = pc.replace_substring_regex(whole, r"[^0-9]", "")
        amounts = pc.binary_join_element_wise(digits, pc.utf8_slice_codeunits(minor, 0, 2), ".")
        amounts = pc.if_else(pc.equal(sign, "-"), pc.binary_join_element_wise("-", amounts, ""), amounts)
    return _unscaled(amounts.cast(_MONEY_DECIMAL))


def _unscaled(amounts: pa.Array) -> pa.Array:
    """Convert decimals with two places, below 10**17 in size, to whole numbers of hundredths."""
    low_words = np.frombuffer(amounts.buffers()[1] or b"", np.int64)[
        ::2
    ]  # little-endian 128 bits: the low half comes first
    hundredths = low_words[amounts.offset : amounts.offset + len(amounts)]
    return pa.array(hundredths, mask=~to_mask(amounts.is_valid()))


def _integer_to_money(numbers: pa.Array) -> pa.Array:
    is_bounded = pc.and_(pc.less_equal(numbers, MAX_MONEY), pc.greater_equal(numbers, -MAX_MONEY))
    return pc.multiply(pc.if_else(is_bounded, numbers, None), 100)


def _number_to_money(numbers: pa.Array) -> pa.Array:
    amounts = numbers.fill_null(np.inf).to_numpy(zero_copy_only=False)
    is_bounded = np.abs(amounts) <= MAX_FLOAT_MONEY
    bounded = np.where(is_bounded, amounts, 0.0)
    minor = np.rint(bounded * 100)
    is_amount = is_bounded & (np.abs(minor / 100 - bounded) <= np.abs(bounded) * MAX_FLOAT_ERROR)
    return pa.array(minor.astype(np.int64), mask=~is_amount)


_VALUE_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "instant": pa.timestamp("us", tz="UTC"),
    "money": pa.int64(),
}
_SCALAR_PARSERS: dict[str, Callable[[Any], Any]] = {
    "text": parse_text,
    "integer": parse_integer,
    "number": parse_number,
    "boolean": parse_boolean,
    "money": parse_money,
}
_READERS: dict[tuple[str, str], Callable[[pa.Array], pa.Array]] = {
    ("text", "text"): lambda column: column,
    ("text", "integer"): lambda column: column.cast(pa.string()),
    ("text", "number"): lambda column: _whole_floats(column).cast(pa.string()),
    ("integer", "text"): _text_to_integer,
    ("integer", "integer"): lambda column: column,
    ("integer", "number"): _whole_floats,
    ("number", "text"): _text_to_number,
    ("number", "integer"): lambda column: column.cast(pa.float64(), safe=False),
    ("number", "number"): _finite,
    ("boolean", "boolean"): lambda column: column,
    ("boolean", "text"): _text_to_boolean,
    ("boolean", "integer"): _integer_to_boolean,
    ("boolean", "number"): lambda column: _integer_to_boolean(_whole_floats(column)),
    ("money", "text"): _text_to_money,
    ("money", "integer"): _integer_to_money,
    ("money", "number"): _number_to_money,
}
