"""Which rows of a long file can be worked on: those of orders of which no further row comes.

A file too large for memory is read twice. The first time only its order ids are looked at, which says in which block
the last row of each order stands. The second time a piece is given out as soon as it has enough rows, without those
whose order goes on in a later block: they wait for it. So every order is in one piece with all its rows, wherever they
stand; and only a file whose orders are scattered all over it needs memory for what waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, TypeVar
from zlib import crc32

import numpy as np
import pyarrow as pa

from ordervet.contract.instants import to_mask
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ordervet.contract.instants import Mask, Micros

_ROWS_PER_PIECE = 2**16
_BLOCK_BITS = 32


class Rows(Protocol):
    """Some rows of a file that can be put together and parted."""

    @property
    def rows(self) -> Micros:
        """Shape (n_rows,), their numbers."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Concatenate rows."""

    def keep(self, is_kept: Mask) -> Self:
        """Keep some of the rows."""


R = TypeVar("R", bound=Rows)


@dataclass(frozen=True)
class Ends:
    """Where the orders of a file end.

    Parameters
    ----------
    lengths : rows of each block
    codes : shape (k,), ascending codes of the ids that occur in more than one block
    last_blocks : shape (k,), the last block of each
    """

    lengths: list[int]
    codes: NDArray[np.uint32]
    last_blocks: Micros

    def is_open(self, ids: pa.ChunkedArray, block: int) -> Mask:
        """Shape (n_rows,): the row's order goes on after a block."""
        codes = _encode(ids.combine_chunks())
        if not len(self.codes):
            return np.zeros(len(codes), bool)
        at = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        is_open = (self.codes[at] == codes) & (self.last_blocks[at] > block)
        return np.asarray(is_open & to_mask(ids.is_valid()), bool)


def find_ends(blocks: Iterable[pa.Array]) -> Ends:
    """Scan the order ids of a file.

    Parameters
    ----------
    blocks : order ids, strings; null where a row has none

    Notes
    -----
    Takes eight bytes per order. Ids are compared by 32 bits: two with the same code wait for each other, no more.
    """
    lengths: list[int] = []
    found = [np.zeros(0, np.uint64)]
    for number, ids in enumerate(blocks):
        lengths.append(len(ids))
        codes = np.unique(_encode(ids.drop_null())).astype(np.uint64)
        found.append(codes << np.uint64(_BLOCK_BITS) | np.uint64(number))
    places = np.concatenate(found)
    places.sort()
    codes = places >> np.uint64(_BLOCK_BITS)
    is_same_as_next = np.zeros(len(codes), bool)
    is_same_as_next[:-1] = codes[1:] == codes[:-1]
    is_same_as_last = np.roll(is_same_as_next, 1)  # the last entry has none after it
    last = places[is_same_as_last & ~is_same_as_next]
    last_blocks = (last & np.uint64(2**_BLOCK_BITS - 1)).astype(np.int64)
    return Ends(lengths, (last >> np.uint64(_BLOCK_BITS)).astype(np.uint32), last_blocks)


def close_orders(
    blocks: Iterable[R], ends: Ends, ids_of: Callable[[R], pa.ChunkedArray], path: Path
) -> Iterator[tuple[R, bool]]:
    """Yield the rows of a file in pieces in which every order is whole.

    Parameters
    ----------
    blocks : the rows, in the blocks that `ends` was found in
    ends : of the file
    ids_of : gives the order ids of rows
    path : of the file

    Yields
    ------
    some ten thousand rows, more where orders are scattered; and whether they are the last

    Raises
    ------
    FileError
        The blocks are not those of `ends`: the file changed in between.
    """
    waiting: list[R] = []
    n_waiting, n_read, n_blocks = 0, 0, len(ends.lengths)
    for number, block in enumerate(blocks):
        if number >= n_blocks or len(block.rows) != ends.lengths[number]:
            raise _changed(path)
        waiting.append(block)
        n_waiting, n_read = n_waiting + len(block.rows), number + 1
        if n_waiting < _ROWS_PER_PIECE or n_read == n_blocks:
            continue
        rows = block.join(waiting)
        is_open = ends.is_open(ids_of(rows), number)
        waiting, n_waiting = [rows.keep(is_open)], 0
        yield rows.keep(~is_open), False
    if n_read < n_blocks:
        raise _changed(path)
    if waiting:
        yield waiting[0].join(waiting), True


def _encode(ids: pa.Array) -> NDArray[np.uint32]:
    """Hash each id to 32 bits; null counts as the empty text."""
    texts = ids.fill_null("").cast(pa.binary()).to_pylist()
    return np.fromiter(map(crc32, texts), np.uint32, len(texts))


def _changed(path: Path) -> FileError:
    return FileError(f"{path.name} changed while it was read", hint="wait until it is written, then run it again")
