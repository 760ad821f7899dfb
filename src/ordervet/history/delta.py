"""The store's table as Delta Lake keeps it on the disk. No other module calls `deltalake`."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ordervet.entities.keyed import ORDER_ID
from ordervet.entities.keys import KEY_RULES, check_key_id
from ordervet.errors import ForkedError, HistoryError
from ordervet.history.digests import (
    check_files,
    describe_damage,
    forget_digests,
    read_digests,
    record_digests,
)
from ordervet.history.stored_rows import (
    EVENT_OF,
    LatestViews,
    fit_rows,
    read_ints,
    row_schema,
    sort_rows,
    unite_schemas,
)
from ordervet.history.views import DECISION
from ordervet.object_stores import find_address, find_place
from ordervet.storage import sync

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from deltalake import CommitProperties, DeltaTable, WriterProperties
    from deltalake.transaction import AddAction, RemoveAction

    from ordervet.entities.keys import Key

#: Increased when the meaning of rows changes; a store of an unknown protocol is refused. Protocol 1 has no views: every
#: row is the first view of its event, so that a store of it is read as it is, and is of protocol 2 once it is written.
STORE_PROTOCOL = 2
_READABLE_PROTOCOLS = ("1", "2")
KEY_ID, PROTOCOL, RULES = "ordervet.key_id", "ordervet.protocol", "ordervet.key_rules"
_MILLISECOND_US = 1_000
#: SPEED: a row group is the least that is read of one order (places.py). All rows are read a tenth more slowly than in
#: groups of four times as many.
ROWS_PER_GROUP = 2**15

# NOTE: Delta keeps the smallest and largest values of these columns in its log, which erasing does not rewrite:
# times only, never an id.
_STATISTICS = {"delta.dataSkippingStatsColumns": "seen_at,happened_at"}
LOG_FOLDER = "_delta_log"
_POSITION = "ordervet.position/"
"""Before the name of a source: Delta keeps one whole number per name, with the rows of the same commit."""
_IDENTITIES = (
    "event", "event_id", ORDER_ID, "name_id", "order_uid", "shop_id", "view", "seen_at", "recorded_at", "outcome",
)  # fmt: skip
OF_JUDGEMENTS = ("order_id", "verdict", "agent")
#: How Delta names data files, finished or cut off while being written.
_DATA_FILE = re.compile(r"^part-.*\.parquet(#\d+)?$")
_LOG_FILE = re.compile(rf"(?:{LOG_FOLDER}/)?(\d{{20}})\.(?:json|checkpoint\..*parquet|checkpoint\.parquet)")
_LAST_CHECKPOINT = "_last_checkpoint"
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DAY_MS = 86_400_000
_OPENED_BY: dict[str, int] = {}
"""The process that opened the first table."""


def create_table(folder: Path, key_id: str) -> None:
    """Create an empty store in an existing folder."""
    _check_process()
    from deltalake import DeltaTable

    settings = settings_for(key_id) | _STATISTICS
    DeltaTable.create(folder, row_schema(), mode="ignore", configuration=settings, raise_if_key_not_exists=False)
    sync_table(folder, ())


def settings_for(key_id: str) -> dict[str, str]:
    """Build the metadata of a store, or of a copy of its rows."""
    return {KEY_ID: key_id, PROTOCOL: str(STORE_PROTOCOL), RULES: str(KEY_RULES)}


def load_table(folder: Path, version: int | None = None) -> DeltaTable:
    """Open a version of a store, by default the newest.

    Raises
    ------
    HistoryError
        The log is not as it was written.
    """
    _check_process()
    from deltalake import DeltaTable

    _check_log(folder, version)
    return DeltaTable(folder, version=version)


def open_dataset(folder: Path, table: DeltaTable, names: Collection[str] | None = None) -> ds.Dataset:
    """Open the rows of a version.

    Parameters
    ----------
    folder : of the store
    table : the version
    names : of the data files whose rows are wanted; None for all. Others are neither checked nor read

    Raises
    ------
    HistoryError
        A data file is not as it was written.
    """
    check_data(folder, table, names)
    dataset = table.to_pyarrow_dataset()
    if names is None:
        return dataset
    wanted = [each for each in dataset.get_fragments() if name_file(each) in names]
    return ds.FileSystemDataset(wanted, dataset.schema, dataset.format, dataset.filesystem)


def keep_groups(dataset: ds.Dataset, columns: Sequence[str], values: pa.Array) -> ds.Dataset:
    """Keep the row groups where one of some columns has one of these values.

    SPEED: rows that arrive are mostly about the last days, so about few groups; of the others two columns are decoded
    in place of some sixty.
    """
    kept = []
    for fragment in dataset.get_fragments():
        ids = fragment.to_table(dataset.schema, columns=list(columns))
        is_wanted = np.logical_or.reduce([np.asarray(pc.is_in(ids[name], values)) for name in columns])
        ends = np.cumsum([group.num_rows for group in fragment.row_groups])
        groups = np.unique(np.searchsorted(ends, np.flatnonzero(is_wanted), side="right"))
        if len(groups):
            kept.append(fragment.subset(row_group_ids=groups.tolist()))
    return ds.FileSystemDataset(kept, dataset.schema, dataset.format, dataset.filesystem)


def name_file(fragment: ds.ParquetFileFragment) -> str:
    """Return the name of a fragment's data file."""
    return str(fragment.path).rsplit("/", 1)[-1]


