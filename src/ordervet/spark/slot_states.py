"""What slots keep from one epoch to the next: a folder for each epoch, and in it a file for each slot that had events.

    STATES/_epochs.json                  the epochs that are complete: until when, and what was known then
    STATES/0001762012800000000/          by its end, UTC microseconds
        settle-3.npz                     of a slot of orders: the first sight of each, what waits for its order
        find-40.npz, compute-12.npz      of a slot of ids: the engine as `FeatureEngine.export_state` has it

A slot goes on from its latest file of an earlier epoch. A file is complete or not there, and written again it is the
same: tasks may fail and run twice. An epoch that was not completed is done again.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ordervet import storage
from ordervet.errors import ContractError, HistoryError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

    from ordervet.contract import EventKind

_EPOCHS = "_epochs.json"
_HEADER = "header"


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that is complete.

    Parameters
    ----------
    until_us : its end, UTC microseconds
    known : number and digests of its events, per kind
    """

    until_us: int
    known: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class SlotStates:
    """The states of one epoch and of those before it.

    Parameters
    ----------
    folder : of all, which every worker sees
    described : features, slots and key; states of others are of no use
    until_us : the end of this epoch, UTC microseconds
    earlier : the ends of complete epochs before it, the latest first
    """

    folder: str
    described: str
    until_us: int
    earlier: tuple[int, ...]

    @property
    def since_us(self) -> int | None:
        """Where this epoch begins; None for the first."""
        return self.earlier[0] if self.earlier else None

    def load(self, stage: str, slot: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Load what a slot has kept; None where it had no event yet."""
        for until_us in self.earlier:
            path = self._find(until_us, stage, slot)
            if path.exists():
                with np.load(path, allow_pickle=False) as arrays:
                    found = dict(arrays)
                return found, json.loads(found.pop(_HEADER).tobytes())
        return None

    def save(self, stage: str, slot: int, arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> None:
        """Keep what a slot has."""
        told = np.frombuffer(json.dumps(header).encode(), np.uint8)

        def write(file: IO[bytes]) -> None:
            np.savez(file, allow_pickle=False, **{_HEADER: told}, **arrays)

        path = self._find(self.until_us, stage, slot)
        storage.write_file(path, write)

    def complete(self, frames: Mapping[EventKind, DataFrame]) -> None:
        """Note that all slots have kept what they have, and of which events."""
        kept = [each for each in _list_epochs(self.folder, self.described) if each.until_us in self.earlier]
        (known,) = _digest(frames, [self.since_us, self.until_us])
        _write_epochs(self.folder, self.described, [*kept, Epoch(self.until_us, known)])

    def _find(self, until_us: int, stage: str, slot: int) -> Path:
        return Path(self.folder) / _name_epoch(until_us) / f"{stage}-{slot}.npz"


def open_states(folder: str, described: str, until_us: int, frames: Mapping[EventKind, DataFrame]) -> SlotStates:
    """Open the states from before an epoch, as far as what they have seen is what there is.

    Where an event came later than its epoch, is not what it was, or was erased, its epoch and those after it are
    removed: the one to come begins before them.

    Raises
    ------
    ContractError
        The frames do not say when events were seen.
    HistoryError
        The states are of other features, slots or another key.
    """
    for kind, frame in frames.items():
        if "seen_at" not in frame.columns:
            raise ContractError(
                f"the DataFrame of {kind} has no seen_at, by which epochs part events",
                hint="read_history gives frames that have it",
            )
    epochs = [each for each in _list_epochs(folder, described) if each.until_us < until_us]
    found = _digest(frames, [None, *(each.until_us for each in epochs)])
    is_same = [each.known == known for each, known in zip(epochs, found, strict=True)]
    n_kept = is_same.index(False) if False in is_same else len(epochs)
    kept = epochs[:n_kept]
    _write_epochs(folder, described, kept)
    for path in Path(folder).glob("[0-9]" * 19):  # NOTE: as `_name_epoch` names them, and nothing else that lies there
        if path.name not in {_name_epoch(each.until_us) for each in kept}:
            shutil.rmtree(path)
    return SlotStates(folder, described, until_us, tuple(each.until_us for each in reversed(kept)))


def _digest(frames: Mapping[EventKind, DataFrame], bounds: Sequence[int | None]) -> list[dict[str, list[int]]]:
    """Count and digest the events between bounds, per kind; whatever the order of rows and columns."""
    ends = [bound for bound in bounds[1:] if bound is not None]
    since = "" if bounds[0] is None else f" AND unix_micros(seen_at) >= {bounds[0]}"
    found: list[dict[str, list[int]]] = [{} for _ in ends]
    if not ends:
        return found
    epoch = f"size(filter(array({', '.join(f'{end}L' for end in ends)}), e -> unix_micros(seen_at) >= e))"
    for kind, frame in frames.items():
        columns = ", ".join(f"`{name}`" for name in sorted(frame.columns))
        told = frame.filter(f"unix_micros(seen_at) < {ends[-1]}{since}")
        told = told.selectExpr(f"{epoch} AS epoch", f"xxhash64({columns}) AS code")
        for row in told.groupBy("epoch").agg(*_count_codes()).collect():
            found[row["epoch"]][str(kind)] = [row["n"], row["odd"], int(row["total"])]
    return found


def _count_codes() -> list[Column]:
    from pyspark.sql.functions import expr

    sums = ("count(*) AS n", "bit_xor(code) AS odd", "sum(cast(code AS decimal(38, 0))) AS total")
    return [expr(each) for each in sums]


def _name_epoch(until_us: int) -> str:
    return f"{until_us:019d}"


def _write_epochs(folder: str, described: str, epochs: Sequence[Epoch]) -> None:
    told = [{"until_us": each.until_us, "known": each.known} for each in epochs]
    storage.write_text(Path(folder) / _EPOCHS, json.dumps({"described": described, "epochs": told}, indent=1))


def _list_epochs(folder: str, described: str) -> list[Epoch]:
    """List the complete epochs, the earliest first."""
    path = Path(folder) / _EPOCHS
    if not path.exists():
        return []
    held = json.loads(path.read_text(encoding="utf-8"))
    if held["described"] != described:
        raise HistoryError(
            f"the states of {path.parent.name} are of {held['described']}, expected {described}",
            hint="give another folder of states: they are built again, from all events",
        )
    return [Epoch(each["until_us"], each["known"]) for each in held["epochs"]]
