"""How a model is fitted: LightGBM's parameters and the shape limits that the scoring kernels rely on."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict

Share = Annotated[float, Gt(0), Le(1)]


class FitSettings(BaseModel):
    """Settings of one fit; the field names are LightGBM's own where it has one.

    Trees have at most 64 leaves and depth 6, features at most 255 bins: every model fits the compiled forest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_rounds: Annotated[int, Ge(1), Le(5_000)] = 200
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.06
    num_leaves: Annotated[int, Ge(2), Le(64)] = 31
    max_depth: Annotated[int, Ge(1), Le(6)] = 6
    min_data_in_leaf: Annotated[int, Ge(1)] = 50
    feature_fraction: Share = 0.5
    bagging_fraction: Share = 0.8
    bagging_freq: Annotated[int, Ge(0)] = 1
    lambda_l2: Annotated[float, Ge(0)] = 5.0
    path_smooth: Annotated[float, Ge(0)] = 0.0
    max_bin: Annotated[int, Ge(2), Le(255)] = 255
    seed: int = 20251111
    #: Feature-name pattern to direction, where beyond doubt: more never lowers (1) or never raises (-1) the score.
    monotone: dict[str, Literal[-1, 1]] = {
        "*__count__malicious__*": 1,
        "*__share__malicious__*": 1,
        "*__count__chargeback__*": 1,
        "*__count__innocent__*": -1,
    }

    def build_parameters(self, feature_names: tuple[str, ...], *, n_threads: int) -> dict[str, object]:
        """Give LightGBM's parameters; the same seed gives the same trees on any number of threads."""
        own = self.model_dump(exclude={"num_rounds", "seed", "monotone"})
        return own | {
            "objective": "binary",
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": n_threads,
            "verbosity": -1,
            "monotone_constraints": [self._find_direction(name) for name in feature_names],
        }

    def _find_direction(self, name: str) -> int:
        return next((sign for pattern, sign in self.monotone.items() if fnmatchcase(name, pattern)), 0)
