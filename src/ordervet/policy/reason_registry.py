"""The registry of reason codes: which features stand behind a reason, and in what words it is said."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.documents import Text, build_error, list_problems, parse_yaml
from ordervet.words.numbers import FORMS, format_money, format_window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ordervet.words import Lang

Direction = Literal["high", "low", "either"]
MAPPED: Final = "mapped"
ANY, ONE = "any", "one"
_SEPARATOR: Final = "__"
_DERIVED_NAME: Final = re.compile(
    r"(?P<entity>.+?)__(?P<statistic>.+?)__(?P<column>.+?)(?:__(?:item|category|campaign|channel))?"
    r"(?:__(?P<window>\d+[mhd]))?",
    flags=re.DOTALL,
)
_HINT: Final = "the registry ships with the package: reinstall ordervet"


class Words(Text):
    """A noun in both languages.

    Parameters
    ----------
    one : English singular, where ``en`` is a plural
    happened : what a share of orders did, in English, such as ``were refunded``
    """

    one: str | None = None
    happened: str | None = None


class _StatisticText(Text):
    form: str | None = None


class _Family(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: Text
    match: list[str]
    kind: MaliceKind | None = None
    direction: Direction = "high"
    own_history: bool = False
    wordings: dict[str, Text] = {}
    unknown: Text | None = None
    codes: dict[str, Annotated[str, Field(pattern=r"^R\d{3}$")]]

    def fits(self, statistic: str, column: str) -> bool:
        return any(_fits(pattern, statistic, column) for pattern in self.match)


def _fits(pattern: str, statistic: str, column: str) -> bool:
    statistics, columns = pattern.split(_SEPARATOR)
    return _is_one_of(statistic, statistics) and _is_one_of(column, columns)


def _is_one_of(name: str, pattern: str) -> bool:
    return any(fnmatchcase(name, choice) for choice in pattern.split("|"))


@dataclass(frozen=True, slots=True)
class ReasonSpec:
    """A reason code and what it stands for.

    Parameters
    ----------
    code : such as ``R121``; never given twice
    name : entity and family, such as ``address_many_buyers``
    entity, family : what the reason is about
    label : a short title, for headings and filters
    patterns : the feature names behind it, windows left open, such as ``address__distinct__buyer``
    kind : the kind of malice it points to, if any
    direction : which values speak against an order as a rule: "high", "low" or "either"
    own_history : whether it rests on the buyer's own earlier behaviour alone
    wordings : sentences of its own by statistic, ``one`` for the value 1, ``any`` for all, in place of the statistic's
    unknown : a sentence of its own, in place of the general one
    """

    code: str
    name: str
    entity: str
    label: Text
    patterns: tuple[str, ...]
    kind: MaliceKind | None
    direction: Direction
    own_history: bool
    wordings: dict[str, Text]
    unknown: Text | None


@dataclass(frozen=True, slots=True)
class FeatureName:
    """A derived feature name in its parts.

    Parameters
    ----------
    entity, statistic, column : the first three parts; a name that is not derived is all column
    window : such as ``30d``; empty where there is none
    """

    entity: str
    statistic: str
    column: str
    window: str

    @classmethod
    def parse(cls, name: str) -> FeatureName:
        """Split ``{entity}__{statistic}__{column}__{window}``.

        Parameters
        ----------
        name : a feature's name; any text is taken

        Returns
        -------
        its parts
        """
        parts = _DERIVED_NAME.fullmatch(name)
        return cls(**parts.groupdict("")) if parts else cls("", "", name, "")


class Registry(BaseModel):
    """All reason codes and the words they are made of, as reasons.yaml states them.

    Parameters
    ----------
    entities, columns, statistics : nouns and sentences, by the parts of a feature's name
    forms : how a column's value is written
    unknown : what is said when the strongest feature is not known, by entity
    families : the reasons, in the order in which they are tried
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entities: dict[str, Words]
    columns: dict[str, Words]
    statistics: dict[str, _StatisticText]
    forms: dict[str, str]
    unknown: dict[str, Text]
    families: list[_Family]

    @model_validator(mode="after")
    def _check_registry(self) -> Registry:
        problems = list(self._list_inconsistencies())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _list_inconsistencies(self) -> Iterator[str]:
        codes = [code for family in self.families for code in family.codes.values()]
        yield from (f"{code} is given twice" for code in sorted({code for code in codes if codes.count(code) > 1}))
        entities = {entity for family in self.families for entity in family.codes} - {ANY}
        yield from (f"entity {entity} has no words" for entity in sorted(entities - self.entities.keys()))
        forms = {*self.forms.values(), *(words.form for words in self.statistics.values() if words.form)}
        yield from (f"form {form} is not known" for form in sorted(forms - FORMS.keys()))
        if "other" not in self.statistics or ANY not in self.unknown:
            yield "there are no words for any other statistic, or for what is not known"

    @cached_property
    def reasons(self) -> dict[str, ReasonSpec]:
        """Every reason by its code, codes ascending."""
        specs = {
            code: _build_spec(family, entity, code) for family in self.families for entity, code in family.codes.items()
        }
        return dict(sorted(specs.items()))

    def find_reason(self, feature_name: str) -> ReasonSpec:
        """Find the one reason a feature belongs to."""
        name = FeatureName.parse(feature_name)
        entity = self._class_entity(name)
        for family in self.families:
            code = family.codes.get(entity, family.codes.get(ANY))
            if code is not None and family.fits(name.statistic, name.column):
                return self.reasons[code]
        raise PolicyError(f"no reason takes the feature {feature_name}", hint=_HINT)

    def name_entity(self, entity: str, lang: Lang) -> str:
        """Name an entity in a sentence."""
        if entity in self.entities and entity != MAPPED:
            return self.entities[entity][lang]
        return self.entities[MAPPED][lang].format(name=entity)

    def _class_entity(self, name: FeatureName) -> str:
        if not name.entity:
            return ANY
        return name.entity if name.entity in self.entities else MAPPED


