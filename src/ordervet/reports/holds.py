"""Orders to stop before they are audited for shipping (审单), for the ERP or the carrier, and those a person released.

A hold list and a release list lie beside each other: ``holds.csv`` and ``holds.released.csv``. What is on them is kept
in a state file, which is renamed into its place first; a run that was cut off is made good by the next one. The lists
are renamed one after the other in such an order that no reader ever finds an order on both.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa

from ordervet.contract.files.outputs import WRITABLE, check_place, write_table, write_text
from ordervet.errors import FileError
from ordervet.storage import hold_lock
from ordervet.words import format_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from ordervet.words import Lang

ENDINGS: Final = (*WRITABLE, ".json")
"""Endings a hold list may have."""

STATE_PROTOCOL: Final = 1

Word = Literal["hold", "release", "close"]
"""What is known of an order since: it is to be held (again), released, or needs neither any more."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One order to stop.

    Parameters
    ----------
    order_id : the order's id
    platform : where it was placed; empty where not known
    action : "hold" or "confirm"
    deadline : the instant of its audit, ISO with a zone: later it can no longer be stopped
    """

    order_id: str
    platform: str
    action: str
    deadline: str


@dataclass(frozen=True, slots=True)
class HoldCounts:
    """What an update did.

    Parameters
    ----------
    n_held, n_released : orders on each list now
    n_new_held, n_new_released : of which since the update before
    n_batches : batches on the hold list
    """

    n_held: int
    n_released: int
    n_new_held: int
    n_new_released: int
    n_batches: int


def check_hold_path(path: Path) -> Path:
    """Check, before any work, that a hold list and what belongs to it can be written.

    Raises
    ------
    FileError
        As for `check_place`.
    """
    return check_place(path, ENDINGS)


def find_release_path(path: Path) -> Path:
    """Name the release list that lies beside a hold list: ``holds.csv`` → ``holds.released.csv``."""
    return path.with_name(f"{path.stem}.released{path.suffix}")


def update_holds(
    path: Path, holds: Iterable[Hold], words: Mapping[str, Word], *, batch_size: int, now: datetime
) -> HoldCounts:
    """Bring both lists up to date.

    An order that a person released is not held again until a person says so; what was cancelled leaves the hold list
    and is not released, so that it does not ship.

    Parameters
    ----------
    path : the hold list; its ending says how both are written
    holds : orders to stop
    words : order id → what a person or the order's own course says of it since
    batch_size : most orders of one call to the ERP; no batch mixes platforms
    now : the instant, with a zone, at which whatever is released now was released

    Returns
    -------
    what is on the lists now

    Raises
    ------
    FileError
        Another run is updating the lists, or a file cannot be read or written.
    """
    release_path = find_release_path(path)
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    refusal = FileError(f"{path.name} is being updated by another run", hint="run it again when the other has finished")
    with hold_lock(path.with_name(f".{path.name}.lock"), refusal):
        held, released, listed = _load_state(path)
        old_held, old_released = set(held), set(released)
        for hold in holds:
            if hold.order_id not in released and words.get(hold.order_id) not in {"release", "close"}:
                held[hold.order_id] = hold
        for order_id, word in words.items():
            _apply(order_id, word, held, released, now)
        listed |= released.keys()
        _save_state(path, held, released, listed)
        # NOTE: an order on its way from one list to the other is for a moment on neither, never on both.
        _write_holds(path, [hold for each, hold in held.items() if each not in listed], batch_size)
        _write_releases(release_path, released, batch_size)
        if listed & held.keys():
            _write_holds(path, list(held.values()), batch_size)
        _save_state(path, held, released, set(released))
    return HoldCounts(
        n_held=len(held),
        n_released=len(released),
        n_new_held=len(held.keys() - old_held),
        n_new_released=len(released.keys() - old_released),
        n_batches=len(_batch(list(held.values()), batch_size)),
    )


def describe_holds(counts: HoldCounts, lang: Lang) -> str:
    """Describe in one line what is on the lists.

    Parameters
    ----------
    counts : from update_holds
    lang : "zh" or "en"
    """
    return format_text("holds.summary", lang, **asdict(counts))


@dataclass(frozen=True, slots=True)
class _Release:
    order_id: str
    platform: str
    action: str
    deadline: str
    released_at: str


def _apply(order_id: str, word: Word, held: dict[str, Hold], released: dict[str, _Release], now: datetime) -> None:
    if word == "release" and order_id in held:
        hold = held.pop(order_id)
        released[order_id] = _Release(**asdict(hold), released_at=now.isoformat(timespec="seconds"))
    elif word == "hold" and order_id in released:
        past = released.pop(order_id)
        held[order_id] = Hold(past.order_id, past.platform, past.action, past.deadline)
    elif word == "close":
        held.pop(order_id, None)
        released.pop(order_id, None)


def _find_state_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.state.json")


def _load_state(path: Path) -> tuple[dict[str, Hold], dict[str, _Release], set[str]]:
    """Return what is held, what was released, and which ids the release list may bear, if a run was cut off."""
    file = _find_state_path(path)
    if not file.exists():
        if path.exists() or find_release_path(path).exists():
            raise FileError(
                f"the state of {path.name} is missing: {file.name}",
                hint="restore it, or move the lists away to start new ones",
            )
        return {}, {}, set()
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        is_known = state["protocol"] == STATE_PROTOCOL
        held = {each["order_id"]: Hold(**each) for each in state["held"]}
        released = {each["order_id"]: _Release(**each) for each in state["released"]}
        listed = set(map(str, state["listed_as_released"]))
    except (OSError, ValueError, KeyError, TypeError):
        is_known, held, released, listed = False, {}, {}, set()
    if not is_known:
        raise FileError(
            f"the state {file.name} cannot be read", hint="restore it, or move it and the lists away to start new ones"
        )
    return held, released, listed


def _save_state(path: Path, held: Mapping[str, Hold], released: Mapping[str, _Release], listed: set[str]) -> None:
    state = {
        "protocol": STATE_PROTOCOL,
        "held": [asdict(each) for each in held.values()],
        "released": [asdict(each) for each in released.values()],
        "listed_as_released": sorted(listed),
    }
    write_text(json.dumps(state, ensure_ascii=False), _find_state_path(path))


def _batch(orders: Sequence[Any], batch_size: int) -> list[list[Any]]:
    """Cut orders into batches, those whose deadline is first in front; no batch mixes platforms."""
    ranked = sorted(orders, key=lambda order: (order.deadline, order.order_id))
    batches: list[list[Any]] = []
    filling: dict[str, list[Any]] = {}
    for order in ranked:
        if len(filling.get(order.platform, ())) in {0, batch_size}:
            filling[order.platform] = []
            batches.append(filling[order.platform])
        filling[order.platform].append(order)
    return batches


def _write_holds(path: Path, holds: Sequence[Hold], batch_size: int) -> None:
    _write_list(path, holds, ("order_id", "platform", "action", "deadline"), batch_size)


def _write_releases(path: Path, released: Mapping[str, _Release], batch_size: int) -> None:
    _write_list(path, list(released.values()), ("order_id", "platform", "released_at"), batch_size)


def _write_list(path: Path, orders: Sequence[Any], fields: Sequence[str], batch_size: int) -> None:
    batches = _batch(orders, batch_size)
    rows = [
        {"batch": number} | {field: getattr(order, field) for field in fields}
        for number, batch in enumerate(batches, start=1)
        for order in batch
    ]
    if path.suffix.lower() == ".json":
        plain = [[{field: getattr(order, field) for field in fields} for order in batch] for batch in batches]
        write_text(json.dumps({"batches": plain}, ensure_ascii=False, indent=1) + "\n", path)
        return
    schema = pa.schema([("batch", pa.int64()), *((field, pa.string()) for field in fields)])
    write_table(pa.Table.from_pylist(rows, schema=schema), path)
