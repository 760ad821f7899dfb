"""What is wrong with a policy, reason or script file, collected and raised once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from ordervet.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

MAX_SHOWN: Final = 60
"""Longest observed value in a message, in characters."""

# Steps of pydantic's path that are not in the file: the chosen form of a union, the key of a mapping.
_NOT_IN_FILE: Final = frozenset({"explicit", "expected_cost", "[key]"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    where : the setting's path, such as ``bands.high``
    what : what was found and what is allowed
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f" - '{self.where}': {self.what}" if self.where else f" - {self.what}"


def build_error(source: str, problems: Sequence[Problem], *, hint: str) -> PolicyError:
    """Gather problems into the one error that is raised for a file.

    Parameters
    ----------
    source : the file's name, without its folder
    problems : at least one
    hint : the one action that fixes it

    Returns
    -------
    the error, to be raised by the caller
    """
    noun = "setting" if len(problems) == 1 else "settings"
    lines = [f"{len(problems)} {noun} failed in {source}", *map(str, problems)]
    return PolicyError("\n".join(lines), hint=hint)


def list_problems(error: ValidationError, model: type[BaseModel], *, prefix: str = "") -> list[Problem]:
    """Turn pydantic's errors into problems with near misses for unknown names.

    Parameters
    ----------
    error : what pydantic raised
    model : the model that was validated, for the names it knows
    prefix : put before each path, such as a file's name

    Returns
    -------
    one problem per error, in pydantic's order
    """
    known = set(_list_names(model))
    return [Problem(prefix + _join_path(details["loc"]), _describe(details, known)) for details in error.errors()]


def _join_path(loc: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in loc if part not in _NOT_IN_FILE)


def _describe(details: ErrorDetails, known: set[str]) -> str:
    if details["type"] == "missing":
        return "is missing"
    if details["type"] == "extra_forbidden":
        near = get_close_matches(str(details["loc"][-1]), known, n=1)
        return "is not a setting" + (f", did you mean '{near[0]}'?" if near else "")
    if details["type"] == "value_error":
        return details["msg"].removeprefix("Value error, ")
    if details["type"] == "union_tag_invalid":
        found = details["ctx"]
        name = found["discriminator"].strip("'")
        return f"got {name} = '{found['tag']}', expected {found['expected_tags']}"
    if details["type"] == "model_type":
        return f"got {_shorten(repr(details['input']))}, expected a mapping of settings"
    expected = re.sub(r"^\w+ should (be|have) ", "", details["msg"])
    return f"got {_shorten(repr(details['input']))}, expected {expected}"


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _list_names(model: type[BaseModel]) -> Iterable[str]:
    for name, schema in model.model_json_schema().get("$defs", {}).items():
        yield from schema.get("properties", {name: None})
    yield from model.model_fields
