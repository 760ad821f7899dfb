"""What became of the rows of each file, and which evidence its orders lack: counted, and printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ordervet.contract.files.accounts import build_account
from ordervet.contract.files.pieces import FILE_FAILURE_SCHEMA
from ordervet.currencies import UNKNOWN
from ordervet.history import IngestStatus
from ordervet.words import find_words, join_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ordervet.cli.session import Session
    from ordervet.contract import FileAccount
    from ordervet.contract.files.pieces import FilePiece
    from ordervet.contract.formats.description import FileContent
    from ordervet.history import Ingested
    from ordervet.words import Lang

_SHOWN_FROM = 0.005  # shares below are not worth a word on the screen


def account_piece(piece: FilePiece, ingested: Ingested) -> FileAccount:
    """Account for every row of a file, or of a piece of one.

    Parameters
    ----------
    piece : the file or piece
    ingested : what became of its events
    """
    rows = np.concatenate([piece.rows[kind] for kind in piece.rows])
    statuses = np.concatenate([ingested.statuses[kind] for kind in piece.rows])
    accepted = np.unique(rows[statuses == IngestStatus.ACCEPTED])
    merged = np.setdiff1d(np.concatenate([piece.merged_rows, rows[statuses == IngestStatus.MERGED]]), accepted)
    is_known = np.isin(statuses, (IngestStatus.KNOWN, IngestStatus.ERASED))
    known = np.setdiff1d(rows[is_known], np.concatenate([accepted, merged]))
    n_used = len(accepted) + len(merged) + len(known)
    return build_account(
        piece,
        {kind: len(own) for kind, own in piece.rows.items()},
        n_accepted=len(accepted),
        n_merged=len(merged),
        n_known=len(known),
        n_quarantined=piece.n_rows - n_used,
        evidence=ingested.evidence,
    )


_SET_ASIDE = {
    IngestStatus.EARLY: ("happened_at", "order_first", "a time before its order"),
    IngestStatus.CONFLICT: ("order_id", "order_id_conflict", "another order has this id: name the shop (--shop)"),
    IngestStatus.OUT_OF_TIME: ("happened_at", "out_of_time", "a time too far ahead, or before the year 2000"),
    IngestStatus.NO_ORDER: ("order_id", "known_order", "the id of no good order"),
    IngestStatus.AMBIGUOUS: ("order_id", "ambiguous_order", "several orders have this id: name the shop (--shop)"),
}
"""What the history sets aside: field, rule, and what was observed."""


def list_failures(pieces: Sequence[FilePiece], ingested: Sequence[Ingested]) -> pa.Table:
    """List what was set aside, by the rules of the contract or because it was seen before its order."""
    tables = [FILE_FAILURE_SCHEMA.empty_table()]
    for piece, each in zip(pieces, ingested, strict=True):
        tables.append(piece.failures)
        for kind, rows in piece.rows.items():
            for status, (name, rule, observed) in _SET_ASIDE.items():
                at = np.flatnonzero(each.statuses[kind] == status)
                columns = {
                    "file": pa.repeat(piece.name, len(at)),
                    "row": pa.array(rows[at]),
                    "order_id": piece.read_column(kind, "order_id").take(pa.array(at)),
                    "field": pa.repeat(name, len(at)),
                    "rule": pa.repeat(rule, len(at)),
                    "observed": pa.repeat(observed, len(at)),
                }
                tables.append(pa.table(columns, schema=FILE_FAILURE_SCHEMA))
    return pa.concat_tables(tables).combine_chunks()


def print_accounts(session: Session, accounts: Iterable[FileAccount]) -> None:
    """Print what became of the rows of each file, and what its orders lack."""
    for each in accounts:
        counts = {"accepted": each.n_accepted, "merged": each.n_merged, "known": each.n_known}
        counts |= {"read": each.n_read, "aside": each.n_quarantined}
        account = "files.account_of_one" if each.n_read == 1 else "files.account"
        session.print(session.text(account, file=each.file, **counts))
        missing = each.missing_evidence.items()
        lacking = [_format_missing(session, name, each) for name, share in missing if share >= _SHOWN_FROM]
        if lacking:
            what = join_words(lacking, session.lang)
            session.print(session.text("files.lacking", n=each.n_orders, what=what), style="dim")
        known = {code: n for code, n in each.currencies.items() if code != UNKNOWN}
        if len(known) > 1:
            what = join_words([f"{code} {n:,}" for code, n in known.items()], session.lang)
            session.print(session.text("files.currencies", what=what))
        print_left_out(session, each)


def print_left_out(session: Session, found: FileAccount | FileContent) -> None:
    """Print whose currency is unknown, which outcomes have no date, what to export instead, and unknown states."""
    undated = {name_outcome(kind, session.lang): n for kind, n in found.undated.items()}
    if UNKNOWN in found.currencies:
        session.print(session.text("files.no_currency", n=found.currencies[UNKNOWN]))
    for title, counts in (("undated", undated), ("unknown_states", found.unknown_states)):
        if counts:
            what = join_words([f"{n:,} {name}" for name, n in counts.items()], session.lang)
            session.print(session.text(f"files.{title}", what=what), style="dim")
    for hint in found.hints.values():
        session.print(session.text("files.hint", what=hint[session.lang]), style="dim")


def name_outcome(kind: str, lang: Lang) -> str:
    """Name what became of orders, in the words of the reasons."""
    from ordervet.policy.reason_registry import load_registry

    return load_registry().columns[kind][lang]


def _format_missing(session: Session, name: str, account: FileAccount) -> str:
    n_masked = account.evidence[name]["masked"]
    masked = session.text("files.masked", share=n_masked / account.n_orders) if n_masked else ""
    entity = find_words("entities", session.lang).get(name, name)
    return f"{entity} {account.missing_evidence[name]:.0%}{masked}"


def format_set_aside(session: Session, n_rows: int, n_failures: int) -> str:
    """Format how many rows were set aside; a line about part of a row that was used counts by itself."""
    return session.text("files.aside" if n_rows else "files.aside_none", rows=n_rows, lines=n_failures)
