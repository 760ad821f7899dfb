"""Checks what may be said to a customer: no accusation, reason, threat, promise or personal data, nothing untrue."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from ordervet.entities.characters import fold_char
from ordervet.errors import PolicyError
from ordervet.policy.codes import Stage
from ordervet.policy.documents import parse_yaml
from ordervet.policy.reason_registry import load_registry
from ordervet.policy.scripts import load_scripts
from ordervet.policy.slots import REQUIRED_SLOTS, SLOTS, fill_slots
from ordervet.words import LANGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ordervet.policy.scripts import Script
    from ordervet.words import Lang

# Shorter pieces of a reason's wording are everyday words.
_MIN_FRAGMENT: Final[dict[Lang, int]] = {"zh": 5, "en": 14}
_CUTS: Final[dict[Lang, str]] = {"zh": r"\{\w+\}|[,;:。]", "en": r"\{\w+\}"}
_CLAUSE_ENDS: Final[dict[Lang, str]] = {"zh": "[，。；？！～：]", "en": r"[,.;?!:]\s"}
_IFS: Final[dict[Lang, str]] = {
    "zh": "如果|如需|如有|若|要是",
    "en": r"\s*(and |or )?(if|once|when|should|where|whether)\b",
}
_JOINERS: Final = "·•・.*-_~+/|｜＊"
_SLOT: Final = re.compile(r"\{[{%].*?[%}]\}", flags=re.DOTALL)
_PERSONAL: Final = re.compile(
    r"(?<!\d)1[3-9]\d(?:[ \-·.]?\d{4}){2}(?!\d)|(?<!\d)\d{17}[\dxX](?!\w)|[\w.+-]+@[\w-]+\.\w+|(?:\d{1,3}\.){3}\d{1,3}"
)
_REASON_CODE: Final = re.compile(r"(?<![a-z0-9])r[ ._\-]?\d{3}(?!\d)", flags=re.IGNORECASE)
_SPACED_WORD: Final = re.compile(r"(?<![a-z0-9])(?:[a-z][ .\-_*·]){3,}[a-z](?![a-z0-9])")

# Letters of other alphabets that look like Latin ones, and Chinese digits.
_LOOK_ALIKES: Final = str.maketrans("аеорсхуіјѕвнкмтαοερικντυ", "aeopcxyijsbhkmtaoepikvtu")
_DIGITS: Final = str.maketrans("零〇幺一二三四五六七八九壹贰叁肆伍陆柒捌玖", "001123456789123456789")


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: Annotated[list[str], Field(min_length=1)]
    en: Annotated[list[str], Field(min_length=1)]


class _Forbidden(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    accusation: _Words
    internal: _Words
    threat: _Words
    promise: _Words


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    holds_at: list[Stage]
    fails_at: list[Stage]
    holds: dict[str, list[str]]
    fails: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a script must not do.

    Parameters
    ----------
    script : the script's id
    where : the text, such as ``say.firm.zh``
    rule : accusation, internal, threat, promise, personal, fact or slot
    found : what was found
    """

    script: str
    where: str
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.script, self.where)))}: {self.rule}: {self.found}"


def lint_text(text: str) -> list[tuple[str, str]]:
    """Find what a text for a customer must not hold, in either language.

    Full-width and invisible characters, letter case, and blanks or joiners inside a Chinese word hide nothing.

    Parameters
    ----------
    text : what would be sent, slots filled or not

    Returns
    -------
    (rule, what was found), each once, in the order of the rules; empty for a clean text
    """
    plain = _normalise(text)
    joined = _join_chinese(plain)
    english_text = f"{plain} {' '.join(_join_spaced(plain))}"
    found: dict[tuple[str, str], None] = {}
    for rule, chinese, english in _load_forbidden():
        for match in (*chinese.finditer(joined), *english.finditer(english_text)):
            found[rule, match[0]] = None
    for match in _REASON_CODE.finditer(plain):
        found["internal", match[0]] = None
    for fragment in _list_fragments():
        if fragment in joined or fragment in plain:
            found["internal", fragment] = None
    for match in _PERSONAL.finditer(_SLOT.sub(" ", plain).translate(_DIGITS)):
        found["personal", f"{len(match[0])} characters that look like personal data"] = None
    for name in _list_slot_names(text):
        if name not in SLOTS:
            found["personal", f"slot {name}"] = None
    return list(found)


def lint_facts(text: str, stage: Stage, lang: Lang) -> list[str]:
    """Find what a text takes for granted that is not so, or not known, at a stage.

    Parameters
    ----------
    text : what would be said, slots filled or not
    stage : how far the order has come
    lang : of the text

    Returns
    -------
    the wordings, in the order of the facts; empty for a text that is true
    """
    joined = _SLOT.sub(" ", text).casefold() if lang == "en" else _join_chinese(_SLOT.sub("", text))
    claimed = "\n".join(clause for clause in re.split(_CLAUSE_ENDS[lang], joined) if not re.match(_IFS[lang], clause))
    found = []
    for fact in _load_facts().values():
        wrong = [] if stage in fact.holds_at else fact.holds[lang]
        wrong = wrong if stage in fact.fails_at else [*wrong, *fact.fails[lang]]
        found += [match[0] for pattern in wrong for match in re.finditer(pattern, claimed)]
    return found


