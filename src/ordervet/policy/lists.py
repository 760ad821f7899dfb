"""Lists by key: who is let through, watched or stopped, until when, on whose word. Raw values are keyed as read."""

from __future__ import annotations

import csv
import io
import tomllib
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ordervet.entities import ENTITY_NAMES
from ordervet.errors import ContractError, PolicyError
from ordervet.late_imports import pa
from ordervet.policy.documents import Problem, list_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ordervet.entities import Key

ListName = Literal["allow", "watch", "deny"]

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Largest list file that is read."""

MAX_NAMED: Final = 50
"""Most wrong rows of a file that are named."""

_COLUMNS: Final = ("list", "entity", "value", "id", "expires", "owner", "note")
_FIELDS: Final[dict[str, str]] = {
    "buyer": "buyer_id", "address": "address", "place": "address", "phone": "phone", "device": "device_id", "ip": "ip",
    "network": "ip", "payment": "payment_account", "recipient": "recipient", "item": "item_id", "category": "category",
    "shop": "shop_id", "channel": "channel",
}  # fmt: skip
_ZONE: Final = ZoneInfo("Asia/Shanghai")


class ListEntry(BaseModel):
    """One key on a list.

    Parameters
    ----------
    list : "allow", "watch" (a person looks) or "deny"
    entity : what the id identifies, such as ``phone``
    id : 16 hexadecimal digits, a keyed id
    expires : the instant from which the entry no longer counts
    owner : who answers for it: a team or a role
    note : why
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    list: ListName
    entity: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    expires: datetime
    owner: Annotated[str, Field(min_length=1, max_length=80)]
    note: Annotated[str, Field(max_length=200)] = ""


class _RawEntry(NamedTuple):
    row: int
    fields: dict[str, str]


def read_list(path: Path, key: Key) -> tuple[list[ListEntry], list[Problem]]:
    """Read a list of keys.

    Parameters
    ----------
    path : a ``.csv`` with the columns list, entity, value or id, expires, owner, note; or a ``.toml`` with [[entry]] of
        the same fields
    key : the identifier key; raw values become ids here and go no further

    Returns
    -------
    the entries, and all that is wrong: rows by number, never a value
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return [], [Problem(path.name, f"is larger than {MAX_FILE_BYTES} bytes")]
        text = path.read_text(encoding="utf-8-sig")
        raw = _read_toml(text) if path.suffix == ".toml" else _read_csv(text)
    except OSError as error:
        return [], [Problem(path.name, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return [], [Problem(path.name, "cannot be read: it is not UTF-8 text")]
    except (tomllib.TOMLDecodeError, csv.Error, TypeError, ValueError) as error:
        return [], [Problem(path.name, f"cannot be read: {str(error).splitlines()[0]}")]
    return _check_entries(raw, path.name, key)


def _read_csv(text: str) -> list[_RawEntry]:
    rows = csv.DictReader(text.splitlines())
    unknown = sorted({name for name in rows.fieldnames or () if name not in _COLUMNS})
    missing = [name for name in ("list", "entity", "expires", "owner") if name not in (rows.fieldnames or ())]
    if unknown or missing:
        raise ValueError(f"its columns are {', '.join(_COLUMNS)}; unknown {unknown}, missing {missing}")
    return [
        _RawEntry(number, {name: (value or "").strip() for name, value in row.items() if name in _COLUMNS})
        for number, row in enumerate(rows, start=2)
    ]


def _read_toml(text: str) -> list[_RawEntry]:
    entries = tomllib.loads(text).get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("a list in TOML is made of [[entry]]")
    return [
        _RawEntry(number, {name: str(value).strip() for name, value in entry.items()})
        for number, entry in enumerate(entries, start=1)
    ]


def _check_entries(raw: Sequence[_RawEntry], name: str, key: Key) -> tuple[list[ListEntry], list[Problem]]:
    entries: list[ListEntry] = []
    problems: list[Problem] = []
    ids = _key_values(raw, key)
    for entry in raw:
        where = f"{name}: row {entry.row}"
        fields: dict[str, Any] = {field: value for field, value in entry.fields.items() if value and field != "value"}
        found = _check_identity(entry.fields, ids.get(entry.row))
        if isinstance(found, Problem):
            problems.append(Problem(where, found.what))
            continue
        fields["id"] = found
        if expires := read_expiry(fields.get("expires", "")):
            fields["expires"] = expires
        try:
            entries.append(ListEntry.model_validate(fields))
        except ValidationError as error:
            problems += list_problems(error, ListEntry, prefix=f"{where}: ")
    if len(problems) > MAX_NAMED:
        rest = len(problems) - MAX_NAMED
        problems = [*problems[:MAX_NAMED], Problem(name, f"{rest:,} more rows are wrong")]
    return entries, problems


def _check_identity(fields: Mapping[str, str], keyed: int | str | None) -> str | Problem:
    """Return the id of a row, or say what is wrong with it."""
    if bool(fields.get("value")) == bool(fields.get("id")):
        return Problem("", "has both value and id, or neither; give one of them")
    if fields.get("id"):
        return fields["id"].lower()
    if isinstance(keyed, str):
        return Problem("", keyed)
    if not keyed:
        return Problem(
            "", f"the value identifies no {fields['entity'][:40]}: it is masked, incomplete or shared by many"
        )
    return f"{keyed:016x}"


def _key_values(raw: Sequence[_RawEntry], key: Key) -> dict[int, int | str]:
    """Turn raw values into ids, by row: an id, 0 where there is none, or what is wrong."""
    given = [entry for entry in raw if entry.fields.get("value")]
    found: dict[int, int | str] = {
        entry.row: f"got entity '{entry.fields.get('entity', '')[:40]}', expected one of {', '.join(ENTITY_NAMES)}, "
        "or an id"
        for entry in given
        if entry.fields.get("entity") not in _FIELDS
    }
    for entity, field in _FIELDS.items():
        rows = [entry for entry in given if entry.fields.get("entity") == entity]
        try:
            ids = _key_column(entity, field, [entry.fields["value"] for entry in rows], key)
            found |= zip((entry.row for entry in rows), ids, strict=True)
        except ContractError:
            found |= {entry.row: _key_value(entity, field, entry.fields["value"], key) for entry in rows}
    return found


def key_buyer(buyer_id: str, key: Key) -> int:
    """Return a buyer's keyed id, as that of orders; 0 where the value stands for nobody."""
    return _key_column("buyer", _FIELDS["buyer"], [buyer_id], key)[0]