def list_log(folder: Path, version: int | None = None) -> list[str]:
    """List the files of the log that a version is read from, by their names in the store."""
    log = folder / LOG_FOLDER
    try:
        first = int(json.loads((log / _LAST_CHECKPOINT).read_bytes())["version"])
    except (OSError, ValueError, TypeError, LookupError):
        first = 0
    if version is not None and version < first:
        first = 0
    versions = {each.name: _version_of(each.name) for each in (os.scandir(log) if log.is_dir() else ())}
    last = max(versions.values(), default=-1) if version is None else version
    return sorted(f"{LOG_FOLDER}/{name}" for name, number in versions.items() if first <= number <= last)


def check_data(folder: Path, table: DeltaTable, names: Collection[str] | None = None) -> None:
    """Check that data files of a version, all or some, are as they were written.

    Raises
    ------
    HistoryError
        Some are not.
    """
    sizes = read_sizes(table)
    # NOTE: sizes also of files without a digest. One that is cut off ends the process, where Arrow's threads read it.
    check_files(folder, sizes if names is None else names, sizes)


def list_missing(folder: Path, log: Collection[str]) -> list[str]:
    """List the files of the log that have a digest, are of later versions than all of some others, and are missing."""
    last = max(map(_version_of, log), default=-1)
    newer = sorted(name for name in read_digests(folder).of if _version_of(name) > last)
    return [name for name in newer if not (folder / name).exists()]  # a writer may have added one since


def _check_log(folder: Path, version: int | None) -> None:
    names = list_log(folder, version)
    check_files(folder, names)
    # NOTE: without its last file a log would be that of an earlier version.
    if version is None and names and (missing := list_missing(folder, names)):
        raise describe_damage(folder, missing, is_missing=True)


def _check_process() -> None:
    """Refuse to go on in a forked child: the threads of `deltalake` do not survive a fork, and it panics."""
    if _OPENED_BY.setdefault("pid", os.getpid()) != os.getpid():
        raise ForkedError(
            "this process was forked after its parent opened a history",
            hint="open histories only after the fork, in each worker; or start workers with spawn",
        )


def check_table(settings: dict[str, str], key: Key, folder: Path) -> None:
    """Check that a store, or a copy of its rows, has this protocol, this key and these rules of ids.

    Parameters
    ----------
    settings : of the table or file
    key : the key at hand
    folder : of the store, for messages

    Raises
    ------
    HistoryError
        It is no store, or has another protocol, or ids by other rules.
    KeyMismatchError
        It was built with another key.
    """
    if KEY_ID not in settings:
        raise HistoryError(
            f"{folder.name} was not written by ordervet",
            hint="create a history in a folder of its own: ordervet ingest FILE... --history DIR",
        )
    if settings.get(PROTOCOL) not in _READABLE_PROTOCOLS:
        raise HistoryError(
            f"the history {folder.name} has protocol {settings.get(PROTOCOL)}, expected {STORE_PROTOCOL}",
            hint="create a new history: ordervet ingest FILE... --history DIR",
        )
    if settings.get(RULES, "1") != str(KEY_RULES):
        raise HistoryError(
            f"the ids of the history {folder.name} were made by the rules {settings.get(RULES, '1')} for addresses, "
            f"phones and names, and new orders have ids by the rules {KEY_RULES}: nobody would be found again",
            hint="ingest the files once more, into a new history: ordervet ingest FILE... --history DIR",
        )
    check_key_id(settings[KEY_ID], key, f"the history {folder.name}")


