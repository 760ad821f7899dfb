"""The formats that come with the package, and those of a user's folder."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from ordervet.contract.formats.definition import Format
from ordervet.errors import MappingError


def list_formats(formats_dir: str | Path | None = None) -> tuple[Format, ...]:
    """List the formats that are known, by name.

    Parameters
    ----------
    formats_dir : a folder of further format files (.toml); one with the name of a shipped format takes its place

    Raises
    ------
    MappingError
        The folder is missing, or everything that is wrong with a file in it.
    """
    formats = dict(_shipped())
    if formats_dir is not None:
        formats |= {path.stem: _parse(path.name, _read(path)) for path in _files_in(Path(formats_dir))}
    return tuple(formats[name] for name in sorted(formats))


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Format]:
    folder = resources.files("ordervet.contract.formats") / "tables"
    files = [file for file in folder.iterdir() if file.name.endswith(".toml")]
    return {file.name.removesuffix(".toml"): _parse(file.name, file.read_bytes()) for file in files}


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MappingError(f"there is no folder of formats {folder.name}", hint="check the path; it holds .toml files")
    return sorted(folder.glob("*.toml"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MappingError(f"{path.name} cannot be read: {error.strerror}", hint="check the path") from None


def _parse(file_name: str, data: bytes) -> Format:
    try:
        raw = tomllib.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(
            f"{file_name} is not TOML: {error}", hint='write strings as "text", one key = value per line'
        ) from None
    try:
        return Format.model_validate(raw | {"name": Path(file_name).stem})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        lines = [f"{len(details)} problem{'s' if len(details) > 1 else ''} in {file_name}"]
        for detail in details:
            place = ".".join(str(part) for part in detail["loc"]) or "the file"
            lines.append(f" - '{place}': {_words(detail['type'], detail['msg'])}")
        raise MappingError("\n".join(lines), hint="docs/formats.md says what a format file can hold") from None


def _words(kind: str, message: str) -> str:
    known = {"extra_forbidden": "unknown", "missing": "missing"}
    return known.get(kind, message.removeprefix("Value error, "))
