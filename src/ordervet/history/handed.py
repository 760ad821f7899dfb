"""The orders that were handed on to the desk: a file beside the history, one JSON line each, written by its writer."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from ordervet.errors import HistoryError
from ordervet.storage import create_private, sync, write_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

# NOTE: files and folders that begin with an underscore are no data to Delta; no clean-up removes them.
HANDED: Final = "_handed.jsonl"


class HandedOrder(NamedTuple):
    """An order that was handed on.

    Parameters
    ----------
    order_id : its id
    seen_at : since when the order is known, UTC microseconds: it says which window's slot was taken
    handed_at : when it was handed on, UTC microseconds
    takes_slot : whether it took a slot of the review capacity
    """

    order_id: str
    seen_at: int
    handed_at: int
    takes_slot: bool


def read_handed(history: Path) -> list[HandedOrder]:
    """Read what was handed on, the oldest first; of a repeated order the first line counts.

    A line that a crash cut off is left out: it was not acknowledged.

    Raises
    ------
    HistoryError
        The file is damaged.
    """
    path = history / HANDED
    if not path.exists():
        return []
    found: dict[str, HandedOrder] = {}
    *whole, _ = path.read_text(encoding="utf-8").split("\n")
    try:
        for line in whole:
            handed = HandedOrder(*json.loads(line))
            found.setdefault(handed.order_id, handed)
    except (ValueError, TypeError):
        raise HistoryError(
            f"{HANDED} of the history {history.name} is damaged", hint="restore it, or move it away: the queue forgets"
        ) from None
    return list(found.values())


def record_handed(history: Path, orders: Iterable[HandedOrder], *, syncs: bool = True) -> None:
    """Add orders that are handed on; only the history's writer may.

    Parameters
    ----------
    history : its folder
    orders : what is added
    syncs : whether they survive a crash of the machine when this returns; without, one of the process
    """
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in orders)
    if not lines:
        return
    path = history / HANDED
    if _is_cut(path):
        forget_handed(history, ())
    create_private(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        if syncs:
            os.fsync(file.fileno())
    if syncs:
        sync(history)


def mend_handed(history: Path, damaged: bytes) -> None:
    """Write again those lines of a damaged file that can be read."""
    kept = []
    for line in damaged.splitlines(keepends=True):
        try:
            HandedOrder(*json.loads(line.decode()))
        except (ValueError, TypeError):
            continue
        kept.append(line.decode())
    write_text(history / HANDED, "".join(kept))


def _is_cut(path: Path) -> bool:
    """Return whether a crash has cut the last line off."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def forget_handed(history: Path, order_ids: Collection[str]) -> None:
    """Remove orders, as an erasure does, and whatever a crash cut off."""
    kept = [each for each in read_handed(history) if each.order_id not in order_ids]
    if (history / HANDED).exists():
        write_text(history / HANDED, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in kept))
