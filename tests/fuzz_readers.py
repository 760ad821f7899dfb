"""Feed a reader of untrusted input with inputs that libFuzzer makes: make fuzz; for some seconds each, make sanitize.

    python tests/fuzz_readers.py READER [-runs=10000000] [-max_total_time=60] ...    options are libFuzzer's

It keeps the inputs by which a reader comes to new places, in Python (package `atheris`) and in the core, which was
built with counters of its blocks, ASan and UBSan (tools/build_backend.py --sanitize, src/core/fuzz/edges.cpp). Texts
are changed freely. Arrays and files are changed at places: an input is a list of edits of one that is whole. A reader
may raise the error that it promises; anything else, and whatever a sanitizer finds, ends the run.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris
import numpy as np

from ordervet import _core
from ordervet.entities import Key
from ordervet.entities.address.arrays import load_tables
from ordervet.entities.build import CANONICAL
from ordervet.entities.plain import form_of
from ordervet.errors import HistoryError, ModelError
from ordervet.features import FeatureEngine
from random_events import SPEC, draw_events

with atheris.instrument_imports(include=["ordervet.history", "ordervet.model"]):
    from ordervet.history import journal, snapshots, stored_rows
    from ordervet.model import artefact, forest, predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SECRET = bytes(16)
TEXTS = [
    "浙江省杭州市西湖区文三路99號3栋2单元502（放门口）", "北京市海淀区***", "##cipher", "~aZ9+/=~", "张三先生",
    "江苏省南京市场八一巷3一2一502", "上海市徐汇区陕西南路180弄2号301室", "村民小组廿三号千千千千", "𠮷野家 A-12 5f",
    "12 Main St Apt 4, Springfield, IL 62704-1234, US", "c/o Lee (2nd floor), P.O. Box 7, London SW1A 1AA, UK",
    "Muehlenstraße 3 a/5, 10115 Berlin, DE", "5/12 High St, Perth WA 6000", "3호 12동 No. 9 de Julio 5 bis #4-2/b",
    "19900001234", "17012345678-1234", "+86 199 0000 1234", "203.0.113.7", "unknown",
]  # fmt: skip
_EDIT = struct.Struct("<HIi")  # which array or file, which place in it, and what to write there


def read_addresses(data: bytes) -> None:
    texts, offsets = split_lines(data)
    ids, codes = np.zeros((2, len(offsets) - 1), np.uint64), np.zeros((3, len(offsets) - 1), np.int8)
    load_tables().key(texts, offsets, SECRET, SECRET, *ids, *codes)
    load_tables().write_texts(data)


def read_texts(data: bytes) -> None:
    texts, offsets = split_lines(data)
    read_columns_of_texts(texts, offsets)


def read_columns(data: bytes) -> None:
    """Read a column whose offsets lie."""
    n = data[0] if data else 0
    offsets = np.frombuffer(data[1 : 1 + 4 * n].ljust(4 * n, b"\0"), np.int32).astype(np.int64)
    with contextlib.suppress(ValueError):
        read_columns_of_texts(np.frombuffer(data[1 + 4 * n :], np.uint8), offsets)


def split_lines(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    return np.frombuffer(data, np.uint8), np.concatenate([[0], ends, [len(data)]]).astype(np.int64)


def read_columns_of_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
    n = max(len(offsets) - 1, 0)
    ids, codes = np.zeros((2, n), np.uint64), np.zeros((3, n), np.int8)
    load_tables().key(data, offsets, SECRET, SECRET, *ids, *codes)
    for _, canonicalise in CANONICAL.values():
        form_of(canonicalise).key(data, offsets, SECRET, ids[0], codes[0])
    _core.hash_texts(data, offsets, SECRET, ids[0])
    narrow, nothing = offsets.astype(np.int32), np.zeros(0, np.uint8)
    _core.scan_texts(data, narrow, nothing, 0, np.zeros(256, np.bool_))
    _core.has_repeats(data, narrow, nothing, 0)


def read_models(data: bytes) -> None:
    """Read a text of LightGBM's, and try it as a model is tried before it serves."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ModelError):
        if forest.parse_forest(text).n_features > 1_000:
            return
        served = predictor.ForestPredictor(text)
        if served.engine == "compiled":
            served.explain(np.zeros((2, served.n_features), np.float32))


def read_forests(data: bytes) -> None:
    """Hand the core arrays of a forest that nothing has checked."""
    whole = load_forest()
    arrays = edit({name: getattr(whole, name) for name in whole.__slots__ if name != "n_features"}, data)
    counts = [arrays.pop(name) for name in ("node_count", "leaf_count")]
    with contextlib.suppress(ValueError):
        core = _core.Forest(n_features=whole.n_features, n_outputs=1, **arrays)
        few = np.random.default_rng(0).normal(size=(70, whole.n_features)).astype(np.float32)
        raw = np.empty((len(few), 1))
        core.walk(few, raw)
        core.score(few, 0, len(few), raw)
        core.score_one(few[:1])
        explained = _core.Contributions(core, *counts)
        explained.explain(few, 0, len(few), np.arange(whole.n_features, dtype=np.int32), np.empty(few.shape))


def read_states(data: bytes) -> None:
    """Restore an engine from a state of which numbers were changed, and go on."""
    arrays, header, future = draw_state()
    engine = build_engine()
    with contextlib.suppress(HistoryError, RuntimeError, IndexError, _core.InvalidStateError):
        engine._core.import_state(edit(arrays, data), header["last_seen_at"])
        engine.advance(*future)
        engine.compact()


