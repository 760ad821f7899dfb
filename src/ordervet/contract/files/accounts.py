"""What became of the rows of each file."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from ordervet.contract.files.pieces import FilePiece
    from ordervet.contract.schemas import EventKind

_SUMS = (
    "n_read", "n_accepted", "n_merged", "n_known", "n_quarantined",
    "n_orders", "n_outcomes", "n_verdicts", "n_corrections",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileAccount:
    """What became of the rows of one file; `n_read` is the sum of the four counts below it.

    A row of which anything is new counts as accepted, else one that went into another as merged, else as known. A row
    counts as quarantined when nothing of it could be used.

    Parameters
    ----------
    file : its name, without its folder
    format : the name of its format, "native", or "mapping"
    n_read : rows, of a JSON document the lines of its orders
    n_accepted : rows that an order, refund or verdict comes from
    n_merged : rows that went into an earlier row's order, or that repeat a row of this or an earlier file
    n_known : rows that a history has already
    n_quarantined : rows that are set aside, each with a reason among the failures
    undated : outcome kind → rows whose final state says so, but neither when nor by when; such outcomes are left out
    unknown_states : column → rows with a state that the format does not know
    n_orders, n_outcomes, n_verdicts, n_corrections : events that come from the file
    evidence : entity → orders by what is known of it: known, absent, masked, unusable; empty before keys are made
    hints : outcome kind → what to export instead of what is undated, by language
    currencies : currency → orders
    """

    file: str
    format: str
    n_read: int
    n_accepted: int
    n_merged: int
    n_known: int
    n_quarantined: int
    undated: dict[str, int] = field(default_factory=dict)
    unknown_states: dict[str, int] = field(default_factory=dict)
    n_orders: int = 0
    n_outcomes: int = 0
    n_verdicts: int = 0
    n_corrections: int = 0
    evidence: dict[str, dict[str, int]] = field(default_factory=dict)
    hints: dict[str, dict[str, str]] = field(default_factory=dict)
    currencies: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, with the share of orders that lack each kind of evidence."""
        return asdict(self) | {"missing_evidence": self.missing_evidence}

    @property
    def missing_evidence(self) -> dict[str, float]:
        """Entity → share of orders without a key for it, where there are any."""
        shares = {name: 1 - counts["known"] / max(self.n_orders, 1) for name, counts in self.evidence.items()}
        return {name: round(share, 4) for name, share in shares.items() if share > 0 and self.n_orders}


def build_account(
    piece: FilePiece,
    n_events: Mapping[EventKind, int],
    *,
    n_accepted: int,
    n_merged: int,
    n_quarantined: int,
    n_known: int = 0,
    evidence: dict[str, dict[str, int]] | None = None,
) -> FileAccount:
    """Build the account of a file, or of a piece of one.

    Parameters
    ----------
    piece : the file or piece
    n_events : per kind, events that come from it
    n_accepted, n_merged, n_quarantined, n_known, evidence : as in the account
    """
    return FileAccount(
        file=piece.name,
        format=piece.format,
        n_read=piece.n_rows,
        n_accepted=n_accepted,
        n_merged=n_merged,
        n_known=n_known,
        n_quarantined=n_quarantined,
        undated={kind: n for kind, n in piece.tally.undated.items() if n},
        unknown_states={column: n for column, n in piece.tally.unknown.items() if n},
        n_orders=n_events["orders"],
        n_outcomes=n_events["outcomes"],
        n_verdicts=n_events["verdicts"],
        n_corrections=n_events["corrections"],
        evidence=evidence or {},
        hints={kind: hint for kind, hint in piece.tally.hints.items() if piece.tally.undated[kind]},
        currencies=count_values(piece.read_column("orders", "currency")),
    )


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """Count the values of a column of texts, the most frequent first."""
    counts = {str(each["values"]): each["counts"] for each in pc.value_counts(column.drop_null()).to_pylist()}
    return dict(sorted(counts.items(), key=lambda each: -each[1]))


def sum_accounts(pieces: Iterable[tuple[int, FileAccount]]) -> list[FileAccount]:
    """Sum the pieces of each file, in the order of the files.

    Parameters
    ----------
    pieces : number of the file, and the account of one of its pieces; in the order in which they were read
    """
    by_file: dict[int, list[FileAccount]] = {}
    for number, piece in pieces:
        by_file.setdefault(number, []).append(piece)
    return [_sum(by_file[number]) for number in sorted(by_file)]


def _sum(pieces: Sequence[FileAccount]) -> FileAccount:
    sums = {name: sum(getattr(piece, name) for piece in pieces) for name in _SUMS}
    evidence = sum_evidence(piece.evidence for piece in pieces)
    currencies = sum_counts(piece.currencies for piece in pieces)
    # The states of the last piece are those of the whole file.
    return replace(pieces[-1], **sums, evidence=evidence, currencies=currencies)


def sum_counts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sum counts over the pieces of a file, the most frequent first."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total.most_common())


def sum_evidence(parts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Sum counts of evidence over the pieces of a file."""
    total: dict[str, Counter[str]] = {}
    for part in parts:
        for name, counts in part.items():
            total.setdefault(name, Counter()).update(counts)
    return {name: dict(counts) for name, counts in total.items()}
