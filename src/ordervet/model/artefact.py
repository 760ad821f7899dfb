"""A model on disk: text and JSON, hashed, with a protocol number. Nothing is unpickled.

models/
├── live                 one line: the id of the model that serves
└── <model id>/
    ├── model.txt        LightGBM's own text format
    ├── kinds.txt        the same of the model that names kinds, if there is one
    ├── claims.txt       the same of the model of refund requests, if there is one
    ├── manifest.json    protocol, hashes, feature names, calibration, risk scale, origin, metrics
    └── card.md          for people
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ordervet import storage
from ordervet.contract import MaliceKind
from ordervet.errors import MappingError, ModelError
from ordervet.features import FeatureSpec
from ordervet.features.claim_features import CLAIM_NAMES, build_claim_spec
from ordervet.model.calibration import Curve
from ordervet.model.claim_model import ClaimModel
from ordervet.model.forest import parse_forest
from ordervet.model.kinds import KindModel

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

#: Raised when the manifest's shape or meaning changes. A reader takes exactly its own number: bump it, write the change
#: into CHANGELOG.md, and say there how an older model is made again.
MODEL_PROTOCOL = 1

MODEL_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LOCK_WAIT_S = 30.0
_LEFTOVERS = (".staging-*", ".trash-*", storage.DRAFT_PATTERN, f"promotions/{storage.DRAFT_PATTERN}")
LIST_HINT = "ordervet models list shows what is there"
_RETRAIN_HINT = "train it again, or restore its folder: ordervet train FILE... --models DIR"


@dataclass(frozen=True)
class Model:
    """A fitted model, complete: everything that turns a feature matrix into decisions' scores.

    Parameters
    ----------
    booster_text : LightGBM's text format
    spec : the features, in the booster's column order
    calibration : raw score to probability of malice
    risk_scale : raw score to 0-1000
    origin : what it was fitted on: counts, dates, seeds, versions
    metrics : what was measured, on which data; never a number nobody measured
    kinds : the second model, which names the kind of malice on flagged orders; None where none was learned
    claims : the third model, about refund requests; None where none was learned
    """

    booster_text: str = field(repr=False)
    spec: FeatureSpec = field(repr=False)
    calibration: Curve = field(repr=False)
    risk_scale: Curve = field(repr=False)
    origin: dict[str, Any] = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)
    kinds: KindModel | None = field(default=None, repr=False)
    claims: ClaimModel | None = field(default=None, repr=False)

    @cached_property
    def model_id(self) -> str:
        """An id made of the content: the same model has the same id wherever it was fitted."""
        return "m-" + hashlib.sha256(_dump(self._describe()).encode()).hexdigest()[:12]

    @cached_property
    def claim_spec(self) -> FeatureSpec:
        """The features of its spec, then what more requests are judged by; without a model of claims its spec."""
        return self.spec if self.claims is None else build_claim_spec(self.spec)

    def _describe(self) -> dict[str, Any]:
        return {
            "protocol": MODEL_PROTOCOL,
            "model_sha256": hashlib.sha256(self.booster_text.encode()).hexdigest(),
            "spec_hash": self.spec.hash,
            "spec": {
                "names": list(self.spec.names),
                "entities": list(self.spec.entities),
                "numbers": list(self.spec.numbers),
                "time_zone": self.spec.time_zone,
                "rates": dict(self.spec.rates),
            },
            "calibration": self.calibration.to_lists(),
            "risk_scale": self.risk_scale.to_lists(),
            "origin": self.origin,
            "metrics": self.metrics,
        } | self._describe_others()

    def _describe_others(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.kinds is not None:
            sha256 = hashlib.sha256(self.kinds.booster_text.encode()).hexdigest()
            told["kinds"] = {"names": list(self.kinds.kinds), "sha256": sha256}
        if self.claims is not None:
            sha256 = hashlib.sha256(self.claims.booster_text.encode()).hexdigest()
            told["claims"] = self.claims.describe() | {"sha256": sha256}
        return told

    def build_manifest(self) -> dict[str, Any]:
        """Give the manifest as it is written."""
        return {"model_id": self.model_id} | self._describe()


def hold_models_lock(models: Path) -> AbstractContextManager[None]:
    """Keep every other process from changing a folder of models; held for moments: a rename, a pointer swapped.

    Raises
    ------
    ModelError
        Another process did not let go of it in time.
    OSError
        The folder cannot be written.
    """
    refusal = ModelError(
        f"the models in {models} are being changed by another process", hint="run it again in a minute"
    )
    return storage.hold_lock(models / ".lock", refusal, wait_s=_LOCK_WAIT_S)


def save_model(model: Model, models: Path, *, card: str) -> Path:
    """Write a model into its own folder under `models`, whole or not at all.

    A folder of the same id that cannot be loaded any more is replaced.

    Returns
    -------
    the model's folder
    """
    models.mkdir(parents=True, exist_ok=True)
    folder = models / model.model_id
    with hold_models_lock(models):
        staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=models))
        try:
            texts = {"model.txt": model.booster_text, "manifest.json": _dump(model.build_manifest()), "card.md": card}
            if model.kinds is not None:
                texts["kinds.txt"] = model.kinds.booster_text
            if model.claims is not None:
                texts["claims.txt"] = model.claims.booster_text
            for name, text in texts.items():
                storage.write_text(staging / name, text)
            staging.chmod(0o755)
            if folder.exists() and not _is_whole(folder):
                folder.replace(Path(tempfile.mkdtemp(prefix=".trash-", dir=models)))
            if folder.exists():
                shutil.rmtree(staging)
            else:
                staging.replace(folder)
                storage.sync(models)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        remove_leftovers(models)
    return folder


def swap_live_pointer(models: Path, model_id: str) -> None:
    """Write which model serves, by one atomic rename; the caller holds the lock and has checked the model."""
    storage.write_text(models / "live", model_id + "\n")


def remove_leftovers(models: Path) -> None:
    """Remove what processes that died were writing; the caller holds the lock."""
    for pattern in _LEFTOVERS:
        for path in models.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def find_live_model(models: Path) -> Path:
    """Find the folder of the model that serves.

    Raises
    ------
    ModelError
        There is none, or the pointer is damaged.
    """
    pointer = models / "live"
    try:
        model_id = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"no live model in {models}", hint=f"train one: ordervet train FILE... --models {models}"
        ) from error
    if not MODEL_ID.fullmatch(model_id):
        raise ModelError(f"the pointer {pointer} does not hold a model id", hint=_RETRAIN_HINT)
    return models / model_id


def find_model(models: Path, model_id: str) -> Path:
    """Find the folder of a model by its id.

    Raises
    ------
    ModelError
        There is none of this id.
    """
    if not MODEL_ID.fullmatch(model_id) or not (models / model_id / "manifest.json").is_file():
        raise ModelError(f"there is no model {model_id} in {models}", hint=LIST_HINT)
    return models / model_id


def load_model(folder: Path) -> Model:
    """Read a model folder, and check every hash and every tree before anything in it is believed.

    Raises
    ------
    ModelError
        Something is missing, damaged, of another protocol, or made with features of another meaning.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        booster_text = (folder / "model.txt").read_text(encoding="utf-8")
        told = manifest if isinstance(manifest, dict) else {}
        others = {
            name: (folder / f"{name}.txt").read_text(encoding="utf-8") for name in ("kinds", "claims") if name in told
        }
    # NOTE: a number of 5,000 digits is a ValueError, 200,000 brackets are a RecursionError.
    except (OSError, ValueError, RecursionError) as error:
        message = f"model folder {folder} cannot be read ({type(error).__name__})"
        raise ModelError(message, hint=_RETRAIN_HINT) from error
    protocol = manifest.get("protocol") if isinstance(manifest, dict) else None
    if protocol != MODEL_PROTOCOL:
        raise ModelError(f"model {folder.name}: got protocol {protocol}, expected {MODEL_PROTOCOL}", hint=_RETRAIN_HINT)
    try:
        _Manifest.model_validate(manifest, strict=True)
        model = _build_model(manifest, booster_text, others)
        _check_hashes(model, manifest, folder.name)
        _check_forests(model)
    except ModelError as error:
        names_it = error.message.startswith(f"model {folder.name}: ")
        message = error.message if names_it else f"model {folder.name}: {error.message}"
        raise ModelError(message, hint=_RETRAIN_HINT) from error
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MappingError) as error:
        raise ModelError(f"model {folder.name}: its manifest is damaged", hint=_RETRAIN_HINT) from error
    return model


