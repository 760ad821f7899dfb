"""Commands about models: list, show, compare, promote, rollback, prune, verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP, ExitCode
from ordervet.cli.session import Session
from ordervet.errors import ModelError
from ordervet.model import (
    Listed,
    check_model,
    find_serving_model,
    list_models,
    list_promotions,
    load_model,
    promote_model,
    prune_models,
    rollback_model,
)
from ordervet.model.starter import find_listed_model
from ordervet.reports import build_card
from ordervet.reports.nightly import describe_gate, name_gate
from ordervet.reports.terminal import WordTable
from ordervet.score.shadow import SHADOW_NAME, compare_shadow
from ordervet.words import join_words
from ordervet.words.error_texts import translate_error

if TYPE_CHECKING:
    from ordervet.model import Promotion

models_app = typer.Typer(
    help="List, show, compare and promote the models of a folder.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)

Folder = Annotated[Path, typer.Option("--models", help="Folder of models.", show_default=False)]
_MEASURES = ("ap", "auc", "money", "calibration_error", "n_orders", "n_malicious")


@models_app.command("list", epilog=EXIT_CODES_HELP)
def list_(models: Folder, lang: options.LangOption = None, json: options.Json = False) -> None:
    """List the models: which serves, which passed its gates, which are damaged.

    Example: ordervet models list --models models
    """
    session = Session(lang, json=json)
    listed = list_models(models)
    if json:
        session.print_json(
            {
                "models": [_sum_up(each) for each in listed],
                "promotions": [_sum_up_promotion(each) for each in list_promotions(models)],
            }
        )
        return
    names = ("", "model", "cut_off", "orders", "AP", "gates")
    titles = [session.text(f"models.{name}") if name not in {"", "AP"} else name for name in names]
    rows = []
    for each in listed:
        row = _sum_up(each)
        fault = row["fault"] and translate_error(row["fault"], session.lang)
        gates = fault or _describe_gates(session, row["failed_gates"])
        n_orders = "–" if row["n_orders"] is None else f"{row['n_orders']:,}"
        ap = "–" if row["ap"] is None else f"{row['ap']:.3f}"
        live = session.text("models.live") if each.is_live else ""
        rows.append((live, each.model_id, (row["as_of"] or "–")[:16], n_orders, ap, gates))
    session.print(WordTable(titles, rows, numbers=(3, 4), unwrapped=(0, 1, 2)))


@models_app.command("show", epilog=EXIT_CODES_HELP)
def show(
    models: Folder,
    model_id: Annotated[str | None, typer.Argument(help="Id; without it, the live model.", show_default=False)] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Show a model's card and its gates.

    Example: ordervet models show --models models
    """
    session = Session(lang, json=json)
    folder = find_listed_model(models, model_id) if model_id else find_serving_model(models)
    model = load_model(folder)
    if json:
        session.print_json({"model_id": model.model_id, "origin": model.origin, "metrics": model.metrics})
        return
    card = folder / "card.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else model.model_id
    # NOTE: a card that nobody changed says no more than the manifest, which has it in any language.
    is_own = bool(model.metrics) and text == build_card(model)
    session.print(build_card(model, session.lang) if is_own else text)
    for gate in model.metrics.get("gates", []):
        name, note = describe_gate(gate, session.lang)
        session.print(f"{'✓' if gate['passed'] else '✗'} {session.label(name, note) if note else name}")


