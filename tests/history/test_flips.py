"""Flipped bits of everything that is kept: found and named, or harmless; `make flips` flips thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flips import KINDS, flip_bits

if TYPE_CHECKING:
    from pathlib import Path

N_FLIPS = 12


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bit_is_found_and_named_or_harmless(tmp_path: Path, kind: str) -> None:
    counts = flip_bits(kind, tmp_path / "kept", N_FLIPS, seed=3)

    assert counts.total() == N_FLIPS
    assert counts["found"] > N_FLIPS // 2 or kind == "journal"
