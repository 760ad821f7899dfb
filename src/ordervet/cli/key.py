"""The commands about keys: new, id, rotate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP
from ordervet.cli.session import Session
from ordervet.contract.files.pieces import AUTO
from ordervet.entities import load_key, new_key, save_key

key_app = typer.Typer(
    help="Create a key, show which one is in use, or put a history under a new one.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)


@key_app.command("new", epilog=EXIT_CODES_HELP)
def new(
    path: Annotated[
        Path | None,
        typer.Option("--out", help="Write it to a new file that only you can read; by default it is printed."),
    ] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Create a random key. Keep it apart from the data: whoever has both can tell who an id stands for.

    Example: ordervet key new --out ordervet.key && export ORDERVET_KEY_FILE=ordervet.key
    """
    session = Session(lang, json=json)
    made = new_key()
    if path is not None:
        save_key(made, path)
    if json:
        session.print_json({"key_id": made.key_id} | ({"file": str(path)} if path else {"key": made.to_hex()}))
    else:
        session.print(session.text("key.written", id=made.key_id, path=path) if path else made.to_hex())


@key_app.command("id", epilog=EXIT_CODES_HELP)
def show_id(
    path: Annotated[Path | None, typer.Option("--key-file", help="A key file; by default the key that is set.")] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Print the public id of the key in use; a history names the key it was made with by this id.

    Example: ordervet key id
    """
    session = Session(lang, json=json)
    key = load_key(path) if path else session.key
    if json:
        session.print_json({"key_id": key.key_id, "is_ephemeral": key.is_ephemeral})
    else:
        session.print(key.key_id)


@key_app.command("rotate", epilog=EXIT_CODES_HELP)
def rotate(
    files: options.Files,
    history: options.History,
    new_key_file: Annotated[
        Path,
        typer.Option("--new-key", help="File of the new key; the old one is the key that is set.", show_default=False),
    ],
    drop_uncovered: Annotated[
        bool, typer.Option("--drop-uncovered", help="Drop orders that are not in the files, with their events.")
    ] = False,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Put a history under a new key, from the raw files that its orders came from.

    Ids cannot be converted, so they are made again: every order of the history must be in the files as it was ingested,
    else nothing is changed. The record of what was known when is kept. Stop running scorers first, and give them the
    new key afterwards.

    Example: ordervet key rotate orders.csv orders-2024.csv --history history --new-key new.key
    """
    # NOT: at the top. Only whoever has a history waits for the import.
    from ordervet.contract.files.reader import FileReader, expand_folders
    from ordervet.history.rotate import rotate_key

    session, to = Session(lang, json=json), load_key(new_key_file)
    with session.progress() as report_step:
        report_step("reading")
        reader = FileReader(session.load_mapping(mapping), formats_dir=formats, format=format_)
        parts = reader.read_whole(expand_folders(files))
        report_step("putting the history under the new key")
        orders = [part.events.orders for part in parts]
        rotated = rotate_key(history, session.key, to, orders, drop_uncovered=drop_uncovered)
    if json:
        session.print_json(
            {"history": str(history), "old_key_id": session.key.key_id, "key_id": to.key_id} | asdict(rotated)
        )
        return
    counts = {"orders": rotated.n_orders, "later": rotated.n_later}
    session.print(session.text("key.rotated", history=history, id=to.key_id, **counts))
    if rotated.n_dropped_orders:
        counts = {"orders": rotated.n_dropped_orders, "later": rotated.n_dropped_later}
        session.print(session.text("key.rotated_without", **counts))
    if rotated.n_dropped_erasures:
        session.warn(session.text("key.rotated_unerased", n=rotated.n_dropped_erasures))
    session.print(session.text("key.rotated_next"), style="dim")
