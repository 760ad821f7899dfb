"""Commands about the policy: check a file, and see what it would have done before it is live."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP
from ordervet.cli.session import Session, read_time_us
from ordervet.errors import ContractError
from ordervet.policy import ACTIONS, BANDS, load_policy
from ordervet.policy.lists import ListEntry, add_entry, key_buyer, read_expiry
from ordervet.policy.rules import NUMBER_FIELDS, TEXT_FIELDS
from ordervet.reports.links import pseudonym
from ordervet.reports.terminal import WordTable
from ordervet.score.compare import compare_policies
from ordervet.words import find_words

if TYPE_CHECKING:
    from ordervet.model import Model
    from ordervet.policy import Policy
    from ordervet.score.compare import Comparison

policy_app = typer.Typer(
    help="Check a policy file; see what it would have done.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)

File = Annotated[Path, typer.Argument(help="Policy file (TOML), as docs/policy.md describes it.")]

_SHOWN_ORDERS = 10


@policy_app.command("check", epilog=EXIT_CODES_HELP)
def check_policy(
    file: File, models: options.Models = None, lang: options.LangOption = None, json: options.Json = False
) -> None:
    """Check a policy file and its lists, and name everything that is wrong.

    It also notes what is valid but worth knowing: expired entries and rules, features the live model lacks.

    Example: ordervet policy check policy.toml
    """
    session = Session(lang, json=json)
    policy = load_policy(file)
    model = session.load_model(models)
    notes = _list_notes(session, policy, model)
    facts: dict[str, Any] = {
        "policy": policy.name,
        "policy_id": policy.policy_id,
        "n_list_entries": len(policy.lists.entries),
        "n_rules": len(policy.rules),
        "n_quotas": len(policy.quotas),
        "capacity_by_shift": [window.n for window in policy.capacity.windows] if policy.capacity else None,
        "allows_test_orders": policy.allow_test_orders,
        "notes": notes,
    }
    if json:
        session.print_json(facts)
        return
    session.print(session.text("policy.valid", name=policy.name, id=policy.policy_id))
    session.print(
        session.text(
            "policy.counts", entries=len(policy.lists.entries), rules=len(policy.rules), quotas=len(policy.quotas)
        )
    )
    if policy.capacity:
        session.print(
            session.text("policy.per_shift", counts=", ".join(f"{window.n:,}" for window in policy.capacity.windows))
        )
    for note in notes:
        session.print(session.text("policy.note", note=note), style="yellow")


@policy_app.command("mark", epilog=EXIT_CODES_HELP)
def mark_buyer(
    buyer_id: Annotated[
        str, typer.Argument(help="The buyer, as in the files; - reads the id from standard input.", show_default=False)
    ],
    as_: Annotated[
        Literal["trusted", "watched"], typer.Option("--as", help="What the buyer is to be.", show_default=False)
    ],
    until: Annotated[str, typer.Option(help="Last day, such as 2026-06-30.", show_default=False)],
    owner: Annotated[str, typer.Option(help="Who answers for it: a team or a role.", show_default=False)],
    list_file: Annotated[Path, typer.Option("--list", help="List file of the policy: .csv.", show_default=False)],
    note: Annotated[str, typer.Option(help="Why; no personal data.")] = "",
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Mark a buyer as trusted (the score alone flags nothing) or watched (a person sees every order), until a date.

    The file holds the keyed id. It counts once the policy names it under [lists] files.

    Example: ordervet policy mark - --as trusted --until 2026-06-30 --owner "key accounts" --list lists.csv
    """
    session = Session(lang, json=json)
    keyed = key_buyer((sys.stdin.readline() if buyer_id == "-" else buyer_id).strip(), session.key)
    expires = read_expiry(until)
    if not keyed or expires is None:
        raise ContractError(
            "no buyer was given" if not keyed else f"--until: got {until}, expected a date", hint="--until 2026-06-30"
        )
    add_entry(
        list_file,
        ListEntry(
            list="allow" if as_ == "trusted" else "watch", entity="buyer", id=f"{keyed:016x}", expires=expires,
            owner=owner, note=note,
        ),
    )  # fmt: skip
    if json:
        session.print_json({"buyer": pseudonym("buyer", keyed), "as": as_, "expires": expires.isoformat()})
    else:
        session.print(session.text(f"policy.{as_}", code=pseudonym("buyer", keyed), until=until, path=list_file))


