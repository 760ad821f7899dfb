"""How a model is fitted: LightGBM's parameters and the shape limits that the scoring kernels rely on."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict

from ordervet.model.protections import PROTECTED, Protection

if TYPE_CHECKING:
    from pathlib import Path

Share = Annotated[float, Gt(0), Le(1)]

SETTINGS_FILE = "settings.toml"
#: SPEED: 31 leaves of 73 features take two threads that sleep between their parts .24 s of processor time in place of
#: .15 for 30,000 rows, and longer; from 100,000 on they are faster (.34 s and .42).
_ROWS_PER_THREAD = 50_000
_HEAD = """\
# How a model is fitted unless told otherwise; LightGBM's own names. Written by `python benchmarks/search_settings.py`,
# which keeps what stands here unless something else is better beyond noise.
"""
_FOUND: dict[str, Any] = tomllib.loads(
    resources.files("ordervet.model").joinpath(SETTINGS_FILE).read_text(encoding="utf-8")
)


class FitSettings(BaseModel):
    """Settings of one fit; the field names are LightGBM's own where it has one.

    The defaults are those of ``settings.toml`` beside this file, which a documented search writes.
    Trees have at most 64 leaves and depth 6, features at most 255 bins: every model fits the compiled forest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_rounds: Annotated[int, Ge(1), Le(5_000)] = _FOUND["num_rounds"]
    learning_rate: Annotated[float, Gt(0), Le(1)] = _FOUND["learning_rate"]
    num_leaves: Annotated[int, Ge(2), Le(64)] = _FOUND["num_leaves"]
    max_depth: Annotated[int, Ge(1), Le(6)] = _FOUND["max_depth"]
    min_data_in_leaf: Annotated[int, Ge(1)] = _FOUND["min_data_in_leaf"]
    feature_fraction: Share = _FOUND["feature_fraction"]
    bagging_fraction: Share = _FOUND["bagging_fraction"]
    bagging_freq: Annotated[int, Ge(0)] = _FOUND["bagging_freq"]
    lambda_l2: Annotated[float, Ge(0)] = _FOUND["lambda_l2"]
    path_smooth: Annotated[float, Ge(0)] = _FOUND["path_smooth"]
    max_bin: Annotated[int, Ge(2), Le(255)] = _FOUND["max_bin"]
    seed: int = 20251111
    #: Feature-name pattern to direction, where beyond doubt: more never lowers (1) or never raises (-1) the score.
    monotone: dict[str, Literal[-1, 1]] = {
        "*__count__malicious__*": 1,
        "*__share__malicious__*": 1,
        "*__count__chargeback__*": 1,
        "*__count__innocent__*": -1,
    }

    #: Which innocent orders count more than once.
    protected: tuple[Protection, ...] = PROTECTED

    def build_parameters(self, feature_names: tuple[str, ...], *, n_threads: int) -> dict[str, object]:
        """Give LightGBM's parameters; the same seed gives the same trees on any number of threads."""
        own = self.model_dump(exclude={"num_rounds", "seed", "monotone", "protected"})
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


def count_fit_threads(n_rows: int, n_threads: int) -> int:
    """Count the threads that a fit on so many rows is worth, at most `n_threads`; the trees do not depend on it."""
    return max(1, min(n_threads, n_rows // _ROWS_PER_THREAD))


def write_settings(settings: FitSettings, path: Path) -> None:
    """Write the searched settings as a settings file, those of ``settings.toml`` in their order."""
    lines = [f"{name} = {getattr(settings, name)}" for name in _FOUND]
    path.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")
