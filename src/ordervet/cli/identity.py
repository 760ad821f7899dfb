"""Commands about who is behind an order: address, key."""

from __future__ import annotations

import json as json_text
import sys
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer

from ordervet.cli import options
from ordervet.cli.screen import EXIT_CODES_HELP, err, out, print_json, show_progress
from ordervet.contract.file_events import AUTO
from ordervet.entities import Evidence, key_addresses, load_key, new_key, parse_address, save_key
from ordervet.entities.address.similarity import place_similarity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ordervet.entities import Key

_LINES_AT_ONCE = 4_096

key_app = typer.Typer(
    help="Make a key, tell which one is in use, or put a history under a new one.",
    no_args_is_help=True,
    epilog=EXIT_CODES_HELP,
    rich_markup_mode=None,
    add_completion=False,
)


def address(
    text: Annotated[str | None, typer.Argument(help="An address; without it, one per line on stdin.")] = None,
    compare: Annotated[str | None, typer.Option(help="A second address: how likely it is the same place.")] = None,
    json: options.Json = False,
) -> None:
    """Take addresses apart: door key, building key, kind of place, and the parts a person can read.

    With --json there is one object per line, for each address.

    Example: ordervet address "浙江省杭州市西湖区文三路99号3栋502"
    """
    key = load_key()
    if key.is_ephemeral:
        err.print("no ORDERVET_KEY: keys are of this call only (ordervet key new)", style="dim")
    if compare is not None:
        if text is None:
            raise typer.BadParameter("it compares a second address with a first: ordervet address TEXT --compare TEXT")
        similarity = place_similarity(text, compare)
        if json:
            print_json({"place_similarity": similarity})
        else:
            out.print(f"place similarity {similarity:.3f}")
        return
    # What a shell could not decode comes as lone surrogates.
    lines = [_decode(text.encode(errors="surrogateescape"))] if text is not None else map(_decode, sys.stdin.buffer)
    for described in _describe(lines, key):
        if json:
            sys.stdout.write(json_text.dumps(described, ensure_ascii=False) + "\n")
        else:
            _print_address(described)


@key_app.command("new", epilog=EXIT_CODES_HELP)
def new(
    path: Annotated[
        Path | None, typer.Option("--out", help="Write it to a new file that only you can read; else it is printed.")
    ] = None,
) -> None:
    """Make a random key. Keep it outside the data: who has both can find out whom an id means.

    Example: ordervet key new --out ordervet.key && export ORDERVET_KEY_FILE=ordervet.key
    """
    key = new_key()
    if path is None:
        out.print(key.to_hex())
    else:
        save_key(key, path)
        out.print(f"key {key.key_id} written to {path}", markup=False)


@key_app.command("id", epilog=EXIT_CODES_HELP)
def show_id(
    path: Annotated[Path | None, typer.Option("--key-file", help="A key file; else the key that is set.")] = None,
) -> None:
    """Tell the public id of the key in use; stores name the key they were made with by it.

    Example: ordervet key id
    """
    key = load_key(path)
    out.print(key.key_id)
    if key.is_ephemeral:
        err.print("no key is set: this one lives as long as the call (ordervet key new)", style="yellow")


@key_app.command("rotate", epilog=EXIT_CODES_HELP)
def rotate(
    files: options.Files,
    history: Annotated[Path, typer.Option(help="Folder of the history.", show_default=False)],
    new_key: Annotated[
        Path, typer.Option("--new-key", help="File of the key to come; the old one is set as ever.", show_default=False)
    ],
    drop_uncovered: Annotated[
        bool, typer.Option("--drop-uncovered", help="Leave out orders that are not in the files, with their events.")
    ] = False,
    mapping: options.Mapping = None,
    format_: options.FormatName = AUTO,
    formats: options.FormatsDir = None,
    json: options.Json = False,
) -> None:
    """Put a history under a new key, from the raw files that its orders came from.

    Ids cannot be turned into others, so they are made anew: every order of the history must be in the files as it was
    brought in, else nothing is changed. What was known when stays as it was. Stop running scorers first, and give them
    the new key afterwards.

    Example: ordervet key rotate orders.csv orders-2024.csv --history history --new-key new.key
    """
    # NOT: at the top. Only whoever has a history waits for the import.
    from ordervet.cli.parts import PartReader  # noqa: PLC0415 -- see above
    from ordervet.contract import load_mapping  # noqa: PLC0415 -- see above
    from ordervet.history.rotate import rotate_key  # noqa: PLC0415 -- see above

    old, new = load_key(), load_key(new_key)
    with show_progress() as report_step:
        report_step("reading")
        parts = PartReader(files, load_mapping(mapping) if mapping else None, format_, formats).read_all()
        report_step("putting the history under the new key")
        rotated = rotate_key(history, old, new, [part.events.orders for part in parts], drop_uncovered=drop_uncovered)
    if json:
        print_json({"history": str(history), "old_key_id": old.key_id, "key_id": new.key_id} | asdict(rotated))
        return
    out.print(
        f"{history} is under key {new.key_id}: {rotated.n_orders:,} orders, {rotated.n_later:,} later events",
        markup=False,
    )
    if rotated.n_dropped_orders:
        out.print(
            f"left out: {rotated.n_dropped_orders:,} orders that are in no file, and {rotated.n_dropped_later:,} later "
            "events of these"
        )
    out.print(
        "from now on: ORDERVET_KEY_FILE is the new key's file; lists of keyed ids are to be made anew", style="dim"
    )


def _decode(line: bytes) -> str:
    """Decode a line of a text file: UTF-8, else as exports have it; what is neither becomes signs that say nothing."""
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


def _print_address(described: dict[str, Any]) -> None:
    region = " ".join(described[level] for level in ("province", "city", "county", "town") if described[level])
    numbers = ", ".join(f"{unit} {'/'.join(values)}" for unit, values in described["numbers"].items())
    lines = {
        "door key": described["door_key"] or f"none ({described['evidence']})",
        "place key": described["place_key"] or "none",
        "place type": described["place_type"],
        "region": region,
        "roads": ", ".join(described["roads"]),
        "names": ", ".join(described["names"]),
        "numbers": numbers,
        "notes": ", ".join(described["notes"]),
    }
    for title, value in lines.items():
        if value:
            out.print(f"{title:<11} {value}", markup=False)
    out.print()
