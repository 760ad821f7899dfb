"""A model names the key it was learned under; another key in use is said, and changes no score."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ordervet.entities import Key
from ordervet.entities.keys import EPHEMERAL, load_key, name_key
from ordervet.policy import load_policy
from ordervet.score import Scorer

if TYPE_CHECKING:
    from ordervet.contract import Events
    from ordervet.model import Model

ONE, OTHER = Key(bytes(range(16))), Key(bytes(16))


def under(model: Model, key_id: str) -> Model:
    return replace(model, origin=model.origin | {"key_id": key_id})


def test_trained_model_names_the_key_in_its_manifest(model: Model) -> None:
    # Trained without a key that lasts.
    assert model.build_manifest()["origin"]["key_id"] == EPHEMERAL


def test_name_of_a_lasting_key_is_its_id() -> None:
    assert name_key(ONE.key_id) == ONE.key_id
    assert name_key(load_key().key_id) == EPHEMERAL


@pytest.mark.parametrize(
    ("trained_under", "key", "n_said"),
    [
        (ONE.key_id, OTHER, 1),
        (ONE.key_id, ONE, 0),
        (EPHEMERAL, ONE, 0),
        (ONE.key_id, Key(bytes(16), is_ephemeral=True), 0),
    ],
)
def test_scorer_says_that_a_model_was_trained_under_another_key(
    model: Model, caplog: pytest.LogCaptureFixture, trained_under: str, key: Key, n_said: int
) -> None:
    caplog.set_level(logging.WARNING, logger="ordervet")

    Scorer(under(model, trained_under), load_policy(None), key)

    said = [record.getMessage() for record in caplog.records if "was trained under key" in record.getMessage()]
    assert len(said) == n_said
    assert all(ONE.key_id in each and OTHER.key_id in each for each in said)


def test_scores_are_the_same_under_any_key(model: Model, merchant: Events) -> None:
    scores = [
        Scorer(under(model, ONE.key_id), load_policy(None), key).score_events(merchant).p_malicious.tolist()
        for key in (ONE, OTHER)
    ]

    assert scores[0] == scores[1]