def append_rows(table: DeltaTable, rows: pa.Table, positions: Mapping[str, int] | None = None) -> None:
    """Append rows, in one commit; new columns are added to the table.

    Parameters
    ----------
    table : the newest version
    rows : to be appended
    positions : how far the sources of these rows are read, committed with them
    """
    from deltalake import write_deltalake

    write_deltalake(
        table,
        rows,
        mode="append",
        schema_mode="merge",
        writer_properties=_compression(),
        commit_properties=_with_positions(positions or {}),
    )


def _with_positions(positions: Mapping[str, int]) -> CommitProperties:
    from deltalake import CommitProperties, Transaction

    return CommitProperties(app_transactions=[Transaction(_POSITION + name, at) for name, at in positions.items()])


def read_position(table: DeltaTable, name: str) -> int | None:
    """Return how far a source is read in a version; None if it never was."""
    return table.transaction_version(_POSITION + name)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file in the store's folder that no version names yet.

    Parameters
    ----------
    name : without the folder
    size : bytes
    written_at_ms : milliseconds since 1970
    statistics : JSON, as the Delta protocol has it
    """

    name: str
    size: int
    written_at_ms: int
    statistics: str


def add_files(
    table: DeltaTable,
    files: Sequence[DataFile],
    column_names: Iterable[str],
    positions: Mapping[str, int] | None = None,
) -> None:
    """Add data files to a store, in one commit.

    Parameters
    ----------
    table : the newest version
    files : in the store's folder
    column_names : of their rows; new extra columns are added first, in a commit of their own
    positions : how far the sources of these rows are read, committed with them
    """
    from deltalake.schema import Schema

    known = {field.name for field in table.schema().fields}
    extras = [field for field in Schema.from_arrow(row_schema(column_names)).fields if field.name not in known]
    if extras:
        table.alter.add_columns(extras)
        table.update_incremental()
    actions: list[AddAction | RemoveAction] = [_to_add(each) for each in files]
    table.create_write_transaction(
        actions,
        mode="append",
        schema=table.schema(),
        partition_by=[],
        commit_properties=_with_positions(positions or {}),
    )


def delete_orders(folder: Path, table: DeltaTable, order_ids: pa.Array[pa.Int64Scalar]) -> int:
    """Delete all rows of some orders; return how many rows."""
    check_data(folder, table)
    # NOTE: a merge, because the log keeps the condition of a delete, with all its ids.
    merge = table.merge(
        pa.table({ORDER_ID: order_ids}), f"t.{ORDER_ID} = s.{ORDER_ID}", source_alias="s", target_alias="t",
        writer_properties=_compression(),
    )  # fmt: skip
    return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])


def join_files(folder: Path, table: DeltaTable) -> None:
    """Compact small files into larger ones."""
    check_data(folder, table)  # else damage would get a digest of its own
    table.optimize.compact(writer_properties=_compression())


def read_sizes(table: DeltaTable) -> dict[str, int]:
    """Return the data files of a version, and how many bytes each has."""
    actions = pa.table(table.get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))


def count_rows(table: DeltaTable) -> int:
    """Count the rows of a version by its log."""
    return sum(pa.table(table.get_add_actions(flatten=True))["num_records"].to_pylist())


def live_files(table: DeltaTable) -> set[str]:
    """Return the names of a version's data files."""
    return {uri.rsplit("/", 1)[-1] for uri in table.file_uris()}


def floor_time(at_us: int) -> int:
    """Return the time from which files must be read to find everything seen at or after another.

    The rows read must be filtered again, as they can begin earlier.

    Parameters
    ----------
    at_us : UTC microseconds
    """
    # NOTE: Delta's log rounds the last time in a file down to a millisecond, and readers skip files by it. deltalake
    # 1.6 allows for that when it reads, but does not document it.
    return at_us - at_us % _MILLISECOND_US


