"""Arrow text columns as the plain arrays that the native core reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from ordervet.late_imports import pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    TextColumn: TypeAlias = pa.Array[Any] | pa.ChunkedArray[Any]
    TextBuffers: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]

__all__ = ["view_texts"]

_NO_BYTES = np.frombuffer(b"", dtype=np.uint8)
_WIDE_FROM_BYTES = 1 << 30


def view_texts(column: TextColumn) -> TextBuffers:
    """View a text column as UTF-8 bytes and row offsets; a null row has no bytes.

    Parameters
    ----------
    column : any text type, or null; chunked, sliced and dictionary-encoded columns are welcome

    Returns
    -------
    data : shape (n_bytes,), read-only: it may be the column's own memory
    offsets : shape (n_rows + 1,), int64, ascending; row i is ``data[offsets[i]:offsets[i + 1]]``
    """
    texts = _as_strings(column)
    if texts.null_count and _may_hide_bytes(texts):
        # NOTE: under a null Arrow may keep any bytes; the core must see none.
        texts = texts.fill_null("")
    _, offset_buffer, data_buffer = texts.buffers()
    if len(texts) == 0 or offset_buffer is None:
        return _NO_BYTES, np.zeros(len(texts) + 1, dtype=np.int64)
    width = "<i8" if pa.types.is_large_string(texts.type) else "<i4"
    offsets = np.frombuffer(cast("memoryview", offset_buffer), dtype=width)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    data = _NO_BYTES if data_buffer is None else np.frombuffer(cast("memoryview", data_buffer), dtype=np.uint8)
    return data, offsets.astype(np.int64, copy=False)


def _may_hide_bytes(texts: pa.Array[Any]) -> bool:
    """Tell whether there are bytes under a null; what Arrow reads or makes itself has none."""
    validity, offset_buffer, _ = texts.buffers()
    if validity is None or offset_buffer is None:
        return True
    width = "<i8" if pa.types.is_large_string(texts.type) else "<i4"
    rows = slice(texts.offset, texts.offset + len(texts) + 1)
    bits = np.unpackbits(np.frombuffer(cast("memoryview", validity), np.uint8), bitorder="little")[rows][: len(texts)]
    offsets = np.frombuffer(cast("memoryview", offset_buffer), dtype=width)[rows]
    return bool(((offsets[1:] != offsets[:-1]) > bits).any())


def _as_strings(column: TextColumn) -> pa.Array[Any]:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = column.cast(pa.large_string())
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    # NOTE: 32-bit offsets reach 2 GiB of text; a longer column needs wide ones before its chunks are joined.
    wide = column.cast(pa.large_string()) if column.nbytes > _WIDE_FROM_BYTES else column
    return pa.concat_arrays(wide.chunks) if wide.num_chunks else pa.array([], type=wide.type)
