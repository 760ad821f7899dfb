"""Support scripts (话术): what to check, keep, say and never say, per kind of malice and stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.codes import Stage
from ordervet.policy.documents import Problem, Text, build_error, list_problems, parse_yaml
from ordervet.policy.registry import load_registry
from ordervet.policy.slots import build_values, check_slots, fill_slots
from ordervet.words import find_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordervet.policy.reasons import Reason
    from ordervet.words import Lang

GENERAL: Final = "general"
REVIEW: Final = "review"
GENERAL_ID: Final = f"{GENERAL}.{REVIEW}"
"""The script for reasons that point to no kind."""

MAX_FILE_BYTES: Final = 512 * 1024
"""Largest script file that is read."""

SCRIPT_PARTS: Final = (
    "goal", "innocent", "check", "evidence", "gentle", "firm", "never_say", "platform", "escalate", "record",
)  # fmt: skip
"""The parts in the order in which they are read; only gentle and firm are for the customer."""

_HINT: Final = "the shipped scripts show the form; load_scripts(DIR) checks a folder"


def _check_both(text: Text) -> Text:
    check_slots(text.zh)
    check_slots(text.en)
    return text


def _check_kind(name: str) -> str:
    return _check_one_of(name, (*map(str, MaliceKind), GENERAL))


def _check_stage(name: str) -> str:
    return _check_one_of(name, (*map(str, Stage), REVIEW))


def _check_one_of(name: str, allowed: tuple[str, ...]) -> str:
    if name not in allowed:
        raise ValueError(f"got '{name}', expected one of {', '.join(allowed)}")
    return name


KindName = Annotated[str, AfterValidator(_check_kind)]
StageName = Annotated[str, AfterValidator(_check_stage)]
SlotText = Annotated[Text, AfterValidator(_check_both)]
SlotTexts = Annotated[tuple[SlotText, ...], Field(min_length=1)]


class Wordings(BaseModel):
    """What may be said to the customer, in two tones.

    Parameters
    ----------
    firm, gentle : the message
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    firm: SlotText
    gentle: SlotText


