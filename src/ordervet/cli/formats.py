"""The command formats: which exports are known, and how a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ordervet.cli import options
from ordervet.cli.session import Session
from ordervet.contract.files.pieces import AUTO
from ordervet.contract.formats import describe_file, list_formats

if TYPE_CHECKING:
    from ordervet.contract.formats import FileDescription, Format


def formats(
    file: Annotated[Path | None, typer.Argument(help="A file to describe; by default, list the known formats.")] = None,
    folder: options.FormatsDir = None,
    format_: options.FormatName = AUTO,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """List the known platform exports; or show how each column of a file is read, and which are ignored.

    Example: ordervet formats ExportOrderList.csv
    """
    session = Session(lang, json=json)
    if file is None:
        known = list_formats(folder)
        if json:
            session.print_json([{"format": each.name, "title": each.title, "kind": each.kind} for each in known])
        else:
            session.print(_build_list(session, known))
        return
    described = describe_file(file, folder, format=format_)
    if json:
        session.print_json(described.as_dict())
    else:
        _print_description(session, described)


def _build_list(session: Session, known: tuple[Format, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("format", "holds", "title"):
        table.add_column(session.text(f"formats.{title}"), no_wrap=True)
    for each in known:
        table.add_row(each.name, each.kind, each.title)
    return table


def _print_description(session: Session, described: FileDescription) -> None:
    session.print(f"{described.file}: {described.format} ({described.title}), {described.kind}")
    session.print(session.text("formats.known_share", share=described.score))
    for field, columns in described.taken.items():
        session.print(session.text("formats.taken", field=field, columns=", ".join(columns)))
    for title, names in (
        ("states", described.states),
        ("line_columns", described.line_columns),
        ("ignored", described.ignored),
        ("unknown", described.unknown),
        ("not_found", described.not_found),
    ):
        if names:
            session.print(session.text(f"formats.{title}", names=", ".join(names)))
    for column, reason in described.never_keys.items():
        session.print(session.text("formats.never_key", column=column, reason=reason))
