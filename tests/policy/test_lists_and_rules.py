"""Lists, rules and test orders in a policy: read, checked, applied; raw values go no further than the reading."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordervet.contract import MaliceKind, validate_events
from ordervet.entities import Key, key_orders
from ordervet.errors import PolicyError
from ordervet.policy import (
    ACTIONS,
    BANDS,
    Action,
    Pace,
    build_overlay,
    decide,
    explain_applied,
    find_test_order,
    list_test_orders,
    load_policy,
    parse_policy,
)
from ordervet.policy.codes import DecisionCode
from ordervet.policy.desk import Mark
from ordervet.policy.lists import ListEntry
from ordervet.policy.overlay import Overlay
from ordervet.policy.policy import Audit

if TYPE_CHECKING:
    from pathlib import Path

KEY = Key(bytes(range(16)))
NOW_US = 1_762_862_400_000_000  # 2025-11-11 12:00 UTC
POLICY = """
protocol = 1
name = "lists"
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
"""
HEADER = "list,entity,value,id,expires,owner,note\n"
PHONE, ADDRESS = "13800001234", "浙江省杭州市西湖区文三路 99 号 3 栋 502"


def write(folder: Path, rows: str, settings: str = "") -> Path:
    (folder / "lists.csv").write_text(HEADER + rows, encoding="utf-8")
    path = folder / "policy.toml"
    path.write_text(POLICY + '[lists]\nfiles = ["lists.csv"]\n' + settings, encoding="utf-8")
    return path


def overlay_of(policy: object, at_us: int = NOW_US, **fields: object) -> Overlay:
    order = {"order_id": "T1", "placed_at": "2025-11-11 20:00:00", "amount_minor": 100} | fields
    keyed = key_orders(validate_events("orders", [order]), KEY)
    names = ("buyer", "phone", "address")
    return build_overlay(policy, np.array([at_us]), ids={name: keyed[f"id__{name}"].to_numpy() for name in names})


def test_deny_list_stops_whoever_is_on_it_by_the_value_as_customers_write_it(tmp_path: Path) -> None:
    rows = f'deny,phone,{PHONE},,2025-12-31,desk lead,\ndeny,address,"{ADDRESS}",,2025-12-31,desk lead,\n'
    policy = load_policy(write(tmp_path, rows), key=KEY)

    by_phone = overlay_of(policy, phone="138-0000-1234")
    by_address = overlay_of(policy, address="杭州市西湖区文三路99号3幢502室")
    other = overlay_of(policy, phone="13800001235")

    assert (by_phone.applied[0], ACTIONS[by_phone.least[0]]) == (("deny_phone",), Action.HOLD)
    assert by_address.applied[0] == ("deny_address",)
    assert other.applied == {}


def test_no_raw_value_survives_the_reading(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, f"deny,phone,{PHONE},,2025-12-31,desk lead,\n"), key=KEY)

    assert PHONE not in policy.model_dump_json() + repr(policy)


def test_entry_counts_until_the_end_of_its_last_day(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, f"deny,phone,{PHONE},,2025-11-11,desk lead,\n"), key=KEY)
    midnight_us = int(dt.datetime(2025, 11, 11, 16, tzinfo=dt.UTC).timestamp()) * 1_000_000

    before, after = (overlay_of(policy, at_us, phone=PHONE) for at_us in (midnight_us - 1, midnight_us))

    assert before.applied
    assert not after.applied


def test_deny_comes_before_allow_and_allow_is_noted(tmp_path: Path) -> None:
    rows = f"allow,buyer,b-1,,2025-12-31,desk lead,\ndeny,phone,{PHONE},,2025-12-31,desk lead,\n"
    policy = load_policy(write(tmp_path, rows), key=KEY)

    both, one = overlay_of(policy, phone=PHONE, buyer_id="b-1"), overlay_of(policy, buyer_id="b-1")

    assert (bool(both.is_allowed[0]), ACTIONS[both.least[0]]) == (False, Action.HOLD)
    assert (bool(one.is_allowed[0]), one.applied[0]) == (True, ("allow_buyer",))


def test_lists_may_name_keyed_ids_and_be_toml(tmp_path: Path) -> None:
    keyed = key_orders(
        validate_events("orders", [{"order_id": "a", "placed_at": "2025-01-01", "amount_minor": 0, "phone": PHONE}]),
        KEY,
    )
    (tmp_path / "ring.toml").write_text(
        f'[[entry]]\nlist = "deny"\nentity = "phone"\nid = "{keyed["id__phone"][0].as_py():016x}"\n'
        'expires = 2026-01-01T00:00:00Z\nowner = "desk lead"\n',
        encoding="utf-8",
    )
    path = tmp_path / "policy.toml"
    path.write_text(POLICY + '[lists]\nfiles = ["ring.toml"]\ndeny = "review"\n', encoding="utf-8")

    overlay = overlay_of(load_policy(path, key=KEY), phone=PHONE)

    assert ACTIONS[overlay.least[0]] is Action.REVIEW


def test_every_wrong_entry_is_named_at_once_and_no_value_is_shown(tmp_path: Path) -> None:
    rows = (
        f"deny,phone,{PHONE},0123456789abcdef,2025-12-31,desk lead,\n"
        "deny,phone,138****1234,,2025-12-31,desk lead,\n"
        f"deny,telephone,{PHONE},,2025-12-31,desk lead,\n"
        f"maybe,phone,{PHONE},,2025-12-31,desk lead,\n"
        f"deny,phone,{PHONE},,soon,desk lead,\n"
        f"deny,phone,{PHONE},,2025-12-31,,\n"
        "deny,phone,,,2025-12-31,desk lead,\n"
        "deny,phone,,xyz,2025-12-31,desk lead,\n"
    )

    with pytest.raises(PolicyError) as caught:
        load_policy(write(tmp_path, rows, '[capacity]\nn = "many"\n'), key=KEY)

    message = caught.value.message
    assert all(f"lists.csv: row {row}" in message for row in range(2, 10))
    assert "'capacity.n'" in message
    assert PHONE not in message
    assert "138****" not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "its columns are"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_list_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = write(tmp_path, "")
    (tmp_path / "lists.csv").unlink()
    if content is not None:
        (tmp_path / "lists.csv").write_bytes(content)

    with pytest.raises(PolicyError, match=message):
        load_policy(path, key=KEY)


RULE = '[[rules]]\nname = "big_first"\nwhen = "amount_minor >= 500000 and buyer__count__order__90d == 0"\n'


def test_rule_makes_a_decision_stricter_and_routes_it() -> None:
    policy = parse_policy(POLICY + RULE + 'action = "confirm"\nroute = "lead"\nowner = "risk"\n')
    columns = {"amount_minor": np.array([5e5, 5e5, 1.0]), "buyer__count__order__90d": np.array([0.0, np.nan, 0.0])}

    overlay = build_overlay(policy, np.full(3, NOW_US), columns=columns)
    decided = decide(policy, [0.0, 0.0, 0.0], overlay=overlay)

    assert [ACTIONS[at] for at in decided.actions] == [Action.CONFIRM, Action.PASS, Action.PASS]
    assert (overlay.routes, overlay.applied) == ({0: "lead"}, {0: ("rule_big_first",)})


def test_rule_stops_counting_on_its_last_day() -> None:
    policy = parse_policy(POLICY + RULE + 'action = "hold"\nowner = "risk"\nexpires = 2025-11-11\n')
    columns = {"amount_minor": np.array([5e5]), "buyer__count__order__90d": np.array([0.0])}

    overlay = build_overlay(policy, np.array([NOW_US]), columns=columns)

    assert overlay.applied == {}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (RULE + 'owner = "risk"\n', "does nothing"),
        (RULE + 'owner = "risk"\naction = "pass"\n', "only make a decision stricter"),
        (RULE + 'action = "hold"\n', "'rules.0.owner': is missing"),
        (RULE + 'owner = "risk"\naction = "hold"\n' + RULE + 'owner = "risk"\naction = "hold"\n', "given twice"),
        (RULE.replace("amount_minor", "import os;") + 'owner = "risk"\naction = "hold"\n', "'rules.0.when'"),
        (RULE.replace("big_first", "Big!") + 'owner = "risk"\naction = "hold"\n', "'rules.0.name'"),
    ],
)
def test_policy_refuses_rules_that_are_wrong(rules: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_policy(POLICY + rules)


@st.composite
def overlays(draw: st.DrawFn, n: int) -> Overlay:
    least = draw(st.lists(st.integers(0, len(ACTIONS) - 1), min_size=n, max_size=n))
    allowed = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    drawn = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    return Overlay(np.array(least, np.int8), np.array(allowed), {}, {}, None if drawn is None else np.array(drawn))


@given(st.data())
def test_decide_never_gets_milder_when_a_probability_rises_under_lists_rules_and_pace(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    p = data.draw(st.lists(st.floats(0.0, 1.0) | st.sampled_from([0.2, 0.7]), min_size=n, max_size=n))
    kinds = data.draw(st.lists(st.sampled_from([None, *MaliceKind]), min_size=n, max_size=n))
    row = data.draw(st.integers(0, n - 1))
    raised = [*p[:row], data.draw(st.floats(p[row], 1.0)), *p[row + 1 :]]
    pace = Pace(data.draw(st.floats(0.0, 1.0)), data.draw(st.floats(0.0, 1.0)), data.draw(st.integers(0, n)))
    overlay = data.draw(overlays(n))
    given_ = {"kinds": kinds, "overlay": overlay, "order_ids": [f"T{at}" for at in range(n)]}
    given_ |= data.draw(st.sampled_from([{}, {"pace": pace}, {"capacity": pace.slots}]))

    before, after = (decide(load_policy(), each, **given_).actions[row] for each in (p, raised))

    assert after >= before
    assert before >= overlay.least[row]


@given(st.data())
def test_allow_list_never_takes_an_order_from_the_person_who_judges_its_kind(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([MaliceKind.PROFESSIONAL_CLAIM, MaliceKind.REVIEW_EXTORTION]))
    overlay = Overlay(np.zeros(1, np.int8), np.ones(1, bool), {}, {})

    decided = decide(load_policy(), [data.draw(st.floats(0.0, 1.0))], kinds=[kind], overlay=overlay)

    assert [ACTIONS[at] for at in decided.actions] == [Action.REVIEW]


def test_allowed_order_passes_and_takes_nobodys_slot() -> None:
    overlay = Overlay(np.zeros(2, np.int8), np.array([True, False]), {}, {})

    decided = decide(load_policy(), [0.99, 0.5], overlay=overlay, capacity=1)

    assert [ACTIONS[at] for at in decided.actions] == [Action.PASS, Action.REVIEW]


@pytest.mark.parametrize("code", ["deny_phone", "allow_buyer", "rule_big_first", "deny_terminal"])
def test_what_lists_and_rules_found_is_said_in_both_languages(code: str) -> None:
    zh, en = explain_applied(code, "zh"), explain_applied(code, "en")

    assert zh != en
    assert all(len(text) > 8 for text in (zh, en))


def test_audit_shows_a_person_a_random_share_of_what_passes_and_of_nothing_else() -> None:
    policy, n = parse_policy(POLICY + "[audit]\nshare = 0.25\n"), 4_000
    ids = {"order": np.random.default_rng(1).integers(0, 2**64, n, np.uint64)}
    p = np.tile([0.01, 0.3, 0.9], n)[:n]
    overlay = build_overlay(policy, np.full(n, NOW_US), ids=ids)

    with_audit, without = decide(policy, p, overlay=overlay), decide(policy, p)

    is_audited = with_audit.marks == Mark.AUDIT
    assert (with_audit.bands == without.bands).all()
    assert (with_audit.actions[~is_audited] == without.actions[~is_audited]).all()
    assert {ACTIONS[at] for at in with_audit.actions[is_audited]} == {Action.REVIEW}
    assert is_audited[p < 0.05].mean() == pytest.approx(0.25, abs=0.03)
    assert not is_audited[p >= 0.2].any()


def test_audit_takes_slots_of_a_capacity_and_makes_none() -> None:
    overlay = Overlay(np.zeros(4, np.int8), np.zeros(4, bool), {}, {}, np.array([True, True, False, False]))

    decided = [decide(load_policy(), [0.01, 0.02, 0.5, 0.6], overlay=overlay, capacity=n) for n in (0, 1, 3, 4)]

    review = [[ACTIONS[at] is Action.REVIEW for at in each.actions] for each in decided]
    assert review == [[False] * 4, [False, True, False, False], [True, True, False, True], [True] * 4]
    assert decided[2].marks.tolist() == [Mark.AUDIT, Mark.AUDIT, Mark.FULL, Mark.NONE]
    assert decided[0].marks.tolist() == [Mark.NONE, Mark.NONE, Mark.FULL, Mark.FULL]


def test_allowed_order_is_not_audited() -> None:
    overlay = Overlay(np.zeros(1, np.int8), np.ones(1, bool), {}, {}, np.ones(1, bool))

    assert decide(load_policy(), [0.01], overlay=overlay).marks.tolist() == [Mark.NONE]


def test_policy_without_an_audit_keeps_its_id() -> None:
    policy = load_policy()

    settings = policy.model_dump_json(exclude={"name", "audit", "trust", "claims", "quotas"})
    assert policy.policy_id == hashlib.sha256(settings.encode()).hexdigest()[:12]
    assert policy.model_copy(update={"audit": Audit(share=0.01)}).policy_id != policy.policy_id


def test_policy_id_follows_lists_and_is_worked_out_once() -> None:
    policy = load_policy()
    entry = ListEntry(
        list="deny", entity="phone", id="0" * 15 + "1", expires=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), owner="risk"
    )

    changed = policy.model_copy(update={"lists": policy.lists.model_copy(update={"entries": (entry,)})})

    assert changed.policy_id != policy.policy_id
    assert changed.key_lists is changed.key_lists
    assert policy.key_lists is not changed.key_lists


def test_there_is_a_test_order_for_every_band_kind_and_fail_open_code() -> None:
    found = list_test_orders().values()

    assert {test.band for test in found if test.band and not test.kind} == set(BANDS)
    assert {test.kind for test in found if test.kind} == set(MaliceKind)
    assert {test.code for test in found} == set(DecisionCode)


@pytest.mark.parametrize(
    ("order_id", "is_found"),
    [
        ("ORDERVET-TEST-BAND-SEVERE", True),
        ("ORDERVET-TEST-BAND-SEVERE-0001", True),
        ("ORDERVET-TEST-KIND-COUPON_FARMING-a-b", True),
        ("ORDERVET-TEST-CODE-UNSCORED_LATE", True),
        ("ORDERVET-TEST-CODE-SCORED", False),
        ("ORDERVET-TEST-BAND-SEVEREST", False),
        ("ordervet-test-band-severe", False),
        ("XORDERVET-TEST-BAND-SEVERE", False),
        ("ORDERVET-TEST-", False),
        ("", False),
    ],
)
def test_only_documented_ids_are_test_orders(order_id: str, is_found: bool) -> None:
    assert (find_test_order(order_id) is not None) == is_found
