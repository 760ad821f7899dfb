"""A new key for a history: its ids are built again from the raw orders, since nobody can derive them from the old ids.

Only orders carry personal data; all later events are keyed by the id of their order, which is not personal. So a
rotation needs the orders as they were ingested. Each stored order is matched to one of them *under the old key*, by its
id and the ids of all its entities; its other columns, and with them what was known when, stay as stored.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.entities.ids import hash_texts
from ordervet.entities.keyed import EVIDENCE, ID, ORDER_ID, complete_columns, key_orders, keyed_schema
from ordervet.errors import HistoryError, KeyMismatchError
from ordervet.history import delta
from ordervet.history.delta import describe_errors, sync_table
from ordervet.history.erased import carry_over, has_tombstones, write_tombstones
from ordervet.history.handed import HANDED
from ordervet.history.identity import identify
from ordervet.history.journal import commit_journal
from ordervet.history.lock import WriterLock
from ordervet.history.store import History, check_lasting
from ordervet.history.stored_rows import Positions, fit_rows, sort_rows, unite_schemas
from ordervet.storage import PRIVATE_FOLDER, swap_folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ordervet.entities.keys import Key

    Columns = dict[str, NDArray[np.uint64]]

__all__ = ["Rotated", "rotate_key"]

POLICIES = "_policies"  # of `ordervet.policy`, which is above
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did.

    Parameters
    ----------
    n_orders, n_later : orders and later events in the store under the new key
    n_dropped_orders, n_dropped_later : those dropped, because no file had their orders
    n_dropped_erasures : erased buyers of whom no file has an order: what held of them cannot be kept out any more
    """

    n_orders: int
    n_later: int
    n_dropped_orders: int
    n_dropped_later: int
    n_dropped_erasures: int


def rotate_key(
    path: str | Path, old: Key, new: Key, orders: Sequence[pa.Table], *, drop_uncovered: bool = False
) -> Rotated:
    """Change the key of a history: all of it, or nothing.

    A new store is built beside the old one and replaces it in one step, which is on the disk before the old one is
    removed. Journals and snapshots belong to the old key and are removed with it.

    Parameters
    ----------
    path : folder of the history
    old : its present key
    new : its future key
    orders : canonical raw orders tables of all sources of the history; orders it does not hold (never ingested, or
        erased) are ignored
    drop_uncovered : drop orders that are not among them, with all their later events

    Raises
    ------
    HistoryError
        Orders of the history are missing from `orders`; it cannot be read or written; or another process is writing it.
    KeyMismatchError
        The old key is not the history's, or the new one is the same or lives only as long as this process.
    """
    folder = Path(path).resolve()
    beside = folder.with_name(f".{folder.name}.rotation")
    _check_keys(folder, old, new, beside)
    with describe_errors(folder, "written"), WriterLock(folder).held():
        # NOTE: leftovers of a killed rotation are never the history, which is whole before the swap and after.
        shutil.rmtree(beside, ignore_errors=True)
        commit_journal(folder, old)
        rows = delta.open_dataset(folder, delta.load_table(folder)).to_table()
        is_covered, ids = _find_again(rows, orders, old, new)
        if not (is_covered.all() or drop_uncovered):
            raise _uncovered(rows, is_covered, orders, old, folder)
        kept = _keep_with_orders(rows, is_covered)
        rekeyed = _rekey(rows, ids, new).filter(pa.array(kept))
        with removed_after(beside):
            write_store(beside, rekeyed, new)
            n_dropped_erasures = _carry_over(folder, beside, orders, old, new)
            with WriterLock(beside).held():
                exchange_folders(beside, folder)
    is_order = _is_order(rows)
    return Rotated(
        n_orders=int((is_order & kept).sum()),
        n_later=int((~is_order & kept).sum()),
        n_dropped_orders=int((is_order & ~kept).sum()),
        n_dropped_later=int((~is_order & ~kept).sum()),
        n_dropped_erasures=n_dropped_erasures,
    )


def _check_keys(folder: Path, old: Key, new: Key, beside: Path) -> None:
    check_lasting(new, folder)
    is_done = (
        delta.has_table(folder) and delta.load_table(folder).metadata().configuration.get(delta.KEY_ID) == new.key_id
    )
    if is_done:
        # A rotation that was killed after the swap has only this left to do.
        shutil.rmtree(beside, ignore_errors=True)
    if is_done or old.key_id == new.key_id:
        raise KeyMismatchError(
            f"the history {folder.name} is under key {new.key_id} already; there is nothing to do",
            hint="use that key from now on, or create another: ordervet key new",
        )
    History.open(folder, old)


def _find_again(
    rows: pa.Table, orders: Sequence[pa.Table], old: Key, new: Key
) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.int64]]]:
    """Match each stored order to a raw one.

    Returns
    -------
    shape (n_rows,), whether a row is matched, or no order; and per id column the ids under the new key
    """
    raw = [table for table in orders if table.num_rows]
    before, after = ([key_orders(table, key) for table in raw] for key in (old, new))
    names = sorted(name for name in rows.column_names if name.startswith((ID, EVIDENCE)))
    stored, found, fresh = _columns([rows], names), _columns(before, names), _columns(after, names)
    is_order = _is_order(rows)
    at = Positions(_mix(found).view(np.int64)).find(_mix(stored).view(np.int64))
    is_same = at >= 0
    for name in names if len(_mix(found)) else ():
        is_same &= stored[name] == found[name][at]
    ids = {
        name: np.where(is_same, fresh[name][at], 0).view(np.int64) if len(fresh[name]) else np.zeros(len(at), np.int64)
        for name in names
        if name.startswith(ID) and name != ORDER_ID
    }
    return is_same | ~is_order, ids


