"""What the disk has changed in a history: find all of it, name it, and repair what can be repaired.

    what                           found by                        repaired from
    data file                      its digest                      a backup; else the rows of all whole data files, also
                                                                   those from before the last compactions
    file of the log                its digest                      a backup; else the table is made again of those rows
    journal                        the chain of its entries        itself: all other entries are read
    snapshot                       its seal and its digests        the history, which is replayed
    digests                        the sum of each line            the files
    what was handed on, erasures   each line, the document         a backup; lines that can be read stay

Nothing is thrown away: what is replaced stays in the folder as ``_damaged-NAME`` until a buyer is erased.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from ordervet.entities.ids import hash_texts
from ordervet.entities.keyed import ORDER_ID
from ordervet.errors import HistoryError, KeyMismatchError
from ordervet.history import delta
from ordervet.history.delta import describe_errors
from ordervet.history.digests import DIGESTS, digest_file, find_damaged, mend_digests, read_digests
from ordervet.history.erased import ERASED, find_erased, has_tombstones
from ordervet.history.handed import HANDED, mend_handed, read_handed
from ordervet.history.journal import inspect_journal, list_journals
from ordervet.history.lock import LOCK_NAME, WriterLock
from ordervet.history.rotate import exchange_folders, removed_after, write_store
from ordervet.history.snapshots import FOLDER as SNAPSHOTS
from ordervet.history.snapshots import list_snapshots, load_snapshot
from ordervet.history.stored_rows import fit_rows, read_ints, unite_schemas, views_of
from ordervet.storage import sync

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ordervet.entities.keys import Key

State = Literal["whole", "damaged", "missing", "believed"]
_FAULTS: Final = frozenset({"damaged", "missing"})
_RESTORED: Final = frozenset({"log", "data", "erased"})
_KEPT: Final = "_damaged-"
_NOT_CARRIED: Final = frozenset({delta.LOG_FOLDER, DIGESTS, LOCK_NAME, SNAPSHOTS})


@dataclass(frozen=True, slots=True)
class Checked:
    """One file of a history, as it was found.

    Parameters
    ----------
    kind : log, data, digests, journal, snapshot, handed or erased; or published, of a copy
    name : in the folder; of a copy its address
    state : "believed": it can be read, and has no digest to compare it with
    n_lost : entries that are lost, of a journal
    """

    kind: str
    name: str
    state: State
    n_lost: int = 0

    @property
    def is_fault(self) -> bool:
        """Whether it is damaged or missing."""
        return self.state in _FAULTS


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did.

    Parameters
    ----------
    restored : files copied from the backup
    kept : names under which damaged files stay in the folder
    n_rows : rows in the table now
    n_lost : rows that the newest version had and no whole file has; None where its log could not be read
    """

    restored: list[str]
    kept: list[str]
    n_rows: int
    n_lost: int | None


def check_history(folder: Path, key: Key) -> list[Checked]:
    """Check every file of a history; nothing is changed.

    Parameters
    ----------
    folder : of the history
    key : the identifier key, which seals snapshots

    Raises
    ------
    HistoryError
        There is no history.
    """
    folder = folder.resolve()
    if not delta.has_table(folder):
        raise HistoryError(
            f"there is no history in {folder.name}", hint="create one: ordervet ingest FILE... --history DIR"
        )
    digests = read_digests(folder, from_start=True)
    live = _read_live(folder)
    log = {f"{delta.LOG_FOLDER}/{each.name}" for each in (folder / delta.LOG_FOLDER).iterdir() if each.is_file()}
    checked = _check("log", folder, log.union(delta.list_missing(folder, log)), digests.of)
    if live is None and not any(each.is_fault for each in checked):
        checked = [Checked("log", delta.LOG_FOLDER, "damaged"), *checked]
    checked += _check("data", folder, delta.list_data_files(folder) | set(live or ()), digests.of, live)
    if digests.n_damaged:
        checked.append(Checked("digests", DIGESTS, "damaged"))
    return [*checked, *_check_beside(folder, key)]