@models_app.command("compare", epilog=EXIT_CODES_HELP)
def compare(
    models: Folder,
    one: Annotated[str | None, typer.Argument(help="Id; without it, the live model.", show_default=False)] = None,
    other: Annotated[str | None, typer.Argument(help="Id of another model.", show_default=False)] = None,
    shadow: Annotated[
        Path | None, typer.Option(help="What scorers with a challenger recorded; by default, in the folder of models.")
    ] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Compare two models: how each measured when it was trained, and how both scored the same live orders.

    Live orders are recorded by a scorer opened with `Scorer.open(models, challenger=...)`.

    Example: ordervet models compare m-1a2b3c4d5e6f m-6f5e4d3c2b1a --models models
    """
    session = Session(lang, json=json)
    folders = [find_listed_model(models, one) if one else find_serving_model(models)]
    folders += [find_listed_model(models, other)] if other else []
    ids, loaded = [folder.name for folder in folders], [load_model(folder) for folder in folders]
    measured = [{name: m.metrics.get(name) for name in _MEASURES} for m in loaded]
    recorded = compare_shadow(shadow or models / SHADOW_NAME, among=ids)
    if json:
        session.print_json({"measured": dict(zip(ids, measured, strict=True)), "shadow": recorded})
        return
    rows = [[session.text(f"models.{name}"), *(_number(row[name]) for row in measured)] for name in _MEASURES]
    session.print(WordTable(["", *ids], rows, numbers=range(1, len(ids) + 1)))
    if not recorded:
        session.print(session.text("models.no_pairs"))
        return
    session.print(session.text("models.own_orders"), style="dim")
    for pair in recorded:
        session.print(session.text("models.pair", **pair))
        if pair["n_claims"]:
            session.print(session.text("models.pair_claims", **pair))


@models_app.command("promote", epilog=EXIT_CODES_HELP)
def promote(
    models: Folder,
    model_id: Annotated[str, typer.Argument(help="Id of the model to promote.", show_default=False)],
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Promote a model, whatever its gates say; it is loaded and checked first.

    Example: ordervet models promote m-1a2b3c4d5e6f --models models
    """
    promote_model(models, model_id)
    _print_live(Session(lang, json=json), models)


@models_app.command("rollback", epilog=EXIT_CODES_HELP)
def rollback(models: Folder, lang: options.LangOption = None, json: options.Json = False) -> None:
    """Return to the model that was live before; again, one promotion further back.

    Example: ordervet models rollback --models models
    """
    rollback_model(models)
    _print_live(Session(lang, json=json), models)


@models_app.command("prune", epilog=EXIT_CODES_HELP)
def prune(
    models: Folder,
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest models to keep.")] = 30,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Remove old models; the live one, and the one a rollback would return to, always stay.

    Example: ordervet models prune --keep 30 --models models
    """
    session = Session(lang, json=json)
    removed = prune_models(models, keep=keep)
    if json:
        session.print_json({"removed": removed})
    else:
        session.print(session.text("models.removed", n=len(removed)))


@models_app.command("verify", epilog=EXIT_CODES_HELP)
def verify(models: Folder, lang: options.LangOption = None, json: options.Json = False) -> None:
    """Load and check every model, and the pointer to the live one; damage ends with code 5.

    Example: ordervet models verify --models models
    """
    session = Session(lang, json=json)
    faults = [each.fault for each in list_models(models) if each.fault]
    try:
        check_model(find_serving_model(models))
    except ModelError as error:
        faults = list(dict.fromkeys([*faults, error.message]))
    if json:
        session.print_json({"n_models": len(list_models(models)), "faults": faults})
    for fault in [] if json else faults:
        session.warn(translate_error(fault, session.lang), style="red")
    if faults:
        raise typer.Exit(ExitCode.MODEL)
    if not json:
        session.print(session.text("models.all_whole", n=len(list_models(models))))


def _print_live(session: Session, models: Path) -> None:
    live = find_serving_model(models).name
    if session.json:
        session.print_json({"live": live})
    else:
        session.print(session.text("models.is_live", model=live))


def _sum_up(listed: Listed) -> dict[str, Any]:
    gates = listed.metrics.get("gates")
    failed = [gate["name"] for gate in gates if not gate["passed"]] if gates else []
    return {
        "model_id": listed.model_id,
        "is_live": listed.is_live,
        "fault": listed.fault,
        "as_of": listed.origin.get("as_of") or listed.origin.get("last_order_at"),
        "n_orders": listed.origin.get("n_orders"),
        "ap": listed.metrics.get("ap"),
        "failed_gates": None if gates is None else failed,
    }


def _describe_gates(session: Session, failed: list[str] | None) -> str:
    if failed is None:
        return "–"
    names = join_words((name_gate(name, session.lang) for name in failed), session.lang)
    return session.text("models.failed", names=names) if failed else session.text("models.passed")


def _sum_up_promotion(promotion: Promotion) -> dict[str, Any]:
    return {name: getattr(promotion, name) for name in ("model_id", "previous", "at", "why")}


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