def _columns(tables: Sequence[pa.Table], names: Sequence[str]) -> Columns:
    """Read ids and evidence of all tables as unsigned numbers; columns a table lacks are 0 and absent."""
    schema = keyed_schema("orders", names)
    wanted = pa.schema([schema.field(name) for name in names])
    whole = [complete_columns(_to_unsigned(table.select([n for n in names if n in table.column_names])), wanted)
             for table in tables]  # fmt: skip
    joined = pa.concat_tables([wanted.empty_table(), *whole])
    return {name: np.asarray(pc.cast(joined[name], pa.uint64(), safe=False)) for name in names}


def _to_unsigned(table: pa.Table) -> pa.Table:
    columns = {
        name: pc.cast(table[name], pa.uint64(), safe=False) if name.startswith(ID) else table[name]
        for name in table.column_names
    }
    return pa.table(columns)


def _mix(columns: Columns) -> NDArray[np.uint64]:
    mixed = np.zeros(len(columns[ORDER_ID]), np.uint64)
    for column in columns.values():
        mixed = (mixed ^ column) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _is_order(rows: pa.Table) -> NDArray[np.bool_]:
    return np.asarray(pc.equal(pc.cast(rows["event"], pa.string()), "order"))


def _keep_with_orders(rows: pa.Table, is_covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which rows belong to no dropped order."""
    order_ids = np.asarray(rows[ORDER_ID])
    return ~np.isin(order_ids, order_ids[~is_covered])


def _rekey(rows: pa.Table, ids: dict[str, NDArray[np.int64]], key: Key) -> pa.Table:
    schema = unite_schemas([rows])
    is_order = pa.array(_is_order(rows))
    fresh = {name: pc.if_else(is_order, pa.array(column), None) for name, column in ids.items()}
    order_ids = hash_texts(rows["order_id"], key, "order").view(np.int64)
    columns = {name: rows[name] for name in rows.column_names} | fresh | {ORDER_ID: pa.array(order_ids)}
    return identify(fit_rows(pa.table(columns), schema), key)


def write_store(folder: Path, rows: pa.Table, key: Key) -> None:
    """Write rows to a new store, and count what it has."""
    folder.mkdir(mode=PRIVATE_FOLDER)
    delta.create_table(folder, key.key_id)
    table = delta.load_table(folder)
    if rows.num_rows:
        delta.append_rows(table, sort_rows(rows))
        table.update_incremental()
    sync_table(folder, delta.live_files(table))
    n_written = delta.open_dataset(folder, delta.load_table(folder)).count_rows()
    if n_written != rows.num_rows:
        raise HistoryError(
            f"the new store has {n_written:,} rows, expected {rows.num_rows:,}; nothing was changed",
            hint="check the disk, and run it again",
        )


def _carry_over(folder: Path, beside: Path, orders: Sequence[pa.Table], old: Key, new: Key) -> int:
    """Give the new store what the desk and its policies left beside the old one, and its erasures.

    Returns
    -------
    how many erased buyers are in none of the orders
    """
    for name in (HANDED, POLICIES):
        if (folder / name).is_dir():
            shutil.copytree(folder / name, beside / name)
        elif (folder / name).exists():
            shutil.copy2(folder / name, beside / name)
    if not has_tombstones(folder):
        return 0
    raw = [table for table in orders if table.num_rows]
    text, n_dropped = carry_over(folder, old, new, [(key_orders(each, old), key_orders(each, new)) for each in raw])
    write_tombstones(beside, text)
    return n_dropped


def exchange_folders(beside: Path, folder: Path) -> None:
    """Put a new store in the place of the old one, in one step."""
    try:
        swap_folders(beside, folder)
    except OSError as error:
        raise HistoryError(
            f"two folders cannot be exchanged here: {error.strerror}; nothing was changed",
            hint="copy the history to a local disk (ext4, xfs, btrfs, APFS), do it there, and copy it back",
        ) from None


@contextmanager
def removed_after(folder: Path) -> Iterator[None]:
    """Remove a folder after the block, whatever happens in it."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _uncovered(
    rows: pa.Table, is_covered: NDArray[np.bool_], orders: Sequence[pa.Table], key: Key, folder: Path
) -> HistoryError:
    """Report how many orders from when are not in the files, or are there with other details."""
    left = rows.filter(pa.array(~is_covered))
    given = pa.chunked_array([column for table in orders for column in table["order_id"].chunks], pa.string())
    is_differing = np.isin(np.asarray(left[ORDER_ID]), hash_texts(given, key, "order").view(np.int64))
    n_later = rows.num_rows - int(_keep_with_orders(rows, is_covered).sum()) - left.num_rows
    span = pc.min_max(left["happened_at"])
    first, last = (span[end].as_py().strftime("%Y-%m-%d %H:%M") for end in ("min", "max"))
    n_orders = int(_is_order(rows).sum())
    return HistoryError(
        f"{left.num_rows:,} of {n_orders:,} orders of the history {folder.name} are not in the files as they were "
        f"brought in; nothing was changed\n"
        f" - not in the files: {left.num_rows - int(is_differing.sum()):,}; there with other personal details: "
        f"{int(is_differing.sum()):,}\n"
        f" - placed from {first} to {last} (UTC); {n_later:,} later events belong to them",
        hint="name every file they came from; orders that only a running scorer saw are in no file: "
        "--drop-uncovered leaves these out",
    )