class ScriptBody(BaseModel):
    """One stage of a script. Only ``say`` is for the customer.

    Parameters
    ----------
    goal : what the agent is to achieve
    innocent : who looks the same, and what tells them apart
    check : what to look at, in order
    evidence : what to keep, and where
    say : what may be said
    never_say : what never to say
    platform : what to do in the platform's back office
    escalate : when to hand over, and to whom
    record : what to write down
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    goal: SlotText
    innocent: SlotText
    check: SlotTexts
    evidence: SlotTexts
    say: Wordings
    never_say: SlotTexts
    platform: SlotTexts
    escalate: SlotTexts
    record: SlotTexts


class ScriptFile(BaseModel):
    """A script file: one kind, one or more stages.

    Parameters
    ----------
    kind : a kind of malice, or ``general``
    title : shown above the script
    stages : the script of each stage; ``review`` for ``general``
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: KindName
    title: Text
    stages: Annotated[dict[StageName, ScriptBody], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Script:
    """One support script.

    Parameters
    ----------
    id : kind and stage, such as ``coupon_farming.pre``
    title : shown above the script
    body : its parts, in both languages, slots unfilled
    """

    id: str
    title: Text
    body: ScriptBody


def load_scripts(folder: Path | str | None = None) -> Mapping[str, Script]:
    """Read the support scripts.

    Parameters
    ----------
    folder : the merchant's own ``*.yaml`` files; a stage in them takes the place of the shipped one or is added.
        None reads the shipped scripts alone

    Returns
    -------
    script id → script, ids ascending; cannot be changed

    Raises
    ------
    PolicyError
        The folder cannot be read or holds no script, or any file is wrong; all that is wrong is named at once.
    """
    shipped = _load_shipped()
    if folder is None:
        return shipped
    own = _parse_files(_read_folder(Path(folder)), source=Path(folder).name)
    return MappingProxyType(dict(sorted({**shipped, **own}.items())))


def script_for(
    kind: MaliceKind | str | None, stage: Stage | str | None = None, *, scripts: Mapping[str, Script] | None = None
) -> Script:
    """Choose the script for a kind and a stage. There is always one.

    Parameters
    ----------
    kind : a kind of malice; None or a kind without a script gives the general one
    stage : where the order stands; without a script for it, or None, the kind's earliest stage is taken
    scripts : from load_scripts; None takes the shipped ones

    Returns
    -------
    the script
    """
    known = load_scripts() if scripts is None else scripts
    stages = [stage, *Stage]
    for choice in (f"{kind}.{candidate}" for candidate in stages if candidate is not None):
        if choice in known:
            return known[choice]
    return known[GENERAL_ID]


def script_for_reasons(
    reasons: Sequence[Reason], kind: MaliceKind | str | None = None, *, scripts: Mapping[str, Script] | None = None
) -> Script:
    """Choose the script for an order from its reasons.

    Parameters
    ----------
    reasons : the strongest first
    kind : the kind that was named, which comes first
    scripts : from load_scripts; None takes the shipped ones

    Returns
    -------
    the named kind's script, at the stage of the first reason that points to it; else that of the first reason that
    points to any kind; else the general one
    """
    return _choose_script(tuple(reason.code for reason in reasons), kind, scripts)


@lru_cache(maxsize=16_384)
def find_script_id(codes: tuple[str, ...], kind: MaliceKind | str | None = None) -> str:
    """Return the id of the shipped script that `script_for_reasons` chooses for reasons of these codes."""
    return _choose_script(codes, kind, None).id


def _choose_script(
    codes: tuple[str, ...], kind: MaliceKind | str | None, scripts: Mapping[str, Script] | None
) -> Script:
    specs = [load_registry().reasons[code] for code in codes]
    pointing = [spec for spec in specs if spec.kind is not None and kind in {None, spec.kind}]
    if pointing:
        return script_for(pointing[0].kind, pointing[0].stage, scripts=scripts)
    return script_for(kind, scripts=scripts)


def show_script(
    script: Script, lang: Lang, values: Mapping[str, str | None] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the parts of a script in one language, with its slots filled, shown by name or left to a page.

    Parameters
    ----------
    script : from load_scripts
    lang : "zh" or "en"
    values : slot to text, None for one that there is not; without them the slots are shown by name

    Returns
    -------
    part to its texts, in the order of `SCRIPT_PARTS`; plain text, nothing escaped
    """
    filled = values if values is not None else find_words("slots", lang)
    parts: dict[str, tuple[str, ...]] = {}
    for name in SCRIPT_PARTS:
        part = getattr(script.body.say if name in {"gentle", "firm"} else script.body, name)
        texts = part if isinstance(part, tuple) else (part,)
        parts[name] = tuple(fill_slots(text[lang], filled) for text in texts)
    return parts


def write_messages(script: Script, order: Mapping[str, Any], *, lang: Lang, time_zone: str) -> tuple[str, str]:
    """Write the two messages of a script for one order, the only parts that are for the customer.

    Parameters
    ----------
    script : from load_scripts
    order : contract fields; only those of `SLOTS` are read
    lang : "zh" or "en"
    time_zone : IANA name of the zone the placing time is written in

    Returns
    -------
    the gentle and the firm one
    """
    values = build_values(order, lang=lang, time_zone=time_zone)
    say = script.body.say
    return fill_slots(say.gentle[lang], values), fill_slots(say.firm[lang], values)


@cache
def _load_shipped() -> Mapping[str, Script]:
    folder = resources.files("ordervet.policy").joinpath("scripts")
    files = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")}
    return MappingProxyType(dict(sorted(_parse_files(files, source="the shipped scripts").items())))


def _read_folder(folder: Path) -> dict[str, str]:
    """Read the script files of a folder."""
    if not folder.is_dir():
        raise PolicyError(f"the script folder {folder.name} does not exist", hint=_HINT)
    files = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
    if not files:
        raise PolicyError(f"the script folder {folder.name} holds no .yaml file", hint=_HINT)
    return {path.name: _read_file(path) for path in files}


def _read_file(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PolicyError(f"the script {path.name} is larger than {MAX_FILE_BYTES} bytes", hint=_HINT)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise PolicyError(f"the script {path.name} cannot be read: {reason}", hint=_HINT) from error


def _parse_files(files: Mapping[str, str], *, source: str) -> dict[str, Script]:
    """Turn script files into scripts."""
    problems: list[Problem] = []
    scripts: dict[str, Script] = {}
    for name, text in sorted(files.items()):
        try:
            parsed = ScriptFile.model_validate(parse_yaml(text))
        except ValidationError as error:
            problems += list_problems(error, ScriptFile, prefix=f"{name}: ")
        except ValueError as error:
            problems.append(Problem(name, str(error)))
        else:
            problems += _add_scripts(scripts, parsed, name)
    if problems:
        raise build_error(source, problems, hint=_HINT)
    return scripts


def _add_scripts(scripts: dict[str, Script], file: ScriptFile, name: str) -> list[Problem]:
    problems = []
    for stage, body in file.stages.items():
        script_id = f"{file.kind}.{stage}"
        if (stage == REVIEW) != (file.kind == GENERAL):
            problems.append(Problem(f"{name}: stages.{stage}", "the stage 'review' belongs to kind 'general' alone"))
        elif script_id in scripts:
            problems.append(Problem(f"{name}: stages.{stage}", f"the script {script_id} is given by another file too"))
        else:
            scripts[script_id] = Script(script_id, file.title, body)
    return problems