def read_snapshots(data: bytes) -> None:
    with edited_folder(save_snapshot(), data) as folder, contextlib.suppress(HistoryError):
        snapshots.load_snapshot(folder, Key(SECRET))


def read_journals(data: bytes) -> None:
    with edited_folder(write_journal(), data) as folder, contextlib.suppress(HistoryError):
        entries = journal.read_journal(folder / "_journal-00000001.sqlite").entries
        stored_rows.read_lines(entry.lines for entry in entries)


def read_manifests(data: bytes) -> None:
    (copy_bundled() / "manifest.json").write_bytes(data)
    with contextlib.suppress(ModelError):
        artefact.load_model(copy_bundled())


def edit(arrays: Mapping[str, NDArray[Any]], edits: bytes) -> dict[str, NDArray[Any]]:
    """Return arrays with 32-bit words of them changed."""
    edited, names = dict(arrays), [name for name, array in arrays.items() if array.nbytes >= 4]
    for which, place, value in _EDIT.iter_unpack(edits[: len(edits) // _EDIT.size * _EDIT.size]):
        name = names[which % len(names)]
        if edited[name] is arrays[name]:
            edited[name] = arrays[name].copy()
        words = edited[name].reshape(-1).view(np.uint8)
        at = place % (len(words) // 4) * 4
        words[at : at + 4] = np.frombuffer(struct.pack("<i", value), np.uint8)
    return edited


@contextlib.contextmanager
def edited_folder(files: Mapping[str, bytes], edits: bytes) -> Iterator[Path]:
    """Write files, some bytes of them changed, to a folder in memory."""
    contents = edit({name: np.frombuffer(content, np.uint8) for name, content in files.items()}, edits)
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        for name, content in contents.items():
            (folder / name).write_bytes(content.tobytes())
        yield folder
    finally:
        shutil.rmtree(folder)


@cache
def load_forest() -> forest.Forest:
    return forest.parse_forest(load_booster(1))


@cache
def load_booster(n_trees: int) -> str:
    """Return the first trees of the bundled model."""
    text = (find_bundled() / "model.txt").read_text(encoding="utf-8")
    return text[: text.index(f"Tree={n_trees}\n")] + "end of trees\n"


def find_bundled() -> Path:
    return artefact.find_live_model(ROOT / "models")


@cache
def copy_bundled() -> Path:
    return Path(shutil.copytree(find_bundled(), tempfile.mkdtemp(), dirs_exist_ok=True))


@cache
def draw_state() -> tuple[dict[str, NDArray[Any]], dict[str, Any], tuple[Any, Any]]:
    orders, later = draw_events(np.random.default_rng(5), n_orders=24, n_later=36, span_s=40 * 86_400, grain_s=600)
    cut = np.median(orders.seen_at)
    engine = FeatureEngine(SPEC)
    is_past, is_known = orders.seen_at <= cut, later.seen_at <= cut
    engine.advance(orders.take(np.flatnonzero(is_past)), later.take(np.flatnonzero(is_known)))
    rest = orders.take(np.flatnonzero(~is_past)), later.take(np.flatnonzero(~is_known))
    arrays, header = engine.export_state()
    return {name: array.copy() for name, array in arrays.items()}, header, rest


@cache
def build_engine() -> FeatureEngine:
    """Return the engine that takes every state, as planning one takes longer than all the rest."""
    return FeatureEngine(SPEC)


@cache
def save_snapshot() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as store:
        folder = snapshots.save_snapshot(Path(store), draw_state()[0], {"last_seen_at": 7}, Key(SECRET))
        return {path.name: path.read_bytes() for path in folder.iterdir()}


@cache
def write_journal() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as store:
        new = journal.create_journal(Path(store), "batch")
        for number in range(20):
            new.append(journal.Entry(number % 3 == 0, b'{"event":"order","event_id":%d,"order_id":"T"}\n' % number))
        new.close()
        return {path.name: path.read_bytes() for path in Path(store).iterdir()}


def list_edits() -> Iterable[bytes]:
    rng = np.random.default_rng(0)
    for _ in range(200):
        yield _EDIT.pack(
            int(rng.integers(64)), int(rng.integers(1 << 20)), int(rng.choice([-1, 0, 1, 7, 1 << 20, 1 << 30]))
        )


#: Reader → what it does with an input, and inputs to begin with.
READERS: dict[str, tuple[Callable[[bytes], None], Callable[[], Iterable[bytes]]]] = {
    "addresses": (read_addresses, lambda: [text.encode() for text in TEXTS]),
    "texts": (read_texts, lambda: ["\n".join(TEXTS).encode(), *(text.encode() for text in TEXTS)]),
    "columns": (read_columns, lambda: [bytes([3]) + struct.pack("<3i", 0, 4, 9) + b"123456789"]),
    "models": (read_models, lambda: [load_booster(1).encode(), load_booster(2).encode()]),
    "forests": (read_forests, list_edits),
    "states": (read_states, list_edits),
    "snapshots": (read_snapshots, list_edits),
    "journals": (read_journals, list_edits),
    "manifests": (read_manifests, lambda: [(find_bundled() / "manifest.json").read_bytes()]),
}


def main(name: str, *options: str) -> None:
    built = Path(_core.__file__).parents[1]
    if built.name != "sanitize":
        raise SystemExit("run make fuzz, or make sanitize: the core was built without sanitizers")
    read, list_seeds = READERS[name]
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(list_seeds()):
        (corpus / str(number)).write_bytes(seed)
    read(b"")  # what is loaded once is loaded before
    shown = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={built}/{name}-"]
    atheris.Setup([name, str(corpus), *shown, *options], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
