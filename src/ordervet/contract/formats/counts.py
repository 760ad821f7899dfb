"""How the rows of a file add up, and what evidence they lack."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

#: The fields that tell who is involved; many exports have none of them in plain form.
EVIDENCE_FIELDS = (
    "buyer_id",
    "recipient",
    "address",
    "address_group",
    "phone",
    "phone_group",
    "device_id",
    "ip",
    "payment_account",
)


@dataclass(frozen=True)
class FileCounts:
    """What became of the rows of one file; `n_read` is the sum of the three below it.

    Parameters
    ----------
    file : its name, without its folder
    format : the name of its format, "native", or "mapping"
    n_read : rows, of a JSON document the lines of its orders
    n_accepted : rows that an order, refund or verdict comes from
    n_merged : rows that went into an earlier row's order, or that repeat a row of this or an earlier file
    n_quarantined : rows that are set aside, each with a reason among the failures
    n_orders, n_outcomes, n_verdicts, n_corrections : events that come from the file
    undated : outcome kind → rows whose final state says so, but neither when nor by when; such outcomes are left out
    unknown_states : column → rows with a state that the format does not know
    evidence : field → orders for which it is given, None where the file has no column for it; empty without orders
    """

    file: str
    format: str
    n_read: int
    n_accepted: int
    n_merged: int
    n_quarantined: int
    n_orders: int = 0
    n_outcomes: int = 0
    n_verdicts: int = 0
    n_corrections: int = 0
    undated: dict[str, int] = field(default_factory=dict)
    unknown_states: dict[str, int] = field(default_factory=dict)
    evidence: dict[str, int | None] = field(default_factory=dict)

    @property
    def missing_evidence(self) -> tuple[str, ...]:
        """The fields of evidence that no order of the file has."""
        return tuple(name for name, n in self.evidence.items() if not n)

    def as_dict(self) -> dict[str, Any]:
        """Give the counts as plain values, for JSON."""
        return asdict(self) | {"missing_evidence": list(self.missing_evidence)}


def count_evidence(orders: pa.Table, fields: frozenset[str]) -> dict[str, int | None]:
    """Count for how many orders each field of evidence is given.

    Parameters
    ----------
    orders : canonical
    fields : those that the file has a column for
    """
    return {name: len(orders) - orders[name].null_count if name in fields else None for name in EVIDENCE_FIELDS}
