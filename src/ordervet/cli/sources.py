"""A shop's database from the command line: its queries become pieces as files do, and how far they are read is kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ordervet.contract.files.pieces import AUTO
from ordervet.contract.sources.query import read_queries
from ordervet.contract.sources.query_rows import iter_query_pieces, load_query_mapping
from ordervet.contract.sources.source_file import load_source
from ordervet.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ordervet.contract.files.pieces import FilePiece
    from ordervet.contract.sources.query import ReadQuery
    from ordervet.contract.sources.source_file import Query, Source
    from ordervet.history import History


@dataclass(frozen=True)
class SourceReader:
    """Reads a source from where a command has read it to.

    Parameters
    ----------
    source : what to read
    command : each command goes on from its own positions: what was ingested may still have to be scored
    formats_dir : a folder of further formats
    """

    source: Source
    command: str
    formats_dir: Path | None = None

    @classmethod
    def open(cls, path: Path, command: str, formats_dir: Path | None = None) -> SourceReader:
        """Open a source file; whatever is wrong with it or its mappings is an error before any work.

        Raises
        ------
        SourceError, MappingError
            As for `load_source` and `load_mapping`.
        """
        source = load_source(path)
        source.build_url()
        for query in source.query:
            load_query_mapping(source, query)
        return cls(source, command, formats_dir)

    def read(self, store: History | None, report_step: Callable[[str], None]) -> list[ReadQuery]:
        """Read what is new since the positions in a history; all there is where it has none.

        Raises
        ------
        SourceError
            As for `read_queries`.
        """
        names = {self._name(query): query.name for query in self.source.query}
        known = store.read_positions(names) if store is not None else {}
        return read_queries(self.source, {names[name]: at for name, at in known.items()}, report_step)

    def iter_pieces(self, reads: Sequence[ReadQuery], *, in_one: bool = False) -> Iterator[FilePiece]:
        """Check what was read, piece by piece; see `iter_query_pieces`."""
        return iter_query_pieces(self.source, reads, formats_dir=self.formats_dir, in_one=in_one)

    @property
    def mapping_name(self) -> str | None:
        """The first mapping of its queries, which may also have features and rates."""
        names = (each.mapping for each in self.source.query if each.mapping is not None)
        return next((str(beside) if (beside := self.source.folder / name).is_file() else name for name in names), None)

    def list_positions(self, reads: Sequence[ReadQuery]) -> dict[str, int]:
        """List how far the source is read, as the history keeps it."""
        return {self._name(each.query): each.position for each in reads if each.position is not None}

    def _name(self, query: Query) -> str:
        """Name the position of a query as it is written now: one that was changed is read from the start."""
        mapping = load_query_mapping(self.source, query)
        said = [
            query.model_dump_json(exclude={"overlap"}),
            self.source.model_dump_json(include={"time_zone", "shop", "currency"}),
            mapping.model_dump_json() if mapping else "",
        ]
        digest = hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:16]
        return f"{self.command}/{self.source.name}/{query.name}/{digest}"


def check_only_source(
    files: Sequence[Path] | None,
    *,
    mapping: str | None,
    format_: str,
    time_zone: str | None,
    shop: str | None,
    currency: str | None,
) -> None:
    """Refuse what a source file says itself.

    Raises
    ------
    ContractError
        One of the options, or a file, is given beside the source.
    """
    others = {
        "files": files,
        "--mapping": mapping,
        "--format": format_ != AUTO,
        "--time-zone": time_zone,
        "--shop": shop,
        "--currency": currency,
    }
    given = ", ".join(name for name, value in others.items() if value)
    if given:
        raise ContractError(
            f"--source does not go together with {given}",
            hint="say it in the source file, or ingest files by themselves",
        )