def repair_history(folder: Path, key: Key, backup: Path | None = None) -> Repaired:
    """Repair a history: from a backup what it has, else from what is whole.

    Parameters
    ----------
    folder : of the history
    key : the identifier key
    backup : an earlier copy of the folder

    Raises
    ------
    HistoryError
        Another process is writing; nothing is whole; what was erased is not known any more; or it cannot be written.
    KeyMismatchError
        The history has another key.
    """
    folder = folder.resolve()
    with describe_errors(folder, "written"), WriterLock(folder).held():
        faults = [each for each in check_history(folder, key) if each.is_fault]
        restored, kept = _restore(folder, key, backup.resolve(), faults) if backup else ([], [])
        faults = [each for each in check_history(folder, key) if each.is_fault]
        kinds = {each.kind for each in faults}
        if "erased" in kinds:
            raise HistoryError(
                f"{ERASED} of the history {folder.name} is damaged: who was erased is not known",
                hint="restore it from a backup: ordervet history verify --history DIR --repair --backup DIR",
            )
        for each in faults:
            if each.kind == "snapshot":
                shutil.rmtree(folder / each.name)
        if "handed" in kinds:
            kept.append(_keep(folder, HANDED))
            mend_handed(folder, (folder / kept[-1]).read_bytes())
        mend_digests(folder)
        n_before = _count_rows(folder)
        if kinds & {"log", "data"}:
            kept += _rebuild(folder, key)
        n_rows = _count_rows(folder) or 0
        return Repaired(restored, kept, n_rows, None if n_before is None else max(n_before - n_rows, 0))


def _check(
    kind: str, folder: Path, names: set[str], digests: dict[str, bytes], sizes: dict[str, int] | None = None
) -> list[Checked]:
    damaged = set(find_damaged(folder, names, sizes))
    checked = []
    for name in sorted(names):
        path = folder / name
        if not path.is_file():
            state: State = "missing"
        elif name in damaged:
            state = "damaged"
        elif name in digests:
            state = "whole"
        else:
            state = "damaged" if kind == "data" and _read_file(path) is None else "believed"
        checked.append(Checked(kind, name, state))
    return checked


def _check_beside(folder: Path, key: Key) -> list[Checked]:
    """Check what lies beside the table: journals, snapshots, what was handed on, who was erased."""
    checked = []
    with tempfile.TemporaryDirectory() as scratch:
        for path in list_journals(folder):
            try:
                found = inspect_journal(path, Path(scratch))
                checked.append(
                    Checked("journal", path.name, "damaged" if found.damaged else "whole", len(found.damaged))
                )
            except HistoryError:
                checked.append(Checked("journal", path.name, "damaged"))
    for path in list_snapshots(folder):
        try:
            load_snapshot(path, key)
            checked.append(Checked("snapshot", f"{SNAPSHOTS}/{path.name}", "whole"))
        except HistoryError:
            checked.append(Checked("snapshot", f"{SNAPSHOTS}/{path.name}", "damaged"))
    for kind, name, read in (("handed", HANDED, read_handed), ("erased", ERASED, has_tombstones)):
        if (folder / name).exists():
            try:
                read(folder)
                checked.append(Checked(kind, name, "believed"))
            except HistoryError:
                checked.append(Checked(kind, name, "damaged"))
    return checked


def _read_live(folder: Path) -> dict[str, int] | None:
    """Read the data files of the newest version and their sizes; None where its log cannot be read."""
    try:
        with describe_errors(folder, "read"):
            return delta.read_sizes(delta.load_table(folder))
    except HistoryError:
        return None


def _count_rows(folder: Path) -> int | None:
    """Count the rows that the log says the newest version has; None where it cannot be read."""
    try:
        with describe_errors(folder, "read"):
            return delta.count_rows(delta.load_table(folder))
    except HistoryError:
        return None