def has_table(folder: Path) -> bool:
    """Return whether a folder holds a Delta table, in whatever state."""
    return (folder / LOG_FOLDER).is_dir()


def has_version(folder: Path) -> bool:
    """Return whether a folder holds a version of a Delta table; a killed writer may have left an empty log."""
    log = folder / LOG_FOLDER
    return log.is_dir() and any(each.suffix in (".json", ".parquet") for each in log.iterdir())


def _compression() -> WriterProperties:
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", compression_level=3, max_row_group_size=ROWS_PER_GROUP)


@contextmanager
def committing(folder: Path) -> Iterator[DeltaTable]:
    """Yield the newest version of a store for changes, and sync to the disk what is committed.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    """
    table = load_table(folder)
    if table.metadata().configuration.get(PROTOCOL) != str(STORE_PROTOCOL):
        table.alter.set_table_properties({PROTOCOL: str(STORE_PROTOCOL)}, raise_if_not_exists=False)
        table.update_incremental()
    yield table
    table.update_incremental()
    sync_table(folder, live_files(table))


def read_identities(folder: Path, version: int | None = None) -> pa.Table:
    """Read what tells every event of a version from others, all views."""
    return read_rows(open_dataset(folder, load_table(folder, version)), columns=_IDENTITIES)


def read_contents(folder: Path, table: DeltaTable, names: Collection[str]) -> Iterator[tuple[str, pa.Table]]:
    """Read what tells the events of some data files from others, all views, and what was judged; file by file."""
    dataset = open_dataset(folder, table, names)
    for fragment in dataset.get_fragments():
        part = ds.FileSystemDataset([fragment], dataset.schema, dataset.format, dataset.filesystem)
        yield name_file(fragment), read_rows(part, columns=(*_IDENTITIES, *OF_JUDGEMENTS))


def is_event() -> ds.Expression:
    """Leave out rows of decisions."""
    # NOTE: after a merge the table's schema has string views; files written before have plain strings.
    return ds.field("event").cast(pa.string()) != pa.scalar(DECISION)


def read_rows(
    dataset: ds.Dataset,
    columns: Sequence[str] | None = None,
    is_wanted: ds.Expression | None = None,
    *,
    are_decisions_wanted: bool = False,
) -> pa.Table:
    """Read rows, all views; columns that an older store lacks are null."""
    schema = row_schema(dataset.schema.names)
    if not are_decisions_wanted:
        is_wanted = is_event() if is_wanted is None else is_wanted & is_event()
    names = list(columns) if columns is not None else schema.names
    wanted = pa.schema([schema.field(name) for name in names if name in schema.names])
    known = [name for name in wanted.names if name in dataset.schema.names]
    read = fit_rows(dataset.to_table(columns=known, filter=is_wanted), wanted)
    return pa.table([read[each.name].cast(each.type) for each in wanted], schema=wanted)


def read_answers(folder: Path, since_us: int, order_id: str | None = None) -> pa.Table:
    """Read the decisions about refund requests that were seen since a time, UTC microseconds; of an order, or all."""
    dataset = open_dataset(folder, load_table(folder))
    if not {DECISION, "outcome"} <= set(dataset.schema.names):
        return row_schema().empty_table()
    text = ds.field("event").cast(pa.string()), ds.field("order_id").cast(pa.string())
    is_wanted = (text[0] == pa.scalar(DECISION)) & ds.field("outcome").is_valid()
    is_wanted &= ds.field("seen_at") >= _floor_to(since_us)
    if order_id is not None:
        is_wanted &= text[1] == pa.scalar(order_id)
    rows = dataset.to_table(filter=is_wanted)
    rows = fit_rows(rows, unite_schemas([rows]))
    return rows.filter(pa.array(read_ints(rows["seen_at"]) >= since_us))


def _floor_to(at_us: int) -> pa.Scalar[Any]:
    """Return a time that is compared with what Delta rounds to milliseconds."""
    return pa.scalar(floor_time(at_us), pa.int64()).cast(row_schema().field("seen_at").type)


