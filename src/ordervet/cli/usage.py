"""Wrong usage as one message and a hint, in the language of the command; typer would say it in English alone."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from ordervet.cli.screen import ExitCode, choose_lang, err, print_error
from ordervet.words import find_words, format_text, join_words
from ordervet.words.error_texts import build_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typer._click import Context

    from ordervet.words import Lang

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What wrong usage is to click, which newer versions of typer bring along and older ones import."""


@contextmanager
def explain_usage(ctx: Context | None = None) -> Iterator[None]:
    """End a command that is used wrongly with code 2, one that is interrupted with code 130; each says so.

    Around commands as typer runs them, for typer itself would end them in its own words, or in none.

    Parameters
    ----------
    ctx : of the command, where it is known
    """
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        lang = choose_lang()
        message = format_text("cli.error", lang, message=describe_usage(error, lang))
        print_error(message, _find_hint(error, ctx, lang))
        raise SystemExit(ExitCode.USAGE) from None
    except (KeyboardInterrupt, typer.Abort):
        err.print(format_text("cli.interrupted", choose_lang()))
        raise SystemExit(ExitCode.INTERRUPTED) from None


def describe_usage(error: Any, lang: Lang) -> str:
    """Describe what is wrong with how a command is called.

    Parameters
    ----------
    error : click's, by its class: its texts are of typer, click and pydantic
    lang : language of the message
    """
    words, kind, name = find_words("cli.usage", lang), type(error).__name__, _name_parameter(error)
    if kind == "NoSuchOption":
        said: str = words["no_option"].format(name=error.option_name)
    elif kind == "MissingParameter":
        said = words[f"missing_{error.param.param_type_name}"].format(name=name)
    else:
        message = error.message.removeprefix("Value error, ").rstrip(".")
        said = _rewrite(message[:1].lower() + message[1:], words["of_parser"])
        said = f"{name}{format_text('listing.colon', lang)}{said}" if name else said
    return said


def _name_parameter(error: Any) -> str:
    """Name the option or argument that an error is about, if it is about one."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        return ""
    return " / ".join(parameter.opts) if parameter.param_type_name == "option" else str(parameter.name)


def _rewrite(message: str, pairs: Iterable[tuple[str, str]]) -> str:
    for text, said in pairs:
        if found := build_pattern(text).fullmatch(message):
            rewritten: str = said.format(*found.groups())
            return rewritten
    return message


def _find_hint(error: Any, ctx: Context | None, lang: Lang) -> str:
    ctx_of_error = error.ctx or ctx
    command = "ordervet" if ctx_of_error is None else ctx_of_error.command_path
    if error.ctx is None and ctx is not None and ctx.invoked_subcommand:
        command += f" {ctx.invoked_subcommand}"
    near = getattr(error, "possibilities", None) or re.findall(r"Did you mean (.*)\?", error.message)
    names = join_words(sorted(near), lang).replace("'", "")
    return format_text("cli.usage.hint_near" if names else "cli.usage.hint", lang, command=command, names=names)
