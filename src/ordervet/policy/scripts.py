"""Support scripts (话术): what to check, keep, say and never say, per kind of malice and stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.codes import Stage
from ordervet.policy.problems import Problem, build_error, list_problems
from ordervet.policy.registry import load_registry
from ordervet.policy.slots import build_values, check_slots, fill_slots
from ordervet.policy.texts import Text, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ordervet.policy.codes import Lang
    from ordervet.policy.reasons import Reason

GENERAL: Final = "general"
REVIEW: Final = "review"
GENERAL_ID: Final = f"{GENERAL}.{REVIEW}"
"""The script for reasons that point to no kind."""

MAX_FILE_BYTES: Final = 512 * 1024
"""Largest script file that is read."""

_HINT: Final = (
    "`ordervet scripts check --scripts DIR` checks a folder; `ordervet scripts show ID` shows a shipped script"
)


def _check_both(text: Text) -> Text:
    check_slots(text.zh)
    check_slots(text.en)
    return text


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

    kind: MaliceKind | Literal["general"]
    title: Text
    stages: Annotated[dict[Stage | Literal["review"], ScriptBody], Field(min_length=1)]


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


@dataclass(frozen=True, slots=True)
class RenderedScript:
    """A script in one language with its slots filled, for one order. Only ``firm`` and ``gentle`` are for the customer.

    Parameters
    ----------
    id, title, goal, innocent, check, evidence, never_say, platform, escalate, record : as in Script and ScriptBody
    firm, gentle : the two messages
    """

    id: str
    title: str
    goal: str
    innocent: str
    check: tuple[str, ...]
    evidence: tuple[str, ...]
    firm: str
    gentle: str
    never_say: tuple[str, ...]
    platform: tuple[str, ...]
    escalate: tuple[str, ...]
    record: tuple[str, ...]


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
    specs = [load_registry().reasons[reason.code] for reason in reasons]
    pointing = [spec for spec in specs if spec.kind is not None and kind in {None, spec.kind}]
    if pointing:
        return script_for(pointing[0].kind, pointing[0].stage, scripts=scripts)
    return script_for(kind, scripts=scripts)


def render(
    script: Script, order: Mapping[str, Any], *, lang: Lang = "zh", time_zone: str = "Asia/Shanghai"
) -> RenderedScript:
    """Fill a script's slots for one order.

    Parameters
    ----------
    script : from load_scripts or script_for
    order : contract fields; only those on the allow-list (`slots.SLOTS`) are read
    lang : "zh" or "en"
    time_zone : IANA name of the zone the placing time is written in

    Returns
    -------
    plain text, nothing escaped

    Raises
    ------
    PolicyError
        The order lacks a field every order has, or the script quotes another one unguarded.
    """
    values = build_values(order, lang=lang, time_zone=time_zone)
    body = script.body

    def one(text: Text) -> str:
        return fill_slots(text[lang], values)

    def many(texts: Iterable[Text]) -> tuple[str, ...]:
        return tuple(map(one, texts))

    return RenderedScript(
        id=script.id,
        title=script.title[lang],
        goal=one(body.goal),
        innocent=one(body.innocent),
        check=many(body.check),
        evidence=many(body.evidence),
        firm=one(body.say.firm),
        gentle=one(body.say.gentle),
        never_say=many(body.never_say),
        platform=many(body.platform),
        escalate=many(body.escalate),
        record=many(body.record),
    )


@cache
def _load_shipped() -> Mapping[str, Script]:
    folder = resources.files("ordervet.policy").joinpath("scripts")
    files = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")}
    return MappingProxyType(dict(sorted(_parse_files(files, source="the shipped scripts").items())))


def _read_folder(folder: Path) -> dict[str, str]:
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
    """Parse files by name, gathering what is wrong in all of them."""
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
