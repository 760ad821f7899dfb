"""Support scripts: complete, in both languages, overridable, and every mistake in a folder named at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy import Band, Stage, lint_facts, load_scripts, name_script, script_for
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


def fill(script: Script, lang: Lang) -> list[str]:
    """Fill the slots of a script's title and of all its parts for `ORDER`."""
    parts = show_script(script, lang, build_values(ORDER, lang=lang, time_zone="Asia/Shanghai"))
    return [script.title[lang], *(text for texts in parts.values() for text in texts)]


def write_own(folder: Path, **changes: object) -> Path:
    body = load_scripts()["scalping.paid"].body.model_dump(mode="json")
    file = {"kind": "scalping", "title": {"zh": "自有", "en": "Own"}, "stages": {"paid": body}} | changes
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    return path


def test_every_kind_has_a_script_at_every_stage_and_every_answer_to_a_claim_has_one() -> None:
    kinds = {f"{kind}.{stage}" for kind in ("general", "quota", *MaliceKind) for stage in Stage}
    assert set(load_scripts()) == kinds | {f"{answer}.claim" for answer in ("pay_now", "return_first", "evidence")}


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("script_id", list(load_scripts()))
def test_script_says_nothing_that_has_not_happened_at_its_stage(script_id: str, lang: Lang) -> None:
    script, stage = load_scripts()[script_id], Stage(script_id.partition(".")[2])

    texts = [*write_messages(script, ORDER, lang=lang, time_zone="Asia/Shanghai"), script.body.goal[lang]]

    assert [lint_facts(text, stage, lang) for text in texts] == [[], [], []]


@pytest.mark.parametrize(
    ("stage", "lang", "text"),
    [
        ("placed", "en", "Hello, order A1 has been shipped. If you are unsure about the size, ask us."),
        ("paid", "zh", "您好，订单 A1 已经发出～不确定尺码的话可以先问我们"),
        ("placed", "en", "Hello, we are truly sorry that you were not satisfied."),
        ("paid", "zh", "您好，没让您满意真的很抱歉。"),
        ("in_transit", "zh", "您好，发货前想和您核对一下订单 A1"),
        ("in_transit", "en", "Hello, order A1 has been delivered."),
        ("received", "zh", "您好，订单 A1 还没签收"),
        ("claim", "zh", "您好，订单 A1 的退货已收到"),
        ("placed", "zh", "您好，订单 A1 还没有付款"),
        ("claim", "en", "Hello, before we ship order A1, could you check the details?"),
    ],
)
def test_what_is_not_so_at_a_stage_is_found(stage: str, lang: Lang, text: str) -> None:
    assert lint_facts(text, Stage(stage), lang)


@pytest.mark.parametrize(
    ("stage", "lang", "text"),
    [
        ("placed", "zh", "亲，如果订单 A1 还没付款，是付款时遇到什么问题了吗？"),
        ("claim", "zh", "如果已经出库，需要等包裹拦截退回"),
        ("in_transit", "en", "Once it has been delivered, tell us if anything is wrong."),
        ("received", "zh", "亲，订单 A1 已经签收啦～"),
        ("claim", "en", "Hello, we are sorry for the trouble."),
    ],
)
def test_what_is_so_or_only_asked_is_left_alone(stage: str, lang: Lang, text: str) -> None:
    assert lint_facts(text, Stage(stage), lang) == []


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


@pytest.mark.parametrize("stage", [*Stage])
def test_script_for_always_has_one(stage: Stage) -> None:
    assert [script_for(kind, stage).id for kind in MaliceKind] == [f"{kind}.{stage}" for kind in MaliceKind]
    assert script_for(None, stage).id == script_for("something_else", stage).id == f"general.{stage}"


def test_script_is_the_kinds_unless_the_kind_is_a_guess() -> None:
    kind = MaliceKind.STOLEN_PAYMENT

    named = {band: name_script(kind, band, Stage.PAID) for band in Band}

    assert named == {
        Band.LOW: "general.paid",
        Band.ELEVATED: "general.paid",
        Band.HIGH: "stolen_payment.paid",
        Band.SEVERE: "stolen_payment.paid",
    }
    assert name_script(None, Band.SEVERE, Stage.CLAIM) == "general.claim"


def test_own_folder_takes_the_place_of_parts_and_leaves_the_rest(tmp_path: Path) -> None:
    shipped = load_scripts()
    goal = {"zh": "自有目的", "en": "Own goal"}
    write_own(tmp_path, stages={"claim": {"goal": goal}}, common={"record": [dict(goal)]})

    scripts = load_scripts(tmp_path)

    own = scripts["scalping.claim"]
    assert (own.title.zh, own.body.goal.zh, own.body.record[0].en) == ("自有", "自有目的", "Own goal")
    assert own.body.say == shipped["scalping.claim"].body.say
    assert scripts["scalping.paid"].body.goal == shipped["scalping.paid"].body.goal
    assert scripts["coupon_farming.claim"] == shipped["coupon_farming.claim"]
    assert shipped["scalping.claim"].title.zh != "自有"


def test_own_general_script_reaches_the_kinds_that_say_nothing_of_their_own(tmp_path: Path) -> None:
    say = {tone: {"zh": f"{tone} {{{{ order_id }}}}", "en": f"own {tone}"} for tone in ("gentle", "firm")}
    write_own(tmp_path, kind="general", stages={"received": {"say": say}})

    scripts = load_scripts(tmp_path)

    assert scripts["general.received"].body.say.gentle.en == "own gentle"
    assert scripts["scalping.received"].body.say.gentle.en == "own gentle"
    assert scripts["scalping.paid"].body.say == load_scripts()["scalping.paid"].body.say


def test_own_folder_names_every_mistake_at_once(tmp_path: Path) -> None:
    body = load_scripts()["scalping.paid"].body.model_dump(mode="json")
    wrong = body | {"goal": {"zh": "{{ phone }}", "en": "x"}, "chek": "x", "record": []}
    write_own(tmp_path, stages={"paid": wrong})
    (tmp_path / "twice.yaml").write_text("kind: scalping\nkind: scalping\n", encoding="utf-8")
    (tmp_path / "broken.yml").write_text("kind: [", encoding="utf-8")
    (tmp_path / "names.yaml").write_text("kind: scalpng\ntitle: {zh: a, en: b}\nstages: {prre: 3}\n", encoding="utf-8")

    with pytest.raises(PolicyError) as caught:
        load_scripts(tmp_path)

    message = str(caught.value)
    assert "'phone' is not a slot" in message
    assert "'own.yaml: stages.paid.chek': is not a setting, did you mean 'check'?" in message
    assert "'own.yaml: stages.paid.record': got [], expected at least 1 item" in message
    assert "'twice.yaml': line 2: 'kind' is given twice" in message
    assert "'names.yaml: kind': got 'scalpng', expected one of refund_only_abuse," in message
    assert "'names.yaml: stages.prre': got 'prre', expected one of placed, paid, in_transit, received, claim" in message
    assert "'names.yaml: stages.prre': got 3, expected a mapping of settings" in message
    assert "'broken.yml': line 2:" in message
    assert str(tmp_path) not in message


def test_own_folder_refuses_the_same_script_in_two_files(tmp_path: Path) -> None:
    path = write_own(tmp_path)
    (tmp_path / "second.yaml").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")

    with pytest.raises(PolicyError, match=r"the scripts of scalping are given by another file too"):
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
        load_scripts()["scalping.paid"] = None  # type: ignore[index]
