"""Any export, in any pieces, in any order, some of it first by webhook, is the plain truth."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from contract.formats.trade_worlds import KEY, PLATFORMS, check_world, compute_features, make_world
from ordervet.history import History

if TYPE_CHECKING:
    from pathlib import Path

AS_OF_NOW = ("status", "updated_at", "as_of")


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


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_feature_of_an_order_changes_when_all_of_its_end_states_do(tmp_path: Path, platform: str) -> None:
    world = next(
        world
        for world in (make_world(seed, platform) for seed in range(99))
        if any(trade.refunds for trade in world.trades)
    )
    number = next(at for at, trade in enumerate(world.trades) if trade.refunds)
    trade = world.trades[number]
    soon = trade.placed_at + timedelta(hours=2)
    ended = [
        replace(each, kind="refund_completed", requested_at=soon, ended_at=soon, edited_at=soon)
        for each in trade.refunds
    ]
    others = [
        trade,
        replace(trade, kind=None, refunds=()),
        replace(trade, kind="fulfilled", ended_at=soon, refunds=()),
        replace(trade, kind="fulfilled", ended_at=soon, refunds=tuple(ended)),
    ]
    found, outcomes = [], set()

    for at, other in enumerate(others):
        trades = (*world.trades[:number], other, *world.trades[number + 1 :])
        (tmp_path / str(at)).mkdir()
        history = History.open(tmp_path / str(at) / "history", KEY, create=True)
        final = replace(world, trades=trades, exports_at=world.exports_at[-1:])
        for events in final.iter_sources(tmp_path / str(at), random.Random(at)):  # noqa: S311 - dice
            history.ingest(events)
        read = history.read()
        rows = read.orders.drop_columns([name for name in AS_OF_NOW if name in read.orders.column_names]).to_pylist()
        order = next(row for row in rows if row["order_id"] == trade.order_id)
        found.append((order, compute_features(read)[trade.order_id].tobytes()))
        outcomes.add(str(sorted(str(row["kind"]) + str(row["happened_at"]) for row in read.outcomes.to_pylist())))

    assert found == found[:1] * 4
    assert len(outcomes) >= 3
