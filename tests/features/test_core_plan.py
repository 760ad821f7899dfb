"""What the compiled core and the plans in Python both know is the same, and a plan that points nowhere is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ordervet import _core
from ordervet.features.events import (
    AMOUNT_KNOWN_BIT,
    EXCHANGE_BIT,
    EXCUSED_BIT,
    JUDGEMENT_BIT,
    MINOR_REFUND_BIT,
    SHARED_PLACE_BIT,
)
from ordervet.features.plan import _OPERATION_OF
from ordervet.features.spec import FIRST_REFUND_BIT, JUDGED, MAX_LINKED, RUN_VERDICTS, SELECTOR_BIT, SIZED, SPIKE_FROM

ITEM: dict[str, Any] = {
    "name": "item", "own": 0, "level": 0, "windows_us": [10, 20], "values": [0],
    "cells": [(0, 0, 1, -1), (1, 1, 1, -1), (1, 2, 0, -1)], "clocks": [1],
    "asks": [(0, 0, 0, 2, 50_000)], "usual": [], "operations": [(0, 0, 0, 0, 0, 0, 0), (15, 1, 0, 0, 0, 0, 0)],
}  # fmt: skip


def build_engine(**changes: object) -> _core.FeatureEngine:
    return _core.FeatureEngine(
        entities=[_core.EntityArrays(**(ITEM | changes))], groups=None, own_columns=[], n_features=2, n_weights=1,
        prior_orders=20, first_order_entity=-1, hot_from=8, n_threads=1,
    )  # fmt: skip


def test_bits_and_limits_are_those_of_the_core() -> None:
    verdicts = sum(SELECTOR_BIT[name] for name in JUDGED)
    order, first_order = SELECTOR_BIT["order"], SELECTOR_BIT["first_order"]

    expected = {
        "order": order, "first_order": first_order, "verdicts": verdicts,
        **{name: SELECTOR_BIT[name] for name in RUN_VERDICTS}, "judgement": JUDGEMENT_BIT,
        "excused": EXCUSED_BIT, "shared_place": SHARED_PLACE_BIT, "refund_requested": SELECTOR_BIT["refund_requested"],
        "refunds": SELECTOR_BIT["refund_requested"] | SELECTOR_BIT["refund_completed"],
        "minor_refund": MINOR_REFUND_BIT, "exchange": EXCHANGE_BIT, "amount_known": AMOUNT_KNOWN_BIT,
    }  # fmt: skip
    assert expected == _core.FEATURE_BITS
    assert _core.MAX_LINKED == MAX_LINKED
    assert {SELECTOR_BIT[name] for name in SIZED} == {1 << position for position in _core.SIZED_POSITIONS}
    assert {SELECTOR_BIT[name] << _core.FIRST_REFUND_SHIFT for name in SIZED} == set(FIRST_REFUND_BIT.values())
    assert {*_OPERATION_OF.values(), "verdict_recency"} == set(_core.STATISTICS)
    assert _core.SPIKE_FROM == SPIKE_FROM


def test_plan_that_fits_is_taken() -> None:
    assert build_engine().export_state()["item/slots"].shape == (0, 32)


@pytest.mark.parametrize(
    "changes",
    [
        {"own": 1},
        {"level": 1},
        {"windows_us": [20, 10]},
        {"windows_us": [0, 10]},
        {"values": [1]},
        {"cells": [(2, 0, 1, -1)], "asks": [], "operations": []},
        {"cells": [(0, 6, 1, -1)], "asks": [], "operations": []},
        {"cells": [(0, 4, 0, -1), (0, 4, 0, -1)], "asks": [], "operations": []},
        {"cells": [(0, 5, 0, -1), (0, 5, 0, -1)], "asks": [], "operations": []},
        {"cells": [(0, 1, 1, -3)], "asks": [], "operations": []},
        {"cells": [(0, 1, 2, -4)], "asks": [], "operations": [], "usual": [0, 0, 0]},
        {"usual": [0, 1]},
        {"usual": [1, 1, 0]},
        {"usual": [0, 0, 0]},
        {"cells": [(0, 4, 0, -1)], "asks": [], "operations": [(0, 0, 0, 0, 0, 0, 0)]},
        {"cells": [(0, 4, 0, -1)], "asks": [], "operations": [(10, 0, 0, 0, 0, 0, 2)]},
        {"cells": [(0, 4, 0, -1)], "asks": [], "operations": [(13, 0, 0, 0, 0, 0, 0)]},
        {"cells": [(1, 0, 1, -1), (0, 0, 1, -1)], "asks": [], "operations": []},
        {"cells": [(0, 1, 1, 1)], "asks": [], "operations": []},
        {"cells": [(0, 2, 1, -1)], "asks": [], "operations": []},
        {"asks": [(1, 0, 0, 2, 50_000)]},
        {"asks": [(0, 1, 0, 2, 50_000)]},
        {"operations": [(16, 0, 0, 0, 0, 0, 0)]},
        {"operations": [(-1, 0, 0, 0, 0, 0, 0)]},
        {"operations": [(0, 2, 0, 0, 0, 0, 0)]},
        {"operations": [(0, 0, 3, 0, 0, 0, 0)]},
        {"operations": [(0, 0, 1, 0, 0, 0, 0)]},
        {"operations": [(15, 0, 1, 0, 0, 0, 0)]},
    ],
    ids=str,
)
def test_plan_that_points_nowhere_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="plan of the features is wrong"):
        build_engine(**changes)
