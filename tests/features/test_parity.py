from __future__ import annotations

import pytest

from feature_parity import compare_paths


@pytest.mark.parametrize("seed", [1, 2])
def test_every_path_gives_the_same_features(seed: int) -> None:
    assert compare_paths(seed, 1_500) == 4_500
