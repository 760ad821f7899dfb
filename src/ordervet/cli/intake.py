"""Files from the command line to events, a feature spec and fit settings."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ordervet.cli.accounts import account_files
from ordervet.contract import load_mapping, read_counted_events
from ordervet.contract.file_events import AUTO, FILE_FAILURE_SCHEMA
from ordervet.contract.mapping import Mapping
from ordervet.contract.values import DEFAULT_TIME_ZONE
from ordervet.entities import load_key
from ordervet.errors import ContractError, MappingError
from ordervet.features import FeatureSpec, build_spec
from ordervet.history import History
from ordervet.lab.backtest.protocol import Protocol, parse_protocol
from ordervet.model import FitSettings
from ordervet.score import list_event_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from ordervet.cli.accounts import FileAccount
    from ordervet.contract import Events, FileCounts
    from ordervet.entities import KeyedEvents


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
    counts : what became of the rows of each file that was read beside no history
    accounts : what became of the rows of each file that was read beside a history; `list_accounts` knows both
    """

    events: Events | KeyedEvents
    failures: pa.Table
    spec: FeatureSpec
    protocol: Protocol | None
    time_zone: str
    origin: dict[str, Any] = field(default_factory=dict)
    counts: tuple[FileCounts, ...] = ()
    accounts: list[FileAccount] = field(default_factory=list)

    def list_accounts(self, keyed_orders: pa.Table) -> list[FileAccount]:
        """Account for the rows of each file.

        Parameters
        ----------
        keyed_orders : the orders of the files, with the columns ``evidence__NAME``, in any order
        """
        if self.accounts or not self.counts:
            return self.accounts
        return account_files(self.counts, self.events.orders["order_id"], keyed_orders)


def read_files(
    files: Sequence[Path], mapping_name: str | None, *, format_name: str = AUTO, formats_dir: Path | None = None
) -> Intake:
    """Read the files of a command; a folder stands for the files in it that are named after a kind of event.

    Raises
    ------
    ContractError, MappingError
        A file or the mapping is wrong, or there is no good order at all.
    """
    mapping = load_mapping(mapping_name) if mapping_name else None
    time_zone = mapping.source.time_zone if mapping else DEFAULT_TIME_ZONE
    paths = [path for file in files for path in list_event_files(file)]
    events, failures, counts = read_counted_events(paths, mapping=mapping, format=format_name, formats_dir=formats_dir)
    if events.orders.num_rows == 0:
        n = failures.num_rows
        raise ContractError(
            f"there is no order to work on in {', '.join(path.name for path in files)}"
            + (f"; {n:,} rows were set aside" if n else ""),
            hint="ordervet validate FILE... says what is wrong with each row",
        )
    extras = [name.split("__", 1) for name in events.orders.column_names if "__" in name]
    spec = _build_spec(mapping, {kind: tuple(n for k, n in extras if k == kind) for kind, _ in extras}, time_zone)
    protocol = parse_protocol(mapping.backtest if mapping else {})
    return Intake(events, failures, spec, protocol, time_zone, counts=counts)


def read_events_of(
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
        return read_files(files or [], mapping_name, format_name=format_name, formats_dir=formats_dir)
    store = History.open(folder, load_key())
    mapping = load_mapping(mapping_name) if mapping_name else None
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


def choose_threads(threads: int) -> int:
    """Take the number asked for; 0 takes every processor this process may use."""
    n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threads or n_cpus
