"""What policy, reason and script files are made of: bilingual texts, strict YAML, and everything wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from ordervet.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import yaml
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails
    from yaml.nodes import MappingNode

    from ordervet.words import Lang


class Text(BaseModel):
    """One text in both languages.

    Parameters
    ----------
    zh, en : the text, not empty
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]

    def __getitem__(self, lang: Lang) -> str:
        return self.zh if lang == "zh" else self.en


@cache
def _build_loader() -> Any:
    """Build the class of loaders that refuse what YAML allows and a person never means."""
    import yaml
    from yaml.constructor import ConstructorError

    # SPEED: the C loader reads the shipped scripts about ten times faster; PyYAML falls back where it was not built.
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class StrictLoader(base):  # type: ignore[misc]
        def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for at, (key_node, _) in enumerate(node.value):
                if keys[at] in keys[:at]:
                    raise ConstructorError(None, None, f"'{keys[at]}' is given twice", key_node.start_mark)
            mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
            return mapping

    return StrictLoader


def parse_yaml(text: str) -> Any:  # a document may be any plain value; pydantic checks it next
    """Read one YAML document made of mappings, lists, texts, numbers, booleans and nulls."""
    import yaml

    loader = _build_loader()
    try:
        tokens = yaml.scan(text, Loader=loader)
        # NOTE: aliases can make a short file grow without bound, and no one writes them by hand here.
        if any(isinstance(token, (yaml.AnchorToken, yaml.AliasToken)) for token in tokens):
            raise ValueError("anchors (&) and aliases (*) are not allowed: write the text out")
        return yaml.load(text, Loader=loader)  # noqa: S506  # a subclass of the safe loader
    except yaml.YAMLError as error:
        raise ValueError(_describe_in_one_line(error)) from error


def _describe_in_one_line(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or "not YAML"
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


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
    """Gather problems into the one error that is raised for a file."""
    noun = "setting" if len(problems) == 1 else "settings"
    lines = [f"{len(problems)} {noun} failed in {source}", *map(str, problems)]
    return PolicyError("\n".join(lines), hint=hint)


def list_problems(error: ValidationError, model: type[BaseModel], *, prefix: str = "") -> list[Problem]:
    """Turn pydantic's errors into problems with near misses for unknown names."""
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
