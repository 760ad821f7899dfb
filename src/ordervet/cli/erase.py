"""The command erase: forget a buyer, for good."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ordervet.cli import options
from ordervet.cli.session import Session
from ordervet.entities import canonical_buyer
from ordervet.errors import ContractError


def erase(
    buyer_id: Annotated[
        str,
        typer.Argument(
            help="The buyer, as in the files; - reads the id from standard input.",
            show_default=False,
        ),
    ],
    history: options.History,
    lift: Annotated[
        bool, typer.Option("--lift", help="Let the buyer's past orders in again, when a file with them is ingested.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Erase a buyer from the history: all orders and whatever became of them, from all versions, at once.

    A tombstone keeps the buyer's past orders out when an export that overlaps is ingested again; orders from after the
    erasure are new. Models trained before hold no ids; retrain to remove the buyer's orders from what they learned.

    Example: ordervet erase - --history history --yes
    """
    session = Session(lang, json=json)
    buyer = (sys.stdin.readline() if buyer_id == "-" else buyer_id).strip()
    if canonical_buyer(buyer).evidence:
        raise ContractError(
            "no buyer was given, or what stands for nobody, or a masked name", hint="ordervet erase BUYER --history DIR"
        )
    if not yes and not lift and not typer.confirm(session.text("erase.ask"), err=True):
        raise typer.Exit(1)
    store = session.open_history(history)
    if lift:
        is_lifted = store.lift_erasure(buyer)
        if json:
            session.print_json({"is_lifted": is_lifted})
        else:
            session.print(session.text("erase.lifted" if is_lifted else "erase.not_erased"))
        return
    erased = store.erase_buyer(buyer)
    if json:
        session.print_json({"n_orders": erased.n_orders, "n_later": erased.n_later, "version": store.version})
    else:
        session.print(session.text("erase.done", orders=erased.n_orders, later=erased.n_later))