def _build_spec(family: _Family, entity: str, code: str) -> ReasonSpec:
    prefix = "*" if entity in {MAPPED, ANY} else entity
    return ReasonSpec(
        code=code,
        name=family.name if entity == ANY else f"{entity}_{family.name}",
        entity=entity,
        label=family.label,
        patterns=tuple(prefix + _SEPARATOR + pattern for pattern in family.match),
        kind=family.kind,
        direction=family.direction,
        own_history=family.own_history and entity == "buyer",
        wordings=family.wordings,
        unknown=family.unknown,
    )


@cache
def load_registry() -> Registry:
    """Read the registry of reason codes that ships with the package.

    Returns
    -------
    the validated registry, read once

    Raises
    ------
    PolicyError
        The file is damaged.
    """
    text = resources.files("ordervet.policy").joinpath("reasons.yaml").read_text(encoding="utf-8")
    try:
        return Registry.model_validate(parse_yaml(text))
    except ValidationError as error:
        raise build_error("reasons.yaml", list_problems(error, Registry), hint=_HINT) from None
    except ValueError as error:
        raise PolicyError(f"reasons.yaml cannot be read: {error}", hint=_HINT) from error


_VALUE: Final = "\0"  # marks the number in a sentence: no name and no wording holds it


def write_sentence(code: str, feature: str, value: float, lang: Lang) -> str:
    """Write the sentence of a reason."""
    if not math.isfinite(value):
        return _build_sentence(feature, code, lang, None)
    statistic, form = _find_form(feature, value > 1.0)
    written = format_money(value, lang) if form == "money" else FORMS[form](value, lang)
    return _build_sentence(feature, code, lang, statistic, written == "1").replace(_VALUE, written)


# SPEED: most numbers that are quoted are small counts, and come again (bench_path.py).
@lru_cache(maxsize=65_536)
def write_item(code: str, feature: str, value: float | None, lang: Lang) -> str:
    """Write a reason's code and its sentence; a value of None is not known."""
    return f"{code} {write_sentence(code, feature, math.nan if value is None else value, lang)}"


# SPEED: a sentence is the same for every order but for its number (two thirds of the time of a single order).
@lru_cache(maxsize=4096)
def _build_sentence(feature: str, code: str, lang: Lang, statistic: str | None, is_one: bool = False) -> str:
    """Write a reason's sentence with a mark in place of the number; without a statistic it says what is not known."""
    registry, name = load_registry(), FeatureName.parse(feature)
    spec = registry.reasons[code]
    if statistic is None:
        wording = spec.unknown or registry.unknown.get(spec.entity, registry.unknown[ANY])
    else:
        own = [spec.wordings.get(key) for key in ([ONE] if is_one else []) + [statistic, ANY]]
        wording = next(filter(None, own), registry.statistics[statistic])
    column = registry.columns.get(name.column) or Words(zh=name.column, en=name.column)
    one = column.one or column[lang]
    text = wording[lang].format(
        entity=registry.name_entity(name.entity, lang),
        column=one if is_one and lang == "en" else column[lang],
        one=one,
        happened=column.happened or column[lang],
        statistic=name.statistic,
        window=format_window(name.window, lang),
        value=_VALUE,
        label=spec.label[lang],
        feature=feature,
    )
    return _tidy(text, lang)


@lru_cache(maxsize=4096)
def _find_form(feature: str, is_above_one: bool) -> tuple[str, str]:
    """Find by which statistic's wording a value is told, and how it is written."""
    registry, name = load_registry(), FeatureName.parse(feature)
    statistic = name.statistic if name.statistic in registry.statistics else "other"
    if statistic == "share" and is_above_one:
        statistic = "share_above_one"
    return statistic, registry.statistics[statistic].form or registry.forms.get(name.column, "number")


def _tidy(text: str, lang: Lang) -> str:
    """Close the gap an absent window leaves; begin an English sentence with a capital."""
    text = re.sub(r" +", " ", text).replace(" :", ":").strip()
    return text[:1].upper() + text[1:] if lang == "en" else text
