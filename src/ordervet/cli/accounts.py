"""What became of the rows of each file, and which evidence its orders lack, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from ordervet.cli.screen import out
from ordervet.cli.words import join, name_entity, name_outcome, word
from ordervet.entities.keyed import count_evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from ordervet.contract import FileCounts
    from ordervet.policy import Lang

_SHOWN_FROM = 0.005  # shares below are not worth a word on the screen


@dataclass(frozen=True, slots=True)
class FileAccount:
    """What became of the rows of one file; `n_read` is the sum of the four below it.

    A row of which anything is new counts as accepted, else one that went into another as merged, else as known. A row
    counts as quarantined when nothing of it could be used.

    Parameters
    ----------
    undated : outcome kind → rows whose final state says so, but neither when nor by when; left out
    unknown_states : column → rows with a state that the format does not know
    n_orders : orders that come from the file
    evidence : entity → orders by what is known of it: known, absent, masked, unusable
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
    evidence: dict[str, dict[str, int]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, with the share of orders that lack each kind of evidence."""
        return asdict(self) | {"missing_evidence": self.missing_evidence}

    @property
    def missing_evidence(self) -> dict[str, float]:
        """Entity → share of orders without a key for it, where there are any."""
        shares = {name: 1 - counts["known"] / max(self.n_orders, 1) for name, counts in self.evidence.items()}
        return {name: round(share, 4) for name, share in shares.items() if share > 0 and self.n_orders}


def account_files(
    counts: Sequence[FileCounts], order_ids: pa.ChunkedArray, keyed_orders: pa.Table
) -> list[FileAccount]:
    """Account for the files that `read_counted_events` read.

    Parameters
    ----------
    counts : file by file
    order_ids : shape (n_orders,), of all orders that were read, in the order of the files
    keyed_orders : the same orders, or some of them, in any order, with the columns ``evidence__NAME``
    """
    accounts, start = [], 0
    for each in counts:
        own = order_ids.slice(start, each.n_orders)
        start += each.n_orders
        orders = keyed_orders.filter(pc.is_in(keyed_orders["order_id"], own.combine_chunks()))
        accounts.append(_account(each, orders))
    return accounts


def _account(counts: FileCounts, orders: pa.Table) -> FileAccount:
    return FileAccount(
        counts.file,
        counts.format,
        counts.n_read,
        counts.n_accepted,
        counts.n_merged,
        0,
        counts.n_quarantined,
        counts.undated,
        counts.unknown_states,
        orders.num_rows,
        count_evidence(orders),
    )


def add_evidence(parts: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Add counts of evidence, of the pieces of a file."""
    total: dict[str, Counter[str]] = {}
    for part in parts:
        for name, counts in part.items():
            total.setdefault(name, Counter()).update(counts)
    return {name: dict(counts) for name, counts in total.items()}


def print_accounts(accounts: Iterable[FileAccount], lang: Lang) -> None:
    """Print what became of the rows of each file, and what its orders lack."""
    for each in accounts:
        counts = {"accepted": each.n_accepted, "merged": each.n_merged, "known": each.n_known}
        line = word("account", lang, file=each.file, read=each.n_read, aside=each.n_quarantined, **counts)
        out.print(line, markup=False)
        lacking = [_say_lack(name, each, lang) for name, share in each.missing_evidence.items() if share >= _SHOWN_FROM]
        if lacking:
            out.print(word("lacking", lang, n=each.n_orders, what=join(lacking, lang)), style="dim")
        undated = {name_outcome(kind, lang): n for kind, n in each.undated.items()}
        for title, found in (("undated", undated), ("unknown_states", each.unknown_states)):
            if found:
                what = join([f"{n:,} {name}" for name, n in found.items()], lang)
                out.print(word(title, lang, what=what), style="dim", markup=False)


def _say_lack(name: str, account: FileAccount, lang: Lang) -> str:
    n_masked = account.evidence[name]["masked"]
    masked = word("masked", lang, share=n_masked / account.n_orders) if n_masked else ""
    return f"{name_entity(name, lang)} {account.missing_evidence[name]:.0%}{masked}"


def say_set_aside(n_rows: int, n_failures: int, lang: Lang) -> str:
    """Say how many rows were set aside; a line about part of a row that was used counts by itself."""
    return word("aside" if n_rows else "aside_none", lang, rows=n_rows, lines=n_failures)
