"""What ordervet makes of a file: its format, which column is taken for what, and which are left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ordervet.contract.files.rows import open_rows
from ordervet.contract.formats.detection import Header, choose_format, detect_format, match_format
from ordervet.contract.formats.library import list_formats
from ordervet.contract.formats.plans import plan_fields

if TYPE_CHECKING:
    from pathlib import Path

    from ordervet.contract.formats.definition import Format


@dataclass(frozen=True)
class FileDescription:
    """What is made of a file.

    Parameters
    ----------
    file : its name, without its folder
    format, title, kind : the format it has, and what it holds: "orders", "outcomes" or "verdicts"
    score : 0 to 1, the share of its columns that the format knows
    taken : contract field → the file's columns it is read from, in the order in which they count
    states : the columns about what became of an order later: they become dated outcomes, never features
    line_columns : the columns that distinguish the lines of an order
    never_keys : column → why it is no key; it is not read
    ignored : columns that the format knows and leaves out
    unknown : columns that the format does not know
    not_found : contract fields of the format that the file has no column for
    """

    file: str
    format: str
    title: str
    kind: str
    score: float
    taken: dict[str, tuple[str, ...]]
    states: tuple[str, ...]
    line_columns: tuple[str, ...]
    never_keys: dict[str, str]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]
    not_found: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the description as plain values, for JSON."""
        return asdict(self)


def describe_file(
    path: str | Path,
    formats_dir: str | Path | None = None,
    *,
    format: str | None = None,  # noqa: A002 - what it is
) -> FileDescription:
    """Describe which format a file has and what each of its columns is taken for; no row is read of a CSV file.

    Parameters
    ----------
    path : as for `read_events`
    formats_dir : a folder of further format files
    format : the name of a format, instead of finding it out

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
    return _describe(name, fmt, Header(source.names))


def _describe(name: str, fmt: Format, header: Header) -> FileDescription:
    plans = plan_fields(fmt, header)
    taken = {plan.field.name: plan.columns for plan in plans if plan.columns}
    states = tuple(dict.fromkeys(c for state in fmt.states.values() for c in header.find(state.columns)))
    lines = header.find([*fmt.lines.id, *fmt.lines.amount])
    never = {column: reason for alias, reason in fmt.never_keys.items() for column in header.find([alias])}
    read = {column for columns in taken.values() for column in columns} | {*states, *lines, *never}
    known = set(header.find(fmt.known_columns))
    planned = {plan.field.name for plan in plans}
    return FileDescription(
        file=name,
        format=fmt.name,
        title=fmt.title,
        kind=fmt.kind,
        score=round(match_format(header, fmt).score, 3),
        taken=taken,
        states=states,
        line_columns=lines,
        never_keys=never,
        ignored=tuple(column for column in header.names if column in known - read),
        unknown=tuple(column for column in header.names if column not in known | read),
        not_found=tuple(field for field in fmt.fields if field not in planned),
    )
