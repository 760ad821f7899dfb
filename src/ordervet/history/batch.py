"""What is brought in at one time: the rows of several sources, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ordervet.entities.keyed import KEYED_KINDS, count_evidence, key_events
from ordervet.history.identity import identify
from ordervet.history.rows import fit_rows, to_rows, unite_schemas

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ordervet.contract import EventKind, Events
    from ordervet.entities.keys import Key
    from ordervet.history.identity import Admission, Fate


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a set of events.

    Parameters
    ----------
    fates : per kind of event, shape (n_events,), int8 codes of `Fate`
    n_waiting : accepted events whose order is not known yet; they count from the moment it is
    n_differing : known orders that came with another instant or amount; the first stands
    evidence : entity → orders by the word for what is known of it ("known", "absent", "masked", "unusable")
    """

    fates: dict[EventKind, NDArray[np.int8]]
    n_waiting: int
    n_differing: int
    evidence: dict[str, dict[str, int]] = field(default_factory=dict)

    def count(self, fate: Fate) -> int:
        """Count the events with one fate."""
        return sum(int((fates == fate).sum()) for fates in self.fates.values())


@dataclass(frozen=True, slots=True)
class Batch:
    """Identified rows of several sources, below each other.

    Parameters
    ----------
    rows : shape (n_rows, n_columns), `row_schema` with the extras of all sources
    slices : per source and kind of event, which rows these are
    """

    rows: pa.Table
    slices: list[dict[EventKind, slice]]

    def report(self, admission: Admission) -> list[Ingested]:
        """Say per source what became of its events."""
        reports = []
        for of_kinds in self.slices:
            fates = {kind: admission.fates[rows] for kind, rows in of_kinds.items()}
            n_waiting, n_differing = (
                sum(int(flags[rows].sum()) for rows in of_kinds.values())
                for flags in (admission.is_waiting, admission.is_differing)
            )
            evidence = count_evidence(self.rows.slice(of_kinds["orders"].start, len(fates["orders"])))
            reports.append(Ingested(fates, n_waiting, n_differing, evidence))
        return reports


def build_batch(parts: Sequence[Events], key: Key) -> Batch:
    """Turn events into identified rows.

    Parameters
    ----------
    parts : one set per source; see `identity.py` for what a source is to repeated rows
    key : the identifier key
    """
    tables, slices, n_rows = [], [], 0
    for part in parts:
        keyed = key_events(part, key)
        rows_of = {kind: to_rows(keyed, kind) for kind in KEYED_KINDS}
        of_kinds: dict[EventKind, slice] = {}
        for kind, rows in rows_of.items():
            of_kinds[kind] = slice(n_rows, n_rows + rows.num_rows)
            n_rows += rows.num_rows
        tables.append(identify(pa.concat_tables(rows_of.values()), key))
        slices.append(of_kinds)
    schema = unite_schemas(tables)
    return Batch(pa.concat_tables([schema.empty_table(), *(fit_rows(table, schema) for table in tables)]), slices)


def add_in_memory(stored: pa.Table, admission: Admission) -> pa.Table:
    """Give the rows of the store as they would be after a commit."""
    tables = [put_blames(stored, admission.changed), admission.new]
    schema = unite_schemas(tables)
    return pa.concat_tables([fit_rows(table, schema) for table in tables])


def put_blames(rows: pa.Table, blames: pa.Table) -> pa.Table:
    """Put blames into rows.

    Parameters
    ----------
    rows : with the columns ``event_id`` and ``blame``
    blames : these two columns alone
    """
    at = pc.index_in(rows["event_id"], blames["event_id"].combine_chunks()).combine_chunks()
    blame = pc.coalesce(blames["blame"].combine_chunks().take(at), rows["blame"])
    place = rows.schema.get_field_index("blame")
    return rows.set_column(place, rows.schema.field(place), blame)


def sort_rows(rows: pa.Table) -> pa.Table:
    """Bring rows into the order seen; among ties the identity decides, whatever came first into the store."""
    return rows.sort_by([("seen_at", "ascending"), ("event_id", "ascending")])
