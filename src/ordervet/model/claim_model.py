"""The third, small model: whether a refund request is malicious, by its order's features as of now and by its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ordervet.errors import ModelError
from ordervet.features.claim_features import CLAIM_NAMES, ITEM_NAMES, build_claim_spec
from ordervet.model.calibration import Curve
from ordervet.model.forest import parse_forest
from ordervet.model.merge import merge_boosters
from ordervet.model.predictor import ForestPredictor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ordervet.features import FeatureSpec


@dataclass(frozen=True)
class ClaimModel:
    """A fitted LightGBM about refund requests, scored without LightGBM.

    Parameters
    ----------
    booster_text : LightGBM's text format, about `features.claims.build_claim_spec`, then `features.claims.CLAIM_NAMES`
    calibration : raw score to probability of malice
    """

    booster_text: str = field(repr=False)
    calibration: Curve = field(repr=False)

    @cached_property
    def predictor(self) -> ForestPredictor:
        """The compiled forest."""
        return ForestPredictor(self.booster_text)

    @property
    def n_features(self) -> int:
        """How many features the trees are about."""
        return parse_forest(self.booster_text).n_features

    def predict(self, features: NDArray[np.float32], *, n_threads: int = 1) -> NDArray[np.float64]:
        """Give the probability that each request is malicious.

        Parameters
        ----------
        features : shape (n, n_features), those of the order as of now, then the request's own
        """
        return self.calibration(self.predictor.predict_raw(features, n_threads=n_threads))

    def describe(self) -> dict[str, Any]:
        """Give what the manifest says of it, the hash of its text aside."""
        return {"names": [*ITEM_NAMES, *CLAIM_NAMES], "calibration": self.calibration.to_lists()}

    def move(self, spec: FeatureSpec) -> ClaimModel | None:
        """Give the same trees over other features of orders; None where they ask for one that is not there."""
        names = (*build_claim_spec(spec).names, *CLAIM_NAMES)
        try:
            return replace(self, booster_text=merge_boosters([(self.booster_text, 1.0)], names))
        except ModelError:
            return None

    @classmethod
    def from_manifest(cls, told: dict[str, Any], booster_text: str) -> ClaimModel:
        """Read it back.

        Raises
        ------
        ModelError
            It is about other features of requests than this version has.
        """
        if tuple(told["names"]) != (*ITEM_NAMES, *CLAIM_NAMES):
            raise ModelError("its model of claims is about other features than this version's")
        return cls(booster_text, Curve.from_lists(told["calibration"]))