class _Spec(BaseModel):
    names: list[str]
    entities: list[str]
    numbers: list[str]
    time_zone: str
    rates: dict[str, float]


class _Kinds(BaseModel):
    names: list[str]
    sha256: str


class _Claims(BaseModel):
    names: list[str]
    calibration: dict[str, list[float]]
    sha256: str


class _Origin(BaseModel):
    as_of: str | None = None
    last_order_at: str | None = None
    n_orders: int | None = None


class _Gate(BaseModel):
    name: str
    passed: bool


class _Metrics(BaseModel):
    ap: float | None = None
    gates: list[_Gate] | None = None


class _Manifest(BaseModel):
    """The types of what a manifest must have, and of what is shown of it; the rest is anything."""

    model_id: str
    model_sha256: str
    spec_hash: str
    spec: _Spec
    calibration: dict[str, list[float]]
    risk_scale: dict[str, list[float]]
    origin: _Origin
    metrics: _Metrics
    kinds: _Kinds | None = None
    claims: _Claims | None = None


def _build_model(manifest: dict[str, Any], booster_text: str, others: dict[str, str]) -> Model:
    spec = manifest["spec"]
    return Model(
        booster_text=booster_text,
        spec=FeatureSpec(
            names=tuple(spec["names"]),
            entities=tuple(spec["entities"]),
            numbers=tuple(spec["numbers"]),
            time_zone=spec["time_zone"],
            rates=tuple(sorted(spec["rates"].items())),
        ),
        calibration=Curve.from_lists(manifest["calibration"]),
        risk_scale=Curve.from_lists(manifest["risk_scale"]),
        origin=manifest["origin"],
        metrics=manifest["metrics"],
        kinds=KindModel(others["kinds"], tuple(manifest["kinds"]["names"])) if "kinds" in others else None,
        claims=ClaimModel.from_manifest(manifest["claims"], others["claims"]) if "claims" in others else None,
    )