@policy_app.command("simulate", epilog=EXIT_CODES_HELP)
def simulate_policy(
    file: File,
    history: options.History,
    present: Annotated[Path | None, typer.Option(help="The policy in force; by default the shipped policy.")] = None,
    since: Annotated[str | None, typer.Option(help="Only orders seen at or after this time.")] = None,
    until: Annotated[str | None, typer.Option(help="Only orders seen before this time.")] = None,
    models: options.Models = None,
    lang: options.LangOption = None,
    threads: options.Threads = 0,
    json: options.Json = False,
) -> None:
    """Simulate a policy on a past period, beside the one in force, before it goes live.

    The live model scores every order on what was known when it was placed. Verdicts show how each policy would have
    done; orders without one are left out of those counts. Nothing is changed.

    Example: ordervet policy simulate changed.toml --history history --since "2025-11-10" --until "2025-11-12"
    """
    session = Session(lang, json=json, threads=threads)
    one, other = session.load_policy(present), session.load_policy(file)
    model = session.load_model(models)
    since_us, until_us = read_time_us("--since", since), read_time_us("--until", until)
    with session.progress() as report_step:
        report_step("reading")
        events = session.open_history(history).read()
        report_step(f"scoring {events.orders.num_rows:,} orders")
        found = compare_policies(
            events, model, one, other, since_us=since_us, until_us=until_us, n_threads=session.n_threads
        )
    if found.n_orders == 0:
        raise ContractError("there is no order in this period", hint="widen --since and --until, or omit them")
    if json:
        session.print_json(found.as_dict() | {"model_id": model.model_id})
        return
    _print_comparison(session, found)
    session.print(session.text("policy.compared", n=found.n_orders, id=model.model_id), style="dim")


def _list_notes(session: Session, policy: Policy, model: Model) -> list[str]:
    known = {*NUMBER_FIELDS, *TEXT_FIELDS, *model.spec.names}
    now = datetime.now(UTC)
    notes = [
        session.text("policy.never_holds", rule=rule.name, name=name)
        for rule in policy.rules
        for name in rule.expression.names
        if name not in known
    ]
    notes += [
        session.text("policy.rule_expired", rule=rule.name, date=rule.expires)
        for rule in policy.rules
        if rule.expires and rule.expires <= now.date()
    ]
    notes += [
        session.text("policy.quota_ended", quota=quota.name, time=f"{quota.until:%Y-%m-%d %H:%M}")
        for quota in policy.quotas
        if quota.until and quota.until <= now
    ]
    if n_expired := sum(entry.expires <= now for entry in policy.lists.entries):
        notes.append(session.text("policy.entries_expired", n=n_expired))
    if policy.allow_test_orders:
        notes.append(session.text("policy.test_orders"))
    return notes


def _print_comparison(session: Session, found: Comparison) -> None:
    both = (found.present, found.changed)
    bands, actions = find_words("bands", session.lang), find_words("actions", session.lang)
    rows = [
        [session.text("policy.band", name=bands[band]), *(f"{tally.bands[band]:,}" for tally in both)]
        for band in reversed(BANDS)
    ]
    for action in reversed(ACTIONS):
        name = session.text("policy.action", name=actions[action])
        rows.append([name, *(f"{tally.actions[action]:,}" for tally in both)])
    for field in ("n_flagged", "flagged_minor", "n_malicious", "malicious_minor", "n_innocent", "n_touched"):
        values = [getattr(tally, field) for tally in both]
        shown = [f"{value / 100:,.2f}" if field.endswith("_minor") else f"{value:,}" for value in values]
        rows.append([session.text(f"policy.{field}"), *shown])
    for name in dict.fromkeys(name for tally in both for name in tally.quotas):
        beyond = [f"{tally.quotas[name]:,}" if name in tally.quotas else "" for tally in both]
        rows.append([session.text("policy.beyond", quota=name), *beyond])
    titles = [session.text(f"policy.{name}") for name in ("title", "present", "changed")]
    session.print(WordTable(titles, rows, numbers=(1, 2)))
    for (old, new), n in found.moves.items():
        session.print(session.text("policy.moved", old=actions[old], new=actions[new], n=n))
    if not found.moves:
        session.print(session.text("policy.unmoved"))
    else:
        session.print(session.text("policy.first", ids=", ".join(found.changed_ids[:_SHOWN_ORDERS])))
