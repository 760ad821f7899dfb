"""Support scripts as files: their form, and how files become scripts, everything wrong in them named at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ordervet.contract import MaliceKind
from ordervet.errors import PolicyError
from ordervet.policy.codes import Stage
from ordervet.policy.problems import Problem, build_error, list_problems
from ordervet.policy.slots import check_slots
from ordervet.policy.texts import Text, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GENERAL: Final = "general"
REVIEW: Final = "review"
GENERAL_ID: Final = f"{GENERAL}.{REVIEW}"
"""The script for reasons that point to no kind."""

MAX_FILE_BYTES: Final = 512 * 1024
"""Largest script file that is read."""

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


def read_folder(folder: Path) -> dict[str, str]:
    """Read the script files of a folder.

    Parameters
    ----------
    folder : holds ``*.yaml`` or ``*.yml`` files; others are left alone

    Returns
    -------
    file name → text

    Raises
    ------
    PolicyError
        The folder does not exist or holds no script, or a file cannot be read.
    """
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


def parse_files(files: Mapping[str, str], *, source: str) -> dict[str, Script]:
    """Turn script files into scripts.

    Parameters
    ----------
    files : file name → text
    source : where the files come from, for messages

    Returns
    -------
    script id → script

    Raises
    ------
    PolicyError
        Any file is wrong; all that is wrong in all of them is named at once.
    """
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
