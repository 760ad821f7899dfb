"""Texts in both languages, and the YAML files they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field
from yaml.constructor import ConstructorError

if TYPE_CHECKING:
    from collections.abc import Hashable

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


# SPEED: the C loader reads the shipped scripts about ten times faster; PyYAML falls back where it was not built.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Base):  # type: ignore[misc]
    """Refuses what YAML allows and a person never means."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for at, (key_node, _) in enumerate(node.value):
            if keys[at] in keys[:at]:
                raise ConstructorError(None, None, f"'{keys[at]}' is given twice", key_node.start_mark)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def parse_yaml(text: str) -> Any:  # noqa: ANN401  # a document may be any plain value; pydantic checks it next
    """Read one YAML document made of mappings, lists, texts, numbers, booleans and nulls.

    Parameters
    ----------
    text : the document

    Returns
    -------
    plain Python values

    Raises
    ------
    ValueError
        The text is not such a document; the message says where and why in one line.
    """
    try:
        tokens = yaml.scan(text, Loader=_StrictLoader)
        # NOTE: aliases can make a short file grow without bound, and no one writes them by hand here.
        if any(isinstance(token, (yaml.AnchorToken, yaml.AliasToken)) for token in tokens):
            raise ValueError("anchors (&) and aliases (*) are not allowed: write the text out")
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a subclass of the safe loader
    except yaml.YAMLError as error:
        raise ValueError(_say_in_one_line(error)) from error


def _say_in_one_line(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or "not YAML"
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)
