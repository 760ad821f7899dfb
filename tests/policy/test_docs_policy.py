"""What the documents on policy and test orders show works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ordervet.entities import Key
from ordervet.policy import explain_applied, find_test_order, list_test_orders, load_policy, parse_policy
from ordervet.policy.rules import NUMBER_FIELDS, TEXT_FIELDS

DOCS = Path(__file__).parents[2] / "docs"
POLICY = (DOCS / "policy.md").read_text(encoding="utf-8")
TESTING = (DOCS / "testing.md").read_text(encoding="utf-8")
HEAD = """
protocol = 1
name = "docs"
[bands]
by = "explicit"
elevated = 0.05
high = 0.2
severe = 0.7
[actions]
low = "pass"
elevated = "pass"
high = "review"
severe = "hold"
[lists]
files = ["lists.csv"]
"""


def find_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_lists_and_rules_of_the_document_are_a_sound_policy(tmp_path: Path) -> None:
    (tmp_path / "lists.csv").write_text(find_blocks(POLICY, "csv")[0], encoding="utf-8")
    (tmp_path / "policy.toml").write_text(HEAD + find_blocks(POLICY, "toml")[0], encoding="utf-8")

    policy = load_policy(tmp_path / "policy.toml", key=Key(bytes(range(16))))

    assert [entry.list for entry in policy.lists.entries] == ["deny", "allow"]
    assert policy.rules[0].route == "lead"


def test_quota_of_the_document_is_a_sound_one() -> None:
    text = next(block for block in find_blocks(POLICY, "toml") if "[[quotas]]" in block)

    quota = parse_policy(HEAD.replace('[lists]\nfiles = ["lists.csv"]\n', "") + text).quotas[0]

    assert quota.code in POLICY
    assert explain_applied(quota.code, "en").partition(" (")[0] in POLICY


def test_document_names_every_field_a_condition_may_use() -> None:
    assert all(f"`{name}`" in POLICY for name in (*NUMBER_FIELDS, *TEXT_FIELDS))


@pytest.mark.parametrize(
    "order_id", re.findall(r"`(ORDERVET-TEST-[A-Z_-]+(?:-\d+)?)`", TESTING.replace("`ORDERVET-TEST-`", ""))
)
def test_test_orders_of_the_document_are_known(order_id: str) -> None:
    assert find_test_order(order_id) is not None


def test_document_counts_the_test_orders() -> None:
    assert f"# {len(list_test_orders())}\n" in find_blocks(TESTING, "python")[0]
