"""Commands about support scripts (话术): list, show, page, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP, ExitCode
from ordervet.cli.session import Session
from ordervet.contract.files.outputs import check_place, write_text
from ordervet.errors import PolicyError
from ordervet.policy import lint_scripts, load_scripts
from ordervet.reports.scripts_page import build_scripts_page
from ordervet.reports.terminal import WordTable
from ordervet.words import find_words

if TYPE_CHECKING:
    from ordervet.policy import Lang, Script

Folder = Annotated[
    Path | None, typer.Option("--scripts", help="Folder of your own scripts, which replace or add to the shipped ones.")
]

scripts_app = typer.Typer(
    help="List, show and check the support scripts that decisions name.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)


@scripts_app.command("list", epilog=EXIT_CODES_HELP)
def list_scripts(folder: Folder = None, lang: options.LangOption = None, json: options.Json = False) -> None:
    """List the scripts: id and title.

    Example: ordervet scripts list --lang zh
    """
    session = Session(lang, json=json)
    rows = [{"id": script.id, "title": script.title[session.lang]} for script in load_scripts(folder).values()]
    if json:
        session.print_json(rows)
        return
    titles = [session.text(f"scripts.{title}") for title in ("script", "title")]
    session.print(WordTable(titles, [(row["id"], row["title"]) for row in rows], unwrapped=(0,)))


@scripts_app.command("show", epilog=EXIT_CODES_HELP)
def show_script(
    script_id: Annotated[str, typer.Argument(help="Id, such as coupon_farming.paid.", show_default=False)],
    folder: Folder = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Show one script: what to check, keep, say and never say. Slots such as {{ order_id }} are filled in per order.

    Example: ordervet scripts show coupon_farming.paid --lang zh
    """
    session = Session(lang, json=json)
    scripts = load_scripts(folder)
    if script_id not in scripts:
        raise PolicyError(f"there is no script {script_id}", hint=f"the scripts are {', '.join(scripts)}")
    parts = _list_parts(scripts[script_id], session.lang)
    if json:
        session.print_json({"id": script_id, "title": scripts[script_id].title[session.lang]} | parts)
        return
    session.print(f"{script_id}  {scripts[script_id].title[session.lang]}", style="bold")
    titles = find_words("script_parts", session.lang)
    for name, lines in parts.items():
        session.print(f"\n{titles[name]}", style="green")
        for line in lines:
            session.print(f"  - {line}")


@scripts_app.command("page", epilog=EXIT_CODES_HELP)
def write_page(
    path: Annotated[Path, typer.Argument(help="Where to write it: one .html file.", show_default=False)],
    folder: Folder = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Write all scripts as one page to read, every kind at every stage, in both languages.

    Example: ordervet scripts page scripts.html
    """
    check_place(path, (".html",))
    session = Session(lang, json=json)
    scripts = load_scripts(folder)
    write_text(build_scripts_page(scripts, lang=session.lang), path)
    if json:
        session.print_json({"path": str(path), "n_scripts": len(scripts)})
    else:
        session.print(session.text("written", path=path))


@scripts_app.command("check", epilog=EXIT_CODES_HELP)
def check_scripts(folder: Folder = None, lang: options.LangOption = None, json: options.Json = False) -> None:
    """Check the scripts: no accusation, threat, promise or personal data in what is said, nothing untrue of its stage.

    Example: ordervet scripts check --scripts our-scripts
    """
    session = Session(lang, json=json)
    scripts = load_scripts(folder)
    findings = lint_scripts(scripts)
    if json:
        session.print_json({"n_scripts": len(scripts), "findings": [str(finding) for finding in findings]})
    else:
        for finding in findings:
            session.warn(str(finding), style="")
        session.print(session.text("scripts.checked", n=len(scripts), findings=len(findings)))
    if findings:
        raise typer.Exit(ExitCode.BAD_INPUT)


def _list_parts(script: Script, lang: Lang) -> dict[str, Any]:
    body = script.body
    several = {
        name: [text[lang] for text in getattr(body, name)]
        for name in ("check", "evidence", "never_say", "platform", "escalate", "record")
    }
    single = {"goal": body.goal, "innocent": body.innocent, "gentle": body.say.gentle, "firm": body.say.firm}
    parts = several | {name: [text[lang]] for name, text in single.items()}
    return {name: parts[name] for name in find_words("script_parts", lang)}
