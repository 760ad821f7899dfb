"""What ordervet makes of a file: its format, which column is taken for what, and what the rows say of themselves."""

from __future__ import annotations

import difflib
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ordervet.contract.files.accounts import count_values
from ordervet.contract.files.cells import plain_name
from ordervet.contract.files.rows import open_rows
from ordervet.contract.formats.detection import Header, choose_format, detect_format, match_format
from ordervet.contract.formats.exports import iter_exports
from ordervet.contract.formats.library import list_formats
from ordervet.contract.formats.plans import plan_fields
from ordervet.contract.schemas import MODELS, concat_events

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ordervet.contract.files.pieces import FilePiece
    from ordervet.contract.formats.definition import Format
    from ordervet.contract.schemas import EventKind

EVIDENCE = (
    *("buyer_id", "recipient", "address", "phone", "device_id", "ip", "payment_account"),
    *("item_id", "quantity", "discount_minor", "shop_id", "channel"),
)
"""What an order can be judged by; its absence is told."""

_MAX_SHOPS = 20
_MIN_LIKENESS = 0.6


@dataclass(frozen=True)
class FileContent:
    """What the rows of a file say.

    Parameters
    ----------
    n_rows, n_set_aside : rows, and those of them that cannot be used
    n_orders, n_lines, n_outcomes, n_verdicts : what comes of them
    first, last : the period, by the times of its orders, or of its own events, UTC; "" without a good row
    currencies, shops : value → orders, the most frequent first
    missing : what an order can be judged by → share of orders without it
    unknown_states : column → rows with a state that the format does not know
    undated : outcome kind → rows whose state says so, but not when
    hints : outcome kind → what to export instead, by language
    """

    n_rows: int
    n_set_aside: int
    n_orders: int
    n_lines: int
    n_outcomes: int
    n_verdicts: int
    first: str
    last: str
    currencies: dict[str, int]
    shops: dict[str, int]
    missing: dict[str, float]
    unknown_states: dict[str, int]
    undated: dict[str, int]
    hints: dict[str, dict[str, str]]


@dataclass(frozen=True)
class FileDescription:
    """What is made of a file.

    Parameters
    ----------
    file : its name, without its folder
    format, title, kind : the format it has, and what it holds: "orders", "outcomes" or "verdicts"
    envelope : how it was read: separator, encoding, row of the header
    time_zone : where its times without an offset are read
    unchecked : what could not be held against a real file, by language; None where all was
    score : 0 to 1, the share of its columns that the format knows
    taken : contract field → the file's columns it is read from, in the order in which they count
    states : the columns about what became of an order later: they become dated outcomes, never features
    line_columns : the columns that distinguish the lines of an order
    never_keys : column → why it is no key; it is not read
    ignored : columns that the format knows and leaves out
    unknown : columns that the format does not know
    alike : those of them that look like a column of some contract field → the field
    not_found : contract fields of the format that the file has no column for
    content : what the rows say
    """

    file: str
    format: str
    title: str
    kind: str
    envelope: str
    time_zone: str
    unchecked: dict[str, str] | None
    score: float
    taken: dict[str, tuple[str, ...]]
    states: tuple[str, ...]
    line_columns: tuple[str, ...]
    never_keys: dict[str, str]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]
    alike: dict[str, str]
    not_found: tuple[str, ...]
    content: FileContent

    def as_dict(self) -> dict[str, Any]:
        """Return the description as plain values, for JSON."""
        return asdict(self)


