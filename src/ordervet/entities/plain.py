"""Columns of names, numbers and ids, keyed: plain rows by the core, others by the functions that define the forms."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ordervet import _core
from ordervet.entities.address.arrays import MARKS, read_arrays
from ordervet.entities.buffers import view_texts
from ordervet.entities.evidence import Canonical
from ordervet.entities.identities import (
    HONORIFICS,
    NOBODY,
    PLACEHOLDER_IDS,
    canonical_buyer,
    canonical_device,
    canonical_ip,
    canonical_network,
    canonical_payment,
    canonical_plain,
    canonical_recipient,
)
from ordervet.entities.ids import hash_texts
from ordervet.entities.phones import PLACEHOLDER_PHONES, canonical_phone
from ordervet.late_imports import pa, pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.buffers import TextColumn
    from ordervet.entities.keys import Key

__all__ = ["Canonicalise", "key_texts", "key_texts_slowly"]

Canonicalise: TypeAlias = Callable[[str | None], Canonical]

_CJK: Final = range(0x4E00, 0xA000)
_NOT_LAST: Final = 2  # in place of 1: a part of a name, but not its end


def key_texts(
    column: TextColumn, canonicalise: Canonicalise, key: Key, namespace: str
) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """Bring every text of a column to its one form and key it.

    Parameters
    ----------
    column : shape (n_rows,), texts as somebody wrote them
    canonicalise : one of the functions of `identities.py` and `phones.py`
    key : the identifier key
    namespace : what is identified, as "buyer"

    Returns
    -------
    ids, shape (n_rows,), uint64, 0 = no key; and evidence, shape (n_rows,), int8 codes of ``Evidence``

    References
    ----------
    Truth: `key_texts_slowly`.
    """
    data, offsets = view_texts(column)
    n_rows = len(offsets) - 1
    ids, evidence = np.empty(n_rows, np.uint64), np.empty(n_rows, np.int8)
    form_of(canonicalise).key(data, offsets, key.subkey(namespace), ids, evidence)
    undecided = np.flatnonzero(evidence < 0)
    if len(undecided):
        rest = column.take(pa.array(undecided))
        ids[undecided], evidence[undecided] = key_texts_slowly(rest, canonicalise, key, namespace)
    return ids, evidence


def key_texts_slowly(
    column: TextColumn, canonicalise: Canonicalise, key: Key, namespace: str
) -> tuple[NDArray[np.uint64], NDArray[np.int8]]:
    """Do what `key_texts` does, each distinct text by its definition. Parameters and results are the same."""
    texts = column.cast(pa.large_string())
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    encoded = pc.dictionary_encode(texts, null_encoding="encode")
    forms = [canonicalise(text) for text in encoded.dictionary.to_pylist()]
    ids = hash_texts(pa.array([form.text for form in forms], type=pa.large_string()), key, namespace)
    evidence = np.array([form.evidence for form in forms], dtype=np.int8)
    which = encoded.indices.to_numpy()
    return ids[which], evidence[which]


@cache
def form_of(canonicalise: Canonicalise) -> _core.Form:
    """Build the core's form of texts, once per process.

    Parameters
    ----------
    canonicalise : one of the functions of `identities.py` and `phones.py`
    """
    if canonicalise is canonical_phone:
        return _core.PhoneForm(sorted(map(int, PLACEHOLDER_PHONES)))
    if canonicalise is canonical_recipient:
        return _core.RecipientForm(_read_name_characters())
    if canonicalise in (canonical_ip, canonical_network):
        return _core.NetworkForm(canonicalise is canonical_network)
    if canonicalise in (canonical_buyer, canonical_device, canonical_payment):
        return _core.IdForm(canonicalise is canonical_buyer, [text.encode() for text in sorted(PLACEHOLDER_IDS)])
    if canonicalise is canonical_plain:
        return _core.PlainForm([text.encode() for text in sorted(NOBODY)])
    raise AssertionError("every canonical form has its class in the core")


def _read_name_characters() -> bytes:
    """Find of each Chinese character whether it folds to itself, and whether a form of address ends with it."""
    # SPEED: `fold_char` for each would take a tenth of a process's start (bench_start.py).
    points, tables = np.arange(_CJK.start, _CJK.stop), read_arrays("pages", "folds")
    pages = tables["pages"][points >> 8].astype(np.int64)
    entries = np.where(pages < 0, points, tables["folds"].astype(np.int64)[np.maximum(pages, 0) << 8 | points & 255])
    folded, second = entries & (1 << MARKS["mark_shift"]) - 1, entries >> MARKS["second_shift"]
    kinds = ((folded == points) & (second == 0) & [char.isalnum() for char in map(chr, _CJK)]).astype(np.uint8)
    unsure = {text[-1] for text in (*HONORIFICS, *PLACEHOLDER_IDS) if ord(text[-1]) in _CJK}
    last = [ord(char) - _CJK.start for char in sorted(unsure)]
    kinds[last] *= _NOT_LAST
    return bytes(kinds)
