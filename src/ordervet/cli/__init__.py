"""The command line: the same functions as the library, with the same nouns and verbs.

Each command is a file of its name here and a line in `ENTRIES`, and is imported when it is called: `ordervet --help`
has nothing to wait for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import ordervet
from ordervet.cli.screen import EXIT_CODES_HELP, out, quiet_when_unread, run_guarded
from ordervet.cli.usage import explain_usage

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter


@dataclass(frozen=True, slots=True)
class Entry:
    """One command, or one group of them.

    Parameters
    ----------
    where : module of `ordervet.cli`, a colon, and the name in it: a function, or a `typer.Typer`
    summary : one line for `ordervet --help`, at most 66 characters
    """

    where: str
    summary: str


#: By name, in the order in which the help lists them.
ENTRIES: dict[str, Entry] = {
    "ingest": Entry("ingest:ingest", "Ingest orders, outcomes and verdicts, each once."),
    "score": Entry("score:score", "Score orders; rank those to review, with reasons and scripts."),
    "explain": Entry("explain:explain", "Explain one order's score: decision, reasons, parts."),
    "correct": Entry("correct:correct", "Record an upheld appeal: a verdict no longer counts."),
    "erase": Entry("erase:erase", "Erase a buyer from the history, and keep the buyer out."),
    "history": Entry("history:history_app", "Check a history for damage, repair it; publish it."),
    "campaign": Entry("campaign:campaign_app", "Tables before, during and after a campaign."),
    "serve": Entry("serve:serve", "Serve one scorer to many workers over HTTP."),
    "validate": Entry("validate:validate", "Check files row by row; nothing is scored."),
    "train": Entry("train:train", "Train a model, and measure it on the newest fifth."),
    "retrain": Entry("retrain:retrain", "Retrain; promote a better model, or keep what is live."),
    "models": Entry("models:models_app", "List, show, compare, promote, roll back, prune, verify models."),
    "backtest": Entry("backtest:backtest", "Measure the method on past data."),
    "lookalikes": Entry("lookalikes:lookalikes", "Measure a model on honest look-alikes of malice."),
    "simulate": Entry("simulate:simulate", "Simulate a merchant with a Double-11 evening."),
    "formats": Entry("formats:formats", "List the known exports; show how a file is read."),
    "address": Entry("address:address", "Parse addresses: door, building, kind of place."),
    "policy": Entry("policy:policy_app", "Check a policy file; simulate it on the past."),
    "scripts": Entry("scripts:scripts_app", "List, show and check the support scripts (话术)."),
    "key": Entry("key:key_app", "Create the key of the ids, show or rotate it."),
}


class LazyCommands(TyperGroup):
    """A group whose commands are imported when they are called, not when they are listed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # NOTE: the names are what typer suggests from when one is mistyped.
        self.commands = dict.fromkeys(ENTRIES)  # type: ignore[assignment]

    def make_context(self, *args: Any, **settings: Any) -> Context:
        """Read the arguments; ``--help`` prints while they are read."""
        with quiet_when_unread(), explain_usage():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: Context) -> Any:
        """Run the command."""
        with quiet_when_unread(), explain_usage(ctx):
            return super().invoke(ctx)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002 - typer's signature
        """Import a command."""
        entry = ENTRIES.get(cmd_name)
        return None if entry is None else load_command(cmd_name)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002 - typer's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in ENTRIES.items()])


def load_command(name: str) -> Command:
    """Import one command and build it.

    Parameters
    ----------
    name : a key of `ENTRIES`
    """
    module, attribute = ENTRIES[name].where.split(":")
    found = getattr(import_module(f"ordervet.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
    else:
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command(name, epilog=EXIT_CODES_HELP)(found)
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(
    name="ordervet",
    cls=LazyCommands,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        out.print(f"ordervet {ordervet.__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Vet every order before it ships: score orders for malice, say why, hand the desk the script to use."""


def run() -> None:
    """Run the command line."""
    run_guarded(partial(app, prog_name="ordervet"))  # also as ``python -m ordervet``
