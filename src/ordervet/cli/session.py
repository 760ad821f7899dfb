"""What a command opens, each thing once and when it is asked for: language, key, history, model, policy, console."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from ordervet.cli import screen
from ordervet.cli.screen import ExitCode, choose_lang, err, out, print_json
from ordervet.errors import ContractError
from ordervet.words import format_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from rich.console import RenderableType

    from ordervet.contract.mapping import Mapping
    from ordervet.entities import Key
    from ordervet.history import History
    from ordervet.model import Model
    from ordervet.policy import Policy
    from ordervet.words import Lang


class Session:
    """One run of one command.

    Parameters
    ----------
    lang : as on the command line; None takes the locale's
    json : print one JSON document instead of text
    threads : as on the command line; 0 takes every processor
    leaves_room : 0 takes the processors that nothing else is using, and threads that wait for others sleep: a night
        beside other work would spend most of its time waiting for a turn
    """

    def __init__(
        self, lang: str | None = None, *, json: bool = False, threads: int = 0, leaves_room: bool = False
    ) -> None:
        self.lang: Lang = choose_lang(lang)
        self.json = json
        if leaves_room:
            # NOTE: read when LightGBM is loaded, which is later.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self.n_threads = threads or (_count_free_processors() if leaves_room else _count_processors())

    @cached_property
    def key(self) -> Key:
        """The key of the ids, from the environment; without one, a line says what that means.

        Raises
        ------
        KeyMismatchError
            It is malformed.
        """
        from ordervet.entities import load_key

        key = load_key()
        if key.is_ephemeral:
            self.warn(self.text("key.no_key"), style="dim")
        return key

    def open_history(self, folder: Path, *, create: bool = False) -> History:
        """Open the history in a folder.

        Raises
        ------
        HistoryError, KeyMismatchError
            As for `History.open`.
        """
        from ordervet.history import History

        return History.open(folder, self.key, create=create)

    def find_history(self, folder: Path) -> History | None:
        """Open the history in a folder, if there is one; whatever is wrong with it is an error before any work.

        Raises
        ------
        HistoryError, KeyMismatchError
            As for `History.open`.
        """
        from ordervet.history import check_lasting, is_history

        check_lasting(self.key, folder)
        return self.open_history(folder) if is_history(folder) else None

    def load_model(self, models: Path | None = None) -> Model:
        """Load the live model of a folder, or the bundled starter where nothing was promoted yet.

        Raises
        ------
        ModelError
            It is missing or damaged.
        """
        from ordervet.model import find_serving_model, load_model

        return load_model(find_serving_model(models))

    def load_policy(self, path: Path | None = None) -> Policy:
        """Load a policy, or the default one.

        Raises
        ------
        PolicyError
            It is wrong.
        """
        from ordervet.policy import load_policy

        return load_policy(path, key=self.key)

    def load_mapping(self, name: str | None) -> Mapping | None:
        """Load a mapping, if one is named.

        Raises
        ------
        MappingError
            It is wrong.
        """
        from ordervet.contract import load_mapping

        return load_mapping(name) if name else None

    def text(self, key: str, **values: Any) -> str:
        """Return a text of the command line in the session's language.

        Parameters
        ----------
        key : below ``cli`` in the catalogue, such as ``models.is_live``
        values : by the names in the text's braces
        """
        return format_text(f"cli.{key}", self.lang, **values)

    def label(self, name: str, what: object) -> str:
        """Return a name and what it says."""
        return f"{name}{format_text('listing.colon', self.lang)}{what}"

    def progress(self) -> AbstractContextManager[Callable[[str], None]]:
        """Show on a terminal what is being done."""
        return screen.show_progress(self.lang)

    def print(self, what: RenderableType = "", *, style: str | None = None) -> None:
        """Print for people; brackets in a text are text."""
        out.print(screen.fold(what, out), style=style, markup=False)

    def warn(self, what: str, *, style: str = "yellow") -> None:
        """Print beside the output, where it disturbs no pipe."""
        err.print(screen.fold(what, err), style=style, markup=False)

    def print_simulated(self) -> None:
        """Print what figures on simulated data are worth."""
        self.print(format_text("notes.simulated_data", self.lang), style="dim")

    def print_json(self, document: object) -> None:
        """Print one JSON document."""
        print_json(document)

    def end_with_rows_set_aside(self, n_failures: int) -> None:
        """End with code 4 if rows were set aside; `validate` lists them."""
        if n_failures:
            self.warn(self.text("rows_set_aside", n=n_failures))
            raise typer.Exit(ExitCode.SOME_ROWS_SET_ASIDE)


def read_time(option: str, text: str | None, time_zone: str | None = None) -> datetime | None:
    """Read the time that an option names, in UTC; None when it is not given.

    Parameters
    ----------
    option : such as ``--since``
    time_zone : of a time without an offset; by default the contract's

    Raises
    ------
    ContractError
        It is no time.
    """
    if text is None:
        return None
    from ordervet.contract import parse_instant
    from ordervet.contract.values import DEFAULT_TIME_ZONE

    try:
        return parse_instant(text, time_zone=time_zone or DEFAULT_TIME_ZONE)
    except ContractError:
        raise ContractError(f"{option}: got {text}, expected a time", hint=f'{option} "2025-11-11 20:00"') from None


def read_time_us(option: str, text: str | None, time_zone: str | None = None) -> int | None:
    """Read the time that an option names, as UTC microseconds; None when it is not given.

    Raises
    ------
    ContractError
        It is no time.
    """
    at = read_time(option, text, time_zone)
    return None if at is None else to_us(at)


def to_us(at: datetime) -> int:
    """Return a time as microseconds since 1970, UTC; one without a zone is UTC."""
    from datetime import UTC, datetime, timedelta

    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _count_free_processors() -> int:
    """Count the processors that the last minute's load leaves, at least one."""
    n_all = _count_processors()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(n_all, round(n_all - load)))


def _count_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