def _restore(folder: Path, key: Key, backup: Path, faults: Iterable[Checked]) -> tuple[list[str], list[str]]:
    """Copy what a backup has whole, and as it was written here; return it, and the names of what it replaced."""
    whole = {each.name for each in check_history(backup, key) if each.state in ("whole", "believed")}
    known, restored, kept = read_digests(folder).of, [], []
    for name in (each.name for each in faults if each.kind in _RESTORED and each.name in whole):
        if name in known and digest_file(backup / name) != known[name]:
            continue
        kept += [_keep(folder, name)] if (folder / name).exists() else []
        draft = folder / f"{_KEPT}draft"
        shutil.copyfile(backup / name, draft)
        sync(draft)
        draft.replace(folder / name)
        restored.append(name)
    sync(folder, folder / delta.LOG_FOLDER)
    return restored, kept


def _keep(folder: Path, name: str) -> str:
    """Move a file to where nothing reads it; return its name there."""
    kept = _KEPT + name.replace("/", "-")
    (folder / name).replace(folder / kept)
    return kept


def _rebuild(folder: Path, key: Key) -> list[str]:
    """Build the table again, beside and then in place of the old one, from all data files that are whole."""
    live, known = _read_live(folder) or {}, read_digests(folder).of
    # NOTE: a file that no log names and that has no digest was never committed.
    names = [*live, *sorted(delta.list_data_files(folder) & set(known) - set(live))]
    damaged = set(find_damaged(folder, names))
    read = {name: None if name in damaged else _read_file(folder / name) for name in names}
    rows = _unite([table for table in read.values() if table is not None])
    _check_key(rows, key, folder)
    is_erased = find_erased(folder, key, rows)
    rows = rows if is_erased is None else rows.filter(pa.array(~is_erased))
    kept = [_keep(folder, name) for name, table in read.items() if table is None and (folder / name).exists()]
    beside = folder.with_name(f".{folder.name}.repair")
    shutil.rmtree(beside, ignore_errors=True)
    with removed_after(beside):
        write_store(beside, rows, key)
        for path in folder.iterdir():
            if path.name.startswith("_") and path.name not in _NOT_CARRIED:
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, beside / path.name)
        with WriterLock(beside).held():
            exchange_folders(beside, folder)
    return kept


def _unite(tables: list[pa.Table]) -> pa.Table:
    """Put rows of several files together; a row that was compacted is in more than one of them."""
    schema = unite_schemas(tables)
    rows = pa.concat_tables([schema.empty_table(), *(fit_rows(table, schema).cast(schema) for table in tables)])
    pairs = np.stack([read_ints(rows["event_id"]), views_of(rows)])
    _, first = np.unique(pairs, axis=1, return_index=True)
    return rows.take(pa.array(np.sort(first)))


def _check_key(rows: pa.Table, key: Key, folder: Path) -> None:
    """Check that rows have the ids of a key: the log that names it may be lost."""
    names = read_ints(pc.coalesce(rows["name_id"], rows[ORDER_ID]))
    if not rows.num_rows:
        raise HistoryError(
            f"no data file of the history {folder.name} is whole",
            hint="create a new history: ordervet ingest FILE... --history DIR",
        )
    if (hash_texts(rows["order_id"], key, "order").view(np.int64) != names).any():
        raise KeyMismatchError(
            f"the history {folder.name} has another key", hint="set ORDERVET_KEY_FILE to the key that it was made with"
        )


def _read_file(path: Path) -> pa.Table | None:
    """Read a data file whole; None where it cannot be read."""
    try:
        # NOT: by name. A file that is cut off ends the process, where threads of Arrow's own are reading it.
        table = parquet.ParquetFile(pa.BufferReader(path.read_bytes())).read(use_threads=False)
        table.validate(full=True)
    except (OSError, pa.ArrowException):
        return None
    return table
