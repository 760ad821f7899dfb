"""Orders as LightGBM keeps them: binned once, and fitted on as often as wanted, whole or in part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.model.protections import build_weights
from ordervet.model.settings import count_fit_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ordervet.model.settings import FitSettings

_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class MatrixView:
    """Some rows and columns of a matrix, without a copy of them.

    Parameters
    ----------
    features : shape (n, n_columns), float32
    rows : shape (n_rows,), the oldest orders first
    columns : shape (n_features,), of the features among the matrix's columns
    ranges : the least and the most of each feature, both of shape (n_features,): what values beyond are read as; None
        reads them as they are. Trees that are fitted on such a view have no threshold beyond, so they say the same of
        values as they are
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    ranges: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, at: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Copy some of the rows, shape (n_taken, n_features), rows side by side."""
        rows = self.features[self.rows[at]]
        taken = np.ascontiguousarray(rows if self._has_all_columns else rows[:, self.columns])
        return taken if self.ranges is None else np.clip(taken, *self.ranges)

    def read_column(self, at: int) -> NDArray[np.float32]:
        """Copy one column, shape (n_rows,)."""
        column: NDArray[np.float32] = self.features[self.rows, self.columns[at]]
        return column if self.ranges is None else np.clip(column, *(each[at] for each in self.ranges))

    @cached_property
    def _has_all_columns(self) -> bool:
        return np.array_equal(self.columns, np.arange(self.features.shape[1]))


class BinnedOrders:
    """Labelled orders, binned.

    Parameters
    ----------
    view : their features
    names : of the columns
    is_malicious : shape (n,)
    weight : shape (n,), orders that a row stands for
    settings : LightGBM's
    n_threads : threads; the trees do not depend on it
    """

    def __init__(
        self,
        view: MatrixView,
        names: tuple[str, ...],
        is_malicious: NDArray[np.bool_],
        weight: NDArray[np.int64] | NDArray[np.float64],
        settings: FitSettings,
        *,
        n_threads: int,
    ) -> None:
        import lightgbm

        self._settings = settings
        self._parameters = settings.build_parameters(names, n_threads=n_threads)
        self._n_threads = n_threads
        self._protection = _weigh(view, names, is_malicious, settings)
        # SPEED: benchmarks/bench_retrain.py. NOT: the matrix itself. LightGBM would need its rows and columns copied.
        self._data = lightgbm.Dataset(
            _as_sequence(view), is_malicious.astype(np.float32), feature_name=list(names), params=self._parameters
        ).construct()
        self.weigh(weight)

    def weigh(self, weight: NDArray[np.int64] | NDArray[np.float64]) -> None:
        """Let rows stand for other numbers of orders, shape (n,), in what is fitted from now on; the bins stay."""
        weights = (self._protection * weight).astype(np.float32)
        # NOT: `set_weight`. Weights that are all 1 leave there what was set before.
        self._data.set_field("weight", None if (weights == 1).all() else weights)

    def fit(self, rows: NDArray[np.int64] | None = None) -> str:
        """Fit as many trees as the settings ask for, see `fit_stages`."""
        return self.fit_stages(rows, (self._settings.num_rounds,))[0]

    def fit_stages(
        self,
        rows: NDArray[np.int64] | None,
        num_rounds: tuple[int, ...],
        start: NDArray[np.float64] | None = None,
    ) -> list[str]:
        """Fit the trees once, and give their beginnings as LightGBM's texts, the same bytes on any number of threads.

        Parameters
        ----------
        rows : shape (n_rows,), ascending, what to fit on; None takes all
        num_rounds : ascending, how many rounds each text holds
        start : shape (n,), log-odds that the trees are added to, in no text; None starts at the share of malice
        """
        import lightgbm

        # NOTE: declared as a list, and any array of numbers is taken.
        data = self._data if rows is None else self._data.subset(rows)  # type: ignore[arg-type]
        # NOTE: a subset takes what stands here with it.
        self._data.set_field("init_score", start)
        n_threads = count_fit_threads(len(self._protection if rows is None else rows), self._n_threads)
        booster = lightgbm.train(self._parameters | {"num_threads": n_threads}, data, num_rounds[-1])
        texts = [booster.model_to_string(num_iteration=each) for each in num_rounds]
        # NOTE: the thread count is the only line that depends on the machine; 0 means "as many as there are".
        return [re.sub(r"^\[num_threads: \d+\]$", "[num_threads: 0]", text, flags=re.MULTILINE) for text in texts]


def _weigh(
    view: MatrixView, names: tuple[str, ...], is_malicious: NDArray[np.bool_], settings: FitSettings
) -> NDArray[np.float32]:
    """Give the weights of `build_weights`, from the columns that they are made of."""
    wanted = {name for each in settings.protected for name in each.features}
    used = [at for at, name in enumerate(names) if name in wanted]
    columns = np.empty((len(view), len(used)), np.float32)
    for to, at in enumerate(used):
        columns[:, to] = view.read_column(at)
    return build_weights(settings.protected, columns, tuple(names[at] for at in used), is_malicious)


def _as_sequence(view: MatrixView) -> Any:
    """Give LightGBM the rows as it asks for them: one by one as float64 to find bins by, in parts to put into them."""
    import lightgbm

    class Rows(lightgbm.Sequence):
        batch_size = _ROWS_AT_ONCE

        def __getitem__(self, at: int | slice | list[int]) -> NDArray[Any]:
            if isinstance(at, slice):
                return view.take(at)
            rows = view.take(np.atleast_1d(at)).astype(np.float64)
            return rows if isinstance(at, list) else rows[0]

        def __len__(self) -> int:
            return len(view)

    return Rows()
