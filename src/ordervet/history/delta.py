"""The store's table as Delta Lake keeps it: made, opened, changed. No other module calls `deltalake`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from ordervet.entities.keyed import ORDER_ID
from ordervet.entities.keys import check_key_id
from ordervet.errors import HistoryError
from ordervet.history.disk import LOG_FOLDER
from ordervet.history.rows import fit_rows, row_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deltalake import DeltaTable, WriterProperties
    from deltalake.transaction import RemoveAction

    from ordervet.entities.keys import Key

#: Raised when rows mean something else than before; a store of another protocol is refused.
STORE_PROTOCOL = 1
KEY_ID, PROTOCOL = "ordervet.key_id", "ordervet.protocol"
_MILLISECOND_US = 1_000

# NOTE: Delta keeps the smallest and largest values of these columns in its log, which erasing does not rewrite:
# instants alone, never an id.
_STATISTICS = {"delta.dataSkippingStatsColumns": "seen_at,happened_at"}


def create_table(folder: Path, key_id: str) -> None:
    """Make an empty store in a folder that exists."""
    from deltalake import DeltaTable  # noqa: PLC0415 - only whoever has a store waits for the import

    settings = settings_for(key_id) | _STATISTICS
    DeltaTable.create(folder, row_schema(), mode="ignore", configuration=settings, raise_if_key_not_exists=False)


def settings_for(key_id: str) -> dict[str, str]:
    """Give what a store, or a copy of its rows, says about itself."""
    return {KEY_ID: key_id, PROTOCOL: str(STORE_PROTOCOL)}


def load_table(folder: Path, version: int | None = None) -> DeltaTable:
    """Open the newest version of a store, or an earlier one."""
    from deltalake import DeltaTable  # noqa: PLC0415 - only whoever has a store waits for the import

    return DeltaTable(folder, version=version)


def check_table(settings: dict[str, str], key: Key, folder: Path) -> None:
    """Check that a store, or a copy of its rows, was made by this protocol and with this key.

    Parameters
    ----------
    settings : of the table or file
    key : the key at hand
    folder : of the store, for messages

    Raises
    ------
    HistoryError
        It is no store, or of another protocol.
    KeyMismatchError
        It was made with another key.
    """
    if KEY_ID not in settings:
        raise HistoryError(
            f"{folder.name} was not written by ordervet",
            hint="ordervet ingest FILE... --history DIR makes a history of its own",
        )
    if settings.get(PROTOCOL) != str(STORE_PROTOCOL):
        raise HistoryError(
            f"the history {folder.name} has protocol {settings.get(PROTOCOL)}, expected {STORE_PROTOCOL}",
            hint="make a new history with: ordervet ingest FILE... --history DIR",
        )
    check_key_id(settings[KEY_ID], key, f"the history {folder.name}")


def append_rows(table: DeltaTable, rows: pa.Table, blames: pa.Table) -> None:
    """Add rows and put blames into others, in one commit.

    Parameters
    ----------
    table : the newest version
    rows : to add; new extra columns are added to the table
    blames : ``event_id`` of stored rows, and the ``blame`` they get
    """
    from deltalake import write_deltalake  # noqa: PLC0415 - only whoever has a store waits for the import

    if blames.num_rows == 0:
        write_deltalake(table, rows, mode="append", schema_mode="merge", writer_properties=_compression())
        return
    source = pa.concat_tables([rows, fit_rows(blames, rows.schema)])
    merge = table.merge(
        source, "t.event_id = s.event_id", source_alias="s", target_alias="t", merge_schema=True,
        writer_properties=_compression(),
    )  # fmt: skip
    merge.when_matched_update({"blame": "s.blame"}).when_not_matched_insert_all().execute()


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file that lies in the store's folder and that no version names yet.

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


def add_files(table: DeltaTable, files: Sequence[DataFile], column_names: Iterable[str]) -> None:
    """Make data files part of a store, in one commit.

    Parameters
    ----------
    table : the newest version
    files : in the store's folder
    column_names : of their rows; new extra columns are added to the table first, in a commit of their own
    """
    from deltalake.schema import Schema  # noqa: PLC0415 - only whoever has a store waits for the import
    from deltalake.transaction import AddAction  # noqa: PLC0415 - likewise

    known = {field.name for field in table.schema().fields}
    extras = [field for field in Schema.from_arrow(row_schema(column_names)).fields if field.name not in known]
    if extras:
        table.alter.add_columns(extras)
        table.update_incremental()
    actions: list[AddAction | RemoveAction] = [
        AddAction(each.name, each.size, {}, each.written_at_ms, data_change=True, stats=each.statistics)
        for each in files
    ]
    table.create_write_transaction(actions, mode="append", schema=table.schema(), partition_by=[])


def delete_orders(table: DeltaTable, order_ids: pa.Array[pa.Int64Scalar]) -> int:
    """Delete all rows of some orders; return how many."""
    # NOTE: a merge, because the condition of a delete would be kept in the log with all its ids.
    merge = table.merge(
        pa.table({ORDER_ID: order_ids}), f"t.{ORDER_ID} = s.{ORDER_ID}", source_alias="s", target_alias="t",
        writer_properties=_compression(),
    )  # fmt: skip
    return int(merge.when_matched_delete().execute()["num_target_rows_deleted"])


def join_files(table: DeltaTable) -> None:
    """Join small files into larger ones."""
    table.optimize.compact(writer_properties=_compression())


def live_files(table: DeltaTable) -> set[str]:
    """Name the data files of a version."""
    return {uri.rsplit("/", 1)[-1] for uri in table.file_uris()}


def floor_instant(at_us: int) -> int:
    """Give the instant from which on files must be read so that nothing seen at or after another is passed over.

    What is read has to be filtered again, since it can begin earlier.

    Parameters
    ----------
    at_us : UTC microseconds
    """
    # NOTE: Delta's log rounds the last instant of a file down to a millisecond, and a reader passes files over by it.
    # deltalake 1.6 allows for that as it reads, which no document promises.
    return at_us - at_us % _MILLISECOND_US


def has_table(folder: Path) -> bool:
    """Tell whether a folder holds a Delta table, whatever its state."""
    return (folder / LOG_FOLDER).is_dir()


def _compression() -> WriterProperties:
    from deltalake import WriterProperties  # noqa: PLC0415 - only whoever has a store waits for the import

    return WriterProperties(compression="ZSTD", compression_level=3)
