"""The lint: the shipped scripts are clean, and whatever is planted is found."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ordervet.policy import Finding, lint_scripts, lint_text, load_registry, load_scripts
from ordervet.policy.documents import Text

if TYPE_CHECKING:
    from ordervet.policy import Script

FORBIDDEN = yaml.safe_load(resources.files("ordervet.policy").joinpath("forbidden.yaml").read_text(encoding="utf-8"))
CHINESE = [(rule, word) for rule, words in FORBIDDEN.items() for word in words["zh"]]
ENGLISH = [(rule, word) for rule, words in FORBIDDEN.items() for word in words["en"]]
CUSTOMER_TEXTS = [
    (script.id, tone, lang, getattr(script.body.say, tone)[lang])
    for script in load_scripts().values()
    for tone in ("firm", "gentle")
    for lang in ("zh", "en")
]
CLEAN = st.sampled_from([text for *_, text in CUSTOMER_TEXTS])


def plant(text: str, word: str, at: int) -> str:
    cut = at % (len(text) + 1)
    return f"{text[:cut]}\n{word}\n{text[cut:]}"


def with_firm(script: Script, zh: str, en: str) -> Script:
    say = script.body.say.model_copy(update={"firm": Text(zh=zh, en=en)})
    return replace(script, body=script.body.model_copy(update={"say": say}))


def test_shipped_scripts_are_clean() -> None:
    assert lint_scripts() == []


@given(CLEAN, st.integers(0, 500), st.sampled_from(CHINESE), st.sampled_from(["", " ", "\u200b", "·", "*", "-", "\n"]))
def test_lint_finds_a_planted_chinese_word_whatever_stands_between(
    text: str, at: int, planted: tuple[str, str], joint: str
) -> None:
    rule, word = planted

    found = lint_text(plant(text, joint.join(word), at))

    assert rule in {name for name, _ in found}


@given(CLEAN, st.integers(0, 500), st.sampled_from(ENGLISH), st.booleans(), st.sampled_from(["", "s", "ing", "ulent"]))
def test_lint_finds_a_planted_english_word_in_any_case_and_ending(
    text: str, at: int, planted: tuple[str, str], is_shouted: bool, ending: str
) -> None:
    rule, word = planted
    word = word.replace("*", ending)

    found = lint_text(plant(text, word.upper() if is_shouted else word, at))

    assert rule in {name for name, _ in found}


@given(CLEAN, st.integers(0, 500), st.sampled_from(sorted(load_registry().reasons)))
def test_lint_finds_a_planted_reason_code(text: str, at: int, code: str) -> None:
    assert ("internal", code.lower()) in lint_text(plant(text, code, at))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("您好，该收货地址近 7 天有 6 个不同买家下单", "internal"),
        ("Hello, 6 different buyers ordered in the last 7 days", "internal"),
        ("店内没有该买家的历史订单", "internal"),
        ("请联系 19900001111", "personal"),
        ("请联系 199 0000 1111", "personal"),
        ("write to someone@example.com", "personal"),
        ("寄给 {{ recipient }}", "personal"),
        ("{% if phone %}x{% endif %}", "personal"),
        ("{{- buyer_id }}", "personal"),
        ("ｆｒａｕｄ", "accusation"),
        ("您这是骗\u200b保", "accusation"),
        ("您在騙保", "accusation"),
        ("骗😀保", "accusation"),
        ("f r a u d", "accusation"),
        ("F.R.A.U.D", "accusation"),
        ("fr\u0430ud", "accusation"),
        ("您退货率太高", "internal"),
        ("您买了很多次都退款", "internal"),
        ("R 121", "internal"),
        ("Ｒ１２１", "internal"),
        ("我们已报案", "threat"),
        ("五星好评送礼", "promise"),
        ("leave a five-star review", "promise"),
        ("电话一三八零零零零一二三四", "personal"),
        ("138·0000·1234", "personal"),
        ("１３８００００１２３４", "personal"),
    ],
)
def test_lint_finds_other_slips(text: str, rule: str) -> None:
    assert rule in {name for name, _ in lint_text(text)}


@pytest.mark.parametrize(
    "text",
    [
        "订单 2025111112345678901 已发出，请在订单页面查看。",
        "Hello, order {{ order_id }} is on its way; the bandage set ships tomorrow.",
        "退款按平台规则办理。",
        "The courts of the palace puzzle"[:3],
        "统一，定时发货",
        "",
    ],
)
def test_lint_leaves_everyday_words_alone(text: str) -> None:
    assert lint_text(text) == []


def test_lint_does_not_repeat_personal_data() -> None:
    assert "19900001111" not in str(lint_text("请联系 19900001111"))


def test_lint_scripts_says_where_each_slip_is() -> None:
    scripts = dict(load_scripts())
    scripts["scalping.paid"] = with_firm(scripts["scalping.paid"], "您是黄牛", "We guarantee it, or else")

    findings = lint_scripts(scripts)

    assert findings == [
        Finding("scalping.paid", "say.firm.zh", "accusation", "黄牛"),
        Finding("scalping.paid", "say.firm.en", "threat", "or else"),
        Finding("scalping.paid", "say.firm.en", "promise", "guarantee"),
    ]
    assert str(findings[0]) == "scalping.paid say.firm.zh: accusation: 黄牛"


def test_lint_scripts_finds_an_optional_slot_without_a_guard() -> None:
    scripts = dict(load_scripts())
    scripts["scalping.paid"] = with_firm(scripts["scalping.paid"], "商品 {{ item_id }}", "Item {{ item_id }}")

    findings = lint_scripts(scripts)

    assert {(finding.where, finding.rule) for finding in findings} == {("say.firm.zh", "slot"), ("say.firm.en", "slot")}


def test_lint_scripts_finds_what_is_not_so_at_the_stage() -> None:
    scripts = {
        "scalping.paid": with_firm(load_scripts()["scalping.paid"], "订单已经发出", "Your order has been shipped")
    }

    findings = lint_scripts(scripts)

    assert findings == [
        Finding("scalping.paid", "say.firm.zh", "fact", "已经发出"),
        Finding("scalping.paid", "say.firm.en", "fact", "has been shipped"),
    ]
