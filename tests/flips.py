"""Flip bits of everything that is kept, one at a time: found and named, or harmless, as all that is read is the same.

``python tests/flips.py 2000 7`` flips so many bits of each kind by a seed (``make flips``); a small number runs in the
suite (`tests/history/test_flips.py`).
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from history_events import build_events, order, outcome, verdict
from ordervet.entities import Key
from ordervet.errors import OrdervetError
from ordervet.history import History
from ordervet.history.damage import check_history
from ordervet.history.journal import Entry, create_journal, read_journal
from ordervet.history.snapshots import load_snapshot, save_snapshot
from ordervet.model import find_bundled_models, load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

KEY = Key(bytes(range(16)))
N_EVENTS = 40


@dataclass(frozen=True)
class Kept:
    """Something on the disk.

    Parameters
    ----------
    files : that are flipped
    read : reads all of it, and returns what can be compared; None where a loss was named
    restore : brings back what reading has changed
    """

    files: list[Path]
    read: Callable[[Path], object]
    restore: Callable[[], None] = lambda: None


def build_history(folder: Path) -> History:
    """A history of several commits, one of them compacted."""
    history = History.open(folder, KEY, create=True)
    for day in range(1, 4):
        names = [f"{day}-{at}" for at in range(N_EVENTS)]
        history.ingest(
            build_events(
                orders=[order(name, f"2025-11-0{day}", buyer_id=f"b{name}") for name in names],
                outcomes=[outcome(name) for name in names[::3]],
                verdicts=[verdict(name) for name in names[::5]],
            )
        )
        if day == 2:
            history.compact()
    return history


def build_data(folder: Path) -> Kept:
    """Data files of a history."""
    history = build_history(folder)
    return Kept(history.list_files(), lambda _: history.read())


def build_log(folder: Path) -> Kept:
    """The log of a history, which names its data files."""
    build_history(folder)
    return Kept(sorted((folder / "_delta_log").glob("*.json")), lambda _: History.open(folder, KEY).read())


def build_digests(folder: Path) -> Kept:
    """The digests themselves."""
    history = build_history(folder)
    whole = history.read()

    def read(path: Path) -> object:
        faults = [each.name for each in check_history(folder, KEY) if each.is_fault]
        assert faults in ([], [path.name])
        rows = history.read()
        return None if faults and rows == whole else rows

    return Kept([folder / "_digests.txt"], read)


def build_journal(folder: Path) -> Kept:
    """A journal that a scorer left behind when it died."""
    (folder / "whole").mkdir(parents=True)
    journal = create_journal(folder / "whole", "batch")
    entries = [Entry(is_repeat=False, lines=b'{"event":"order","event_id":%d}\n' % at * 30) for at in range(N_EVENTS)]
    for entry in entries:
        journal.append(entry)
    journal.sync()
    left = {path.name: path.read_bytes() for path in (folder / "whole").iterdir()}
    journal.close()
    files = [folder / name for name in left if not name.endswith("-shm")]

    def restore() -> None:
        for name, content in left.items():
            (folder / name).write_bytes(content)

    def read(_: Path) -> object:
        said: list[str] = []
        listener = logging.Handler()
        listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("ordervet").addHandler(listener)
        found = read_journal(files[0].with_name(journal.path.name))
        logging.getLogger("ordervet").removeHandler(listener)
        assert all(entry in entries for entry in found.entries)
        n_lost = len(entries) - len(found.entries)
        # NOTE: an end that is damaged looks like the end that a writer was writing when it died.
        is_torn = n_lost == 1 and found.entries == entries[:-1] and any("torn entry" in each for each in said)
        return None if n_lost and (len(found.damaged) >= n_lost or is_torn) else found.entries

    restore()
    return Kept(files, read, restore)


def build_snapshot(folder: Path) -> Kept:
    """A snapshot of a state."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    arrays = {name: rng.integers(0, 256, (200, width), np.uint8) for name, width in (("ids", 8), ("events", 28))}
    snapshot = save_snapshot(folder, arrays, {"last_seen_at": 7}, KEY)

    def read(_: Path) -> object:
        got = load_snapshot(snapshot, KEY)
        return got.header, {name: array.tobytes() for name, array in got.arrays.items()}

    return Kept([snapshot / "arrays.bin", snapshot / "header.json"], read)


def build_model(folder: Path, names: Iterable[str]) -> Kept:
    """Files of a model."""
    source = next(path.parent for path in find_bundled_models().glob("*/manifest.json"))
    shutil.copytree(source, folder)

    def read(_: Path) -> object:
        model = load_model(folder)
        return model.model_id, model.build_manifest(), model.booster_text, model.kinds and model.kinds.booster_text

    return Kept([folder / name for name in names if (folder / name).exists()], read)


KINDS: dict[str, Callable[[Path], Kept]] = {
    "data": build_data,
    "log": build_log,
    "digests": build_digests,
    "journal": build_journal,
    "snapshot": build_snapshot,
    "model text": lambda folder: build_model(folder, ("model.txt", "kinds.txt")),
    "manifest": lambda folder: build_model(folder, ("manifest.json",)),
}


def flip_bits(kind: str, folder: Path, n_flips: int, seed: int) -> Counter[str]:
    """Flip bits of one kind, each alone, and count what became of them.

    Returns
    -------
    how many were found, and how many are harmless; anything else is an error

    Raises
    ------
    AssertionError
        A flip changed what is read, and nobody said so.
    """
    kept = KINDS[kind](folder)
    before = kept.read(kept.files[0])
    kept.restore()
    rng, counts = np.random.default_rng(seed), Counter[str]()
    for at in rng.integers(0, len(kept.files), n_flips).tolist():
        path = kept.files[at]
        with flipped(path, int(rng.integers(0, 8 * path.stat().st_size))):
            try:
                after = kept.read(path)
            except OrdervetError as error:
                after, fault = None, error
            else:
                fault = None
        assert fault is None or is_named(kind, path, fault), f"{kind}: {path.name} is not named: {fault}"
        assert after is None or after == before, f"{kind}: {path.name} reads differently, and nobody said so"
        counts["found" if after is None else "harmless"] += 1
        kept.restore()
    return counts


def is_named(kind: str, path: Path, error: OrdervetError) -> bool:
    """Return whether an error names what is damaged."""
    named = {"snapshot": path.parent.name, "journal": "journal", "model text": path.parent.name}
    named |= {"manifest": path.parent.name}
    return bool(error.hint) and named.get(kind, path.name) in error.message


class flipped:  # noqa: N801 - reads as a verb
    """A file with one bit flipped, while the block runs."""

    def __init__(self, path: Path, bit: int) -> None:
        self._path, self._whole, self._bit = path, path.read_bytes(), bit

    def __enter__(self) -> None:
        changed = bytearray(self._whole)
        changed[self._bit // 8] ^= 1 << self._bit % 8
        self._path.write_bytes(bytes(changed))

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._whole)


def run(n_flips: int, kinds: Iterable[str], seed: int) -> Iterator[tuple[str, Counter[str]]]:
    """Flip bits of some kinds."""
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder:
            yield kind, flip_bits(kind, Path(folder) / "kept", n_flips, seed)


if __name__ == "__main__":
    logging.getLogger("ordervet").propagate = False
    for name, found in run(int(sys.argv[1]), sys.argv[3:] or KINDS, int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        print(f"{name}: {found['found']:,} found and named, {found['harmless']:,} harmless", flush=True)  # noqa: T201
