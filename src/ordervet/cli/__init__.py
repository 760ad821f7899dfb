"""The command line: the same functions as the library, with the same nouns and verbs.

A new command is a file here and a line in `commands.py`.
"""

from __future__ import annotations

import typer

from ordervet.cli.commands import LazyCommands
from ordervet.cli.screen import EXIT_CODES_HELP, run_guarded

app = typer.Typer(
    name="ordervet",
    cls=LazyCommands,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Vet every order before it ships: score orders for malice, say why, hand the desk the script to use."""


def run() -> None:
    """Run the command line."""
    run_guarded(app)