def add_entry(path: Path, entry: ListEntry) -> None:
    """Add an entry to a list file, which is made if need be; it holds the keyed id, never the value.

    Raises
    ------
    PolicyError
        The file is no list in CSV, or cannot be written.
    """
    from ordervet.storage import write_text

    try:
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ",".join(_COLUMNS) + "\n"
        header = next(csv.reader(text.splitlines()), [])
        if path.suffix != ".csv" or not {"list", "entity", "id", "expires", "owner"} <= set(header):
            raise PolicyError(f"{path.name} is no list of keys", hint="a .csv with the columns " + ",".join(_COLUMNS))
        fields = entry.model_dump(mode="json") | {"expires": entry.expires.isoformat()}
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([fields.get(name, "") for name in header])
        write_text(path, text + ("" if text.endswith("\n") else "\n") + line.getvalue())
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the list {path.name} cannot be written: {type(error).__name__}") from None


def _key_value(entity: str, field: str, value: str, key: Key) -> int | str:
    """Key one value by itself, where the values together break the contract."""
    try:
        return _key_column(entity, field, [value], key)[0]
    except ContractError:
        return f"the value is no {entity}"


def _key_column(entity: str, field: str, values: list[str], key: Key) -> list[int]:
    """Key values as those of orders are keyed."""
    if not values:
        return []
    n_values = len(values)
    columns: dict[str, list[Any]] = {
        "order_id": [f"entry {at}" for at in range(n_values)],
        "placed_at": ["2000-01-01 00:00:00"] * n_values,
        "amount_minor": [0] * n_values,
        field: values,
    }
    from ordervet.contract import validate_events
    from ordervet.entities import key_orders

    keyed = key_orders(validate_events("orders", pa.table(columns)), key)
    ids: list[int] = keyed[f"id__{entity}"].to_pylist()
    return ids


def read_expiry(text: str) -> datetime | None:
    """Read a date, whose last moment still counts, or a time; without a zone both are in Shanghai."""
    try:
        if len(text) == len("2026-01-01"):
            instant = datetime.combine(date.fromisoformat(text) + timedelta(days=1), datetime.min.time())
        else:
            instant = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=_ZONE)).astimezone(UTC)


class KeyLists:
    """Entries of all lists, ready to be looked up.

    Parameters
    ----------
    entries : in any order; of entries about one key on one list the one that lasts longest counts
    """

    def __init__(self, entries: Sequence[ListEntry]) -> None:
        until: dict[tuple[str, str], dict[int, int]] = {}
        for entry in entries:
            ids = until.setdefault((entry.list, entry.entity), {})
            expires_us = int(entry.expires.timestamp()) * 1_000_000
            ids[int(entry.id, 16)] = max(expires_us, ids.get(int(entry.id, 16), expires_us))
        self._until = until
        self._tables = {
            which: (np.array(sorted(ids), np.uint64), np.array([ids[each] for each in sorted(ids)], np.int64))
            for which, ids in until.items()
        }

    def find(
        self, ids: Mapping[str, npt.NDArray[np.uint64]], at_us: npt.NDArray[np.int64]
    ) -> dict[tuple[str, str], npt.NDArray[np.bool_]]:
        """Find which orders are on which list, and by which entity.

        Parameters
        ----------
        ids : entity → shape (n_orders,), keyed ids, 0 where not known
        at_us : shape (n_orders,), UTC microseconds: an entry counts before it expires

        Returns
        -------
        (list, entity) → shape (n_orders,), for the entities that are there
        """
        found = {}
        for (name, entity), (listed, expires_us) in self._tables.items():
            if entity in ids:
                at = np.minimum(np.searchsorted(listed, ids[entity]), len(listed) - 1)
                found[name, entity] = (listed[at] == ids[entity]) & (at_us < expires_us[at]) & (ids[entity] != 0)
        return found

    def find_one(self, read_id: Callable[[str], int], at_us: int) -> list[tuple[str, str]]:
        """Find on which lists one order is, and by which entity, sorted.

        Parameters
        ----------
        read_id : entity → keyed id, 0 where not known
        at_us : UTC microseconds

        References
        ----------
        Truth: `find`.
        """
        # SPEED: neither all ids of the order nor arrays (bench_policies.py).
        found = []
        for which, until in self._until.items():
            wanted = read_id(which[1])
            if wanted and at_us < until.get(wanted, at_us):
                found.append(which)
        return sorted(found)
