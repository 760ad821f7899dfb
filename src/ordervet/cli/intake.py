"""Files from the command line to events, a feature spec and fit settings."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from ordervet.cli.row_accounts import account_piece, list_failures
from ordervet.contract.files.accounts import sum_accounts
from ordervet.contract.files.pieces import AUTO, FILE_FAILURE_SCHEMA
from ordervet.contract.files.reader import FileReader, expand_folders
from ordervet.contract.mapping import Mapping
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities.keyed import KEYED_KINDS
from ordervet.errors import ContractError, MappingError
from ordervet.features import FeatureSpec, build_spec
from ordervet.history.ingest import build_batch, settle_batch
from ordervet.history.views import IngestStatus
from ordervet.lab.backtest.protocol import Protocol, parse_protocol
from ordervet.model import FitSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ordervet.cli.session import Session
    from ordervet.contract import EventKind, Events, FileAccount
    from ordervet.contract.files.pieces import FilePiece
    from ordervet.entities import Key, KeyedEvents
    from ordervet.history import History
    from ordervet.history.ingest import Batch, Ingested


@dataclass(frozen=True, slots=True)
class Intake:
    """What the files hold.

    Parameters
    ----------
    events : the good rows, or the events of a history
    failures : the rows that were set aside
    spec : the features that this data can have
    protocol : how the mapping wants a backtest done
    time_zone : of naive times, and to show times in
    origin : notes about the data for a model's manifest
    accounts : what became of the rows of each file
    n_good : per kind of event, how many the files have; events of orders that are in none of them are no `events`
    """

    events: KeyedEvents
    failures: pa.Table
    spec: FeatureSpec
    protocol: Protocol | None
    time_zone: str
    origin: dict[str, Any] = field(default_factory=dict)
    accounts: list[FileAccount] = field(default_factory=list)
    n_good: dict[EventKind, int] = field(default_factory=dict)


def read_files(
    session: Session,
    files: Sequence[Path],
    mapping_name: str | None,
    *,
    format_name: str = AUTO,
    formats_dir: Path | None = None,
    time_zone: str | None = None,
    shop: str | None = None,
    currency: str | None = None,
    are_orders_needed: bool = True,
    pieces: Sequence[FilePiece] = (),
) -> Intake:
    """Read the files of a command; a folder stands for the files in it that are named after a kind of event.

    Parameters
    ----------
    session : of the command
    files, mapping_name, format_name, formats_dir, time_zone, shop, currency : as the command's options
    are_orders_needed : whether there has to be a good order
    pieces : in place of files, the queries of a source

    Raises
    ------
    ContractError, MappingError
        A file or the mapping is wrong, or there is no good order at all.
    """
    mapping = session.load_mapping(mapping_name)
    shown_in = mapping.source.time_zone if mapping else time_zone or DEFAULT_TIME_ZONE
    reader = FileReader(mapping, time_zone, formats_dir, format_name, shop, currency)
    parts, batch = _key_pieces(pieces or reader.iter_files(expand_folders(files)), session.key)
    has_orders = any(each.kind == "orders" for part in parts for each in part.parts)
    events, ingested = settle_batch(batch, session.key, are_orders_needed=are_orders_needed or has_orders)
    failures = list_failures(parts, ingested)
    if events.orders.num_rows == 0 and are_orders_needed:
        n = failures.num_rows
        raise ContractError(
            f"there is no order to work on in {', '.join(part.name for part in parts)}"
            + (f"; {n:,} rows were set aside" if n else ""),
            hint="ordervet validate FILE... says what is wrong with each row",
        )
    spec = _build_spec(mapping, events.extras, shown_in)
    protocol = parse_protocol(mapping.backtest if mapping else {})
    n_good = {
        kind: sum(int((each.statuses[kind] == IngestStatus.ACCEPTED).sum()) for each in ingested)
        for kind in KEYED_KINDS
    }
    accounts = _account(parts, ingested)
    return Intake(events, failures, spec, protocol, shown_in, accounts=accounts, n_good=n_good)


def read_events_of(
    session: Session,
    files: Sequence[Path] | None,
    folder: Path | None,
    mapping_name: str | None,
    *,
    format_name: str = AUTO,
    formats_dir: Path | None = None,
) -> Intake:
    """Read the files, or else the history, that a command is to learn from.

    Parameters
    ----------
    session : of the command
    files : None or none takes the history
    folder : of the history
    mapping_name : of a history it gives features and protocol
    format_name, formats_dir : of exports

    Raises
    ------
    ContractError, MappingError, HistoryError, KeyMismatchError
        As for `read_files` and `History.open`; or there are both, files and a history, or neither.
    """
    if bool(files) == (folder is not None):
        raise ContractError(
            "give files or a history, " + ("not both" if files else "one of them"),
            hint="ordervet ingest FILE... --history DIR brings files into the history",
        )
    if folder is None:
        return read_files(session, files or [], mapping_name, format_name=format_name, formats_dir=formats_dir)
    store = session.open_history(folder)
    mapping = session.load_mapping(mapping_name)
    intake = build_history_intake(store.read(), FILE_FAILURE_SCHEMA.empty_table(), mapping)
    return replace(intake, origin={"history_version": store.version})


def build_history_intake(events: KeyedEvents, failures: pa.Table, mapping: Mapping | None) -> Intake:
    """Give the events of a history as an intake.

    Raises
    ------
    ContractError, MappingError
        There is no order, or the mapping is wrong.
    """
    if events.orders.num_rows == 0:
        raise ContractError(
            "there is no order to work on in the history", hint="ordervet ingest FILE... --history DIR brings them in"
        )
    time_zone = mapping.source.time_zone if mapping else DEFAULT_TIME_ZONE
    spec = _build_spec(mapping, events.extras, time_zone)
    return Intake(events, failures, spec, parse_protocol(mapping.backtest if mapping else {}), time_zone)


@dataclass(frozen=True, slots=True)
class Preview:
    """A history with files that are not in it yet.

    Parameters
    ----------
    store : the history, as it is
    batch : the rows of the files
    intake : the events of both, and the rows of the files that were set aside
    order_ids : the orders of the files
    """

    store: History
    batch: Batch
    intake: Intake
    order_ids: pa.Array[pa.StringScalar]


def preview_files(
    session: Session,
    files: Sequence[Path],
    folder: Path,
    mapping_name: str | None,
    *,
    dry_run: bool,
    format_name: str = AUTO,
    formats_dir: Path | None = None,
    time_zone: str | None = None,
    shop: str | None = None,
    currency: str | None = None,
    are_orders_needed: bool = True,
    pieces: Sequence[FilePiece] = (),
) -> Preview:
    """Read files as they would be known beside the events of a history.

    Parameters
    ----------
    session : of the command
    files : orders among them
    folder : of the history; made when it is missing, except in a dry run
    mapping_name : for files with columns of their own
    dry_run : nothing is made
    format_name, formats_dir : of exports
    time_zone, shop, currency : of files that tell none
    are_orders_needed : whether there has to be a good order in the files
    pieces : in place of files, the queries of a source

    Raises
    ------
    ContractError, MappingError, HistoryError, KeyMismatchError
        A file, the mapping, the history or the key is wrong, or the files have no good order.
    """
    store = session.find_history(folder)
    mapping = session.load_mapping(mapping_name)
    reader = FileReader(mapping, time_zone, formats_dir, format_name, shop, currency)
    parts, batch = _key_pieces(pieces or reader.iter_files(expand_folders(files)), session.key)
    orders = pa.table({name: _join_columns(parts, name) for name in ("order_id", "status")})
    if orders.num_rows == 0 and are_orders_needed:
        raise ContractError(
            f"there is no order to score in {', '.join(part.name for part in parts)}",
            hint="ordervet ingest FILE... --history DIR brings in what is known about orders",
        )
    store = store or session.open_history(folder, create=not dry_run)
    if not dry_run:
        store.catch_up()  # also tells, before any work, of a scorer that is running on it
    events, ingested = store.preview(batch)
    events = replace(events, orders=_take_status(events.orders, orders))
    intake = build_history_intake(events, list_failures(parts, ingested), mapping)
    intake = replace(intake, accounts=_account(parts, ingested))
    return Preview(store, batch, intake, pc.unique(orders["order_id"]))


def _key_pieces(pieces: Iterable[FilePiece], key: Key) -> tuple[list[FilePiece], Batch]:
    """Turn files into keyed rows; of a long one no more than a piece is in memory as it stands.

    Returns
    -------
    the pieces without their events, and the rows of all of them
    """
    kept: list[FilePiece] = []

    def iter_events() -> Iterator[Events]:
        for piece in pieces:
            kept.append(piece.drop_events())
            yield piece.events
            pa.default_memory_pool().release_unused()

    batch = build_batch(iter_events(), key, time.time_ns() // 1_000)
    return kept, batch


def _join_columns(pieces: Sequence[FilePiece], name: str) -> pa.ChunkedArray:
    chunks = [chunk for piece in pieces for chunk in piece.read_column("orders", name).chunks]
    return pa.chunked_array(chunks, pa.string())


def _account(parts: Sequence[FilePiece], ingested: Sequence[Ingested]) -> list[FileAccount]:
    pieces = zip(parts, ingested, strict=True)
    return sum_accounts((part.number, account_piece(part, each)) for part, each in pieces)


def _take_status(orders: pa.Table, newest: pa.Table) -> pa.Table:
    """Take how far orders have come from the newest rows; the rows of a history are as old as their first export."""
    known = newest.filter(newest["status"].is_valid()).combine_chunks()[::-1]
    places = pc.index_in(orders["order_id"], known["order_id"].combine_chunks())
    at = orders.schema.get_field_index("status")
    status = pc.coalesce(known["status"].take(places), orders["status"])
    return orders.set_column(at, orders.schema.field(at), status)


def _build_spec(mapping: Mapping | None, extras: dict[str, tuple[str, ...]], time_zone: str) -> FeatureSpec:
    declared = dict(mapping.features) if mapping else {}
    names = declared.pop("names", [])
    use_defaults = declared.pop("use_defaults", True)
    if declared or not isinstance(names, list) or not isinstance(use_defaults, bool):
        raise MappingError(
            "[features] takes names (a list) and use_defaults (true or false), "
            f"got {sorted(declared) or 'other values'}",
            hint='names = ["buyer__count__order__{1d,7d}"]',
        )
    return build_spec(
        entities=extras.get("entity", ()),
        categories=extras.get("category", ()),
        numbers=extras.get("number", ()),
        names=tuple(names),
        use_defaults=use_defaults,
        time_zone=time_zone,
        rates=mapping.rates if mapping else {},
    )


def read_settings(path: Path | None) -> FitSettings | None:
    """Read LightGBM settings from TOML; None when no file is named.

    Raises
    ------
    MappingError
        The file cannot be read, or a setting is wrong; all of them are named.
    """
    if path is None:
        return None
    try:
        return FitSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{path.name} cannot be read as TOML ({type(error).__name__})") from None
    except ValidationError as error:
        faults = "\n".join(f" - '{'.'.join(map(str, e['loc']))}': {e['msg']}" for e in error.errors())
        raise MappingError(
            f"{error.error_count()} settings in {path.name} are wrong\n{faults}",
            hint="the settings are " + ", ".join(FitSettings.model_fields),
        ) from None
