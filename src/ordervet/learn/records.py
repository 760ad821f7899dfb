"""What a night leaves behind, and how another run finds it: its folder, its lock, its checkpoint, its result.

models/nights/
├── .lock                         held while a night runs
└── 2025-11-12-1a2b3c4d5e/        cut-off, and what the night was made of
    ├── work/                     features and trees on the way, for a run that takes over from one that died
    ├── decision.json             what was decided; from here on the night is only carried out
    ├── report.zh.html, report.en.html
    └── result.json               written last: the night is done
"""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ordervet import storage
from ordervet.errors import ModelError
from ordervet.learn.training_data import Plan, TrainingData

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

NIGHTS = "nights"
_ARRAYS = ("features", "seen_at", "amount_minor", "buyer", "channel", "kind", "is_audited", "audited", "keys")
_PLAN_ARRAYS = ("rows", "label", "verdict", "verdict_at", "weight", "known_share", "is_reference")


def hold_night_lock(models: Path) -> AbstractContextManager[None]:
    """Keep every other night out while this one runs.

    Raises
    ------
    ModelError
        Another retrain is running.
    """
    folder = models / NIGHTS
    folder.mkdir(parents=True, exist_ok=True)
    refusal = ModelError(
        f"another retrain is running on {models}", hint="wait for it, or stop it: that is safe at any time"
    )
    return storage.hold_lock(folder / ".lock", refusal)


def name_night(as_of_us: int, content: dict[str, str]) -> str:
    """Name a night by its cut-off and by everything it is made of."""
    day = datetime.fromtimestamp(as_of_us / 1_000_000, UTC).date().isoformat()
    digest = hashlib.sha256(json.dumps([as_of_us, content], sort_keys=True).encode()).hexdigest()
    return f"{day}-{digest[:10]}"


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a record; None when it is missing or not whole."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    storage.write_text(path, text)


def clear_leftovers(models: Path, *, but: str) -> None:
    """Remove drafts and other nights' work; the caller holds the lock of the night."""
    for path in (models / NIGHTS).glob(f"*/{storage.DRAFT_PATTERN}"):
        path.unlink(missing_ok=True)
    for work in (models / NIGHTS).glob("*/work"):
        if work.parent.name != but:
            shutil.rmtree(work, ignore_errors=True)


def save_training_data(work: Path, data: TrainingData, *, made_of: str) -> None:
    """Keep the replay's result for a run that takes over."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "training_data.json").unlink(missing_ok=True)
    hashes = {}
    for name, array in _list_arrays(data).items():
        path = work / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        hashes[name] = _hash(path)
    names = {str(key): name for key, name in data.channel_names.items()}
    duplicates = {str(day): share for day, share in data.duplicate_share.items()}
    write_json(
        work / "training_data.json",
        {"made_of": made_of, "hashes": hashes, "channel_names": names, "duplicate_share": duplicates},
    )


def load_training_data(work: Path, *, made_of: str) -> TrainingData | None:
    """Take over a replay's result; None when there is none of the same make, or it is not whole."""
    record = read_json(work / "training_data.json")
    if record is None or record.get("made_of") != made_of:
        return None
    try:
        if any(_hash(work / f"{name}.npy") != digest for name, digest in record["hashes"].items()):
            return None
        found = {name: np.load(work / f"{name}.npy", allow_pickle=False) for name in record["hashes"]}
        plan = Plan(**{name: found[name] for name in _PLAN_ARRAYS})
        return TrainingData(
            plan,
            **{name: found[name] for name in _ARRAYS},
            channel_names={int(key): name for key, name in record["channel_names"].items()},
            duplicate_share={int(day): share for day, share in record["duplicate_share"].items()},
        )
    except (OSError, ValueError, KeyError):
        return None


def _list_arrays(data: TrainingData) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    own = {name: getattr(data, name) for name in _ARRAYS}
    return own | {name: getattr(data.plan, name) for name in _PLAN_ARRAYS}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
