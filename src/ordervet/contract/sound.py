"""Columns that are canonical as they stand and break no rule: one look tells so, and they are taken as they are.

Most columns of most tables are such. Whatever a look cannot tell is read by `columns.py` and held against every rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.columns import measure_texts
from ordervet.contract.instants import FIRST_MICROS, LAST_MICROS
from ordervet.contract.schemas import arrow_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordervet.contract.fields import ContractField

__all__ = ["take_sound"]

_NARROW_BYTES = 2**31
"""Texts of so many bytes need wide offsets."""


def take_sound(raw: pa.Array[Any], field: ContractField, before: Mapping[str, pa.Array[Any]]) -> pa.Array[Any] | None:
    """Give a column as it is, where a look tells that it is canonical and breaks no rule of its field.

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
    if raw.type in (pa.large_string(), pa.string_view()) and raw.nbytes < _NARROW_BYTES:
        raw = raw.cast(pa.string())
    if pa.types.is_dictionary(raw.type):
        return raw if _is_sound_dictionary(raw, field) else None
    if raw.type != arrow_field(field).type or len(raw) == raw.null_count:
        return None
    if field.kind == "text":
        return raw if _are_texts_sound(raw, field) else None
    if field.kind == "integer":
        return raw if _is_within(raw, field.minimum, field.maximum) else None
    if field.kind == "instant":
        return raw if _are_instants_sound(raw, field, before) else None
    return raw if field.kind == "boolean" else None


def _is_sound_dictionary(raw: pa.DictionaryArray[Any], field: ContractField) -> bool:
    texts = raw.dictionary
    is_text = field.kind == "text" and texts.type == pa.string() and len(texts) > texts.null_count == 0
    return is_text and _are_texts_sound(texts, field)


def _are_texts_sound(texts: pa.Array[Any], field: ContractField) -> bool:
    may_need_trim, longest = measure_texts(texts)
    is_short = field.max_length is None or longest <= field.max_length
    if may_need_trim or not is_short:
        return False
    return field.pattern is None or bool(pc.all(pc.match_substring_regex(texts, field.pattern)).as_py())


def _is_within(numbers: pa.Array[Any], minimum: int | None, maximum: int | None) -> bool:
    ends = pc.min_max(numbers).as_py()
    return (minimum is None or ends["min"] >= minimum) and (maximum is None or ends["max"] <= maximum)


def _are_instants_sound(instants: pa.Array[Any], field: ContractField, before: Mapping[str, pa.Array[Any]]) -> bool:
    micros = instants.view(pa.int64())
    if not _is_within(micros, FIRST_MICROS, LAST_MICROS):
        return False
    if field.not_before is None:
        return True
    other = before[field.not_before.other].view(pa.int64())
    if micros.null_count or other.null_count:
        return False
    return not bool(np.less(micros.to_numpy(), other.to_numpy()).any())
