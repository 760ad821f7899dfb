"""The command line: the same functions as the library, with the same nouns and verbs."""

from __future__ import annotations

import typer

from ordervet.cli import formats, history, identity, learning, scoring
from ordervet.cli.screen import EXIT_CODES_HELP, run_guarded
from ordervet.cli.scripts import scripts_app

app = typer.Typer(
    name="ordervet",
    help="Vet every order before it ships: score orders for malice, say why, hand the desk the script to use.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    history.ingest,
    scoring.score,
    scoring.explain,
    scoring.validate,
    learning.train,
    learning.backtest,
    learning.simulate,
    formats.formats,
    identity.address,
):
    app.command(epilog=EXIT_CODES_HELP)(command)
app.add_typer(scripts_app, name="scripts")
app.add_typer(identity.key_app, name="key")


def run() -> None:
    """Run the command line."""
    run_guarded(app)
