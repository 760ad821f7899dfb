"""Support scripts (话术): what to check, keep, say and never say, per kind of malice and stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ordervet.policy.codes import Stage
from ordervet.policy.registry import load_registry
from ordervet.policy.script_files import GENERAL_ID, parse_files, read_folder
from ordervet.policy.slots import build_values, fill_slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ordervet.contract import MaliceKind
    from ordervet.policy.reasons import Reason
    from ordervet.policy.script_files import Script
    from ordervet.policy.texts import Text
    from ordervet.words import Lang


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
    own = parse_files(read_folder(Path(folder)), source=Path(folder).name)
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
    """Give the id of the shipped script that `script_for_reasons` chooses for reasons of these codes."""
    return _choose_script(codes, kind, None).id


def _choose_script(
    codes: tuple[str, ...], kind: MaliceKind | str | None, scripts: Mapping[str, Script] | None
) -> Script:
    specs = [load_registry().reasons[code] for code in codes]
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
    return MappingProxyType(dict(sorted(parse_files(files, source="the shipped scripts").items())))
