"""Codes of missing evidence."""

from __future__ import annotations

import numpy as np
import pytest

from ordervet.entities import Evidence
from ordervet.errors import PolicyError
from ordervet.policy import explain_missing, list_missing
from ordervet.policy.missing import STATES


def test_states_are_those_of_the_entities_room() -> None:
    assert [state.name.lower() for state in Evidence] == list(STATES)
    assert [int(state) for state in Evidence] == list(range(len(STATES)))


def test_list_missing_names_entity_and_state_per_order() -> None:
    evidence = {"phone": np.array([0, 2, 3], dtype=np.int8), "ip": np.array([1, 1, 0], dtype=np.int8)}

    codes = list_missing(evidence, 3)

    assert codes == [("ip_absent",), ("phone_masked", "ip_absent"), ("phone_unusable",)]


def test_list_missing_takes_an_empty_batch() -> None:
    assert list_missing({"phone": np.array([], dtype=np.int8)}, 0) == []
    assert list_missing({}, 2) == [(), ()]


@pytest.mark.parametrize("evidence", [{"phone": [0, 1], "ip": [0]}, {"phone": [4]}, {"phone": [-1]}, {"phone": [[0]]}])
def test_list_missing_refuses_what_does_not_fit(evidence: dict) -> None:
    with pytest.raises(PolicyError, match="evidence"):
        list_missing(evidence, len(evidence["phone"]))


@pytest.mark.parametrize(
    ("code", "zh", "en"),
    [
        ("phone_masked", "该收货电话被平台脱敏", "This phone number was masked by the platform"),
        ("address_absent", "该收货地址没有提供", "This delivery address was not provided"),
        ("card_bin_absent", "同一“card_bin”没有提供", "The same 'card_bin' was not provided"),
    ],
)
def test_explain_missing_says_what_is_lacking(code: str, zh: str, en: str) -> None:
    assert (explain_missing(code), explain_missing(code, "en")) == (zh, en)


@pytest.mark.parametrize("code", ["phone", "phone_lost", "_masked", ""])
def test_explain_missing_names_an_unknown_code(code: str) -> None:
    with pytest.raises(PolicyError, match="is not known"):
        explain_missing(code)
