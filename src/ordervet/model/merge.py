"""Several forests as one: a weighted sum of log-odds, written as one text of LightGBM's.

      starter.txt × 0.5                      one text over the features of both
      ├── Tree=0  split_feature=2 0    →     ├── Tree=0    split_feature=7 5    leaf_value × 0.5
      └── Tree=1                             ├── Tree=1
      own.txt × 0.9                          ├── Tree=2    its features as they were, leaf_value × 0.9
      └── Tree=0                       →     └── …

The compiled forest and LightGBM read the same text, so they agree on the sum to the last bit, and a row's contributions
are those of both, weighted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ordervet.errors import ModelError
from ordervet.model.forest import RESTORE_HINT

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Keys of a tree that are in units of the score.
_VALUES = ("leaf_value", "internal_value")
#: Keys of the head that name no feature, and are the same in all forests of a sum.
_HEAD = ("version", "num_class", "num_tree_per_iteration", "label_index", "objective")


def merge_boosters(parts: Sequence[tuple[str, float]], names: tuple[str, ...], more_trees: Sequence[str] = ()) -> str:
    """Write the weighted sum of boosters as one.

    Parameters
    ----------
    parts : each booster's text and weight; a weight of 0 leaves its trees out, one of 1 leaves their values as they are
    names : features of the sum, in column order; all of each booster's are among them
    more_trees : trees over those features, without their numbers, that stand behind all others

    Raises
    ------
    ModelError
        A text is damaged, a feature is missing, or the boosters are of different forms.
    """
    used = [(_split(text), weight) for text, weight in parts if weight]
    if not used:
        raise ModelError("no booster has a weight, so there is nothing to sum", hint=RESTORE_HINT)
    heads = [{key: head.get(key) for key in _HEAD} for (head, _), _ in used]
    if any(head != heads[0] for head in heads):
        raise ModelError("boosters of different forms cannot be summed", hint=RESTORE_HINT)
    trees: list[str] = []
    for (head, sections), weight in used:
        place = _find_places(head, names)
        trees += [_rewrite(section, place, weight) for section in sections]
    trees += more_trees
    infos: dict[str, str] = {}
    for (head, _), _ in used:
        infos |= dict(zip(head["feature_names"].split(), head.get("feature_infos", "").split(), strict=False))
    head_lines = [
        "tree",
        *(f"{key}={value}" for key, value in heads[0].items() if value is not None),
        f"max_feature_idx={len(names) - 1}",
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join(infos.get(name, 'none') for name in names)}",
    ]
    numbered = [f"Tree={number}\n{tree}\n\n" for number, tree in enumerate(trees)]
    return "\n".join(head_lines) + "\n\n" + "".join(numbered) + "end of trees\n"


def _split(text: str) -> tuple[dict[str, str], list[str]]:
    """Split a text into the head's keys and the trees' sections, each without its number."""
    body, found, _ = text.partition("end of trees\n")
    head, *sections = re.split(r"^Tree=\d+\n", body, flags=re.MULTILINE)
    if not found or not sections:
        raise ModelError("the booster's text ends before its trees do", hint=RESTORE_HINT)
    keys = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    if "feature_names" not in keys:
        raise ModelError("the booster's text does not name its features", hint=RESTORE_HINT)
    return keys, [section.rstrip("\n") for section in sections]


def _find_places(head: dict[str, str], names: tuple[str, ...]) -> list[str]:
    position = {name: str(at) for at, name in enumerate(names)}
    missing = [name for name in head["feature_names"].split() if name not in position]
    if missing:
        raise ModelError(f"{len(missing)} features are missing in the sum: {', '.join(missing[:5])}", hint=RESTORE_HINT)
    return [position[name] for name in head["feature_names"].split()]


def _rewrite(section: str, place: list[str], weight: float) -> str:
    """Write a tree with its features at their places and its values times a weight."""
    lines = []
    for line in section.splitlines():
        key, _, value = line.partition("=")
        words = value.split()
        if key == "split_feature":
            words = [place[int(word)] for word in words]
        elif key in _VALUES and weight != 1:
            words = [repr(float(word) * weight) for word in words]
        else:
            lines.append(line)
            continue
        lines.append(f"{key}={' '.join(words)}")
    return "\n".join(lines)
