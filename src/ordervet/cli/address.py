"""The command address: parse addresses."""

from __future__ import annotations

import json as json_text
import sys
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer
from rich.cells import cell_len

from ordervet.cli import options
from ordervet.cli.screen import print_json_text
from ordervet.cli.session import Session
from ordervet.entities import Evidence, key_addresses, parse_address
from ordervet.entities.address.similarity import place_similarity
from ordervet.words import find_words, join_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ordervet.entities import Key

_LINES_AT_ONCE = 4_096


def address(
    text: Annotated[str | None, typer.Argument(help="An address; by default, one per line on stdin.")] = None,
    compare: Annotated[
        str | None, typer.Option(help="A second address: print how likely both are the same place.")
    ] = None,
    lang: options.LangOption = None,
    json: options.Json = False,
) -> None:
    """Parse addresses: door key, building key, kind of place, and their parts in plain text.

    With --json, one object per line for each address.

    Example: ordervet address "浙江省杭州市西湖区文三路99号3栋502"
    """
    session = Session(lang, json=json)
    if compare is not None:
        if text is None:
            raise typer.BadParameter(session.text("address.no_first"))
        similarity = place_similarity(text, compare)
        if json:
            session.print_json({"place_similarity": similarity})
        else:
            session.print(session.text("address.similarity", value=similarity))
        return
    # What a shell could not decode comes as lone surrogates.
    lines = [_decode(text.encode(errors="surrogateescape"))] if text is not None else map(_decode, sys.stdin.buffer)
    for described in _describe(lines, session.key):
        if json:
            print_json_text(json_text.dumps(described, ensure_ascii=False))
        else:
            _print_address(session, described)


def _decode(line: bytes) -> str:
    """Decode a line of a text file: UTF-8, else as exports have it; a byte that is neither is replaced."""
    bare = line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    for coding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return bare.decode(coding)
    return bare.decode("utf-8", "replace")


def _describe(lines: Iterable[str], key: Key) -> Iterator[dict[str, Any]]:
    rest = iter(lines)
    while chunk := list(islice(rest, _LINES_AT_ONCE)):
        keyed = key_addresses(pa.chunked_array([pa.array(chunk, pa.string())]), key)
        for line, door, place, code in zip(chunk, keyed.doors, keyed.places, keyed.door_evidence, strict=True):
            parsed = parse_address(line)
            yield {
                "door_key": f"{door:016x}" if door else None,
                "place_key": f"{place:016x}" if place else None,
                "place_type": parsed.place_type.name.lower(),
                "evidence": Evidence(code).name.lower(),
                "province": parsed.province,
                "city": parsed.city,
                "county": parsed.county,
                "town": parsed.town,
                "roads": list(parsed.roads),
                "names": list(parsed.names),
                "numbers": {unit.name.lower(): list(values) for unit, values in parsed.numbers.items()},
                "notes": list(parsed.notes),
            }


def _print_address(session: Session, described: dict[str, Any]) -> None:
    words = find_words("cli.address", session.lang)
    region = " ".join(described[level] for level in ("province", "city", "county", "town") if described[level])
    numbers = [words[f"unit_{unit}"].format(n="/".join(values)) for unit, values in described["numbers"].items()]
    lines = {
        "door_key": described["door_key"] or words["no_key"].format(why=words[f"evidence_{described['evidence']}"]),
        "place_key": described["place_key"] or words["none"],
        "place_type": words[f"place_{described['place_type']}"],
        "region": region,
        "roads": join_words(described["roads"], session.lang),
        "names": join_words(described["names"], session.lang),
        "numbers": join_words(numbers, session.lang),
        "notes": join_words(described["notes"], session.lang),
    }
    for name, value in lines.items():
        if value:
            title = session.text(f"address.{name}")
            session.print(title + " " * (12 - cell_len(title)) + value)
    session.print()