def _check_hashes(model: Model, manifest: dict[str, Any], name: str) -> None:
    if model.spec.hash != manifest["spec_hash"]:
        raise ModelError(f"model {name}: its features were built under other definitions than this version's")
    found = model.build_manifest()
    for part in ("model_sha256", "model_id"):
        if found[part] != manifest[part]:
            raise ModelError(f"model {name}: {part} is {manifest[part]}, but its content gives {found[part]}")


def _check_forests(model: Model) -> None:
    """Check every tree before any code walks it, and that all ask for features of the spec alone.

    Raises
    ------
    ModelError
        A tree is damaged, or is about other features or kinds.
    """
    expected = len(model.spec.names)
    forests = {"model.txt": parse_forest(model.booster_text)}
    if model.kinds is not None:
        forests["kinds.txt"] = model.kinds.forest
        if unknown := sorted(set(model.kinds.kinds) - set(MaliceKind)):
            raise ModelError(f"unknown kinds {', '.join(unknown)}")
    for file, forest in forests.items():
        if forest.n_features != expected:
            raise ModelError(f"{file} is about {forest.n_features} features, its spec about {expected}")
    if model.claims is not None and model.claims.n_features != len(model.claim_spec.names) + len(CLAIM_NAMES):
        raise ModelError(f"claims.txt is about {model.claims.n_features} features, its spec about others")


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _is_whole(folder: Path) -> bool:
    try:
        load_model(folder)
    except ModelError:
        return False
    return True
