"""Which format a file has, by the names of its columns.

A format fits when every column that it requires is there under one of its names. Its score is the share of the file's
columns that it knows. Of those that fit, the best one is taken if it leads by a tenth, or knows more of the file's
required columns; otherwise the choice is left to the user.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from ordervet.contract.files.cells import plain_name
from ordervet.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ordervet.contract.formats.definition import Format

_LEAD = 0.1
_MIN_SCORE = 0.2


@dataclass(frozen=True)
class Match:
    """How well a file fits a format.

    Parameters
    ----------
    score : 0 to 1, the share of the file's columns that the format knows
    missing : columns that the format requires and the file lacks, each by its first name
    """

    format: Format
    score: float
    missing: tuple[str, ...]


class Header:
    """The columns of a file, to be found by any of the names that a template gives them.

    Parameters
    ----------
    names : as they are in the file
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._by_plain_name: dict[str, str] = {}
        for name in self.names:
            self._by_plain_name.setdefault(plain_name(name), name)
        self._sorted = sorted(self._by_plain_name)
        self._positions = {name: at for at, name in enumerate(self.names)}

    def find(self, aliases: Iterable[str]) -> tuple[str, ...]:
        """Return the file's columns that have one of some names, in the order of those names.

        Parameters
        ----------
        aliases : names; one that ends in * is all columns that begin so, in the order of the file
        """
        found: dict[str, None] = {}
        for plain in map(plain_name, aliases):  # SPEED: for each name of each format, whenever a file is opened
            if plain in self._by_plain_name:
                found[self._by_plain_name[plain]] = None
            elif plain.endswith("*"):
                found |= dict.fromkeys(self._find_all(plain[:-1]))
        return tuple(found)

    def _find_all(self, start: str) -> list[str]:
        first = bisect_left(self._sorted, start)
        found = takewhile(lambda plain: plain.startswith(start), islice(self._sorted, first, None))
        return sorted((self._by_plain_name[plain] for plain in found), key=self._positions.__getitem__)


def match_format(header: Header, candidate: Format) -> Match:
    """Measure how well a file fits a format."""
    known = header.find(candidate.known_columns)
    missing = tuple(aliases[0] for aliases in candidate.required_columns if not header.find(aliases))
    return Match(candidate, len(known) / max(len(header.names), 1), missing)


def detect_format(names: Sequence[str], formats: Iterable[Format], *, where: str, envelope: str) -> Format:
    """Find the one format that a file has.

    Parameters
    ----------
    names : the file's columns
    formats : those to choose from
    where : what a message calls the file
    envelope : how it was read, for the message

    Raises
    ------
    FileError
        No format fits, or several do equally well; the message names the closest one and what it lacks.
    """
    header = Header(names)
    matches = sorted((match_format(header, each) for each in formats), key=lambda match: -match.score)
    fitting = [match for match in matches if not match.missing and match.score >= _MIN_SCORE]
    if not fitting:
        raise _unknown(where, matches, envelope)
    best = [match for match in fitting if match.score > fitting[0].score - _LEAD]
    if len(best) > 1:
        most = max(len(match.format.required_columns) for match in best)
        best = [match for match in best if len(match.format.required_columns) == most]
    if len(best) > 1:
        names_of_best = " and ".join(match.format.name for match in best)
        raise FileError(f"{where} fits {names_of_best} equally well", hint=f"say which: --format {best[0].format.name}")
    return best[0].format


def choose_format(name: str, names: Sequence[str], formats: Iterable[Format], *, where: str) -> Format:
    """Return the format of a name, and check that the file can be of it.

    Raises
    ------
    FileError
        There is no format of that name, or the file lacks a column that it requires.
    """
    by_name = {each.name: each for each in formats}
    if name not in by_name:
        raise FileError(f"there is no format '{name}'", hint=f"use one of native, {', '.join(by_name)}")
    match = match_format(Header(names), by_name[name])
    if match.missing:
        raise FileError(
            f"{where} does not match the format {name}: it lacks the column {', '.join(match.missing)}",
            hint="leave the format out to have it detected, or add the names of the columns in a format file",
        )
    return by_name[name]


def _unknown(where: str, matches: Sequence[Match], envelope: str) -> FileError:
    closest = max(matches, key=lambda match: (match.score * (1 - 0.25 * len(match.missing)), match.score), default=None)
    lines = [f"{where} matches no known format", f" - read with {envelope}"]
    if closest is not None and closest.score > 0:
        lacks = f", but wants {', '.join(closest.missing)}" if closest.missing else ""
        lines.append(f" - the closest is {closest.format.name}: it knows {closest.score:.0%} of the columns{lacks}")
    return FileError(
        "\n".join(lines),
        hint="ordervet formats FILE --draft FOLDER writes a format for it, to be corrected",
    )
