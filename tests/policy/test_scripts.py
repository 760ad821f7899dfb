"""Support scripts: complete, in both languages, overridable, and every mistake in a folder named at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy import (
    KIND_STAGES,
    Reason,
    Stage,
    load_registry,
    load_scripts,
    script_for,
    script_for_reasons,
)
from ordervet.policy.documents import parse_yaml
from ordervet.policy.scripts import show_script, write_messages
from ordervet.policy.slots import build_values

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.policy import Script
    from ordervet.words import Lang

ORDER = {
    "order_id": "A1",
    "placed_at": datetime(2025, 11, 11, 12, 10, tzinfo=UTC),
    "amount_minor": 123450,
    "phone": "19900001111",
    "recipient": "甲乙",
}
#: Where the field guide places each kind; more stages may have scripts.
FIELD_STAGES = {
    "refund_only_abuse": "after",
    "return_swap": "after",
    "fake_return": "after",
    "freight_insurance_fraud": "in after",
    "coupon_farming": "pre",
    "unpaid_hoarding": "pre",
    "rival_bulk_refund": "pre in",
    "professional_claim": "after",
    "review_extortion": "after",
    "scalping": "pre",
    "delivery_refusal": "pre in",
    "stolen_payment": "pre",
}


def fill(script: Script, lang: Lang) -> list[str]:
    """Fill the slots of a script's title and of all its parts for `ORDER`."""
    parts = show_script(script, lang, build_values(ORDER, lang=lang, time_zone="Asia/Shanghai"))
    return [script.title[lang], *(text for texts in parts.values() for text in texts)]


def write_own(folder: Path, **changes: object) -> Path:
    body = load_scripts()["scalping.pre"].body.model_dump(mode="json")
    file = {"kind": "scalping", "title": {"zh": "自有", "en": "Own"}, "stages": {"pre": body}} | changes
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    return path


def test_every_kind_has_a_script_at_each_stage_it_applies_to() -> None:
    assert {str(kind) for kind in MaliceKind} == set(FIELD_STAGES) == {str(kind) for kind in KIND_STAGES}
    for kind, stages in FIELD_STAGES.items():
        assert set(stages.split()) <= {str(stage) for stage in KIND_STAGES[MaliceKind(kind)]}
    for kind, stages in KIND_STAGES.items():
        assert all(f"{kind}.{stage}" in load_scripts() for stage in stages)


@pytest.mark.parametrize("code", sorted(load_registry().reasons))
def test_every_reason_leads_to_a_script_of_its_own_kind_and_stage(code: str) -> None:
    spec = load_registry().reasons[code]

    script = script_for(spec.kind, spec.stage)

    assert script.id == spec.script


@pytest.mark.parametrize("script_id", list(load_scripts()))
def test_script_renders_in_both_languages_without_a_slot_or_personal_field_left(script_id: str) -> None:
    script = load_scripts()[script_id]

    zh, en = fill(script, "zh"), fill(script, "en")

    assert len(zh) == len(en)
    assert not [text for text in zh + en if "{" in text or "19900001111" in text or "甲乙" in text]
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in text) for text in zh)
    assert not [text for text in en if any("\u4e00" <= sign <= "\u9fff" for sign in text)]


@pytest.mark.parametrize("script_id", list(load_scripts()))
def test_customer_texts_name_the_order_and_differ_in_tone(script_id: str) -> None:
    for lang in ("zh", "en"):
        gentle, firm = write_messages(load_scripts()[script_id], ORDER, lang=lang, time_zone="Asia/Shanghai")

        assert "A1" in firm
        assert "A1" in gentle
        assert firm != gentle


def test_script_for_falls_back_to_the_kinds_earliest_stage_and_then_to_the_general_one() -> None:
    assert script_for(MaliceKind.DELIVERY_REFUSAL, Stage.IN).id == "delivery_refusal.in"
    assert script_for(MaliceKind.DELIVERY_REFUSAL, Stage.AFTER).id == "delivery_refusal.pre"
    assert script_for("refund_only_abuse").id == "refund_only_abuse.in"
    assert script_for(None, Stage.PRE).id == "general.review"
    assert script_for("something_else").id == "general.review"


@pytest.mark.parametrize("kind", [None, *MaliceKind])
@pytest.mark.parametrize("stage", [None, *Stage])
def test_script_for_always_has_one(kind: MaliceKind | None, stage: Stage | None) -> None:
    assert script_for(kind, stage).id.startswith(f"{kind}." if kind else "general.")


