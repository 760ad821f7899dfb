"""Policies kept beside a history come back as they were, and damage is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ordervet.entities import Key
from ordervet.errors import PolicyError
from ordervet.policy import decide, find_policy, keep_policy, load_policy, parse_shifts

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
protocol = 1
name = "kept"
[bands]
by = "expected_cost"
minute_minor = 100
elevated = { minutes = 0.2, catch_share = 0.05, annoyance_minor = 0 }
high     = { minutes = 3.0, catch_share = 0.70, annoyance_minor = 50 }
severe   = { minutes = 5.0, catch_share = 0.95, annoyance_minor = 2000 }
[actions]
low = "pass"
elevated = "pass"
high = "review"
severe = "hold"
[kinds.scalping]
low = "pass"
elevated = "review"
high = "review"
severe = "review"
[lists]
files = ["lists.csv"]
[[rules]]
name = "dear"
when = "amount_minor >= 500000"
action = "review"
owner = "risk team"
expires = 2026-01-01
"""


def test_kept_policy_is_the_same_policy(tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text(
        "list,entity,value,id,expires,owner,note\ndeny,phone,13900001234,,2026-12-31,desk,\n", encoding="utf-8"
    )
    (tmp_path / "policy.toml").write_text(TEXT, encoding="utf-8")
    policy = load_policy(tmp_path / "policy.toml", key=Key(bytes(16))).with_capacity(5, parse_shifts("20:00-24:00"))

    keep_policy(policy, tmp_path)
    keep_policy(policy, tmp_path)
    found = find_policy(policy.policy_id, tmp_path)

    p, amounts = np.linspace(0.0, 1.0, 50), np.arange(50) * 20_000
    given = {"amount_minor": amounts, "placed_at_us": np.arange(50) * 10**9}
    assert found.model_dump() == policy.model_dump()
    assert decide(found, p, **given).actions.tolist() == decide(policy, p, **given).actions.tolist()
    assert "13900001234" not in (tmp_path / "_policies" / f"{policy.policy_id}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("policy_id", ["0123456789ab", "../policy", ""])
def test_policy_that_was_not_kept_is_one_error(tmp_path: Path, policy_id: str) -> None:
    with pytest.raises(PolicyError, match="keeps no policy"):
        find_policy(policy_id, tmp_path)


@pytest.mark.parametrize("damage", ["", "{}", None])
def test_damaged_policy_is_noticed(tmp_path: Path, damage: str | None) -> None:
    policy = load_policy()
    keep_policy(policy, tmp_path)
    path = tmp_path / "_policies" / f"{policy.policy_id}.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.2", "0.3") if damage is None else damage, encoding="utf-8")

    with pytest.raises(PolicyError, match="is damaged"):
        find_policy(policy.policy_id, tmp_path)
