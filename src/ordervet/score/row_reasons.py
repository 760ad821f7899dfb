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
        self._rows, self.found = rows, found

    def __getitem__(self, row: int) -> list[Reason]:
        place = int(self._find(np.array([row], np.int64))[0])
        if place < 0:
            raise KeyError(row)
        return self.found[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows.tolist())

    def __len__(self) -> int:
        return len(self._rows)

    def _find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the place of each row among those that were explained, -1 for one that was not."""
        places = np.searchsorted(self._rows, rows)
        is_explained = places < len(self._rows)
        is_explained[is_explained] = self._rows[places[is_explained]] == rows[is_explained]
        return np.where(is_explained, places, -1)

    def list_codes(self, rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """Give, row by row, the codes of the reasons, the strongest first."""
        codes = [*self.found.list_codes(), ()]
        return [codes[place] for place in self._find(rows).tolist()]

    def write_lines(self, rows: NDArray[np.int64]) -> list[str | None]:
        """Give, row by row, all its reasons on one line; None where there are none."""
        lines = [*self.found.write_lines(), None]
        return [lines[place] for place in self._find(rows).tolist()]

    def take(self, rows: NDArray[np.int64]) -> RowReasons:
        """Pick rows of the batch, in ascending order; they are counted anew."""
        places = self._find(rows)
        return RowReasons(np.flatnonzero(places >= 0), self.found.take(places[places >= 0]))

    @classmethod
    def concat(cls, parts: Sequence[RowReasons], starts: Sequence[int]) -> RowReasons:
        """Put those of batches behind each other; at least one.

        Parameters
        ----------
        parts : of one model and one language
        starts : the first row of each
        """
        rows = [start + part._rows for start, part in zip(starts, parts, strict=False)]  # noqa: SLF001 - of the same class
        return cls(np.concatenate(rows), FoundReasons.concat([part.found for part in parts]))
