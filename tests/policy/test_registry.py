"""The registry of reason codes: numbers keep their meaning, every feature has exactly one reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ordervet.errors import PolicyError
from ordervet.features import build_spec
from ordervet.features.claim_features import CLAIM_NAMES
from ordervet.features.spec import BUILT_IN_ENTITIES, GROUP_NAMES, ORDER_VALUES, SELECTORS, SUM_COLUMNS, Statistic
from ordervet.policy import assign_reasons, find_spec, load_registry
from ordervet.policy.reason_registry import FeatureName, Registry, _find_form
from ordervet.policy.rules import find_type

FROZEN = Path(__file__).with_name("reason_codes.txt")
OTHER = "R999"

#: What the features room may name: every statistic over every column it has, for entities built in and mapped.
ALL_NAMES = [
    f"{entity}__{statistic}__{column}" + ("" if statistic in (Statistic.RECENCY, Statistic.AGE) else "__30d")
    for entity in (*BUILT_IN_ENTITIES, "campaign", "terminal")
    for statistic in Statistic
    for column in ((*BUILT_IN_ENTITIES, "terminal") if statistic is Statistic.DISTINCT else (*SELECTORS, *SUM_COLUMNS))
]


def test_reason_codes_keep_the_names_they_were_given() -> None:
    frozen = dict(line.split() for line in FROZEN.read_text(encoding="utf-8").splitlines())

    names = {code: spec.name for code, spec in load_registry().reasons.items()}

    assert names == frozen, "a code never changes its name and never goes; a new one is added to reason_codes.txt"


def test_reason_names_are_unique() -> None:
    names = [spec.name for spec in load_registry().reasons.values()]

    assert len(set(names)) == len(names)


def test_every_default_feature_has_a_reason_of_its_own_family() -> None:
    spec = build_spec(entities=("terminal",), categories=("browser",), numbers=("pages",))

    unnamed = [name for name in spec.names if load_registry().find_reason(name).code == OTHER]

    assert unnamed == []


def test_every_feature_that_can_be_declared_has_a_reason_of_its_own_family() -> None:
    unnamed = [name for name in ALL_NAMES if load_registry().find_reason(name).code == OTHER]

    assert unnamed == []


@pytest.mark.parametrize("value", ORDER_VALUES)
def test_every_order_value_has_a_reason_of_its_own_family(value: str) -> None:
    assert load_registry().find_reason(f"order__value__{value}").code != OTHER


def test_every_reason_but_campaign_and_missing_evidence_is_reached_by_a_feature() -> None:
    own = [
        *CLAIM_NAMES,
        *(f"order__value__{value}" for value in ORDER_VALUES),
        "order__is__office",
        *GROUP_NAMES,
        "order__number__x",
        "order__missing__phone",
        "extra",
    ]

    reached = {load_registry().find_reason(name).code for name in ALL_NAMES + own}

    assert reached == set(load_registry().reasons)


@pytest.mark.parametrize(
    ("feature", "code"),
    [
        ("buyer__count__order__10m", "R103"),
        ("buyer__count__refund_only__90d", "R107"),
        ("buyer__share__refund_requested__90d", "R106"),
        ("buyer__age__refund_requested", "R106"),
        ("buyer__ratio__amount__30d", "R105"),
        ("address__distinct__buyer__7d", "R121"),
        ("device__distinct__item__1d", "R183"),
        ("item__share__refund_requested__7d", "R303"),
        ("channel__share__malicious__30d", "R364"),
        ("terminal__share__malicious__7d", "R601"),
        ("order__value__account_age_days", "R101"),
        ("order__number__pages", "R406"),
        ("ring__size__order__30d", "R606"),
        ("my_own_feature", OTHER),
        ("order__value__something_new", OTHER),
        ("order", OTHER),
        ("amount", OTHER),
        ("", OTHER),
    ],
)
def test_find_reason_follows_the_parts_of_the_name(feature: str, code: str) -> None:
    assert load_registry().find_reason(feature).code == code


@pytest.mark.parametrize("window", ["10m", "1h", "1d", "7d", "30d", "90d"])
def test_find_reason_does_not_look_at_the_window(window: str) -> None:
    assert load_registry().find_reason(f"buyer__count__claim__{window}").code == "R111"


def test_only_the_buyers_own_behaviour_counts_as_own_history() -> None:
    own = {spec.code for spec in load_registry().reasons.values() if spec.own_history}

    assert all(code.startswith(("R10", "R11")) for code in own)
    assert "R107" in own
    assert "R114" not in own, "a verdict is a person's decision, not a statistic"
    assert "R101" not in own, "the account's age is no history"


def test_find_spec_names_an_unknown_code() -> None:
    with pytest.raises(PolicyError, match="R000 is not known"):
        find_spec("R000")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("buyer__count__order__30d", ("buyer", "count", "order", "30d")),
        ("buyer__recency__order", ("buyer", "recency", "order", "")),
        ("order__number__page_views", ("order", "number", "page_views", "")),
        ("plain", ("", "", "plain", "")),
        ("a__b", ("", "", "a__b", "")),
    ],
)
def test_feature_name_is_read_by_its_parts(name: str, parts: tuple[str, str, str, str]) -> None:
    assert FeatureName.parse(name) == FeatureName(*parts)


def test_registry_refuses_a_code_given_twice_and_an_entity_without_words() -> None:
    raw = load_registry().model_dump()
    raw["families"][0]["codes"] = {"buyer": "R107", "robot": "R998"}

    with pytest.raises(ValidationError, match=r"R107 is given twice; entity robot has no words"):
        Registry.model_validate(raw)


def test_every_reason_says_which_way_it_points() -> None:
    specs = load_registry().reasons.values()

    assert {spec.direction for spec in specs} == {"high", "low", "either"}
    assert {load_registry().reasons[code].direction for code in ("R102", "R134", "R101")} == {"low"}
    assert load_registry().reasons["R121"].direction == "high"


UNITS = {
    "seconds": ("小时", "h"), "days": ("天", "days"), "money": ("元", "CNY"), "percent": ("%", "%"),
    "number": ("7", "7"), "hour": ("点", ":00"), "weekday": ("周", "day"), "flag": ("是", "yes"),
}  # fmt: skip
VALUES = {"seconds": 25_200.0, "money": 70_000.0, "percent": 0.07, "flag": 1.0}
SAID = sorted({*filter(find_type, ALL_NAMES), *build_spec(entities=("terminal",), numbers=("pages",)).names})


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_sentence_holds_its_number_with_its_unit(lang: str) -> None:
    at = ("zh", "en").index(lang)
    forms = [_find_form(name, is_above_one=False)[1] for name in SAID]
    values = [VALUES.get(form, 7.0) for form in forms]

    reasons = assign_reasons(SAID, np.eye(len(SAID)), np.tile(values, (len(SAID), 1)), lang=lang)

    for name, form, (reason,) in zip(SAID, forms, reasons, strict=True):
        assert UNITS[form][at] in reason.text, name
        assert form in {"weekday", "flag"} or "7" in reason.text, name
        assert not any(sign in reason.text for sign in "{}_\0"), name


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_sentence_says_so_when_the_number_is_not_known(lang: str) -> None:
    reasons = assign_reasons(SAID, np.eye(len(SAID)), np.full((len(SAID), len(SAID)), np.nan), lang=lang)

    texts = {reason.text for (reason,) in reasons}
    assert not any("nan" in text.lower().split() for text in texts)
    assert all(len(text) > 5 for text in texts)
