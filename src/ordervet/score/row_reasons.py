"""The reasons of some rows of a batch, put into words when somebody reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ordervet.policy import FoundReasons, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class RowReasons(Mapping[int, list[Reason]]):
    """Row to its reasons, the strongest first; only rows that were explained.

    Parameters
    ----------
    rows : shape (n_explained,), ascending
    found : their reasons, in the same order
    """

    def __init__(self, rows: NDArray[np.int64], found: FoundReasons) -> None:
        self.found = found
        self._place = dict(zip(rows.tolist(), range(len(rows)), strict=True))

    def __getitem__(self, row: int) -> list[Reason]:
        return self.found[self._place[row]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    def list_rows(
        self, rows: Sequence[int], *, with_lines: bool = True
    ) -> tuple[list[str | None], list[tuple[str, ...]]]:
        """Give rows as they are written down.

        Parameters
        ----------
        rows : any rows of the batch
        with_lines : whether the words are wanted

        Returns
        -------
        lines : one per row, all its reasons; None where there are none
        codes : one per row, the codes of its reasons
        """
        places = [self._place.get(row, -1) for row in rows]
        codes = [*self.found.list_codes(), ()]
        lines: list[str | None] = [*self.found.write_lines(), None] if with_lines else [None] * len(codes)
        return [lines[at] for at in places], [codes[at] for at in places]

    def take(self, rows: Sequence[int]) -> RowReasons:
        """Pick rows of the batch, in ascending order; they are counted anew."""
        explained = [(number, self._place[row]) for number, row in enumerate(rows) if row in self._place]
        numbers, places = np.array(explained, np.int64).reshape(-1, 2).T
        return RowReasons(numbers, self.found.take(places))

    @classmethod
    def concat(cls, parts: Sequence[RowReasons], starts: Sequence[int]) -> RowReasons:
        """Put those of batches behind each other; at least one.

        Parameters
        ----------
        parts : of one model and one language
        starts : the first row of each
        """
        rows = [start + np.array(list(part), np.int64) for start, part in zip(starts, parts, strict=False)]
        return cls(np.concatenate(rows), FoundReasons.concat([part.found for part in parts]))
