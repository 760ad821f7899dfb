"""What every command shares: exit codes, the screen, progress, and errors as one message."""

from __future__ import annotations

import errno
import json
import locale
import os
import sys
import time
from contextlib import contextmanager
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ordervet.errors import (
    ContractError,
    HistoryError,
    KeyMismatchError,
    MappingError,
    ModelError,
    OrdervetError,
    PolicyError,
    TrainingError,
)
from ordervet.words import format_text
from ordervet.words.error_texts import translate_error
from ordervet.words.wrapping import wrap_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import ConsoleOptions, RenderableType
    from rich.segment import Segment

    from ordervet.words import Lang


class ExitCode(IntEnum):
    """What a command's end means."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    BAD_INPUT = 3
    SOME_ROWS_SET_ASIDE = 4
    MODEL = 5
    REFUSED = 6
    REFUSED_BY_GATES = 7
    INTERRUPTED = 130


EXIT_CODES_HELP = (
    "Exit codes: 0 done · 1 internal error · 2 wrong usage · 3 bad input, nothing written · 4 done, some rows set "
    "aside · 5 model missing or damaged · 6 refused: not enough to learn from · 7 refused by a gate: what serves "
    "stays · 130 interrupted"
)

_OF_EXTRA = {
    **dict.fromkeys(("httptools", "starlette", "uvicorn", "uvloop"), "serve"),
    **dict.fromkeys(("psycopg", "pymysql", "sqlalchemy"), "db"),
}
"""Package → the extra that brings it."""

_NO_MEMORY = "failed to map segment"
"""What the system's loader says of a library for which there is no memory."""

_CODE_OF: tuple[tuple[type[OrdervetError], ExitCode], ...] = (
    (ModelError, ExitCode.MODEL),
    (TrainingError, ExitCode.REFUSED),
    (ContractError, ExitCode.BAD_INPUT),
    (MappingError, ExitCode.BAD_INPUT),
    (PolicyError, ExitCode.BAD_INPUT),
    (KeyMismatchError, ExitCode.BAD_INPUT),
    (HistoryError, ExitCode.BAD_INPUT),
)


#: Characters that a terminal obeys or that turn the direction of writing; new lines and tabs are layout.
_CONTROLS = frozenset(map(chr, {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)})) - {
    *"\n\t"
}
_SHOWN = {ord(each): "\N{REPLACEMENT CHARACTER}" for each in _CONTROLS}
_ESCAPED = {ord(each): f"\\u{ord(each):04x}" for each in _CONTROLS}


class _Screen(Console):
    """A console that leaves a closed pipe (``| head``) to `quiet_when_unread`."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render texts without what a terminal would obey: they quote files."""
        for segment in super().render(renderable, options):
            is_plain = segment.control or _CONTROLS.isdisjoint(segment.text)
            yield segment if is_plain else segment._replace(text=segment.text.translate(_SHOWN))

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Screen(highlight=False, soft_wrap=True)
err = _Screen(stderr=True, highlight=False, soft_wrap=True)


def fold(what: RenderableType, console: Console) -> RenderableType:
    """Break a text's lines between words where a terminal would break them anywhere; a pipe gets them as they are."""
    if not console.is_terminal:
        return what
    if isinstance(what, str):
        return "\n".join(wrap_text(what, console.width))
    if isinstance(what, Text) and not what.spans:
        return Text("\n".join(wrap_text(what.plain, console.width)), style=what.style)
    return what


def print_json(content: object) -> None:
    """Print one JSON document; what is not a number becomes null."""
    # NOT: at the top. Help texts do not wait for the contract.
    from ordervet.contract.files.outputs import drop_nan

    print_json_text(json.dumps(drop_nan(content), ensure_ascii=False, indent=1, default=str))


def print_json_text(text: str) -> None:
    """Print JSON, with an escape for all that a terminal would obey; JSON itself has one for those below the space."""
    sys.stdout.write(text.translate(_ESCAPED) + "\n")