def read_latest(dataset: ds.Dataset) -> LatestViews:
    """Read which views count, of the events that were amended."""
    if "view" not in dataset.schema.names:
        return LatestViews(row_schema().empty_table())
    return LatestViews(dataset.to_table(columns=["event_id", "view"], filter=ds.field("view") > 0))


def read_arrivals(folder: Path, since_us: int | None = None, names: Collection[str] | None = None) -> pa.Table:
    """Read the rows that count of the newest version, in the order seen, also those that wait for their order.

    Parameters
    ----------
    folder : of the store
    since_us : only rows seen at or after this time, UTC microseconds
    names : of the data files that hold all of these, and whatever replaces them

    Returns
    -------
    shape (n_rows, n_columns), the columns of the store
    """
    dataset = open_dataset(folder, load_table(folder), names)
    columns = [name for name in dataset.schema.names if name != DECISION]
    if since_us is None:
        rows = dataset.to_table(columns=columns, filter=is_event())
    else:
        rows = dataset.to_table(columns=columns, filter=(ds.field("seen_at") >= _floor_to(since_us)) & is_event())
        rows = rows.filter(pa.array(np.asarray(rows["seen_at"].cast(pa.int64())) >= since_us))
    return sort_rows(read_latest(dataset).keep(rows))


def read_columns(folder: Path, of_orders: list[str], of_later: list[str]) -> tuple[pa.Table, pa.Table]:
    """Read some columns of the newest version, of orders and of later events, in no particular order.

    Parameters
    ----------
    folder : of the store
    of_orders, of_later : names; columns that the store lacks are skipped
    """
    dataset = open_dataset(folder, load_table(folder))
    is_order = ds.field("event").cast(pa.string()) == pa.scalar(EVENT_OF["orders"])
    known = set(dataset.schema.names)
    latest = read_latest(dataset)
    orders, later = (
        latest.keep(
            dataset.to_table(
                columns=[n for n in dict.fromkeys([*names, "event_id", "view"]) if n in known], filter=is_wanted
            )
        )
        for names, is_wanted in ((of_orders, is_order), (of_later, ~is_order & is_event()))
    )
    return orders, later


@contextmanager
def describe_errors(folder: Path, action: Literal["read", "written"]) -> Iterator[None]:
    """Turn whatever Delta, Arrow or the system raise into one clear error.

    Parameters
    ----------
    folder : of the store
    action : what is being done to it

    Raises
    ------
    HistoryError
        The store cannot be read or written; its last version is unchanged.
    """
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, pa.ArrowException, OSError) as error:
        if action == "read":
            raise HistoryError(
                f"the history {folder.name} cannot be read: {_explain(error)}",
                hint="check its path and permissions; if it is damaged: ordervet history verify --history DIR --repair",
            ) from None
        is_of_system = isinstance(error, OSError) or _OS_ERROR.search(str(error))
        raise HistoryError(
            f"the history {folder.name} cannot be written: {_explain(error)}; its last version is unchanged",
            hint="free some space, or check the permissions of its folder"
            if is_of_system
            else "if it is damaged: ordervet history verify --history DIR --repair",
        ) from None


def open_copy(address: str, options: dict[str, str]) -> DeltaTable | None:
    """Open a published copy of a store; None where there is none."""
    _check_process()
    from deltalake import DeltaTable

    return DeltaTable(address, storage_options=options) if DeltaTable.is_deltatable(address, options) else None


def list_table_files(address: str, key: Key) -> list[str]:
    """List the data files of a store, or of a published copy of one, for another engine to read.

    Parameters
    ----------
    address : a folder, or the address of a copy
    key : the key at hand

    Raises
    ------
    HistoryError, KeyMismatchError
        There is no store, or its ids are not comparable with those of this key.
    """
    found = find_address(address)
    place = found and find_place(found)
    table = open_copy(place.delta_address, place.delta_options) if place else open_copy(address, {})
    name = Path(address).name
    if table is None:
        raise HistoryError(f"there is no history in {name}", hint="ordervet ingest FILE... --history DIR")
    check_table(table.metadata().configuration, key, Path(name))
    return [*table.file_uris()]


