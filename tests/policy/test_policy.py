"""Reading a policy: the shipped one, and every way to get one wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy import BANDS, HUMAN_KINDS, Action, Band, load_policy, parse_policy

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """
protocol = 1
name = "minimal"
[bands]
by = "explicit"
elevated = 0.1
high = 0.3
severe = 0.8
[actions]
low = "pass"
elevated = "pass"
high = "review"
severe = "hold"
"""

BY_COST = """
[bands]
by = "expected_cost"
minute_minor = 100
fixed_loss_minor = 1200
loss_share = 0.6
elevated = { minutes = 0.2, catch_share = 0.05, annoyance_minor = 0 }
high     = { minutes = 3.0, catch_share = 0.70, annoyance_minor = 50 }
severe   = { minutes = 5.0, catch_share = 0.95, annoyance_minor = 2000 }
"""


def test_shipped_policy_sends_claims_and_extortion_to_a_person_and_asks_owners_of_stolen_cards() -> None:
    policy = load_policy()

    assert all(policy.actions_for(kind)[band] is Action.REVIEW for kind in HUMAN_KINDS for band in BANDS)
    assert policy.actions_for(MaliceKind.STOLEN_PAYMENT)[Band.HIGH] is Action.CONFIRM
    assert policy.actions_for(MaliceKind.COUPON_FARMING) is policy.actions
    assert policy.evidence.min_orders == 3


def test_policy_without_kinds_still_sends_human_kinds_to_a_person() -> None:
    policy = parse_policy(MINIMAL)

    assert all(policy.actions_for(kind)[band] is Action.REVIEW for kind in HUMAN_KINDS for band in BANDS)


def test_comments_of_the_shipped_policy_show_settings_that_work(tmp_path: Path) -> None:
    from importlib import resources  # only this test reads the file itself

    text = resources.files("ordervet.policy").joinpath("default_policy.toml").read_text(encoding="utf-8")
    commented = re.sub(r"(?m)^# (?=\[|[a-z_]+ +=)", "", text)
    without_explicit = re.sub(r"(?m)^\[bands\]\nby = \"explicit\"\n(?:\w+ = [\d.]+\n)+", "", commented)
    path = tmp_path / "policy.toml"
    path.write_text(without_explicit, encoding="utf-8")
    (tmp_path / "lists.csv").write_text("list,entity,value,id,expires,owner,note\n", encoding="utf-8")

    policy = load_policy(path)

    assert policy.bands.by == "expected_cost"
    assert policy.capacity is not None
    assert [window.n for window in policy.capacity.windows] == [207, 93]
    assert policy.lists.files == ("lists.csv",)
    assert [rule.name for rule in policy.rules] == ["dear_first_order"]
    assert policy.handover.batch_size == 20
    assert policy.allow_test_orders


def test_policy_id_follows_settings_and_not_the_name() -> None:
    one = parse_policy(MINIMAL)

    renamed = parse_policy(MINIMAL.replace('"minimal"', '"other"'))
    changed = parse_policy(MINIMAL.replace("0.3", "0.31"))
    copied = one.model_copy(update={"evidence": one.evidence.model_copy(update={"min_orders": 5})})

    assert one.policy_id == renamed.policy_id
    assert len({one.policy_id, changed.policy_id, copied.policy_id}) == 3


def test_policy_names_every_wrong_setting_at_once() -> None:
    text = """
protocol = 2
name = ""
[bands]
by = "explicit"
elevatd = 0.1
high = 2.0
severe = "0.3"
[actions]
low = "hold"
elevated = "pass"
high = "review"
severe = "block"
[kinds.card_testing]
low = "pass"
[capacity]
n = -1
"""

    with pytest.raises(PolicyError) as caught:
        parse_policy(text, source="night.toml")

    lines = str(caught.value).splitlines()
    assert lines[0] == "12 settings failed in night.toml"
    assert " - 'bands.elevatd': is not a setting, did you mean 'elevated'?" in lines
    assert " - 'bands.high': got 2.0, expected less than or equal to 1" in lines
    assert " - 'actions.severe': got 'block', expected 'pass', 'review', 'confirm' or 'hold'" in lines
    assert " - 'kinds.card_testing.high': is missing" in lines
    assert " - 'capacity.n': got -1, expected greater than or equal to 0" in lines
    assert lines[-1].startswith("hint: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("high = 0.3", "high = 0.9", "must ascend"),
        ('severe = "hold"', 'severe = "pass"', "severe must not be milder than high"),
        ("elevated = 0.1", "elevated = nan", "finite"),
        ("protocol = 1", "protocol = ", "is not TOML"),
        ('by = "explicit"', 'by = "magic"', "got by = 'magic', expected 'explicit', 'expected_cost'"),
    ],
)
def test_policy_refuses_settings_that_contradict_each_other(old: str, new: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_policy(MINIMAL.replace(old, new, 1))


@pytest.mark.parametrize("kind", sorted(HUMAN_KINDS))
def test_policy_refuses_to_hold_what_a_person_must_judge(kind: MaliceKind) -> None:
    text = f'{MINIMAL}\n[kinds.{kind}]\nlow = "review"\nelevated = "review"\nhigh = "review"\nsevere = "hold"\n'

    with pytest.raises(PolicyError, match=f"kinds.{kind} is judged by a person"):
        parse_policy(text)


def test_policy_refuses_treatments_that_catch_less_at_a_higher_cost() -> None:
    text = re.sub(r"\[bands\].*?(?=\[actions\])", BY_COST.replace("0.95", "0.60"), MINIMAL, flags=re.DOTALL)

    with pytest.raises(PolicyError, match="severe must catch at least as much"):
        parse_policy(text)


def test_policy_file_that_is_missing_or_no_text_is_one_clear_error(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(PolicyError, match=r"absent\.toml cannot be read"):
        load_policy(tmp_path / "absent.toml")
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_policy(binary)
