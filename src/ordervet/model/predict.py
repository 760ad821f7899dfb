"""Scores and contributions of a fitted model, by LightGBM's own predict."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Predictor:
    """A booster read from its text.

    Parameters
    ----------
    booster_text : LightGBM's text format
    """

    def __init__(self, booster_text: str) -> None:
        self._text = booster_text

    @cached_property
    def _booster(self) -> Any:  # noqa: ANN401 - LightGBM carries no types
        import lightgbm  # noqa: PLC0415 - imported when the first score is asked for

        try:
            return lightgbm.Booster(model_str=self._text)
        except lightgbm.basic.LightGBMError as error:
            raise ModelError("the booster's text cannot be read", hint="restore the model folder") from error

    def predict_raw(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Score rows, in log-odds.

        Parameters
        ----------
        features : shape (n, n_features), float32, C order; NaN is not known

        Returns
        -------
        shape (n,), float64; a row alone scores the same bits as among others
        """
        if len(features) == 0:
            return np.zeros(0, np.float64)
        raw: NDArray[np.float64] = self._booster.predict(features, raw_score=True, num_threads=n_threads)
        return raw

    def explain(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Give each feature's exact share in the raw score (TreeSHAP, path-dependent).

        Returns
        -------
        shape (n, n_features + 1), log-odds; the last column is the expected raw score; a row sums to its raw score

        References
        ----------
        Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020.
        """
        if len(features) == 0:
            return np.zeros((0, features.shape[1] + 1), np.float64)
        shares: NDArray[np.float64] = self._booster.predict(features, pred_contrib=True, num_threads=n_threads)
        return shares