def commit_copy(
    address: str,
    options: dict[str, str],
    copy: DeltaTable | None,
    table: DeltaTable,
    new: Sequence[DataFile],
    gone: Sequence[str],
    version: int,
) -> None:
    """Let a copy have the files of a version, in one commit; nothing is committed where it has them already.

    Parameters
    ----------
    address, options : of the copy
    copy : as it is; None where there is none
    table : the store in that version; new columns are added first, in a commit of their own
    new : data files, which are there
    gone : names of data files that the version does not use
    version : its number
    """
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import RemoveAction

    if copy is None:
        # NOTE: version 0, as that of the store itself, is empty.
        settings: dict[str, str | None] = {**table.metadata().configuration}
        copy = DeltaTable.create(
            address, table.schema(), configuration=settings, storage_options=options, raise_if_key_not_exists=False
        )
    known = {field.name for field in copy.schema().fields}
    extras = [field for field in table.schema().fields if field.name not in known]
    if extras:
        copy.alter.add_columns(extras)
        copy.update_incremental()
    at_ms = time.time_ns() // 1_000_000
    actions: list[AddAction | RemoveAction] = [_to_add(each) for each in new]
    actions += [RemoveAction(name, True, at_ms) for name in gone]  # noqa: FBT003 - positional in deltalake
    if actions:
        noted = CommitProperties(custom_metadata={"ordervet.version": str(version)})
        copy.create_write_transaction(
            actions, mode="append", schema=copy.schema(), partition_by=[], commit_properties=noted
        )


def _to_add(file: DataFile) -> AddAction:
    from deltalake.transaction import AddAction

    return AddAction(file.name, file.size, {}, file.written_at_ms, data_change=True, stats=file.statistics)


def is_data_file(name: str) -> bool:
    """Return whether a name is one that Delta gives to data files."""
    return _DATA_FILE.match(name) is not None


def list_data_files(folder: Path) -> set[str]:
    """Return the names of the data files in a store's folder, in use or not."""
    return {entry.name for entry in os.scandir(folder) if is_data_file(entry.name)}


def sync_table(folder: Path, names: Collection[str]) -> None:
    """Sync data files and the log, so that they survive a power cut, and then record their digests.

    What has a digest is on the disk. What has none is new, or was left by a writer that died or could not sync.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    names : of the data files
    """
    new = {*names, *list_log(folder)} - set(read_digests(folder).of)
    if new:
        sync(*(folder / name for name in sorted(new)), folder / LOG_FOLDER, folder)
        record_digests(folder, new)


def remove_unused(folder: Path, live: set[str], keep_days: float) -> list[str]:
    """Remove data files that the newest version does not use.

    Parameters
    ----------
    folder : of the store; the caller holds the writer's lock
    live : names that the newest version uses
    keep_days : keep files of versions that were current within so many days, so that these can still be read; files
        that no version ever used were left by a writer that died, and are removed

    Returns
    -------
    names of the removed files
    """
    # NOT: Delta's own vacuum. In full mode it removes any file it does not know, even one that is not its own;
    # otherwise it keeps what a killed writer left behind.
    kept_from = time.time_ns() // 1_000_000 - keep_days * _DAY_MS
    recent = {name for name, removed_at in _read_removals(folder) if removed_at > kept_from}
    unused = sorted(list_data_files(folder) - live - recent)
    for name in unused:
        (folder / name).unlink(missing_ok=True)
    forget_digests(folder)
    return unused


def _read_removals(folder: Path) -> Iterator[tuple[str, int]]:
    """Read from the log which data file was removed when (milliseconds)."""
    for path in (folder / LOG_FOLDER).glob("*.json"):
        for line in path.read_text(encoding="utf-8").splitlines():
            removal = json.loads(line).get("remove")
            if removal:
                yield removal["path"], removal["deletionTimestamp"]


def _version_of(name: str) -> int:
    """Return the version of a file of the log, which may stand behind its folder; -1 for any other file."""
    found = _LOG_FILE.fullmatch(name)
    return int(found[1]) if found else -1


def _explain(error: Exception) -> str:
    """Describe what is wrong in the system's own words, without paths."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    found = _OS_ERROR.search(str(error))
    return os.strerror(int(found[1])) if found else f"it is damaged ({type(error).__name__})"