def choose_lang(lang: str | None = None) -> Lang:
    """Take the language asked for, here or on the command line, else the locale's: Chinese if that is, else English."""
    lang = lang or _find_lang(sys.argv)
    if lang is None:
        name = os.environ.get("LC_ALL") or os.environ.get("LANG") or locale.getlocale()[0] or ""
        return "zh" if name.lower().startswith(("zh", "chinese")) else "en"
    return "zh" if lang == "zh" else "en"


def _find_lang(arguments: list[str]) -> str | None:
    """Find what ``--lang`` says: errors speak it too, also those from before the options are read."""
    for argument, following in pairwise([*arguments, ""]):
        name, _, value = argument.partition("=")
        if name == "--lang":
            return value or following
    return None


@contextmanager
def show_progress(lang: Lang) -> Iterator[Callable[[str], None]]:
    """Show what is being done, and the time it has taken; gone when it is done.

    Nothing is shown where the error stream is not a terminal.

    Parameters
    ----------
    lang : language to show it in

    Yields
    ------
    a function to call with what is being done now, in English
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", visible=False, total=None)

        def report_step(what: str) -> None:
            progress.update(task, description=translate_error(what, lang), visible=True)

        yield report_step


@contextmanager
def show_rows(what: str, n_rows: int) -> Iterator[Callable[[int], None]]:
    """Show how many rows are done, how fast, and how long the rest will take; gone when it is done.

    Yields
    ------
    a function to call with the rows that were done since the last call
    """
    lang = choose_lang()
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn(),
    )  # fmt: skip
    started, n_done = time.monotonic(), 0
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(translate_error(what, lang), total=n_rows, done="")

        def advance(n: int) -> None:
            nonlocal n_done
            n_done += n
            rate = n_done / max(time.monotonic() - started, 1e-3)
            done = format_text("cli.rows_done", lang, n=n_done, of=n_rows, rate=rate)
            progress.update(task, completed=n_done, done=done)

        yield advance


def print_error(message: str, hint: str = "") -> None:
    """Print an error, and what to do about it."""
    err.print(fold(message, err), style="red", markup=False)
    if hint:
        err.print(fold(format_text("cli.hint", choose_lang(), hint=hint), err), markup=False)


def fail(error: OrdervetError) -> NoReturn:
    """End the command with one message."""
    lang = choose_lang()
    message = translate_error(error.message, lang)
    print_error(format_text("cli.error", lang, message=message), translate_error(error.hint, lang))
    raise SystemExit(next((code for type_, code in _CODE_OF if isinstance(error, type_)), ExitCode.INTERNAL))


@contextmanager
def quiet_when_unread() -> Iterator[None]:
    """End a command with code 0 where nobody reads what it prints any more (``| head``), which is no failure.

    Around commands as typer runs them, for typer itself would end with code 1.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # as it is under `>&-`
                sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.DONE) from None


def run_guarded(command: Callable[[], Any]) -> None:
    """Run the command line; whatever goes wrong is one message and an exit code, never a traceback."""
    try:
        command()
    except OrdervetError as error:
        fail(error)
    except OSError as error:
        lang = choose_lang()
        message = translate_error(error.strerror or type(error).__name__, lang)
        print_error(format_text("cli.error", lang, message=message))
        raise SystemExit(ExitCode.BAD_INPUT) from None
    except ModuleNotFoundError as error:
        if str(error.name).startswith("ordervet"):
            raise
        lang = choose_lang()
        message = format_text("cli.not_installed", lang, name=error.name)
        extra = _OF_EXTRA.get(str(error.name).partition(".")[0])
        hint = "cli.not_installed_extra" if extra else "cli.not_installed_hint"
        print_error(format_text("cli.error", lang, message=message), format_text(hint, lang, extra=extra))
        raise SystemExit(ExitCode.INTERNAL) from None
    except Exception as error:
        if os.environ.get("ORDERVET_DEBUG"):
            raise
        lang = choose_lang()
        if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
            message = translate_error(os.strerror(errno.ENOMEM), lang)
            print_error(format_text("cli.error", lang, message=message))
            raise SystemExit(ExitCode.BAD_INPUT) from None
        name = type(error).__name__
        print_error(format_text("cli.internal", lang, name=name), format_text("cli.internal_hint", lang))
        raise SystemExit(ExitCode.INTERNAL) from None
