"""`ordervet policy`: a file is checked whole, and a change is seen on a past period before it is live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from ordervet.cli import app
from ordervet.contract import Events, validate_events, write_table
from ordervet.entities import key_events, load_key
from ordervet.errors import PolicyError
from ordervet.features import build_later_events, build_order_events
from ordervet.policy import load_policy
from ordervet.score import Scorer
from ordervet.score.compare import _find_verdicts, compare_policies

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.model import Model

POLICY = """
protocol = 1
name = "changed"
[bands]
by = "explicit"
elevated = 0.05
high = 0.10
severe = 0.60
[actions]
low = "pass"
elevated = "pass"
high = "review"
severe = "hold"
[[quotas]]
name = "one_each"
of = "item_id"
most = 1
until = 2020-01-01
owner = "risk team"
[[quotas]]
name = "few"
of = "category"
most = 4
days = 30
owner = "risk team"
[[rules]]
name = "dear_and_new"
when = "amount_minor >= 30000 and buyer__count__order__90d == 0"
action = "review"
owner = "risk team"
"""


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    path = tmp_path / "changed.toml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def test_policy_check_says_what_a_sound_file_holds(changed: Path) -> None:
    result = CliRunner().invoke(app, ["policy", "check", str(changed), "--json"])

    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (facts["policy"], facts["n_rules"], facts["n_quotas"]) == ("changed", 1, 2)
    assert facts["notes"] == ["quota one_each ended at 2020-01-02 00:00"]


def test_policy_check_names_everything_that_is_wrong_at_once(changed: Path) -> None:
    changed.write_text(POLICY.replace("0.60", "6.0").replace('"risk team"', "7") + "colour = 1\n", encoding="utf-8")

    result = CliRunner().invoke(app, ["policy", "check", str(changed)])

    assert isinstance(result.exception, PolicyError)
    assert all(name in result.exception.message for name in ("bands.severe", "rules.0.owner", "rules.0.colour"))


def test_policy_check_tells_of_features_the_model_lacks_and_of_what_has_expired(changed: Path) -> None:
    rule = POLICY.replace("buyer__count__order__90d", "terminal__count__order__90d") + "expires = 2020-01-01\n"
    changed.write_text(rule, encoding="utf-8")

    facts = json.loads(CliRunner().invoke(app, ["policy", "check", str(changed), "--json"]).stdout)

    assert [note.split(":")[0] for note in facts["notes"]] == [
        "rule dear_and_new never holds",
        "rule dear_and_new expired on 2020-01-01",
        "quota one_each ended at 2020-01-02 00",
    ]


def test_compared_policies_decide_as_each_does_alone(changed: Path, merchant: Events, model: Model) -> None:
    key = load_key()
    policies = load_policy(), load_policy(changed)
    keyed = key_events(merchant, key)

    found = compare_policies(keyed, model, *policies)

    alone = [Scorer(model, policy, key).score_events(keyed) for policy in policies]
    assert [tally.n_flagged for tally in (found.present, found.changed)] == [
        int((each.actions > 0).sum()) for each in alone
    ]
    assert found.changed.n_touched == len(alone[1].applied) > 0
    n_beyond = sum("quota_4_few" in codes for codes in alone[1].applied.values())
    assert (found.present.quotas, found.changed.quotas) == ({}, {"one_each": 0, "few": n_beyond})
    assert n_beyond > 0
    differing = np.flatnonzero(alone[0].actions != alone[1].actions)
    assert set(found.changed_ids) == {alone[0].order_ids[row] for row in differing.tolist()}
    assert sum(found.moves.values()) == len(differing)


def test_compared_policies_look_at_the_period_alone(changed: Path, merchant: Events, model: Model) -> None:
    keyed = key_events(merchant, load_key())
    seen_at = np.sort(build_order_events(keyed.orders, model.spec).seen_at)
    since_us, until_us = int(seen_at[4000]), int(seen_at[4500])

    found = compare_policies(keyed, model, load_policy(), load_policy(changed), since_us=since_us, until_us=until_us)

    assert found.n_orders == int(((seen_at >= since_us) & (seen_at < until_us)).sum())


def test_latest_verdict_counts_and_a_correction_leaves_none(model: Model) -> None:
    orders = [{"order_id": name, "placed_at": "2025-01-01", "amount_minor": 1} for name in "abc"]
    verdicts = [
        {"order_id": "a", "verdict": "malicious", "kind": "scalping", "by": "desk", "decided_at": "2025-01-02"},
        {"order_id": "a", "verdict": "innocent", "by": "desk", "decided_at": "2025-01-03"},
        {"order_id": "b", "verdict": "malicious", "kind": "scalping", "by": "desk", "decided_at": "2025-01-02"},
    ]
    empty = Events.empty()
    corrections = validate_events("corrections", [{"order_id": "b", "corrected_at": "2025-01-05"}])
    made = Events(validate_events("orders", orders), empty.outcomes, validate_events("verdicts", verdicts), corrections)
    keyed = key_events(made, load_key())
    ids = build_order_events(keyed.orders, model.spec).order_id

    assert _find_verdicts(ids, build_later_events(keyed)).tolist() == [1, 0, 0]


def test_policy_simulate_shows_both_policies_over_a_history(
    ordervet, changed: Path, merchant: Events, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERVET_KEY", "000102030405060708090a0b0c0d0e0f")
    for kind in ("orders", "verdicts"):
        write_table(getattr(merchant, kind), tmp_path / f"{kind}.parquet")
    ordervet("ingest", tmp_path / "orders.parquet", tmp_path / "verdicts.parquet", "--history", tmp_path / "history")
    common = ("policy", "simulate", changed, "--history", tmp_path / "history", "--models", models_dir)

    shown, told = ordervet(*common, "--lang", "zh"), ordervet(*common, "--json").json
    nothing = ordervet(*common, "--since", "2050-01-01")

    assert shown.code == 0
    assert "现行与改后对比" in shown.out
    assert "超过限购 few" in shown.out
    assert told["n_orders"] == merchant.orders.num_rows
    assert sum(told["changed"]["actions"].values()) == told["n_orders"]
    assert sum(move["n"] for move in told["moves"]) == len(told["changed_orders"])
    assert (nothing.code, "there is no order in this period" in nothing.err) == (3, True)