def describe_file(
    path: str | Path,
    formats_dir: str | Path | None = None,
    *,
    format: str | None = None,  # noqa: A002 - what it is
    time_zone: str | None = None,
    currency: str | None = None,
) -> FileDescription:
    """Describe which format a file has, what each of its columns is taken for, and what its rows say.

    Parameters
    ----------
    path : as for `read_events`
    formats_dir : a folder of further format files
    format : the name of a format, instead of finding it out
    time_zone : where times without an offset are read, instead of the format's
    currency : of orders that name none, instead of the format's

    Raises
    ------
    FileError
        The file is unreadable, or of no known format, or not of the one named.
    MappingError
        A format file is wrong.
    """
    formats = list_formats(formats_dir)
    source = open_rows(path, [each.json_places for each in formats])
    name = source.path.name
    if format in {None, "auto"}:
        fmt = detect_format(source.names, formats, where=name, envelope=source.envelope)
    else:
        fmt = choose_format(str(format), source.names, formats, where=name)
    header = Header(source.names)
    plans = plan_fields(fmt, header)
    taken = {plan.field.name: plan.columns for plan in plans if plan.columns}
    states = tuple(dict.fromkeys(c for state in fmt.states.values() for c in header.find(state.columns)))
    lines = header.find([*fmt.lines.id, *fmt.lines.amount])
    never = {column: reason for alias, reason in fmt.never_keys.items() for column in header.find([alias])}
    read = {column for columns in taken.values() for column in columns} | {*states, *lines, *never}
    known = set(header.find(fmt.known_columns))
    planned = {plan.field.name for plan in plans}
    unknown = tuple(column for column in header.names if column not in known | read)
    return FileDescription(
        file=name,
        format=fmt.name,
        title=fmt.title,
        kind=fmt.kind,
        envelope=source.envelope,
        time_zone=time_zone or fmt.time_zone,
        unchecked=None if fmt.unchecked is None else fmt.unchecked.model_dump(),
        score=round(match_format(header, fmt).score, 3),
        taken=taken,
        states=states,
        line_columns=lines,
        never_keys=never,
        ignored=tuple(column for column in header.names if column in known - read),
        unknown=unknown,
        alike={column: field for column, (field, _) in rank_alike(unknown, fmt.kind, formats).items()},
        not_found=tuple(field for field in fmt.fields if field not in planned),
        content=_describe_content(list(iter_exports(source, fmt, time_zone, currency)), fmt.kind),
    )


def rank_alike(columns: Sequence[str], kind: EventKind, formats: Sequence[Format]) -> dict[str, tuple[str, float]]:
    """Find columns that look like one that some format reads.

    Parameters
    ----------
    columns : names
    kind : of the file
    formats : whose names to compare with

    Returns
    -------
    column → contract field, and how much the names are alike: 1 where they are the same
    """
    votes: dict[str, Counter[str]] = {}
    for fmt in (each for each in formats if each.kind == kind):
        for field, sources in fmt.fields.items():
            for name in {plain_name(name) for source in sources for name in source.names if not name.endswith("*")}:
                votes.setdefault(name, Counter())[field] += 1
    fields = {name: counts.most_common(1)[0][0] for name, counts in votes.items()}
    matcher = difflib.SequenceMatcher(autojunk=False)
    alike: dict[str, tuple[str, float]] = {}
    for column in columns:
        matcher.set_seq2(plain_name(column))
        likeness = {}
        for name in fields:
            matcher.set_seq1(name)
            likeness[name] = matcher.ratio()
        best = max(likeness, key=likeness.__getitem__, default="")
        if best and likeness[best] >= _MIN_LIKENESS:
            alike[column] = fields[best], likeness[best]
    return alike


def _describe_content(pieces: Sequence[FilePiece], kind: EventKind) -> FileContent:
    tables = {each: concat_events(each, [getattr(piece.events, each) for piece in pieces]) for each in MODELS}
    orders = tables["orders"]
    times = tables[kind][MODELS[kind].instant_field].cast(pa.timestamp("s", tz="UTC"), safe=False).cast(pa.string())
    ends = pc.min_max(times).as_py()
    n_set_aside = sum(len(np.unique(_rows_set_aside(piece))) for piece in pieces)
    tally = pieces[-1].tally  # of the whole file by then
    lacking = {name: orders[name].null_count / max(orders.num_rows, 1) for name in EVIDENCE}
    shops = list(count_values(orders["shop_id"]).items())[:_MAX_SHOPS]
    return FileContent(
        n_rows=sum(piece.n_rows for piece in pieces),
        n_set_aside=n_set_aside,
        n_orders=orders.num_rows,
        n_lines=pc.sum(orders["n_lines"]).as_py() or 0,
        n_outcomes=tables["outcomes"].num_rows,
        n_verdicts=tables["verdicts"].num_rows,
        first=ends["min"] or "",
        last=ends["max"] or "",
        currencies=count_values(orders["currency"]),
        shops=dict(shops),
        missing={name: round(share, 4) for name, share in lacking.items() if share > 0},
        unknown_states={column: n for column, n in tally.unknown.items() if n},
        undated={outcome: n for outcome, n in tally.undated.items() if n},
        hints={outcome: hint for outcome, hint in tally.hints.items() if tally.undated[outcome]},
    )


def _rows_set_aside(piece: FilePiece) -> np.ndarray:
    """Return the rows that failed, and of which nothing was used."""
    used = np.concatenate([*piece.rows.values(), piece.merged_rows])
    return np.setdiff1d(piece.failures["row"].to_numpy(), used)
