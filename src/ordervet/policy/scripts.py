"""Support scripts (话术): what to check, keep, say and never say, per kind of malice and stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.claims import ClaimAnswer
from ordervet.policy.codes import GENERAL, QUOTA, Stage
from ordervet.policy.documents import Problem, Text, build_error, list_problems, parse_yaml
from ordervet.policy.slots import build_values, check_slots, fill_slots
from ordervet.words import find_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ordervet.words import Lang

MAX_FILE_BYTES: Final = 512 * 1024
"""Largest script file that is read."""

SCRIPT_PARTS: Final = (
    "goal", "innocent", "check", "evidence", "gentle", "firm", "never_say", "platform", "escalate", "record",
)  # fmt: skip
"""The parts in the order in which they are read; only gentle and firm are for the customer."""

ANSWERED: Final = tuple(str(answer) for answer in ClaimAnswer if answer is not ClaimAnswer.PERSON)
"""Answers to a refund request, which have a script of their own at the stage ``claim``."""

_HINT: Final = "the shipped scripts show the form; load_scripts(DIR) checks a folder"


def _check_both(text: Text) -> Text:
    check_slots(text.zh)
    check_slots(text.en)
    return text


def _check_kind(name: str) -> str:
    return _check_one_of(name, (*map(str, MaliceKind), GENERAL, QUOTA, *ANSWERED))


def _check_stage(name: str) -> str:
    return _check_one_of(name, tuple(Stage))


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


class ScriptParts(BaseModel):
    """Parts of a script as a file gives them; see `ScriptBody`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    goal: SlotText | None = None
    innocent: SlotText | None = None
    check: SlotTexts | None = None
    evidence: SlotTexts | None = None
    say: Wordings | None = None
    never_say: SlotTexts | None = None
    platform: SlotTexts | None = None
    escalate: SlotTexts | None = None
    record: SlotTexts | None = None

    def list_given(self) -> dict[str, Any]:
        """Return the parts that are given, by name."""
        return {name: part for name in type(self).model_fields if (part := getattr(self, name)) is not None}


class ScriptBody(ScriptParts):
    """One script. Only ``say`` is for the customer.

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
    """A script file: one kind, any of its stages.

    A part that a stage does not give is the kind's common one, or else that of the general script of the stage.

    Parameters
    ----------
    kind : a kind of malice, ``general``, ``quota``, or an answer to a refund request
    title : shown above the script
    common : parts that hold at every stage
    stages : further parts of each stage
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: KindName
    title: Text
    common: ScriptParts = ScriptParts()
    stages: Annotated[dict[StageName, ScriptParts], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Script:
    """One support script.

    Parameters
    ----------
    id : kind and stage, such as ``coupon_farming.paid``
    title : shown above the script
    body : its parts, in both languages, slots unfilled
    """

    id: str
    title: Text
    body: ScriptBody


def load_scripts(folder: Path | str | None = None) -> Mapping[str, Script]:
    """Read the support scripts: for every kind, quotas, and in general, at every stage; for every answer to a claim.

    Parameters
    ----------
    folder : the merchant's own ``*.yaml`` files, whose parts take the place of the shipped ones. None reads the shipped
        scripts alone

    Returns
    -------
    script id → script, ids ascending; cannot be changed

    Raises
    ------
    PolicyError
        The folder cannot be read or holds no script, or any file is wrong; all that is wrong is named at once.
    """
    if folder is None:
        return _load_shipped()
    own = _parse_files(_read_folder(Path(folder)), source=Path(folder).name)
    return _complete([_parse_shipped(), own])


def script_for(
    kind: MaliceKind | str | None, stage: Stage | str, *, scripts: Mapping[str, Script] | None = None
) -> Script:
    """Choose the script for a kind and a stage. There is always one.

    Parameters
    ----------
    kind : a kind of malice; None or a kind without a script gives the general one
    stage : how far the order has come
    scripts : from load_scripts; None takes the shipped ones

    Returns
    -------
    the script
    """
    known = load_scripts() if scripts is None else scripts
    return known.get(f"{kind}.{stage}") or known[f"{GENERAL}.{stage}"]


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
    return _complete([_parse_shipped()])


@cache
def _parse_shipped() -> Mapping[str, ScriptFile]:
    folder = resources.files("ordervet.policy").joinpath("scripts")
    files = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")}
    return _parse_files(files, source="the shipped scripts")


def _complete(layers: Sequence[Mapping[str, ScriptFile]]) -> Mapping[str, Script]:
    """Build every script from what files say of it, a later layer over an earlier one."""
    scripts = {}
    for kind in (GENERAL, QUOTA, *MaliceKind, *ANSWERED):
        files = [layer[kind] for layer in layers if kind in layer]
        general = [layer[GENERAL] for layer in layers if GENERAL in layer]
        for stage in (Stage.CLAIM,) if kind in ANSWERED else Stage:
            parts: dict[str, Any] = {}
            for file in (*general, *files):
                parts |= file.common.list_given() | file.stages.get(stage, ScriptParts()).list_given()
            scripts[f"{kind}.{stage}"] = Script(f"{kind}.{stage}", files[-1].title, ScriptBody.model_construct(**parts))
    return MappingProxyType(dict(sorted(scripts.items())))


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


def _parse_files(files: Mapping[str, str], *, source: str) -> dict[str, ScriptFile]:
    """Parse script files, one per kind."""
    problems: list[Problem] = []
    parsed: dict[str, ScriptFile] = {}
    for name, text in sorted(files.items()):
        try:
            file = ScriptFile.model_validate(parse_yaml(text))
        except ValidationError as error:
            problems += list_problems(error, ScriptFile, prefix=f"{name}: ")
        except ValueError as error:
            problems.append(Problem(name, str(error)))
        else:
            if file.kind in parsed:
                problems.append(Problem(f"{name}: kind", f"the scripts of {file.kind} are given by another file too"))
            parsed[file.kind] = file
    if problems:
        raise build_error(source, problems, hint=_HINT)
    return parsed
