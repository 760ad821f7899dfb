"""The commands about a history: verify, publish."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP, ExitCode
from ordervet.cli.session import Session

history_app = typer.Typer(
    help="Check a history for damage, repair it, and publish it.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)


@history_app.callback()
def main() -> None:
    """Check a history for damage, repair it, and publish it."""


@history_app.command("verify", epilog=EXIT_CODES_HELP)
def verify(
    history: options.History,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what is damaged; no other process may be writing.")
    ] = False,
    backup: Annotated[
        Path | None, typer.Option(help="An earlier copy of the folder, which --repair takes whole files from.")
    ] = None,
    published: Annotated[
        str | None, typer.Option(help="Check also what was published there: s3://BUCKET/FOLDER, oss://…, az://….")
    ] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Check every file of a history: data, log, journal, snapshots, digests. What stays damaged ends with code 3.

    Without --repair nothing is changed; what was published is never changed.

    Example: ordervet history verify --history history --repair --backup /backup/history
    """
    # NOT: at the top. Only whoever has a history waits for the import.
    from ordervet.history.damage import check_history, repair_history
    from ordervet.history.erased import ERASED
    from ordervet.history.publish import check_copy
    from ordervet.object_stores import find_place

    session = Session(lang, json=json)
    place = find_place(published) if published else None
    with session.progress() as report_step:
        report_step("checking")
        checked = check_history(history, session.key)
        repaired = None
        if repair and any(each.is_fault for each in checked):
            report_step("repairing")
            repaired = repair_history(history, session.key, backup)
            checked = check_history(history, session.key)
        if place is not None:
            checked += check_copy(session.open_history(history), place)
    faults = [each for each in checked if each.is_fault]
    if json:
        session.print_json(
            {
                "history": str(history),
                "files": [asdict(each) for each in checked],
                "n_damaged": len(faults),
                "repaired": None if repaired is None else asdict(repaired),
            }
        )
    else:
        if repaired is not None:
            session.print(session.text("history.repaired", restored=len(repaired.restored), rows=repaired.n_rows))
            if repaired.kept:
                session.print(session.text("history.kept", names=", ".join(repaired.kept)))
            if repaired.n_lost:
                session.warn(session.text("history.lost", n=repaired.n_lost))
            if repaired.n_lost is None:
                session.warn(session.text("history.lost_unknown"))
            if ERASED in repaired.restored:
                session.warn(session.text("history.erasures"))
        for each in faults:
            text = "damaged_journal" if each.kind == "journal" and each.n_lost else each.state
            session.warn(session.text(f"history.{text}", name=each.name, n=each.n_lost), style="red")
        n_believed = sum(each.state == "believed" for each in checked)
        session.print(session.text("history.checked", n=len(checked), faults=len(faults), believed=n_believed))
    if faults:
        raise typer.Exit(ExitCode.BAD_INPUT)


@history_app.command("publish", epilog=EXIT_CODES_HELP)
def publish(
    to: Annotated[str, typer.Argument(help="Where to: s3://BUCKET/FOLDER, oss://…, az://… or file:///FOLDER.")],
    history: options.History,
    snapshots: Annotated[bool, typer.Option("--snapshots", help="Publish the saved states of scorers too.")] = False,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Publish the newest version as a Delta table elsewhere; only new files are uploaded.

    Readers always see a complete version. Run it as often as you like, also while a service is writing.
    Credentials come from the environment; the published rows have keyed ids, like the history.

    Example: ordervet history publish s3://data/ordervet --history history
    """
    # NOT: at the top. Only whoever publishes waits for the import.
    from ordervet.history.publish import publish as publish_history
    from ordervet.object_stores import find_place

    session = Session(lang, json=json)
    place = find_place(to)
    store = session.open_history(history)
    with session.progress() as report_step:
        report_step("publishing")
        done = publish_history(store, place, with_snapshots=snapshots)
    if json:
        session.print_json({"history": str(history), "to": to} | asdict(done))
        return
    counts = {"version": done.version, "live": done.n_live, "new": done.n_files, "mib": done.n_bytes / 2**20}
    session.print(session.text("publish.done", to=to, **counts))
    if done.n_removed:
        session.print(session.text("publish.removed", n=done.n_removed))
    if snapshots:
        session.print(session.text("publish.snapshots", n=done.n_snapshots))