def test_script_for_reasons_follows_the_named_kind_and_then_the_strongest_reason() -> None:
    reasons = [Reason(code, "", 1.0, "") for code in ("R401", "R107", "R121")]

    assert script_for_reasons(reasons).id == "refund_only_abuse.in"
    assert script_for_reasons(reasons, MaliceKind.COUPON_FARMING).id == "coupon_farming.pre"
    assert script_for_reasons(reasons, "fake_return").id == "fake_return.after"
    assert script_for_reasons(reasons[:1]).id == "general.review"
    assert script_for_reasons([]).id == "general.review"


def test_own_folder_takes_the_place_of_a_stage_and_leaves_the_rest(tmp_path: Path) -> None:
    write_own(tmp_path)

    scripts = load_scripts(tmp_path)

    assert scripts["scalping.pre"].title.zh == "自有"
    assert set(scripts) == set(load_scripts())
    assert script_for("scalping", scripts=scripts).title.en == "Own"
    assert load_scripts()["scalping.pre"].title.zh != "自有"


def test_own_folder_adds_a_stage(tmp_path: Path) -> None:
    body = load_scripts()["scalping.pre"].body.model_dump(mode="json")
    write_own(tmp_path, stages={"after": body})

    assert script_for("scalping", "after", scripts=load_scripts(tmp_path)).id == "scalping.after"


def test_own_folder_names_every_mistake_at_once(tmp_path: Path) -> None:
    body = load_scripts()["scalping.pre"].body.model_dump(mode="json")
    wrong = body | {"goal": {"zh": "{{ phone }}", "en": "x"}, "chek": "x", "record": []}
    write_own(tmp_path, stages={"pre": wrong})
    (tmp_path / "twice.yaml").write_text("kind: scalping\nkind: scalping\n", encoding="utf-8")
    (tmp_path / "broken.yml").write_text("kind: [", encoding="utf-8")
    (tmp_path / "names.yaml").write_text("kind: scalpng\ntitle: {zh: a, en: b}\nstages: {prre: 3}\n", encoding="utf-8")

    with pytest.raises(PolicyError) as caught:
        load_scripts(tmp_path)

    message = str(caught.value)
    assert "'phone' is not a slot" in message
    assert "'own.yaml: stages.pre.chek': is not a setting, did you mean 'check'?" in message
    assert "'own.yaml: stages.pre.record': got [], expected at least 1 item" in message
    assert "'twice.yaml': line 2: 'kind' is given twice" in message
    assert "'names.yaml: kind': got 'scalpng', expected one of refund_only_abuse," in message
    assert "'names.yaml: stages.prre': got 'prre', expected one of pre, in, after, review" in message
    assert "'names.yaml: stages.prre': got 3, expected a mapping of settings" in message
    assert "'broken.yml': line 2:" in message
    assert str(tmp_path) not in message


def test_own_folder_refuses_the_same_script_in_two_files(tmp_path: Path) -> None:
    path = write_own(tmp_path)
    (tmp_path / "second.yaml").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")

    with pytest.raises(PolicyError, match=r"the script scalping\.pre is given by another file too"):
        load_scripts(tmp_path)


def test_own_folder_keeps_review_for_the_general_script(tmp_path: Path) -> None:
    body = load_scripts()["scalping.pre"].body.model_dump(mode="json")
    write_own(tmp_path, stages={"review": body})

    with pytest.raises(PolicyError, match="belongs to kind 'general' alone"):
        load_scripts(tmp_path)


def test_own_folder_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="does not exist"):
        load_scripts(tmp_path / "absent")
    with pytest.raises(PolicyError, match=r"holds no \.yaml file"):
        load_scripts(tmp_path)


def test_own_file_that_is_no_text_or_too_large_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"

    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_scripts(tmp_path)
    path.write_bytes(b" " * 600_000)
    with pytest.raises(PolicyError, match="larger than"):
        load_scripts(tmp_path)


def test_yaml_refuses_aliases_and_code() -> None:
    with pytest.raises(ValueError, match="anchors"):
        parse_yaml("a: &x [1]\nb: *x\n")
    with pytest.raises(ValueError, match="could not determine a constructor"):
        parse_yaml("!!python/object/apply:os.getcwd []")


def test_scripts_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load_scripts()["scalping.pre"] = None  # type: ignore[index]
