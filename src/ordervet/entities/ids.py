"""Keyed 64-bit ids: where raw personal data ends.

An id is SipHash-2-4 of the canonical text under the namespace's sub-key. Equal texts of one namespace have equal ids;
across namespaces, and under another key, ids are unrelated. 0 means "no key" and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ordervet import _core
from ordervet.entities.buffers import view_texts
from ordervet.entities.siphash import siphash24

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.entities.buffers import TextColumn
    from ordervet.entities.keys import Key

__all__ = ["hash_text", "hash_texts"]


def hash_text(text: str | None, key: Key, namespace: str) -> int:
    """Turn one text into its id, in plain Python: the definition of ``hash_texts``.

    Parameters
    ----------
    text : canonical text; None and "" have no id
    key : the identifier key
    namespace : what is identified, as "buyer"

    Returns
    -------
    1 .. 2**64 - 1, or 0 for no text
    """
    if not text:
        return 0
    return siphash24(text.encode(), key.subkey(namespace)) or 1


def to_signed(value: int) -> int:
    """Return the int64 of the same bits."""
    return value - (1 << 64) if value >> 63 else value


def hash_texts(column: TextColumn, key: Key, namespace: str) -> NDArray[np.uint64]:
    """Turn a text column into ids.

    Parameters
    ----------
    column : shape (n_rows,), canonical texts, of any Arrow text type
    key : the identifier key
    namespace : what is identified, as "buyer"

    Returns
    -------
    shape (n_rows,), uint64, contiguous; 0 where the text is null or empty

    References
    ----------
    Truth: ``hash_text``.
    """
    data, offsets = view_texts(column)
    ids = np.empty(len(offsets) - 1, dtype=np.uint64)
    _core.hash_texts(data, offsets, key.subkey(namespace), ids)
    return ids