def lint_scripts(scripts: Mapping[str, Script] | None = None) -> list[Finding]:
    """Check scripts: clean and true texts for the customer, slots every order fills.

    Parameters
    ----------
    scripts : from load_scripts; None takes the shipped ones

    Returns
    -------
    what is wrong, in the order of the scripts; empty when all is well
    """
    known = load_scripts() if scripts is None else scripts
    return [finding for script in known.values() for finding in _lint_script(script)]


def _lint_script(script: Script) -> Iterator[Finding]:
    stage = Stage(script.id.rpartition(".")[2])
    for tone, text in (("firm", script.body.say.firm), ("gentle", script.body.say.gentle)):
        for lang in LANGS:
            yield from (Finding(script.id, f"say.{tone}.{lang}", *result) for result in lint_text(text[lang]))
            yield from (
                Finding(script.id, f"say.{tone}.{lang}", "fact", found) for found in lint_facts(text[lang], stage, lang)
            )
    for lang in LANGS:
        untrue = lint_facts(script.body.goal[lang], stage, lang)
        yield from (Finding(script.id, f"goal.{lang}", "fact", found) for found in untrue)
    for where, words in _list_texts(script):
        values: dict[str, str | None] = {slot: (slot if slot in REQUIRED_SLOTS else None) for slot in SLOTS}
        try:
            fill_slots(words, values)
        except PolicyError as error:
            yield Finding(script.id, where, "slot", error.message)


def _list_texts(script: Script) -> Iterator[tuple[str, str]]:
    """Walk through every text of a script with its path."""
    stack: list[tuple[str, object]] = [("", script.body.model_dump())]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            stack += [(f"{path}.{name}".lstrip("."), part) for name, part in value.items()]
        elif isinstance(value, tuple):
            stack += [(f"{path}.{number}", part) for number, part in enumerate(value)]


def _normalise(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    visible = "".join(character for character in plain if unicodedata.category(character) not in {"Cf", "Mn"})
    return "".join(map(fold_char, visible)).translate(_LOOK_ALIKES)


def _join_spaced(text: str) -> list[str]:
    """Read words whose letters stand apart (``f r a u d``)."""
    return [
        "".join(character for character in match[0] if character.isalpha()) for match in _SPACED_WORD.finditer(text)
    ]


def _join_chinese(text: str) -> str:
    """Remove blanks and joiners, which can stand between Chinese characters without hiding their meaning."""
    return "".join(character for character in text if not character.isspace() and character not in _JOINERS)


def _list_slot_names(text: str) -> list[str]:
    """List the first name in every ``{{ … }}`` and ``{% if … %}``, whatever else stands there."""
    return re.findall(r"\{(?:\{|%-?\s*(?:el)?if\s+(?:not\s)?)-?\s*(\w+)", text)


@cache
def _load_facts() -> dict[str, _Fact]:
    text = resources.files("ordervet.policy").joinpath("facts.yaml").read_text(encoding="utf-8")
    return {name: _Fact.model_validate(fact) for name, fact in parse_yaml(text).items()}


@cache
def _load_forbidden() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]:
    text = resources.files("ordervet.policy").joinpath("forbidden.yaml").read_text(encoding="utf-8")
    forbidden = _Forbidden.model_validate(parse_yaml(text))
    rules = []
    for rule in _Forbidden.model_fields:
        words: _Words = getattr(forbidden, rule)
        chinese = re.compile("|".join(map(re.escape, words.zh)))
        english = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(_build_word_pattern, words.en))})(?![a-z])")
        rules.append((rule, chinese, english))
    return tuple(rules)


def _build_word_pattern(word: str) -> str:
    return re.escape(word).replace(r"\ ", r"\s+").replace(r"\*", "[a-z]*")


@cache
def _list_fragments() -> tuple[str, ...]:
    """List the pieces of all reason wordings that are long enough to be recognised."""
    registry = load_registry()
    texts = [spec.label for spec in registry.reasons.values()]
    texts += [text for spec in registry.reasons.values() for text in spec.wordings.values()]
    texts += [spec.unknown for spec in registry.reasons.values() if spec.unknown is not None]
    texts += [*registry.statistics.values(), *registry.unknown.values()]
    pieces = [_cut(text.zh, "zh") + _cut(text.en, "en") for text in texts]
    return tuple(sorted({piece for cut in pieces for piece in cut}))


def _cut(words: str, lang: Lang) -> list[str]:
    """Cut a wording at its slots, and Chinese at its characters, and keep the pieces that can be recognised."""
    plain = _normalise(words) if lang == "en" else _join_chinese(_normalise(words))
    pieces = [piece.strip(" ,:'“”") for piece in re.split(_CUTS[lang], plain)]
    return [piece for piece in pieces if len(piece) >= _MIN_FRAGMENT[lang]]
