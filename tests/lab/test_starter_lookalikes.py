"""The bundled model passes the look-alike suite; `ordervet lookalikes` runs it with more orders."""

from __future__ import annotations

from ordervet.lab.lookalikes import SCENARIOS, measure_lookalikes
from ordervet.model import find_live_model, load_model
from ordervet.score import find_bundled_models


def test_starter_model_is_fair_to_every_look_alike_and_still_catches_the_twins() -> None:
    model = load_model(find_live_model(find_bundled_models()))

    report = measure_lookalikes(model, n_orders=1_000)

    assert len(report.rows) == len(SCENARIOS)
    assert report.failed == ()
