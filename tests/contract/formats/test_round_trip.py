"""Any export, in any pieces, in any order, some of it first by webhook, is the plain truth."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from contract.formats.trade_worlds import PLATFORMS, check_world, make_world

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("platform", PLATFORMS)
def test_overlapping_exports_in_any_order_are_the_truth(tmp_path: Path, platform: str, seed: int) -> None:
    check_world(make_world(seed, platform), tmp_path, random.Random(seed))  # noqa: S311 - dice


def test_an_amount_that_a_writer_gets_wrong_is_found(tmp_path: Path) -> None:
    world = next(
        world for world in (make_world(seed, "jd") for seed in range(99)) if world.list_refunds(world.exports_at[-1])
    )
    right = world.build_refund_row

    def write(*args: object) -> dict[str, str]:
        return right(*args) | {"退款金额": "0.01"}  # type: ignore[arg-type]

    object.__setattr__(world, "build_refund_row", write)

    with pytest.raises(AssertionError, match="outcomes: lacking"):
        check_world(world, tmp_path, random.Random(1))  # noqa: S311 - dice
