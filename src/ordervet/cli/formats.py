"""The command formats: which exports are known, and how a file is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ordervet.cli import options
from ordervet.cli.format_draft import write_draft
from ordervet.cli.row_accounts import print_left_out
from ordervet.cli.session import Session
from ordervet.contract.files.pieces import AUTO
from ordervet.contract.formats import describe_file, list_formats
from ordervet.reports.terminal import WordTable
from ordervet.words import join_words
from ordervet.words.error_texts import translate_error

if TYPE_CHECKING:
    from ordervet.contract.formats import FileDescription, Format
    from ordervet.words import Lang


def formats(
    file: Annotated[Path | None, typer.Argument(help="A file to describe; by default, list the known formats.")] = None,
    draft: Annotated[
        Path | None,
        typer.Option(help="Folder to write a format into, guessed from the file's columns, to be corrected there."),
    ] = None,
    folder: options.FormatsDir = None,
    format_: options.FormatName = AUTO,
    time_zone: options.TimeZone = None,
    currency: options.Currency = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """List the known platform exports; or show how each column of a file is read, and what its rows say.

    Example: ordervet formats ExportOrderList.csv
    """
    session = Session(lang, json=json)
    if draft is not None:
        if file is None:
            raise typer.BadParameter(session.text("formats.draft_of_what"))
        write_draft(session, file, draft, folder)
        return
    if file is None:
        known = list_formats(folder)
        if json:
            session.print_json([_list_format(each) for each in known])
        else:
            session.print(_build_list(session, known))
            for each in (each for each in known if each.unchecked):
                session.print(
                    session.text("formats.unchecked_format", name=each.name, what=_say_unchecked(each, session))
                )
        return
    described = describe_file(file, folder, format=format_, time_zone=time_zone, currency=currency)
    if json:
        session.print_json(described.as_dict())
    else:
        _print_description(session, described)


def _list_format(fmt: Format) -> dict[str, object]:
    unchecked = None if fmt.unchecked is None else fmt.unchecked.model_dump()
    named = {"format": fmt.name, "title": fmt.title, "kind": fmt.kind}
    return named | {"time_zone": fmt.time_zone, "unchecked": unchecked}


def _build_list(session: Session, known: tuple[Format, ...]) -> WordTable:
    titles = [session.text(f"formats.{title}") for title in ("format", "holds", "title")]
    return WordTable(
        titles, [(each.name, each.kind, _choose_title(each.title, session.lang)) for each in known], unwrapped=(0, 1)
    )


def _say_unchecked(fmt: Format, session: Session) -> str:
    return "" if fmt.unchecked is None else str(fmt.unchecked.model_dump()[session.lang])


def _print_description(session: Session, described: FileDescription) -> None:
    title = _choose_title(described.title, session.lang)
    session.print(f"{described.file}: {described.format} ({title}), {described.kind}")
    if described.unchecked:
        session.print(session.text("formats.unchecked", what=described.unchecked[session.lang]))
    session.print(
        session.text(
            "formats.envelope", how=translate_error(described.envelope, session.lang), zone=described.time_zone
        )
    )
    _print_content(session, described)
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
        session.print(session.text("formats.never_key", column=column, reason=translate_error(reason, session.lang)))
    for column, field in described.alike.items():
        session.print(session.text("formats.alike", column=column, field=field))


def _choose_title(title: str, lang: Lang) -> str:
    """Choose the Chinese or the English of a title that has both: 京东 订单 (JD orders)."""
    found = re.fullmatch(r"(.*[\u4e00-\u9fff].*) \(([^()]*)\)", title)
    return title if found is None else found[1 if lang == "zh" else 2]


def _print_content(session: Session, described: FileDescription) -> None:
    content = described.content
    session.print(session.text("formats.rows", rows=content.n_rows, lines=content.n_lines, aside=content.n_set_aside))
    counts = {"orders": content.n_orders, "outcomes": content.n_outcomes, "verdicts": content.n_verdicts}
    found = [session.text(f"files.{kind}", n=n) for kind, n in counts.items() if n]
    if found:
        what = join_words(found, session.lang)
        session.print(session.text("formats.content", what=what, first=content.first, last=content.last))
    if content.missing:
        names = (f"{field} {share:.0%}" for field, share in content.missing.items())
        session.print(session.text("formats.missing", what=join_words(names, session.lang)))
    for title, values in (("currencies", content.currencies), ("shops", content.shops)):
        if values:
            what = join_words([f"{name} {n:,}" for name, n in values.items()], session.lang)
            session.print(session.text(f"formats.{title}", what=what))
    print_left_out(session, content)
